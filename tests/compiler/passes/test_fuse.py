"""`fuse` brings elementwise work back into the step and changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Node, Scan
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.fuse import fuse
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.regroup import regroup
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.sink import sink
from rnnc.compiler.places import Place, places
from tests.compiler.hand_built import CELLS, Numbers, draw_masks, elman
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def moved(scan: Scan) -> Scan:
    """With all that can leave the step outside it."""
    return sink(hoist(regroup(simplify(scan))))


def over_time(scan: Scan, place: Place) -> list[Node]:
    """The elementwise nodes that are computed for all t, before or after the loop."""
    where = places(scan)
    return [n for n in scan if n.op.pointwise and "T" in n.type.axes and where[n] is place]


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    scans = each(fuse)(each(moved)(scans_of(cell, masks)))
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))


def test_a_bias_joins_the_step_and_the_product_stays_outside() -> None:
    before = moved(scan(elman()))
    after = fuse(before)
    assert [n.op.name for n in over_time(before, Place.BEFORE)] == ["add"]
    assert not over_time(after, Place.BEFORE)
    where = places(after)
    products = [where[n] for n in after if n.op.name == "einsum"]
    assert sorted(products) == [Place.BEFORE, Place.STEP]


@pytest.mark.parametrize("name", ["lstm", "elman", "decay"])
def test_what_the_step_leaves_behind_needs_no_elementwise_work(name: str) -> None:
    scans = each(moved)(scans_of(CELLS[name]()))
    assert scans.backward is not None
    assert not over_time(fuse(scans.backward), Place.AFTER)


def test_what_a_product_for_all_t_reads_is_still_computed_for_all_t() -> None:
    scans = each(moved)(scans_of(CELLS["lstm"](), MASKS))
    assert scans.backward is not None
    after = fuse(scans.backward)
    padded_inputs = [n for n in over_time(after, Place.BEFORE) if n.op.name == "where"]
    assert padded_inputs, "the weight's gradient multiplies inputs whose padding is 1"
