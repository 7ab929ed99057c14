"""What commands print: results on standard output, everything else on standard error.

In: text, and errors. Out: lines; colours only where a person reads them.
"""

from __future__ import annotations

import os
import sys
from typing import Any, TextIO

from .grammar.problems import COLOURS, Error, Problem, Problems
from .grammar.source import visible


def out(text: str = "") -> None:
    """Print a result."""
    print(text, file=sys.stdout)


def is_coloured(stream: TextIO) -> bool:
    """Whether `stream` is a terminal whose user has not asked for plain text."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb"
    return stream.isatty() and not plain


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
