"""`rnnc cells`: the standard cells, in a line each, or one of them.

In: the index of the standard library. Out: what its cells are, as text or as JSON. None is
compiled, and none is read but the one that is asked for.
"""

from __future__ import annotations

import re
import shutil
import sys
import textwrap
from collections.abc import Sequence
from itertools import zip_longest
from typing import TYPE_CHECKING, Any

from ..grammar import std_index
from .errors import UsageError
from .printing import out, out_json, out_table
from .settings import Settings, Value, bind, check_names, own_settings
from .statuses import FINE

if TYPE_CHECKING:
    from ..compiler.library import Template

GAP, NARROWEST = 2, 28  # between columns; that holds any term of a formula
PIPED = 80  # columns of text that no terminal shows
HEAD = ("cell", "recurrence", "parameters", "paper", "parameters as a formula")


def cells(names: Sequence[str], settings: Settings, *, as_json: bool) -> int:
    """Run the command.

    Args:
        names: of standard cells; none for all.
        settings: sizes and options, for the cells that have them.
        as_json: print one JSON document instead of text.
    Returns:
        The exit status.
    Raises:
        NoSuchCellError: there is none of one of the names.
        UsageError: there are settings, and none of a cell.
        UnknownSettingError, CallError, Problems: no cell has a setting, or it does not fit.
    """
    if settings and not names:
        raise UsageError("--set is of cells that are named: rnnc cells LSTM --set hidden=128")
    known = {cell["name"]: cell for cell in std_index()}
    found = [known[name] for name in names if name in known] if names else [*known.values()]
    if settings or len(found) < len(names):
        from ..compiler.library import std

        templates = [std()[name] for name in names]  # says which there are
        check_names(settings, templates)
        found = [_set(*both, settings) for both in zip(found, templates, strict=True)]
    if as_json:
        out_json({"ok": True, "cells": found})
    elif names:
        for at, cell in enumerate(found):
            if at:
                out()
            _print(cell, settings)
    else:
        _print_all(found)
    return FINE


def _set(cell: dict[str, Any], template: Template, settings: Settings) -> dict[str, Any]:
    """What is said of a cell whose sizes and options are these."""
    from ..compiler.cost import Sizes
    from ..compiler.summary import summarised

    given = own_settings(settings, template)
    if not given:
        return cell
    sizes = cell["sizes"] | {name: v for name, v in given.items() if name in cell["sizes"]}
    options = {name: v for name, v in given.items() if name not in sizes}
    bound = bind(template, sizes | options)
    summary = summarised(template, options)
    return cell | {
        "options": cell["options"] | {name: _written(value) for name, value in options.items()},
        "recurrence": {
            "kind": summary.recurrence.kind,
            "serial_products": summary.recurrence.serial_products,
            "scanned": [*summary.recurrence.scanned],
        },
        "parameters": summary.formula("parameters"),
        "sizes": sizes,
        "count": Sizes(bound).cost().parameters.value,
    }


def _written(value: Value) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _print_all(found: Sequence[dict[str, Any]]) -> None:
    """The table; as wide as the terminal where there is one, and a line for each cell elsewhere."""
    rows = [HEAD, *map(_row, found)]
    about = f"parameters are counted at the sizes of `rnnc cells CELL`, such as {_at(found[0])}"
    if not sys.stdout.isatty():  # a line is found whole by grep, and is no longer than its paper
        out(textwrap.fill(f"{about}; it and `rnnc cells --json` have the formulas", PIPED))
        out_table([row[:-1] for row in rows])
        return
    *fixed, _, _ = zip(*rows, strict=True)
    columns = shutil.get_terminal_size().columns
    left = columns - sum(GAP + max(map(len, column)) for column in fixed) - GAP
    widths = [(left + 1) // 2, left // 2 - GAP]
    if widths[1] < NARROWEST:  # the formula is the first to go
        widths = [max(left, NARROWEST)]
        about += "; it has the formulas too, for which this terminal is too narrow"
    out(textwrap.fill(about, columns))
    lines: list[tuple[str, ...]] = []
    for row in rows:
        first, rest = row[: len(fixed)], row[len(fixed) :]
        parts = [_folded(*part) for part in zip(rest, widths, strict=False)]
        for texts in zip_longest(*parts, fillvalue=""):
            lines.append((*first, *texts))
            first = ("",) * len(fixed)
    out_table(lines)


def _folded(text: str, width: int) -> list[str]:
    """Lines of a text; a word is broken where none can hold it, and begins on a line of its own."""
    lines = textwrap.wrap(text, width, break_long_words=False, break_on_hyphens=False)
    return [part for line in lines for part in textwrap.wrap(line, width)]


def paper(documentation: str) -> str:
    """The first source that a cell's comment names, as "Elman 1990, doi:..."; "" for none."""
    found = re.search(r"^(.*?\b(?:19|20)\d\d,\s.+?)(?=;|\.\s|\.?$)", documentation, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    count, kind = f"{cell['count']:>{len(HEAD[2])},}", cell["recurrence"]["kind"]
    return cell["name"], kind, count, paper(cell["documentation"]), cell["parameters"] or ""


def _at(cell: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in cell["sizes"].items())


def _print(cell: dict[str, Any], settings: Settings) -> None:
    from ..compiler.cost import Sizes
    from ..compiler.library import std
    from ..compiler.summary import summarised

    template = std()[cell["name"]]
    options = own_settings(settings, template).items() - cell["sizes"].items()
    summary = summarised(template, dict(options))
    shape = Sizes(summary.cell).shape
    rows = [
        ("options", ", ".join(f"{name} = {value}" for name, value in cell["options"].items())),
        ("state", "  ".join(s.name + shape(s.node.type.shape) for s in summary.cell.states)),
        ("parameters", cell["parameters"] or ""),
        ("", f"{cell['count']:,} at {_at(cell)}"),
        ("recurrence", summary.recurrence.words),
        ("papers", "  ".join(cell["papers"])),
    ]
    out(cell["signature"])
    for line in cell["documentation"].splitlines():
        out(f"  {line}")
    for name, text in rows:
        if text:
            out(f"  {name:<11} {text}")
