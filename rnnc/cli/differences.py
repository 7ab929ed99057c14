"""Unified diffs of two texts.

In: the texts, and what to call them. Out: lines, in colours where a person reads them.
"""

from __future__ import annotations

import difflib
import re
import sys
from collections.abc import Iterator

from ..grammar.source import visible
from .printing import is_coloured, out

COLOURS = {"@": "\x1b[36m", "-": "\x1b[31m", "+": "\x1b[32m"}
HEADS = {"---": "\x1b[1m", "+++": "\x1b[1m"}
END = "\x1b[0m"


def unified(before: str, after: str, before_name: str, after_name: str) -> Iterator[str]:
    """The lines of a unified diff; none where the texts are equal."""
    old, new = (re.findall(r"[^\n]*\n|[^\n]+", text) for text in (before, after))
    for line in difflib.unified_diff(old, new, visible(before_name), visible(after_name)):
        yield line.rstrip("\r\n")
        if not line.endswith("\n"):
            yield "\\ No newline at end of file"


def out_diff(lines: list[str]) -> None:
    """Print a diff, in colours where a person reads it."""
    coloured = is_coloured(sys.stdout)
    for line in lines:
        colour = HEADS.get(line[:3]) or COLOURS.get(line[:1]) if coloured else None
        out(f"{colour}{line}{END}" if colour else line)
