"""Where lines end: a layout as text of a given width.

In: the items of a layout, comments in their places. Out: lines.

A group goes on one line if it fits there with what follows it up to the next place where a line may
end; otherwise each of its own line ends is taken, and the groups within it are asked in turn. One
walk over a flat list decides, so that no depth and no length is too much. Oppen 1980,
"Prettyprinting", ACM TOPLAS 2(4).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from .document import Align, Break, Close, Item, LastComma, Open
from .source import Source, columns
from .words import Word

WIDEST = 100  # columns of a line
INDENT = 4


@dataclass(slots=True)
class Line:
    """A line of the result, and what of it may stand under its like in the line above."""

    text: str = ""
    equals: Equals | None = None
    comment: str = ""
    comment_column: int = 0  # in the source
    whole: bool = True  # no statement goes on from the line above, or in the line below


@dataclass(frozen=True, slots=True)
class Equals:
    """Where the `=` of a statement stands, or rather the space before it."""

    index: int  # in the text of its line
    column: int
    source_column: int


@dataclass(slots=True)
class _Group:
    """What is known of a group before it is printed."""

    width: int = 0  # on one line
    stop: int = 0  # the item that closes it
    must: bool = False  # a line has to end within
    breaks: list[int] = field(default_factory=list)  # its own places where a line may end


@dataclass(slots=True)
class _Frame:
    """A group that is being printed."""

    taken: bool  # its line ends are
    column: int  # where its own lines begin
    indent: int  # what groups within it count from
    plain: bool  # no bracket is around it but those of blocks


def lines_of(items: Sequence[Item], source: Source) -> list[Line]:
    """The lines of a layout that begins and ends with a line end."""
    return _Printer(items, source).run()


def _flat_width(item: Item) -> int:
    if isinstance(item, Word):
        return columns(item.span.text)
    if isinstance(item, Break):
        return len(item.flat)
    return len(item) if isinstance(item, str) else 0


class _Printer:
    """One walk over the items, with the groups that are open."""

    def __init__(self, items: Sequence[Item], source: Source) -> None:
        self.items = items
        self.source = source
        self.before = [0]  # before[i]: the width of all items before i, on one line
        for item in items:
            self.before.append(self.before[-1] + _flat_width(item))
        self.groups = self._measure()
        self.next_break = self._next_breaks()
        self.frames = [_Frame(True, 0, 0, True)]
        self.lines: list[Line] = []
        self.line = Line()
        self.parts: list[str] = []  # of its text
        self.column = 0

    def _measure(self) -> dict[int, _Group]:
        """Every group, by the item that opens it."""
        groups: dict[int, _Group] = {}
        opened: list[int] = []
        for at, item in enumerate(self.items):
            if isinstance(item, Open):
                groups[at] = _Group()
                opened.append(at)
            elif isinstance(item, Close):
                start = opened.pop()
                group = groups[start]
                group.stop, group.width = at, self.before[at] - self.before[start]
                if opened:
                    groups[opened[-1]].must |= group.must
            elif isinstance(item, Break) and opened:
                group = groups[opened[-1]]
                group.must |= item.must or bool(item.comments)
                if not item.seam:
                    group.breaks.append(at)
        return groups

    def _next_breaks(self) -> list[int]:
        """Of each item, the first place from it on where a line may end."""
        found = [len(self.items)] * (len(self.items) + 1)
        for at in range(len(self.items) - 1, -1, -1):
            found[at] = at if isinstance(self.items[at], Break) else found[at + 1]
        return found

    def run(self) -> list[Line]:
        for at, item in enumerate(self.items):
            match item:
                case Word():
                    self._put(item.span.text)
                case str():
                    self._put(item)
                case Align(equals=word):
                    self._note_equals(word)
                case LastComma() if self.frames[-1].taken:
                    self._put(",")
                case Open():
                    self._open(at, item)
                case Close():
                    self.frames.pop()
                case Break() if item.must or item.comments or self.frames[-1].taken:
                    self._end_line(item)
                case Break():
                    self._put(item.flat)
        self._begin_line(0)
        while self.lines and not self.lines[-1].text:
            self.lines.pop()
        return self.lines

    # -- groups --

    def _open(self, at: int, item: Open) -> None:
        around, group = self.frames[-1], self.groups[at]
        until = self.next_break[group.stop]
        follows = self.before[until] - self.before[group.stop]
        follows += any(isinstance(after, LastComma) for after in self.items[group.stop : until])
        fits = not group.must and self.column + group.width + follows <= WIDEST
        plain = around.plain and (item.block or not item.indents)
        if fits or not around.taken:
            self.frames.append(_Frame(False, around.column, around.indent, plain))
        elif item.chain:
            column, indent = self._columns_of_chain(at, item, follows)
            self.frames.append(_Frame(True, column, indent, plain))
        else:
            column = around.indent + INDENT * item.indents
            self.frames.append(_Frame(True, column, column, plain))

    def _columns_of_chain(self, at: int, item: Open, follows: int) -> tuple[int, int]:
        """Where the operators of a chain go, and what brackets in its operands count from.

        Behind `= ` and the like the operators go before the column of the first operand, so that
        all operands stand under it; elsewhere they go under it themselves. Where a line then is
        too wide they are indented as anything else.
        """
        around, group, start = self.frames[-1], self.groups[at], self.column
        if not item.hangs:
            return start, start
        edges = [self.before[edge] for edge in (at, *group.breaks, group.stop)]
        edges[-1] += follows
        widest = max(right - left for left, right in pairwise(edges))
        column = start - _flat_width(self.items[group.breaks[0] + 1]) - 1
        if column > around.indent and column + widest <= WIDEST:
            return column, start
        return around.indent + INDENT, around.indent + INDENT

    # -- lines --

    def _put(self, text: str) -> None:
        if not self.parts:
            if text.isspace() or not text:
                return
            self.parts.append(" " * self.column)
        self.parts.append(text)
        self.column += columns(text)

    def _note_equals(self, word: Word) -> None:
        if self.frames[-1].plain and self.line.equals is None:
            index = sum(map(len, self.parts))
            self.line.equals = Equals(index, self.column, self._source_column(word.span.start))

    def _source_column(self, offset: int) -> int:
        line, column = self.source.position(offset)
        return columns(self.source.line(line)[: column - 1])

    def _end_line(self, item: Break) -> None:
        """End the line, put the comments that stand here, and begin the next line."""
        column = self.frames[-1].column
        first, apart = True, item.apart  # what follows is the first; it needs a blank line above
        for comment in item.comments:
            if first and comment.trails and self.parts and not self.line.comment:
                self.line.comment = comment.text
                self.line.comment_column = self._source_column(comment.start)
                continue
            blank = apart or (comment.blank and not (first and item.opens))
            self._begin_line(column, item.must and blank, item.ends_statement)
            self._put(comment.text)
            first, apart = False, comment.trails  # it has lost its word: it documents nothing
        blank = apart or (item.blank and not (first and item.opens))
        if item.closes:
            self._begin_line(column - INDENT, False, item.ends_statement)
        else:
            column += INDENT * item.seam
            self._begin_line(column, item.must and blank, item.ends_statement)

    def _begin_line(self, column: int, blank: bool = False, ends_statement: bool = True) -> None:
        whole = self.line.whole
        if self.parts:
            self.line.text = "".join(self.parts).rstrip()
            self.line.whole &= ends_statement
            self.lines.append(self.line)
            whole = ends_statement
        if blank and self.lines:
            self.lines.append(Line())
        self.line, self.parts, self.column = Line(whole=whole), [], column
