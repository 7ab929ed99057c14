"""Random cells give what the oracle gives: values and gradients, in every way of running them."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.passes.boundaries import MASKS
from rnnc.runtime.program import Program
from tests.compiler.backends.random_cells import random_cell
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

BOUND = Bound(1e-11, 1e-9)  # nothing keeps a random cell from amplifying rounding errors
WAYS = {  # steps, rows, masks, exact
    "plain": (7, 2, (), False),
    "one row": (5, 1, (), False),
    "masked": (7, 3, ("starts", "boundaries", "valid"), False),
    "exact": (4, 2, MASKS, True),
}


@pytest.mark.parametrize("seed", range(80))
def test_a_random_cell(seed: int, few_steps: int) -> None:
    cell = random_cell(seed)
    for way, (steps, rows, names, exact) in WAYS.items():
        n = Numbers.draw(cell, steps, rows, seed)
        for values in n.params.values():
            values *= 0.5
        masks = draw_masks(names, steps, rows)
        wanted = by_oracle(cell, n, masks)
        with np.errstate(all="ignore"):
            found = by_program(Program(cell, "float64", exact=exact), n, masks)
        try:
            assert_within(found, wanted, BOUND)
        except AssertionError as error:
            error.add_note(f"{way}; blocks of {few_steps} steps")
            raise
