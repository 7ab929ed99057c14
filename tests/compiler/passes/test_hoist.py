"""`hoist` moves work in front of the loop and changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Node, Scan
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.places import Place, places
from tests.compiler.hand_built import CELLS, Numbers, draw_masks, elman, tokens
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def in_step(scan: Scan, op: str) -> list[Node]:
    place = places(scan)
    return [n for n in scan if n.op.name == op and place[n] is Place.STEP]


@pytest.mark.parametrize("masks", [(), ("starts", "boundaries", "valid")], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    scans = each(hoist)(each(simplify)(scans_of(cell, masks)))
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))


def test_the_product_with_the_input_leaves_the_step() -> None:
    before = simplify(scan(elman()))
    assert len(in_step(before, "einsum")) == 2
    (left,) = in_step(hoist(before), "einsum")
    assert "carry" in {a.op.name for a in left.args}


def test_rows_are_picked_before_the_loop() -> None:
    assert not in_step(hoist(simplify(scan(tokens()))), "take")


def test_an_outer_product_is_not_stored_for_all_t() -> None:
    hoisted = hoist(simplify(scan(CELLS["delta"](16, 16))))
    sizes = {n.type.shape for n in hoisted if n.type.lead == "TB"}
    assert (16, 16) not in sizes
