"""Parameters and states are named: those of chains, complex ones, all at once."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.compose import compose
from rnnc.compiler.ir import Cell
from rnnc.compiler.modifiers import modified
from rnnc.compiler.same import same
from tests.compiler.modifiers.cases import PLAIN, SIZE, is_the_same

SOURCE = """
import LSTM, LRU, Dense from std
cell Two(n) = LSTM(n, n) >> top: LSTM(n, n)
cell Noted(n): ((h[n], p[n]), x[n]) -> ((h', p'), h') { h' = p; p' = x }
"""


def written(link: str) -> Cell:
    """A chain of one link."""
    return library.loads(f"{SOURCE}\ncell Written(n) = {link}").Written(SIZE)


def plain_cell(name: str) -> Cell:
    return library.loads(SOURCE)[name](SIZE)


@pytest.mark.parametrize(
    "text",
    [
        'on=["0.U", "top.W"]', 'on=["0.U", top.W]', '["0.U", top.W,]', 'on=[ "0.U" , "top.W" ]'
    ],
)  # fmt: skip
def test_a_list_has_paths_in_quotes_beside_others(text: str) -> None:
    cell = modified(plain_cell("Two"), "weight_norm", (), {"on": ["0.U", "top.W"]})
    assert is_the_same(written(f"weight_norm(Two(n), {text})"), compose([cell]))


@pytest.mark.parametrize("text", ['0.2, "0.h"=0.1', '"0.h"=0.1, p=0.2'])
def test_a_state_of_a_chain_is_named_in_quotes(text: str) -> None:
    cell = modified(plain_cell("Two"), "zoneout", (0.2,), {"0.h": 0.1})
    assert is_the_same(written(f"zoneout(Two(n), {text})"), compose([cell]))


def test_a_complex_parameter_is_both_of_its_parts() -> None:
    plain = library.std().LRU(SIZE, SIZE, SIZE)
    cell = modified(plain, "weight_norm", (), {"on": ["B", "D"]})
    parts = modified(plain, "weight_norm", (), {"on": ["B.re", "B.im", "D"]})
    assert same(cell, parts) and cell.origin == parts.origin
    assert is_the_same(written("weight_norm(LRU(n, n, n), on=[B, D])"), compose([cell]))


@pytest.mark.parametrize(("name", "value"), [("zoneout", "p"), ("clip_state", "bound")])
def test_what_stands_first_may_be_named_as_the_signature_does(name: str, value: str) -> None:
    plain = PLAIN.Pair(SIZE)
    first = modified(plain, name, (0.5,), {})
    assert same(modified(plain, name, (), {value: 0.5}), first)
    assert same(modified(plain, name, (), {value: 0.3, "h": 0.5, "c": 0.5}), first)


def test_a_state_of_that_name_comes_first() -> None:
    plain = plain_cell("Noted")
    draws = [x for x in modified(plain, "zoneout", (), {"p": 0.5}).beside if x.source == "uniform"]
    assert len(draws) == 1


@pytest.mark.parametrize("modifier", ["residual", "zoneout", "weight_norm"])
def test_a_modifier_stands_around_a_chain_as_around_its_name(modifier: str) -> None:
    more = {"residual": "", "zoneout": ', 0.2, "1.h"=0.1', "weight_norm": ', on=["a.W", "1.U"]'}
    chain = "a: Dense(n, n) >> LSTM(n, n)"
    source = f"{SOURCE}\ncell Named(n) = {chain}"
    wanted = library.loads(f"{source}\ncell W(n) = {modifier}(Named(n){more[modifier]})").W(SIZE)
    assert is_the_same(written(f"{modifier}({chain}{more[modifier]})"), wanted)


def test_a_chain_is_repeated_link_by_link_of_each_copy() -> None:
    found = written("repeat(2, residual(Dense(n, n) >> top: Dense(n, n)) >> LSTM(n, n))")
    assert [param.name for param in found.params][:4] == [
        "0.0.0.W",
        "0.0.0.b",
        "0.0.top.W",
        "0.0.top.b",
    ]
    assert [state.name for state in found.states] == ["0.1.h", "0.1.c", "1.1.h", "1.1.c"]
