"""`initial` and its pullback: where states start, as scans without steps."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import oracle
from rnnc.compiler.initial import initial, initial_pullback
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import CELLS, Numbers, decay
from tests.compiler.interpret_scan import interpret


@pytest.mark.parametrize("name", CELLS)
def test_values_are_the_oracles(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell)
    starts = initial(cell)
    verify(starts)
    got = interpret(starts, n.params, {}, {}, steps=0, rows=0).outs
    for state, wanted in oracle.initial(cell, n.params, 1).items():
        np.testing.assert_array_equal(got[state], wanted[0])


def test_the_pullback_is_the_transpose() -> None:
    """h starts at 2 a."""
    cell = decay()
    n = Numbers.draw(cell)
    pullback = initial_pullback(cell)
    verify(pullback)
    cts = {f"ct.{name}": value[0] for name, value in n.d_carry.items()}
    got = interpret(pullback, n.params, {}, cts, steps=0, rows=0).outs
    assert got.keys() == {"ct.a"}
    np.testing.assert_allclose(got["ct.a"], 2 * cts["ct.h"])
