"""Cells joined into one: names, types, and values as when run one after the other."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.compiler import library
from rnnc.compiler.compose import compose
from rnnc.compiler.oracle import initial, run
from rnnc.compiler.shapes import TypeProblem
from rnnc.compiler.text import read, same, show

LSTM, DENSE = rnnc.cells.LSTM(3, 4).cell, rnnc.cells.Dense(4, 2).cell
DENSE_BACK = rnnc.cells.Dense(2, 4).cell


def test_states_and_parameters_are_named_by_path() -> None:
    whole = compose([LSTM, DENSE], ["lstm", "out"])
    assert [p.name for p in whole.params] == ["lstm.W", "lstm.U", "lstm.b", "out.W", "out.b"]
    assert [s.name for s in whole.states] == ["lstm.h", "lstm.c"]
    assert [x.name for x in whole.inputs] == [x.name for x in LSTM.inputs]
    assert whole.settings["lstm.hidden"] == 4


def test_the_whole_computes_what_its_members_do_in_turn() -> None:
    draw = np.random.default_rng(0)
    whole = compose([LSTM, DENSE, DENSE_BACK])
    params = {p.name: draw.standard_normal(p.node.type.shape) for p in whole.params}
    xs = {"x": draw.standard_normal((5, 2, 3))}
    carry = initial(whole, params, 2)
    last, ys = run(whole, params, carry, xs)
    fed = xs
    for at, cell in enumerate([LSTM, DENSE, DENSE_BACK]):
        own = {p.name: params[f"{at}.{p.name}"] for p in cell.params}
        after, found = run(cell, own, {s.name: carry[f"{at}.{s.name}"] for s in cell.states}, fed)
        for name, state in after.items():
            np.testing.assert_array_equal(last[f"{at}.{name}"], state)
        fed = {"x": next(iter(found.values()))}
    np.testing.assert_array_equal(ys["y"], fed["x"])


def test_what_does_not_fit_is_refused_by_its_place() -> None:
    with pytest.raises(TypeProblem, match=r"takes real\[3\], but is fed real\[2\]") as caught:
        compose([LSTM, DENSE, LSTM])
    assert caught.value.operand == 2


def test_values_of_members_have_their_paths_and_members_keep_their_names() -> None:
    member = library.std().GRU(4, 4)
    chain = compose([member, member])
    names = [value.name for value in member.named]
    assert [v.name for v in chain.named] == [f"{at}.{name}" for at in (0, 1) for name in names]
    assert {"0.z", "1.h'"} <= {value.node.label for value in chain.named}
    assert "z" in {value.node.label for value in member.named}
    assert "  1.z " in show(chain)
    assert same(read(show(chain)), chain)
