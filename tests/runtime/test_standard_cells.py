"""The core cells meet the bounds: against the oracle, and against central differences."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from tests.central_differences import assert_agree_with_differences
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import NO_MASKS, Outcome, by_oracle
from tests.library.table import CORE
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import FLOAT32, FLOAT64, adaptive_bound, assert_within

STEPS, ROWS = 9, 3
SIZES = {
    "RNN": (4, 5),
    "LSTM": (4, 5),
    "LSTMP": (4, 5, 3),
    "GRU": (4, 5),
    "Dense": (4, 5),
    "Embedding": (6, 5),
    "SLSTM": (4, 6, 2),
    "DeltaNet": (4, 3, 5),
    "MinGRU": (4, 5),
}
EVERY_MASK = ("starts", "boundaries", "valid")
MASKS = {"plain": (), "resets": ("starts",), "lengths": ("valid",), "all masks": EVERY_MASK}


@dataclass(frozen=True)
class Case:
    """A standard cell, and what it is run on."""

    cell: Cell
    numbers: Numbers
    masks: Masks = NO_MASKS

    def wanted(self) -> Outcome:
        return by_oracle(self.cell, self.numbers, self.masks)

    def found(self, dtype: str = "float64", *, exact: bool = False) -> Outcome:
        program = rnnc.compile(self.cell, "numpy", dtype, exact=exact)
        return by_program(program, self.numbers, self.masks)

    def plain_float32(self) -> Outcome:
        """What an unfused evaluation in float32 gives."""
        cell, n = self.cell, self.numbers
        carry, ys = oracle.run(cell, n.params, n.carry, n.xs, self.masks, np.float32)
        g = oracle.gradients(
            cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, self.masks, np.float32
        )
        return Outcome(carry, ys, g.params, g.carry, g.inputs)


@pytest.fixture(params=SIZES)
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(params=["first", "later"])
def case(name: str, request: pytest.FixtureRequest) -> Case:
    """From the initial state (infinite in places), and from one the cell has come to by itself."""
    bound = getattr(rnnc.cells, name)(*SIZES[name])
    drawn = Numbers.draw(bound.cell, STEPS, ROWS)
    carry = oracle.initial(bound.cell, drawn.params, ROWS)
    if request.param == "later":
        before = Numbers.draw(bound.cell, STEPS, ROWS, seed=1)
        carry, _ = oracle.run(bound.cell, drawn.params, carry, before.xs)
    return Case(bound.cell, rounded(replace(drawn, carry=carry)))


def test_the_list_is_complete() -> None:
    assert set(SIZES) == set(CORE)


@pytest.mark.parametrize("masks", MASKS)
def test_float64_is_the_oracle(case: Case, masks: str) -> None:
    case = replace(case, masks=draw_masks(MASKS[masks], STEPS, ROWS))
    assert_within(case.found(), case.wanted(), FLOAT64)


@pytest.mark.parametrize("masks", ["plain", "all masks"])
def test_exact_is_the_oracle(case: Case, masks: str) -> None:
    case = replace(case, masks=draw_masks(MASKS[masks], STEPS, ROWS))
    assert_within(case.found(exact=True), case.wanted(), FLOAT64)


@pytest.mark.parametrize("masks", ["plain", "all masks"])
def test_float32_is_within_its_bound_and_as_good_as_a_plain_evaluation(
    case: Case, masks: str
) -> None:
    case = replace(case, masks=draw_masks(MASKS[masks], STEPS, ROWS))
    found, wanted = case.found("float32"), case.wanted()
    assert_within(found, wanted, FLOAT32)
    assert_within(found, wanted, adaptive_bound(case.plain_float32(), wanted))


@pytest.mark.parametrize("masks", ["plain", "resets", "lengths"])
def test_gradients_are_slopes(case: Case, masks: str) -> None:
    """Not with boundaries: what they cut is no derivative of the values."""
    case = replace(case, masks=draw_masks(MASKS[masks], STEPS, ROWS))
    assert_agree_with_differences(case.cell, case.numbers, case.found(), case.masks)


@pytest.mark.parametrize("name", ["RNN", "LSTM", "LSTMP", "GRU"])
def test_without_biases_too_values_are_the_oracles_and_gradients_slopes(name: str) -> None:
    cell = getattr(rnnc.cells, name)(*SIZES[name], bias=False).cell
    case = Case(cell, rounded(Numbers.draw(cell, STEPS, ROWS)))
    assert_within(case.found(), case.wanted(), FLOAT64)
    assert_agree_with_differences(cell, case.numbers, case.found(), case.masks)
