"""`rnnc cells`: the standard cells, in a line each, or one of them.

In: the index of the standard library. Out: what its cells are, as text or as JSON. None is
compiled, and none is read but the one that is asked for.
"""

from __future__ import annotations

import re
from typing import Any

from ..grammar import std_index
from .printing import out, out_json, out_table
from .statuses import FINE

HEAD = ("cell", "recurrence", "parameters", "paper", "parameters as a formula")


def cells(name: str | None, *, as_json: bool) -> int:
    """Run the command.

    Args:
        name: of one standard cell; None for all.
        as_json: print one JSON document instead of text.
    Returns:
        The exit status.
    Raises:
        NoSuchCellError: there is none of this name.
    """
    found = [cell for cell in std_index() if name in (None, cell["name"])]
    if name and not found:
        from ..compiler.library import std

        std()[name]  # says which there are
    if as_json:
        out_json({"ok": True, "cells": found})
    elif name:
        _print(found[0])
    else:
        out(f"parameters are counted at the sizes of `rnnc cells CELL`, such as {_at(found[0])}")
        out_table([HEAD, *map(_row, found)])
    return FINE


def paper(documentation: str) -> str:
    """The first source that a cell's comment names, as "Elman 1990, doi:..."; "" for none."""
    found = re.search(r"^(.*?\b(?:19|20)\d\d,\s.+?)(?=;|\.\s|\.?$)", documentation, re.MULTILINE)
    return " ".join(found[1].split()) if found else ""


def _row(cell: dict[str, Any]) -> tuple[str, ...]:
    count, kind = f"{cell['count']:>{len(HEAD[2])},}", cell["recurrence"]["kind"]
    return cell["name"], kind, count, paper(cell["documentation"]), cell["parameters"] or ""


def _at(cell: dict[str, Any]) -> str:
    return ", ".join(f"{name} = {size}" for name, size in cell["sizes"].items())


def _print(cell: dict[str, Any]) -> None:
    from ..compiler.cost import Sizes
    from ..compiler.library import std
    from ..compiler.summary import summarised

    summary = summarised(std()[cell["name"]])
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
