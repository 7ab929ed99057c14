"""`simplify` makes scans smaller and changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Scan, Value, apply, const, leaf
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.shapes import Type
from tests.compiler.hand_built import CELLS, Numbers
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell)
    scans = each(simplify)(scans_of(cell))
    assert_alike(by_scans(cell, scans, n), by_oracle(cell, n))


@pytest.mark.parametrize("name", CELLS)
def test_a_second_time_finds_nothing(name: str) -> None:
    once = each(simplify)(scans_of(CELLS[name]()))
    twice = each(simplify)(once)
    assert twice.forward.roots() == once.forward.roots()
    assert once.backward and twice.backward
    assert twice.backward.roots() == once.backward.roots()


def test_what_no_result_reads_is_gone() -> None:
    x = leaf("input", "x", Type((2,), axes=frozenset("TB")))
    doubled = (x * 1.0 + const(2.0, (2,)) * const(3.0, (2,))) - 0.0
    simple = simplify(Scan("Probe", (), (x,), (), (Value("y", doubled),)))
    assert simple.outs[0].node is apply("add", x, const(6.0, (2,)))
