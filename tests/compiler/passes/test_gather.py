"""`gather` computes the pieces of a cotangent at once; it changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.ir import Cell, Scan
from rnnc.compiler.passes.gather import gather
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.regroup import regroup
from rnnc.compiler.passes.residuals import residuals
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.sink import sink
from rnnc.compiler.places import Place, places
from tests.compiler.hand_built import CELLS, Numbers, lstm
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def products_of_the_step(scan: Scan) -> int:
    place = places(scan)
    return len([n for n in scan if n.op.name == "mul" and place[n] is Place.STEP])


@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    scans = each(hoist)(each(regroup)(each(simplify)(scans_of(cell))))
    scans = each(gather)(each(sink)(scans))
    assert_alike(by_scans(cell, scans, n), by_oracle(cell, n))


@pytest.mark.parametrize("cell", [lstm(), ensembled(lstm(), 3)], ids=lambda cell: cell.name)
def test_three_gates_of_an_lstm_have_one_product(cell: Cell) -> None:
    """ct.c goes to i, f and g; ct.h to o; and each to the step before."""
    backward = residuals(each(simplify)(scans_of(cell))).backward
    assert backward is not None
    before = sink(hoist(regroup(backward)))
    assert (products_of_the_step(before), products_of_the_step(hoist(gather(before)))) == (6, 4)
