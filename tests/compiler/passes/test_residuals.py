"""`residuals` hands values over instead of computing them again, and changes none."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler import library
from rnnc.compiler.ir import Cell, Scans
from rnnc.compiler.passes.boundaries import boundaries
from rnnc.compiler.passes.differentiate import differentiate
from rnnc.compiler.passes.residuals import residuals
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.sink import sink
from tests.compiler.hand_built import CELLS, Numbers, draw_masks
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each


def both(cell: Cell, masks: tuple[str, ...] = ()) -> Scans:
    forward = boundaries(simplify(scan(cell)), masks)
    return Scans(simplify(forward), simplify(differentiate(forward)))


def saved(name: str, masks: tuple[str, ...] = ()) -> Scans:
    return residuals(both(CELLS[name](), masks))


@pytest.mark.parametrize("free", [False, True], ids=["", "free"])
@pytest.mark.parametrize("masks", [(), ("starts", "boundaries", "valid")], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_kept(name: str, masks: tuple[str, ...], free: bool) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    scans = residuals(both(cell, masks), arithmetic_is_free=free)
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))


def test_gates_are_not_computed_again() -> None:
    backward = saved("lstm").backward
    assert backward is not None
    assert not {"tanh", "sigmoid"} & {n.op.name for n in backward}


def test_what_the_backward_scan_does_not_read_is_not_saved() -> None:
    scans = each(sink)(saved("elman"))
    assert scans.backward is not None
    read = {str(i.attr) for i in scans.backward.inputs}
    assert set(scans.saved) <= read
    assert {o.name for o in scans.forward.outs} == {"h", *scans.saved}


def test_a_stateless_cell_saves_what_its_derivative_needs() -> None:
    scans = saved("dense")
    assert scans.forward.carries == ()
    assert len(scans.saved) <= 1


@pytest.mark.parametrize("jump", ["round(u)", "floor(u)", "sign(u)", "step(u, arctan)"])
@pytest.mark.parametrize("free", [False, True], ids=["", "free"])
def test_what_jumps_is_not_made_again_of_a_state_that_was_rounded(jump: str, free: bool) -> None:
    """The gradient would be of another branch than the value was."""
    text = f"cell C(n): (u[n], x[n]) -> (u', u') {{ u' = {jump} * x + u }}"
    scans = residuals(both(rnnc.loads(text).C(3).cell), arithmetic_is_free=free)
    outs = {o.name: o.node.args[0].op.name for o in scans.forward.outs}
    assert jump.partition("(")[0] in {outs[name] for name in scans.saved}


def test_where_arithmetic_is_free_a_gate_that_reads_no_state_is_computed_again() -> None:
    scans = both(library.std().MinGRU(3, 4))

    def handed_over(found: Scans) -> set[str]:
        outs = {o.name: o.node.args[0].op.name for o in found.forward.outs}
        return {outs[name] for name in found.saved if not name.startswith("state.")}

    assert "sigmoid" in handed_over(residuals(scans))
    # The products with the input, which are there for all t.
    assert handed_over(residuals(scans, arithmetic_is_free=True)) == {"einsum"}
