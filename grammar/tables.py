"""The tables that Lark makes of `rnn.lark`, and how they are run.

In: a text, or its words. Out: the words; or what a builder makes of them, rule by rule.
Lark could run them, too. It finds a rule by its symbols and a state's entry by words that compare
in Python, and keeps a line and a column for each word: more than half of what reading takes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from re import Pattern
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from .builder import Builder
from .words import Word

if TYPE_CHECKING:
    from lark import Lark, Token

Pieces: TypeAlias = list[Any]
# The state to go to; or a rule to apply: how many pieces it takes, its name, what builds it. None
# keeps the only piece, as most of the rules of precedence do.
Entry: TypeAlias = int | tuple[int, str, Callable[[Pieces], Any] | None]


@dataclass(frozen=True, eq=False)
class Tables:
    """An LALR(1) automaton and the expressions of its words."""

    entries: Mapping[int, Mapping[str, Entry]]  # by state, then by word or rule
    start: int
    end: int
    pattern: Pattern[str]  # a group for each word
    ignored: frozenset[str]
    keywords: Mapping[str, str]  # text -> word, of what is no NAME

    def words(self, text: str) -> Iterator[tuple[str, str, int, int]]:
        """The words of a text: what each is, its text, where it begins and ends."""
        for found in self.pattern.finditer(text):
            kind, written = cast(str, found.lastgroup), found.group()
            if kind == "NAME":
                kind = self.keywords.get(written, kind)
            if kind not in self.ignored:
                yield kind, written, *found.span()


class Automaton:
    """What has been read so far: states, and a piece for each but the first."""

    def __init__(self, tables: Tables) -> None:
        self.entries, self.end = tables.entries, tables.end
        self.states = [tables.start]
        self.pieces: Pieces = []

    def feed(self, word: Word) -> bool:
        """Read a word; whether it may stand here.

        Rules that end before it are applied even where it may not.
        """
        states, pieces, entries, kind = self.states, self.pieces, self.entries, word.type
        while (entry := entries[states[-1]].get(kind)) is not None:
            if isinstance(entry, int):
                states.append(entry)
                pieces.append(word)
                return True
            size, rule, build = entry
            if build is None:
                states.pop()
            else:
                parts = pieces[len(pieces) - size :]
                if size:
                    del states[-size:], pieces[-size:]
                pieces.append(build(parts))
            states.append(cast(int, entries[states[-1]][rule]))
        return kind == "$END" and states[-1] == self.end

    def accepts(self) -> frozenset[str]:
        """The words that may stand here."""
        return frozenset(filter(self._accepts, self.entries[self.states[-1]]))

    def _accepts(self, kind: str) -> bool:
        if not kind.isupper():  # a rule
            return False
        states = list(self.states)
        while (entry := self.entries[states[-1]].get(kind)) is not None:
            if isinstance(entry, int):
                return True
            size, rule, _ = entry
            if size:
                del states[-size:]
            states.append(cast(int, self.entries[states[-1]][rule]))
        return kind == "$END" and states[-1] == self.end


class _KeepUnknown:
    """Lark drops a terminal that no rule uses, unless a post-lexer asks for it."""

    always_accept = ("UNKNOWN",)

    def process(self, tokens: Iterator[Token]) -> Iterator[Token]:
        return tokens


@cache
def read_grammar(builder: type = Builder) -> Lark:
    """`rnn.lark`, read. It takes about 0.1 s, so it is done when first needed.

    Args:
        builder: has a method for each rule of the grammar; what the methods return is the result.
    """
    from lark import Lark

    return Lark(
        files(__package__).joinpath("rnn.lark").read_text(encoding="utf-8"),
        start="file",
        parser="lalr",
        lexer="basic",
        postlex=cast(Any, _KeepUnknown()),
        transformer=builder(),
        keep_all_tokens=True,
    )


@cache
def tables(builder: type = Builder) -> Tables:
    """The tables of the grammar, with the methods of a builder as in `read_grammar`."""
    from lark.parse_tree_builder import ExpandSingleChild

    grammar = read_grammar(builder)
    reader = cast(Any, grammar.parse_interactive(""))
    made, lexer = reader.parser_state.parse_conf, reader.lexer_thread.lexer.lexer

    def entry(state_or_rule: Any) -> Entry:
        if isinstance(state_or_rule, int):
            return state_or_rule
        rule = state_or_rule
        size, build = len(rule.expansion), made.callbacks[rule]
        passes_on = size == 1 and isinstance(build, ExpandSingleChild)
        return size, str(rule.origin.name), None if passes_on else build

    (pattern,) = lexer.scanner._mres
    words = {str(terminal.pattern.value): str(terminal.name) for terminal in grammar.terminals}
    return Tables(
        entries={
            state: {str(name): entry(arg) for name, (_, arg) in row.items()}
            for state, row in made.parse_table.states.items()
        },
        start=made.start_state,
        end=made.end_state,
        pattern=pattern,
        ignored=frozenset(lexer.ignore_types),
        keywords={text: name for text, name in words.items() if text.isidentifier()},
    )
