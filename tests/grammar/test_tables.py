"""The automaton does with the tables of Lark what Lark does, only faster."""

from __future__ import annotations

from typing import Any

import pytest
from lark import UnexpectedInput

from rnnc.grammar import std, std_names
from rnnc.grammar.source import Source, Span
from rnnc.grammar.tables import Automaton, read_grammar, tables
from rnnc.grammar.words import Word

TEXTS = [std(name).span.source.text for name in std_names()]
ODD = "if iffy None h' for' 1..2 1.5e-3 .5 a.T \"s\" <= = => -> - >> > # end\r\n"
SIGNS = "\f\t\x85\u00a0 €h̃\r²\n\n"


@pytest.mark.parametrize("text", [*TEXTS, ODD, SIGNS])
def test_words_are_those_of_lark(text: str) -> None:
    found = list(tables().words(text))
    assert found == [
        (token.type, str(token), token.start_pos, token.end_pos)
        for token in read_grammar().lex(text)
    ]


def test_the_automaton_accepts_what_lark_accepts_and_refuses_the_rest() -> None:
    source = Source("it", "cell A(n): (h[n], x[n]) -> (h', h') { if n > 1 { h' = -(a + f(x)) } }")
    words = [Word(*word[:2], Span(source, *word[2:])) for word in tables().words(source.text)]
    for stray in (None, "RBRACE", "NAME", "ARROW"):
        for at in range(len(words)):
            reader: Any = read_grammar().parse_interactive("")
            automaton = Automaton(tables())
            given = words[:at] + ([Word(stray, "_", words[at].span)] if stray else []) + words[at:]
            for word in given:
                assert automaton.accepts() == reader.accepts()
                fits = automaton.feed(word)
                try:
                    reader.feed_token(word)
                except UnexpectedInput:
                    assert not fits
                    break
                assert fits
