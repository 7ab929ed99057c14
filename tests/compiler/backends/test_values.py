"""Programs of the NumPy backend give what the oracle gives, whatever the cell."""

from __future__ import annotations

import pytest

from rnnc.compiler.oracle import Masks
from rnnc.runtime.program import Program
from tests.compiler.backends.sources import CELLS, STANDARD
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import NO_MASKS, by_oracle
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import Bound, assert_within

# What a call has: its boundaries cut, or they are weights.
CUTTING, WEIGHING = ("starts", "boundaries", "valid"), ("starts", "weights", "valid")

# Some of these cells amplify rounding errors a little.
FLOAT64, FLOAT32 = Bound(1e-12, 1e-11), Bound(1e-5, 3e-5)


def check(name: str, dtype: str, n: Numbers, masks: Masks, *, exact: bool = False) -> None:
    __tracebackhide__ = True
    cell = CELLS[name]()
    n = rounded(n)
    found = by_program(Program(cell, dtype, exact=exact), n, masks)
    assert_within(found, by_oracle(cell, n, masks), FLOAT32 if dtype == "float32" else FLOAT64)


@pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])
@pytest.mark.parametrize("masks", [(), CUTTING, WEIGHING], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients(name: str, masks: tuple[str, ...], exact: bool) -> None:
    n = Numbers.draw(CELLS[name](), steps=5, rows=3)
    check(name, "float64", n, draw_masks(masks, n.steps, n.rows), exact=exact)


@pytest.mark.parametrize("masks", [(), CUTTING], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_blocks_of_steps_follow_each_other(
    name: str, masks: tuple[str, ...], few_steps: int
) -> None:
    n = Numbers.draw(CELLS[name](), steps=2 * few_steps + 1, rows=3)
    check(name, "float64", n, draw_masks(masks, n.steps, n.rows))


@pytest.mark.parametrize("rows", [0, 1, 2])
@pytest.mark.parametrize("steps", [0, 1, 40])  # from 32 on matrices are packed for one row too
@pytest.mark.parametrize("name", CELLS)
def test_any_number_of_steps_and_rows(name: str, steps: int, rows: int) -> None:
    steps = min(steps, 12) if rows > 1 else steps
    check(name, "float64", Numbers.draw(CELLS[name](), steps=steps, rows=rows), NO_MASKS)


@pytest.mark.parametrize("name", CELLS)
def test_single_precision(name: str) -> None:
    check(name, "float32", Numbers.draw(CELLS[name](), steps=4, rows=2), NO_MASKS)


@pytest.mark.parametrize("rows", [1, 3, 80])
def test_a_large_matrix_is_multiplied_in_another_way(rows: int) -> None:
    """`product` chooses one by the number of rows and the size of the matrix."""
    cell = STANDARD.RNN(2, 384)
    assert 384 * 384 >= 2**17
    n = Numbers.draw(cell, steps=2, rows=rows)
    found = by_program(Program(cell, "float64"), n)
    assert_within(found, by_oracle(cell, n), FLOAT64)


@pytest.mark.parametrize("rows", [2, 3, 17])
def test_small_weights_of_heads_are_laid_out_anew(rows: int) -> None:
    """Eight steps repay the copy; the weight has an axis for the heads."""
    cell = STANDARD.SLSTM(1, 2, 2)
    n = rounded(Numbers.draw(cell, steps=9, rows=rows))
    n.carry.update({name: abs(state) + 1 for name, state in n.carry.items()})
    assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), FLOAT64)
