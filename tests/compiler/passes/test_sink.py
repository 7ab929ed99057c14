"""`sink` moves work behind the loop and changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.sink import sink
from tests.compiler.hand_built import CELLS, Numbers, draw_masks, lstm
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


@pytest.mark.parametrize("masks", [(), ("starts", "boundaries", "valid")], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    scans = each(sink)(each(simplify)(scans_of(cell, masks)))
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))
    hoisted = each(sink)(each(hoist)(each(simplify)(scans_of(cell, masks))))
    assert_alike(by_scans(cell, hoisted, n, drawn), by_oracle(cell, n, drawn))


def test_weight_gradients_are_one_contraction_over_time_and_rows() -> None:
    backward = each(sink)(each(simplify)(scans_of(lstm()))).backward
    assert backward is not None
    assert not [n for n in backward if n.op.name == "accumulate"]
    ends = {o.name: o.node for o in backward.outs}
    for name in ("ct.W", "ct.U"):
        assert ends[name].op.name == "einsum" and set(ends[name].attr[1]) == {"T", "B"}


def test_a_matrix_state_is_not_kept_for_a_small_output() -> None:
    (y,) = sink(simplify(scan(CELLS["delta"](16, 4)))).outs
    assert (y.node.op.name, y.node.args[0].op.name) == ("stack", "einsum")
