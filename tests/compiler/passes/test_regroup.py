"""`regroup` brings free operands together and changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Cell, Node, Scan, State, Value, const
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.regroup import regroup
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.places import Place, places
from tests.compiler.hand_built import CELLS, Numbers, carry, draw_masks, elman, one_input, param
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of

A, X = param("a", 3), one_input("x", 3)


def in_step(scan: Scan, *ops: str) -> list[Node]:
    place = places(scan)
    return [n for n in scan if n.op.name in ops and place[n] is Place.STEP]


def one_state(new: Node, h: Node, *others: Node) -> Cell:
    """h' = `new`, of a state h[3], a parameter a[3] and an input x[3]."""
    states = (State("h", h, new, const(0.0, (3,))),)
    outputs = tuple(Value(f"y{at}", y) for at, y in enumerate((new, *others)))
    return Cell("One", {}, (A,), states, (X,), outputs, output_is_tuple=len(outputs) > 1)


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    scans = each(regroup)(each(simplify)(scans_of(cell, masks)))
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))


def test_a_bias_leaves_the_step_with_the_input() -> None:
    before = simplify(scan(elman()))
    after = hoist(regroup(before))
    assert (len(in_step(hoist(before), "add")), len(in_step(after, "add"))) == (2, 1)


def test_a_common_factor_is_taken_out() -> None:
    h = carry("h", 3)
    cell = one_state(h * X.node - h * A.node + (h + h * 0.5), h)
    after = hoist(regroup(simplify(scan(cell))))
    assert [n.op.name for n in in_step(after, "add", "sub", "mul")] == ["mul"]
    n = Numbers.draw(cell)
    assert_alike(by_scans(cell, each(regroup)(scans_of(cell)), n), by_oracle(cell, n))


def test_factors_meet_though_the_product_has_other_readers() -> None:
    h = carry("h", 3)
    part = h * X.node
    cell = one_state(part * A.node, h, part)
    after = simplify(regroup(simplify(scan(cell))))
    (new,) = (c.next for c in after.carries)
    assert h in new.args  # h * (x * a), so that neither waits for the other


def test_a_sum_of_many_terms_is_read_once() -> None:
    """Linear in the number of terms: each sum of a chain is not looked through anew."""
    h = carry("h", 3)
    total: Node = h
    for at in range(3000):
        total = total + (X.node if at % 2 else h * float(at))
    after = hoist(regroup(scan(one_state(total, h))))
    assert len(in_step(after, "add", "mul")) <= 2
