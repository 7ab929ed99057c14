"""What commands print: results on standard output, everything else on standard error.

In: text, and errors. Out: lines; colours only where a person reads them.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterable, Sequence
from math import isfinite
from typing import Any, TextIO

from ..grammar.problems import COLOURS, Error, Problem, Problems
from ..grammar.source import visible


def out(text: str = "") -> None:
    """Print a result."""
    print(text, file=sys.stdout)


def out_json(document: dict[str, Any]) -> None:
    """Print a result as one JSON document; what the keys are, `docs/commands.md` says."""
    # Where a stream lacks signs, the escapes of JSON stand for them, and not Python's.
    ascii_only = not (sys.stdout.encoding or "").lower().startswith("utf")
    out(json.dumps(_plain(document), indent=2, ensure_ascii=ascii_only, allow_nan=False))


def out_table(rows: Iterable[Sequence[str]]) -> None:
    """Print rows with their columns aligned."""
    lines = list(rows)
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    for line in lines:
        padded = (text.ljust(width) for text, width in zip(line, widths, strict=True))
        out(("  " + "  ".join(padded)).rstrip())


def _plain(value: Any) -> Any:
    """`value` with its infinities and NaNs as strings: JSON has none."""
    if isinstance(value, dict):
        return {name: _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    if isinstance(value, float) and not isfinite(value):
        return str(value)
    return value


def is_coloured(stream: TextIO) -> bool:
    """Whether colours go to `stream`: to a terminal, unless its user has asked for plain text."""
    if os.environ.get("NO_COLOR"):
        return False
    if os.environ.get("FORCE_COLOR") not in (None, "", "0"):
        return True
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def report(error: Error) -> None:
    """Print a diagnostic, after the results so far."""
    sys.stdout.flush()
    colour = is_coloured(sys.stderr)
    if isinstance(error, Problem | Problems):
        print(error.render(colour=colour), file=sys.stderr)
        return
    strong, end = (COLOURS["strong"], COLOURS["end"]) if colour else ("", "")
    head = COLOURS["error"] if colour else ""
    first, *rest = str(error).splitlines() or [""]
    lines = [f"{head}error[{error.code}]{end}{strong}: {visible(first)}{end}", *map(visible, rest)]
    print("\n".join(lines), file=sys.stderr)


def report_as_data(error: Error) -> list[dict[str, Any]]:
    """A diagnostic as JSON has it; several where it holds several."""
    if isinstance(error, Problems):
        return [item for problem in error.problems for item in report_as_data(problem)]
    found: dict[str, Any] = {"code": error.code, "severity": "error", "message": str(error)}
    if isinstance(error, Problem):
        line, column = error.span.source.position(error.span.start)
        found |= {
            "severity": error.severity,
            "message": error.headline,
            "file": error.span.source.name,
            "line": line,
            "column": column,
            "length": error.span.stop - error.span.start,
            "label": error.label,
            "notes": list(error.notes),
            "hints": list(error.hints),
        }
    return [found]
