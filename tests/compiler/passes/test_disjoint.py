"""`disjoint` makes choices of sums in which every row has one part; it changes no value."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Scan
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.disjoint import disjoint
from rnnc.compiler.passes.simplify import simplify
from tests.compiler.hand_built import CELLS, Numbers, draw_masks, lstm
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def additions(scan: Scan) -> int:
    return len([node for node in scan if node.op.name == "add"])


@pytest.mark.parametrize("masks", [("valid",), ("starts", "valid"), MASKS])
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=6, rows=3)
    said = draw_masks(masks, 6, 3)
    scans = each(disjoint)(each(simplify)(scans_of(cell, masks)))
    assert_alike(by_scans(cell, scans, n, said), by_oracle(cell, n, said))


def test_what_a_held_state_passes_on_is_added_to_nothing() -> None:
    """Two states, each with two ways back, and the output, which is one of them."""
    backward = simplify_backward(("valid",))
    assert additions(backward) - additions(disjoint(backward)) == 2


def test_without_lengths_there_is_nothing_to_do() -> None:
    backward = simplify_backward(("starts", "boundaries"))
    assert additions(disjoint(backward)) == additions(backward)


def test_a_part_that_is_not_zero_elsewhere_is_added() -> None:
    """`where(valid, 0, h) + h`: a padded row has both."""
    backward = simplify_backward(("valid",))
    carry = backward.carries[0]
    tests = {n.args[0] for n in backward if n.op.name == "where" and n.type == carry.node.type}
    both = tests.pop().then("where", 0.0, carry.node) + carry.node
    scan = backward.rebuilt({r: both if r is carry.next else r for r in backward.roots()})
    assert disjoint(scan).carries[0].next.op.name == "add"


def simplify_backward(masks: tuple[str, ...]) -> Scan:
    backward = scans_of(lstm(), masks).backward
    assert backward is not None
    return simplify(backward)
