"""Any modifier of a modified cell finds what it finds in the plain one."""

from __future__ import annotations

from functools import cache
from itertools import product

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.modifiers import MODIFIERS, ModifierError, modified
from rnnc.compiler.modifiers.products import products_of
from rnnc.compiler.verify import verify
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Numbers
from tests.compiler.modifiers.cases import GIVEN, SIZE, modes_of
from tests.runtime.run_program import by_program

NORMS = ("layer_norm", "rms_norm")
# What is left of a sum that was integrated, or whose products were normalised, is none.
WITHOUT_SUMS = (*NORMS, "multiplicative_integration")
NONE_LEFT = [(first, "multiplicative_integration") for first in WITHOUT_SUMS]
# What stands in the place of W has other names.
NO_SUCH_PATH = [("low_rank", "low_rank")]
PAIRS = [pair for pair in product(GIVEN, GIVEN) if pair not in [*NONE_LEFT, *NO_SUCH_PATH]]
OF_STATES = [p for p in PAIRS if {"zoneout", "clip_state"} & {*p} and "residual" not in p]
DELAYED = """
    cell Delayed(n, m): (h[m], x[n]) -> (h', h') {
        param W[m, n], U[m, m], b[m]
        h' = 0.5 * h + tanh(W @ delay(x, 1) + U @ delay(h, 1) + b)
    }
"""


@cache
def plain(name: str) -> Cell:
    cells = library.loads(DELAYED) if name == "Delayed" else library.std()
    return cells[name](SIZE, SIZE)


def test_every_modifier_is_in_pairs_and_chains() -> None:
    assert set(GIVEN) == set(MODIFIERS)


def found_in(cell: Cell) -> list[bool]:
    return [each.recurrent for each in products_of(cell)]


@pytest.mark.parametrize("of", ["LSTM", "GRU", "Delayed"])
@pytest.mark.parametrize("first, second", PAIRS)
def test_the_second_finds_what_it_finds_in_the_plain_cell(of: str, first: str, second: str) -> None:
    once = modified(plain(of), first, GIVEN[first], {})
    assert found_in(once) == found_in(plain(of))
    twice, alone = (modified(cell, second, GIVEN[second], {}) for cell in (once, plain(of)))
    verify(twice)
    assert len(twice.params) - len(once.params) == len(alone.params) - len(plain(of).params)
    assert len(twice.beside) >= len(alone.beside)


@pytest.mark.parametrize("of", ["LSTM", "GRU", "Delayed"])
@pytest.mark.parametrize("first, second", OF_STATES)
def test_an_output_that_is_a_state_stays_it(of: str, first: str, second: str) -> None:
    once = modified(plain(of), first, GIVEN[first], {})
    for cell in modes_of(modified(once, second, GIVEN[second], {})):
        n = Numbers.draw(cell, steps=2, rows=1)
        found = by_program(compile(cell, "numpy", "float64"), n)
        assert np.array_equal(found.ys["h'"][-1], found.carry["h"])


@pytest.mark.parametrize("first, second", [*NONE_LEFT, *NO_SUCH_PATH])
def test_a_second_that_finds_nothing_says_so(first: str, second: str) -> None:
    once = modified(plain("LSTM"), first, GIVEN[first], {})
    with pytest.raises(ModifierError, match=r"has none|no parameter 'W'"):
        modified(once, second, GIVEN[second], {})
