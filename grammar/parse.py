"""Text to syntax tree.

In: the text of a `.rnn` file. Out: `syntax.File`, or `Problems` with every mistake that was found.

The text becomes words, mended where they are not the language's (`foreign.py`, `brackets.py`);
`tables.py` and `builder.py` make the tree. At a word that cannot stand where it does, the
mistake is named (`mistakes.py`), the statement is given up, and parsing goes on with the next one:
yacc's panic mode, with the stack cut back to where a statement may begin.
"""

from __future__ import annotations

from itertools import islice
from typing import cast

from . import syntax
from .brackets import DECLARATIONS, close_brackets
from .checks import check_form
from .foreign import mend
from .limits import MOST_MENDED, MOST_SHOWN, MOST_WORDS
from .mistakes import explain
from .place import Place
from .problems import Collector
from .problems_of_syntax import UnexpectedToken
from .source import Source, Span
from .tables import Automaton, tables
from .words import Word, blank_unsafe, check_count, check_names, check_size

# Words that let the parser enter a block whose head could not be read: type and text of each.
PARTS = "LPAR LPAR RPAR COMMA LPAR RPAR RPAR"
CELL_HEAD = f"CELL NAME LPAR RPAR COLON {PARTS} ARROW {PARTS}"
FN_HEAD = "FN NAME LPAR RPAR"
IF_HEAD = "IF TRUE"
RETURN = "RETURN TRUE"

STATEMENT_ENDS = frozenset(["LINE_END", "SEMICOLON", "LBRACE", "RBRACE", "$END"])


def parse(text: str, file: str = "<string>") -> syntax.File:
    """Parse the text of a `.rnn` file.

    Args:
        text: at most 256 KiB; the offsets of every span count its characters.
        file: the name that messages show.
    Returns:
        The tree; spans point into `text`.
    Raises:
        Problems: with every independent mistake of form.
    """
    collector = Collector()
    tree = parse_what_can_be(Source(file, text), collector)
    collector.raise_errors()
    return tree


def parse_what_can_be(source: Source, collector: Collector) -> syntax.File:
    """Parse a source as far as it is one: for tools that look at what is being written.

    Args:
        source: the text.
        collector: where mistakes are added. While it is empty, the tree is the whole source;
            else statements with a mistake are missing, and a declaration whose head could not be
            read is called `_`.
    Returns:
        The tree.
    Raises:
        Problems: with so many mistakes, or such a size, there is no tree.
    """
    words = read_words(source, collector)
    declarations = _Parser(words, source, collector).run()
    tree = syntax.File(declarations, span=Span(source, 0, len(source.text)))
    check_form(tree, collector)
    return tree


def read_words(source: Source, collector: Collector) -> list[Word]:
    """The words of `source` without comments: known to the grammar, in matching brackets."""
    check_size(source)
    text = blank_unsafe(source, collector)
    words = [
        Word(kind, written, Span(source, start, stop))
        for kind, written, start, stop in islice(tables().words(text), MOST_WORDS + 1)
    ]
    check_count(words)
    words = mend(words, source, collector)
    words = list(check_names(words, collector))
    words = close_brackets(words, source, collector)
    if len(collector.errors) >= MOST_SHOWN:  # hardly a `.rnn` source: the parser would add noise
        collector.raise_errors()
    return words


class _Parser:
    """Feeds words to the automaton, and finds the way back after a mistake."""

    def __init__(self, words: list[Word], source: Source, collector: Collector) -> None:
        self.words = words
        self.end = Word("$END", "", Span(source, len(source.text), len(source.text)))
        self.collector = collector
        self.automaton = Automaton(tables())
        self.declaration = 0  # where the declaration that is being read begins
        self.lost = False  # after a mistake outside of every body

    def run(self) -> tuple[syntax.Declaration, ...]:
        at, failed = 0, -1
        while at < len(self.words):
            word = self.words[at]
            if not self.automaton.feed(word):
                if len(self.collector.errors) >= MOST_MENDED:
                    self.collector.raise_errors()
                resumed = self._recover(at)
                if resumed == at == failed:  # nothing was gained: leave the word out
                    resumed += 1
                at, failed = resumed, at
                continue
            if word.type in DECLARATIONS:
                self.declaration, self.lost = word.span.start, False
            at += 1
        if not self.automaton.feed(self.end):
            self._recover(at)
            self._feed(self.end)
        return cast(tuple[syntax.Declaration, ...], self.automaton.pieces[-1])

    def _feed(self, word: Word) -> None:
        fits = self.automaton.feed(word)
        assert fits, f"{word.type} was to bring the parser back"

    def _feed_all(self, types: str, span: Span) -> None:
        for type_ in types.split():
            self._feed(Word(type_, "_", span))

    def _can_begin(self) -> frozenset[str]:
        """What may stand here if a statement or a declaration may begin here; else nothing."""
        entries = self.automaton.entries[self.automaton.states[-1]]
        if "PARAM" not in entries and "CELL" not in entries:
            return frozenset()
        # An entry may promise what only other places allow: behind `return` there is no statement.
        accepted = self.automaton.accepts()
        return accepted if accepted & {"PARAM", "CELL"} else frozenset()

    def _recover(self, at: int) -> int:
        """Report the word at `at`, give up its statement, and say where to go on."""
        start, stop = self._statement(at)
        expected = self.automaton.accepts()
        if at > 0 and self.words[at - 1].type == "RBRACE" and "LINE_END" in expected:
            self._feed_all("LINE_END", self._word(at).span)  # the block above is whole: keep it
        while not (can_begin := self._can_begin()):
            self.automaton.states.pop()
            self.automaton.pieces.pop()
        outside = "CELL" in can_begin
        last = self._word(stop)
        lacks_return = last.type == "RBRACE" and "RETURN" in can_begin

        place = Place(self.words[start:stop], at - start, self._word(at), expected, outside)
        since = self.declaration if lacks_return else self._word(start).span.start
        self._report(place, since, last.span.start)
        self.lost = outside and last.type != "LBRACE"
        if last.type == "LBRACE":
            first = self._word(start).text
            head = IF_HEAD if not outside else FN_HEAD if first in ("fn", "def") else CELL_HEAD
            self._feed_all(head, last.span)
        elif lacks_return:
            self._feed_all(RETURN, last.span)
        return stop

    def _report(self, place: Place, start: int, stop: int) -> None:
        """Report the mistake, unless it follows from one between the offsets that is known."""
        problem = explain(place)
        known = any(start <= other.span.start <= stop for other in self.collector.problems)
        lost = self.lost and place.is_stray and isinstance(problem, UnexpectedToken)
        if not known and not lost:
            self.collector.add(problem)

    def _statement(self, at: int) -> tuple[int, int]:
        """Where the statement of the word at `at` begins, and which word ends it."""
        start = stop = at
        while start > 0 and self.words[start - 1].type not in STATEMENT_ENDS:
            start -= 1
        while self._word(stop).type not in STATEMENT_ENDS:
            stop += 1
        return start, stop

    def _word(self, at: int) -> Word:
        return self.words[at] if at < len(self.words) else self.end
