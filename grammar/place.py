"""Where the parser stopped: the statement, the word, and what could have stood there.

In: words and types of words. Out: spans to point at, and phrases for messages.
"""

from __future__ import annotations

from dataclasses import dataclass

from .brackets import DECLARATIONS
from .source import Span
from .words import Word

EXPRESSION = frozenset(["NAME", "PRIMED", "NUMBER", "TRUE", "FALSE", "LPAR", "MINUS", "NOT"])
OPERATORS = frozenset("PLUS MINUS STAR SLASH PERCENT AT CIRCUMFLEX COMPARE AND OR LSQB DOT".split())
SHOWN = {
    "NAME": "a name",
    "PRIMED": "a new state such as h'",
    "NUMBER": "a number",
    "STRING": "a string",
    "COMPARE": "a comparison",
    "LINE_END": "the end of the line",
    "$END": "the end of the file",
    "LPAR": "'('",
    "RPAR": "')'",
    "LSQB": "'['",
    "RSQB": "']'",
    "LBRACE": "'{'",
    "RBRACE": "'}'",
    "COMMA": "','",
    "COLON": "':'",
    "SEMICOLON": "';'",
    "EQUAL": "'='",
    "ARROW": "'->'",
    "CHAIN": "'>>'",
    "RANGE": "'..'",
    "PLUS": "'+'",
    "MINUS": "'-'",
    "STAR": "'*'",
    "SLASH": "'/'",
    "PERCENT": "'%'",
    "AT": "'@'",
    "CIRCUMFLEX": "'^'",
    "DOT": "'.'",
}


@dataclass(frozen=True, slots=True)
class Place:
    """A word that cannot stand where it does, and the statement around it."""

    statement: list[Word]  # without the word that ends it
    at: int  # of the word in the statement; its length if the statement ends too early
    word: Word
    expected: frozenset[str]  # types of words that could stand here
    outside: bool  # of every cell and function

    @property
    def first(self) -> Word:
        return self.statement[0] if self.statement else self.word

    @property
    def before(self) -> Word | None:
        return self.statement[self.at - 1] if self.at > 0 else None

    @property
    def is_stray(self) -> bool:
        """Whether no declaration begins like this, outside of which nothing may stand."""
        return self.outside and self.first.type not in DECLARATIONS

    @property
    def ends(self) -> bool:
        """Whether the statement ends here."""
        return self.at >= len(self.statement)

    @property
    def span(self) -> Span:
        """The word; where the line ends too early, the place after the last word."""
        if self.word.type in ("LINE_END", "$END") and self.before:
            stop = self.before.span.stop
            return Span(self.word.span.source, stop, stop)
        return self.word.span

    def find(self, type_: str, start: int = 0) -> int | None:
        """Where a word of this type stands in the statement, outside of brackets."""
        depth = 0
        for at, word in enumerate(self.statement):
            depth -= word.type in ("RPAR", "RSQB")
            if depth == 0 and at >= start and word.type == type_:
                return at
            depth += word.type in ("LPAR", "LSQB")
        return None


def _name_of(type_: str) -> str:
    return SHOWN.get(type_) or (type_.lower() if type_ != "NONE" else "None").join("''")


def found(word: Word) -> str:
    if word.type in ("LINE_END", "$END"):
        return SHOWN[word.type]
    return f"'{word.text}'"


def alternatives(expected: frozenset[str]) -> str:
    """`an expression`, `',' or ')'`: what could stand here, common groups under one name."""
    rest, parts = set(expected), []
    if rest >= EXPRESSION - {"NOT"}:
        rest -= EXPRESSION | {"STRING", "LSQB"} | ({"COLON"} if "RSQB" in rest else set())
        parts.append("an expression")
    if len(rest & OPERATORS) > 3:
        rest -= OPERATORS | {"COMPARE"}
        parts.append("an operator")
    if rest >= {"PARAM", "USE"}:
        rest -= {"PARAM", "CONST", "USE", "FOR", "IF", "NAME", "PRIMED", "LPAR"}
        parts.append("a statement")
    if rest >= {"CELL", "FN", "IMPORT"}:
        rest -= DECLARATIONS | {"$END"}
        parts.append("'cell', 'fn' or 'import'")
    rest -= {"SEMICOLON"} if rest & OPERATORS else {"SEMICOLON", "OR"}
    if parts or ("LINE_END" in rest and len(rest) > 1):
        rest -= {"LINE_END", "$END"}
    parts += sorted(_name_of(type_) for type_ in rest)
    return " or ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)
