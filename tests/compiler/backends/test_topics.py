"""Cells of every topic under masks, with exact bits, and as ensembles: what the oracle gives."""

from __future__ import annotations

import pytest

from rnnc.compiler.ensemble import ensembled
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import cell_of, names_of
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

BOUND = Bound(1e-12, 1e-11)


@pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])
@pytest.mark.parametrize("between", ["boundaries", "weights"])
@pytest.mark.parametrize("name", names_of())
def test_masks(name: str, between: str, exact: bool) -> None:
    cell = cell_of(name)
    n, masks = Numbers.draw(cell, steps=4, rows=3), draw_masks(("starts", between, "valid"), 4, 3)
    found = by_program(Program(cell, "float64", exact=exact), n, masks)
    assert_within(found, by_oracle(cell, n, masks), BOUND)


@pytest.mark.parametrize("shared", [True, False], ids=["shared inputs", "inputs of their own"])
@pytest.mark.parametrize("name", names_of())
def test_ensembles(name: str, shared: bool) -> None:
    cell = ensembled(cell_of(name), 3, shared_inputs=shared)
    n = Numbers.draw(cell, steps=3, rows=2)
    assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), BOUND)
