"""Places in a text as editors count them: lines, and code units of some encoding within a line.

In: a `Source` and offsets, or positions from a client. Out: the other ones. A position that does
not exist is the closest one before it that does, as the protocol asks.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import NamedTuple

from ..grammar.source import Source


class Position(NamedTuple):
    """Both from 0; `unit` counts code units, of which an emoji has two in UTF-16."""

    line: int
    unit: int


UTF_16 = "utf-16"  # what every client can count in

# Code units of a character, by the protocol's name of the encoding.
UNITS: Mapping[str, Callable[[str], int]] = {
    "utf-8": lambda sign: len(sign.encode(errors="surrogatepass")),
    UTF_16: lambda sign: 2 if ord(sign) > 0xFFFF else 1,
    "utf-32": lambda sign: 1,
}


def position_of(source: Source, offset: int, encoding: str = UTF_16) -> Position:
    """Where the character at `offset` stands."""
    line, column = source.position(max(0, min(offset, len(source.text))))
    start = source.line_starts[line - 1]
    before = source.text[start : start + column - 1]
    return Position(
        line - 1, len(before) if before.isascii() else sum(map(UNITS[encoding], before))
    )


def offset_of(source: Source, position: Position, encoding: str = UTF_16) -> int:
    """The offset of a position: of the line's end past it, of the text's end past that."""
    line, unit = position
    if line >= len(source.line_starts):
        return len(source.text)
    start, text = source.line_starts[line], source.line(line + 1)
    if text.isascii():
        return start + min(unit, len(text))
    for at, sign in enumerate(text):
        unit -= UNITS[encoding](sign)
        if unit < 0:
            return start + at
    return start + len(text)


def replaced(
    source: Source, start: Position, stop: Position, text: str, encoding: str = UTF_16
) -> str:
    """The text of `source` with what stands between two positions replaced."""
    first, last = sorted((offset_of(source, start, encoding), offset_of(source, stop, encoding)))
    return source.text[:first] + text + source.text[last:]
