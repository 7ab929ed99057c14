"""Source text, spans of it, and how a span is shown.

In: the name and text of a file. Out: `Span`s, and lines with carets under them.
"""

from __future__ import annotations

import re
import unicodedata
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

WIDEST = 100  # columns of a shown source line; a longer one is cut around its span
FAR = 10 * WIDEST  # signs on either side of a mark that may be shown
TAB = "    "
LINE_END = re.compile(r"\r\n|\r|\n")
WHITE = re.compile(r"[^\S\r\n]*")


@dataclass(frozen=True, slots=True, eq=False)
class Source:
    """A named text. `name` is shown in messages: a path, or `<string>`."""

    name: str
    text: str
    line_starts: tuple[int, ...] = field(init=False, repr=False)

    def __post_init__(self) -> None:
        starts = (0, *(found.end() for found in LINE_END.finditer(self.text)))
        object.__setattr__(self, "line_starts", starts)

    def position(self, offset: int) -> tuple[int, int]:
        """Line and column of `offset`, both from 1."""
        line = bisect_right(self.line_starts, offset)
        return line, offset - self.line_starts[line - 1] + 1

    def line(self, number: int) -> str:
        """Text of line `number` (from 1) without its end."""
        start = self.line_starts[number - 1]
        stop = self.line_starts[number] if number < len(self.line_starts) else len(self.text)
        return self.text[start:stop].rstrip("\r\n")

    def indent(self, number: int) -> int:
        """The column at which what line `number` says begins, both from 1."""
        found = WHITE.match(self.text, self.line_starts[number - 1])
        assert found is not None, "it matches nothing, too"
        return len(found[0]) + 1


@dataclass(frozen=True, slots=True)
class Span:
    """The text from offset `start` up to `stop` of `source`."""

    source: Source
    start: int
    stop: int

    def __str__(self) -> str:
        line, column = self.source.position(self.start)
        return f"{self.source.name}:{line}:{column}"

    @property
    def text(self) -> str:
        return self.source.text[self.start : self.stop]


def visible(text: str) -> str:
    """`text` without signs that move the cursor, colour the terminal or reorder what is read."""
    return "".join(_cell(sign) for sign in text)


def _cell(sign: str) -> str:
    if sign == "\t":
        return TAB
    return sign if sign.isprintable() else f"<U+{ord(sign):04X}>"


def _width(sign: str) -> int:
    if unicodedata.combining(sign):
        return 0
    if unicodedata.east_asian_width(sign) in "WF":
        return 2
    return len(_cell(sign))


def columns(text: str) -> int:
    """How many columns of a terminal `text` takes."""
    return len(text) if text.isascii() and text.isprintable() else sum(map(_width, text))


def excerpt(marks: Sequence[tuple[Span, str]]) -> list[str]:
    """Where the first mark is, then each line that has a mark, with the marks beneath it.

    The first mark is underlined with `^`, the others with `-`; a span of several lines is shown
    by its first line.

    Args:
        marks: spans with what to say of them; the first is what the message is about.
    Returns:
        Lines without their ends: ` --> file:line:column`, source lines, underlines.
    """
    main = marks[0][0]
    by_line: dict[tuple[Source, int], list[tuple[Span, str, str]]] = {}
    for at, (span, label) in enumerate(marks):
        place = span.source, span.source.position(span.start)[0]
        by_line.setdefault(place, []).append((span, label, "-" if at else "^"))
    others = [source for source, _ in by_line if source is not main.source]
    order = [main.source, *dict.fromkeys(others)]
    gutter = max(len(str(number)) for _, number in by_line) + 1
    lines: list[str] = []
    for source in order:
        numbers = sorted(number for place, number in by_line if place is source)
        first = main if source is main.source else by_line[source, numbers[0]][0][0]
        lines.append(f"{' ' * gutter}--> {visible(str(first))}")
        for before, number in zip([0, *numbers], numbers, strict=False):
            if before and number > before + 1:
                lines.append(f"{'...':>{gutter + 1}}")
            lines += _shown_line(source, number, by_line[source, number], gutter)
    return lines


def _shown_line(
    source: Source, number: int, marks: list[tuple[Span, str, str]], gutter: int
) -> Iterator[str]:
    text = source.line(number)
    start = source.line_starts[number - 1]
    # Of a very long line only what is near its first mark is looked at.
    near = max(0, marks[0][0].start - start - FAR)
    is_cut = near > 0, len(text) > near + 2 * FAR
    text, start = text[near : near + 2 * FAR], start + near
    edges = [0]  # edges[i] is the column of sign i
    for sign in text:
        edges.append(edges[-1] + _width(sign))
    ranges = []
    for span, _, _ in marks:
        left = min(max(span.start - start, 0), len(text))
        right = min(max(span.stop - start, left + 1), len(text))
        ranges.append((edges[left], max(edges[right], edges[left] + 1)))

    # A long line is cut so that its first mark stays in view.
    first, last = 0, len(text)
    if edges[-1] > WIDEST:
        keep_from = max(0, min(ranges[0][0] - WIDEST // 3, edges[-1] - WIDEST))
        first = next(at for at, edge in enumerate(edges) if edge >= keep_from)
        last = bisect_right(edges, edges[first] + WIDEST) - 1
    head = "..." if first or is_cut[0] else ""
    tail = "..." if last < len(text) or is_cut[1] else ""
    low, high, shift = edges[first], edges[last], len(head) - edges[first]
    yield f"{number:>{gutter}} | {head}{visible(text[first:last])}{tail}".rstrip()
    for (left, right), (_, label, sign) in zip(ranges, marks, strict=True):
        left, right = max(low, min(left, high)), max(low, min(right, high + 1))
        underline = " " * (left + shift) + sign * max(1, right - left)
        yield f"{' ' * gutter} | {underline} {visible(label)}".rstrip()
