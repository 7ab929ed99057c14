"""The grammar file itself: no conflict, a method for each rule, the reserved words it uses."""

from __future__ import annotations

from importlib.resources import files

import pytest
from lark import Lark

from rnnc.grammar import prelude, std, std_names
from rnnc.grammar.builder import Builder
from rnnc.grammar.layout import Layouts
from rnnc.grammar.words import RESERVED

GRAMMAR = files("rnnc.grammar").joinpath("rnn.lark").read_text(encoding="utf-8")


def test_the_grammar_has_no_conflict() -> None:
    pytest.importorskip("interegular", reason="lark's strict mode needs interegular")
    Lark(GRAMMAR, start="file", parser="lalr", lexer="basic", strict=True)


@pytest.mark.parametrize("builder", [Builder, Layouts])
def test_every_rule_has_a_method(builder: type) -> None:
    rules = Lark(GRAMMAR, start="file", parser="lalr", lexer="basic", keep_all_tokens=True).rules
    names = {rule.alias or rule.options.template_source or rule.origin.name for rule in rules}
    inlined = {name for name in names if name.startswith("_")}
    passed_on = {rule.origin.name for rule in rules if rule.options.expand1 and not rule.alias}
    missing = names - inlined - passed_on - set(dir(builder))
    assert not missing
    unused = {name for name in vars(builder) if not name.startswith("_")} - names
    assert not unused


def test_the_reserved_words_are_those_of_the_grammar() -> None:
    terminals = Lark(GRAMMAR, start="file", parser="lalr", lexer="basic").terminals
    words = {
        terminal.pattern.value
        for terminal in terminals
        if terminal.pattern.type == "str" and terminal.pattern.value.isalpha()
    }
    assert words == RESERVED


def test_every_standard_cell_and_the_prelude_parse() -> None:
    assert set(std_names()) >= {"LSTM", "GRU", "Dense"}
    for name in std_names():
        assert name in [getattr(part, "name", None) for part in std(name).declarations]
        assert std(name) is std(name)
    assert prelude().declarations
