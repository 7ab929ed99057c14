"""A text parsed piece by piece, a declaration each, so that an edit costs the piece it is in.

In: the text of a file, again and again. Out: what `grammar.parse` makes of it; but the spans of a
piece point into a source of its own, which stays the same, with all that was found out about it,
while the piece does. `place` puts a span back where the piece stands in the file.

A declaration begins at the start of a line in all but strange texts. Where a piece has a mistake,
what the parser says of it may depend on what comes next: it is read once more together with the
piece after it. If that one is then not what it is alone, or there are mistakes elsewhere, the text
is read as a whole.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from dataclasses import dataclass

from .. import grammar
from ..grammar.limits import MOST_SHOWN
from ..grammar.parse import parse_what_can_be
from ..grammar.problems import Collector, Problem, Problems
from ..grammar.source import Source, Span
from ..grammar.syntax import Declaration, File, Import
from ..grammar.words import check_size

_BEGINS = re.compile(r"(?:cell|fn|import)\b")
LARGEST_CUT = 128 * 1024  # characters; a longer text is one piece, as it may have too many words
_UNREAD = "_"  # what the parser calls a declaration whose head it could not read


@dataclass(frozen=True, slots=True)
class Piece:
    """The comments above one declaration, it, and what follows up to the next one's comments."""

    source: Source
    declarations: tuple[Declaration, ...]
    is_whole: bool  # without a mistake


class Pieces:
    """The pieces of one file, as they were when it was parsed last."""

    def __init__(self, name: str) -> None:
        """Parse nothing yet; `name` is the file's, which messages show."""
        self.name = name
        self.source = Source(name, "")
        self.tree = File((), span=Span(self.source, 0, 0))  # what can be read of the text
        self._problems: tuple[Problem, ...] = ()  # why that is not all
        self._pieces: list[Piece] = []
        self._starts: list[int] = []
        self._known: dict[tuple[str, int], Piece] = {}
        self._mistaken: dict[Source, int] = {}  # pieces read together, and where they begin

    def parse(self, text: str) -> File:
        """What `grammar.parse` returns, or raises."""
        if text != self.source.text or not self._pieces:
            try:
                self._parse(text)
                self._problems = ()
            except Problems as found:
                self._problems = found.problems
        if self._problems:
            raise Problems(self._problems)
        return self.tree

    def _parse(self, text: str) -> None:
        self.source = Source(self.name, text)
        span = Span(self.source, 0, len(text))
        self._pieces, self._starts, self._mistaken = [], [], {}
        self.tree = File((), span=span)
        check_size(self.source)
        self._cut(text)
        found = [each for piece in self._pieces for each in piece.declarations]
        self.tree = File(tuple(found), span=span)
        if all(piece.is_whole for piece in self._pieces):
            return
        if problems := self._mistakes():
            raise Problems(problems)
        self.tree = grammar.parse(text, self.name)
        # Only as a whole is the text without mistakes: then it is one piece.
        self._pieces = [Piece(self.tree.span.source, self.tree.declarations, True)]
        self._starts = [0]

    def _cut(self, text: str) -> None:
        """Find the pieces; the text of one that is known already is not parsed again."""
        known: dict[tuple[str, int], Piece] = {}
        self._starts = _starts(self.source) if len(text) <= LARGEST_CUT else [0]
        for start, stop in zip(self._starts, [*self._starts[1:], len(text)], strict=True):
            part, copy = text[start:stop], 0
            while (part, copy) in known:  # of two equal pieces, each is itself
                copy += 1
            piece = self._known.get((part, copy)) or _read(Source(self.name, part))
            known[part, copy] = piece
            self._pieces.append(piece)
        self._known = known

    def _mistakes(self) -> list[Problem]:
        """The mistakes, if they are in one place and can be told without the rest; else nothing."""
        mistaken = [at for at, piece in enumerate(self._pieces) if not piece.is_whole]
        first, last = mistaken[0], mistaken[-1]
        if last - first >= len(mistaken):  # what is told of one place may hide what is of another
            return []
        text = "".join(piece.source.text for piece in self._pieces[first : last + 1])
        after = self._pieces[last + 1 : last + 2]
        following = "".join(piece.source.text for piece in after)
        source, problems = Source(self.name, text + following), Collector()
        try:
            tree = parse_what_can_be(source, problems)
        except Problems:
            return []
        beyond = [each.span for each in tree.declarations if each.span.start >= len(text)]
        read = [(span.start - len(text), span.stop - len(text)) for span in beyond]
        alone = [(d.span.start, d.span.stop) for piece in after for d in piece.declarations]
        if read != alone or any(each.span.stop > len(text) for each in problems.problems):
            return []
        self._mistaken = {source: self._starts[first]}
        return problems.problems if len(problems.errors) < MOST_SHOWN else []

    def place(self, span: Span) -> Span:
        """A span of a piece as one of the whole file; any other span as it is."""
        start = self._mistaken.get(span.source)
        for piece, its_start in zip(self._pieces, self._starts, strict=True):
            if piece.source is span.source:
                start = its_start
        if start is None:
            return span
        return Span(self.source, span.start + start, span.stop + start)

    def local(self, start: int, stop: int) -> Span:
        """The span of a piece that stands at these offsets of the file: `place` the other way."""
        at = bisect_right(self._starts, start) - 1
        if at < 0:
            return Span(self.source, start, stop)
        return Span(self._pieces[at].source, start - self._starts[at], stop - self._starts[at])


def _starts(source: Source) -> list[int]:
    """Where pieces begin: at the comments right above a declaration, which document it."""
    starts = [0]
    lines = source.line_starts
    for number, start in enumerate(lines):
        if _BEGINS.match(source.text, start):
            while number > 0 and source.line(number).lstrip().startswith("#"):
                number -= 1
            if lines[number] > starts[-1]:
                starts.append(lines[number])
    return starts


def _read(source: Source) -> Piece:
    problems = Collector()
    try:
        tree = parse_what_can_be(source, problems)
    except Problems:
        return Piece(source, (), False)
    declarations = tree.declarations
    if problems.errors:
        declarations = tuple(
            each for each in declarations if isinstance(each, Import) or each.name != _UNREAD
        )
    return Piece(source, declarations, not problems.errors)
