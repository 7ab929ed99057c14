"""Line ends that count, and brackets that match.

In: words with every line end. Out: words with a line end only where it ends a statement, and with
every bracket matched; a problem for each bracket that had to be added, changed or dropped.

A line end is white space inside ( ) and [ ] and before a word that cannot begin a line.
"""

from __future__ import annotations

from . import problems_of_syntax as kinds
from .limits import DEEPEST
from .problems import Collector, Problem, Problems
from .source import Source, Span
from .words import Word

PAIRS = {"LPAR": "RPAR", "LSQB": "RSQB"}
SIGNS = {"RPAR": ")", "RSQB": "]", "RBRACE": "}"}
CONTINUE = frozenset(  # cannot begin a line, so a line that begins so goes on
    """OR AND COMPARE PLUS MINUS STAR SLASH PERCENT AT CIRCUMFLEX
    EQUAL ARROW CHAIN LBRACE ELSE""".split()
)
OPEN_END = (CONTINUE | {"COMMA", "COLON", "NOT"}) - {"LBRACE", "ELSE"}  # cannot end a line
DECLARATIONS = frozenset(["CELL", "FN", "IMPORT"])
STATEMENTS = frozenset(["PARAM", "CONST", "USE", "FOR", "IF", "RETURN"]) | DECLARATIONS
BLOCK_HEADS = frozenset(["cell", "fn", "for", "if", "else", "def", "class", "while", "elif"])
ENDS_BLOCK = frozenset(["LINE_END", "RBRACE", "ELSE", "SEMICOLON"])
OPERANDS = frozenset(["NAME", "PRIMED", "NUMBER", "RPAR", "RSQB", "TRUE", "FALSE", "STRING"])


def close_brackets(words: list[Word], source: Source, collector: Collector) -> list[Word]:
    """Drop the line ends that are white space, and mend the brackets.

    Raises:
        Problems: the nesting is deeper than 200.
    """
    return _Brackets(words, source, collector).run()


class _Brackets:
    """One walk over the words, with what is open and what is known of the statement so far."""

    def __init__(self, words: list[Word], source: Source, collector: Collector) -> None:
        self.words = words
        self.source = source
        self.collector = collector
        self.done: list[Word] = []
        self.open: list[Word] = []  # ( and [ of this statement
        self.blocks: list[Word] = []  # {
        self.suspect: Word | None = None  # a { closed by a } that stands where an outer one would
        self.first: Word | None = None  # of the statement
        self.reported = False  # one problem with ( ) [ ] is enough for a statement
        self.has_arrow = False  # the statement is a header, past its `->`
        self.has_equals = False  # the statement binds a name, which may be `class`
        self.strays = 0  # braces of the statement that were left out
        self.added: Word | None = None  # a { that the source lacks: its } may be missing too

    def run(self) -> list[Word]:
        line_end: Word | None = None
        for at, word in enumerate(self.words):
            if word.type == "LINE_END":
                line_end = line_end or word
                continue
            if word.type in ("LBRACE", "RBRACE") and self._is_stray(at, line_end is not None):
                continue
            if self.open and self._ends_statement(at, after_line_end=line_end is not None):
                self._report_unclosed()
            if line_end and not self.open and word.type not in CONTINUE and not self._breaks(at):
                self._add_missing_brace(word)
                self.done.append(line_end)
                self._begin_statement()
            if word.type in DECLARATIONS and self.blocks and self._column(word) == 1:
                self._close_blocks(word)
            line_end = None
            self._read(word)
        if self.open:
            self._report_unclosed()
        if self.blocks:
            self._close_blocks(None)
        return self.done

    def _begin_statement(self) -> None:
        self.first, self.reported, self.strays = None, False, 0
        self.has_arrow = self.has_equals = False

    def _report(self, problem: Problem) -> None:
        if not self.reported:
            self.collector.add(problem)
        self.reported = True

    def _read(self, word: Word) -> None:
        self.first = self.first or word
        self.has_arrow = self.has_arrow or word.type == "ARROW"
        self.has_equals = self.has_equals or (word.type == "EQUAL" and not self.open)
        if word.type in PAIRS or word.type == "LBRACE":
            (self.open if word.type in PAIRS else self.blocks).append(word)
            if len(self.open) + len(self.blocks) > DEEPEST:
                headline = f"brackets are nested more than {DEEPEST} deep here"
                hints = ["give inner parts names of their own"]
                raise Problems([kinds.TooDeep(headline, word.span, hints=hints)])
        elif word.type in PAIRS.values():
            if not self.open:
                self._report_unopened(word)
                return
            word = self._close(word)
        elif word.type == "RBRACE":
            if not self.blocks:
                self._report_unopened(word)
                return
            self._note_suspect(word)
            self.blocks.pop()
            if not self.blocks:  # what was wrong in there says nothing of what comes next
                self.suspect = self.added = None
        self.done.append(word)
        if word.type in ("LBRACE", "RBRACE", "SEMICOLON"):
            self._begin_statement()

    def _close(self, word: Word) -> Word:
        """Close the innermost bracket with `word`, mended if it is of the other sort."""
        types = [PAIRS[opening.type] for opening in self.open]
        if types[-1] != word.type and word.type in types:
            self._report_unclosed(down_to=len(types) - types[::-1].index(word.type))
        opening = self.open.pop()
        if PAIRS[opening.type] != word.type:
            self._report(
                kinds.UnopenedBracket(
                    f"'{word.text}' does not close '{opening.text}'",
                    word.span,
                    related=[(opening.span, "opened here")],
                    hints=[f"write '{SIGNS[PAIRS[opening.type]]}'"],
                )
            )
            return Word(PAIRS[opening.type], SIGNS[PAIRS[opening.type]], word.span)
        return word

    def _add_missing_brace(self, after: Word) -> None:
        """Begin the body of a header that is followed by an indented line and has no `{`."""
        if not self.first or self.first.text not in BLOCK_HEADS or self.first.type == "FN":
            return
        if self.has_equals or (self.first.type == "CELL" and not self.has_arrow):
            return
        if self.done[-1].type not in OPERANDS or self._column(after) <= self._column(self.first):
            return
        end = self.done[-1].span.stop
        brace = Word("LBRACE", "{", Span(self.source, end, end))
        headline = f"the body of this '{self.first.text}' does not begin"
        self._report(kinds.MissingToken(headline, brace.span, "'{' belongs here"))
        self.added = brace
        self._read(brace)

    def _breaks(self, at: int) -> bool:
        """Whether the line before the word at `at` ended too early and goes on here; report it."""
        last, word = self.done[-1] if self.done else None, self.words[at]
        if last is None or not self.first or word.type in STATEMENTS or word.type == "RBRACE":
            return False
        if last.type not in OPEN_END or self._column(word) <= self._indent(self.first):
            return False
        if (last.type == "COLON" and self.first.type != "CELL") or self._begins_binding(at):
            return False
        end = Span(self.source, last.span.stop, last.span.stop)
        headline = f"the line ends too early, after '{last.text}'"
        hint = "break the line before an operator, or within brackets"
        self._report(kinds.UnexpectedToken(headline, end, hints=[hint]))
        return True

    def _is_stray(self, at: int, after_line_end: bool) -> bool:
        """Whether the brace at `at` is in the middle of a statement without a block; report it."""
        word = self.words[at]
        after = self.words[at + 1] if at + 1 < len(self.words) else None
        if word.type == "RBRACE" and self.strays and not after_line_end:
            self.strays -= 1
            return True
        if after_line_end or not self.first or after is None or after.type in ENDS_BLOCK:
            return False
        if word.type == "RBRACE" and after.text in BLOCK_HEADS:
            return False
        if word.type == "LBRACE" and self.done[-1].type == "ELSE":
            return False  # an `else` without `if`, of which the parser tells
        if word.type == "LBRACE" and self.first.text in BLOCK_HEADS:
            if self.first.type != "CELL" or not self.open or self.has_arrow:
                return False
        headline = f"'{word.text}' cannot stand within this statement"
        self._report(kinds.UnexpectedToken(headline, word.span, hints=["remove it"]))
        self.strays += word.type == "LBRACE"
        return True

    def _ends_statement(self, at: int, *, after_line_end: bool) -> bool:
        """Whether the word at `at` cannot stand inside the bracket that is open."""
        word = self.words[at]
        if word.type in ("LBRACE", "RBRACE"):
            return True
        if word.type == "ARROW":  # the left of a signature ends with `)`
            return self.done[-1].type == "RPAR"
        if not after_line_end:
            return False
        if word.type in STATEMENTS:
            return True
        if not self.done or self.done[-1].type not in OPERANDS:
            return False  # after `,` or an operator, `name =` is an argument
        return self._begins_binding(at)

    def _begins_binding(self, at: int) -> bool:
        """Whether names up to a `=` begin at `at`: `a =`, `h' =`, `i, (f, g) =`."""
        if self.words[at].type in ("COMMA", "EQUAL"):  # within an argument: `, axis = 0`, `= 0`
            return False
        if self.words[at].type == "LPAR" and self.done[-1].type == "NAME":  # a call's bracket
            return False
        depth = 0
        while at < len(self.words):
            kind = self.words[at].type
            depth += (kind == "LPAR") - (kind == "RPAR")
            white = kind == "LINE_END" and depth > 0
            if depth < 0 or not (white or kind in ("NAME", "PRIMED", "COMMA", "LPAR", "RPAR")):
                return kind == "EQUAL" and depth == 0
            at += 1
        return False

    def _report_unclosed(self, down_to: int = 0) -> None:
        """Report the open brackets, innermost first, and close them after the last word."""
        end = self.done[-1].span.stop
        for opening in reversed(self.open[down_to:]):
            self._report(
                kinds.UnclosedBracket(
                    f"this '{opening.text}' is never closed",
                    opening.span,
                    related=[(Span(self.source, end, end), "it should be closed by here")]
                    if self.source.position(end)[0] != self.source.position(opening.span.start)[0]
                    else [],
                )
            )
            closing = PAIRS[opening.type]
            self.done.append(Word(closing, SIGNS[closing], Span(self.source, end, end)))
        del self.open[down_to:]

    def _report_unopened(self, word: Word) -> None:
        headline = f"this '{word.text}' closes nothing"
        self._report(kinds.UnopenedBracket(headline, word.span, hints=["remove it"]))

    def _close_blocks(self, before: Word | None) -> None:
        """Report the `{` that is never closed, and close every block."""
        opening = self.suspect or self.blocks[-1]
        if self.added is None:
            self.collector.add(
                kinds.UnclosedBracket(
                    "this '{' is never closed",
                    opening.span,
                    related=[(before.span, "it should be closed before this")] if before else [],
                )
            )
        end = self.done[-1].span.stop
        self.done += [Word("RBRACE", "}", Span(self.source, end, end)) for _ in self.blocks]
        if before:
            self.done.append(Word("LINE_END", "\n", Span(self.source, end, end)))
        self.blocks.clear()
        self.suspect = self.added = None

    def _note_suspect(self, closing: Word) -> None:
        """Remember a block whose `}` is indented like the line of an outer block's `{`."""
        opening = self.blocks[-1]
        if self.suspect or self._column(closing) != self._indent(closing):
            return
        if self._indent(opening) > self._column(closing):
            if any(self._indent(outer) == self._column(closing) for outer in self.blocks[:-1]):
                self.suspect = opening

    def _column(self, word: Word) -> int:
        return self.source.position(word.span.start)[1]

    def _indent(self, word: Word) -> int:
        """The column at which the line of `word` begins."""
        return self.source.indent(self.source.position(word.span.start)[0])
