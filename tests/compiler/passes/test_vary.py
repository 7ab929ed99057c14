"""`vary` lets steps read parameters of their own, where no sum over the steps is in the way.

That the gradients are right is what `tests/runtime/test_varying.py` promises.
"""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell, Scan, Scans
from rnnc.compiler.modifiers import modified
from rnnc.compiler.passes.boundaries import boundaries
from rnnc.compiler.passes.differentiate import differentiate
from rnnc.compiler.passes.residuals import residuals
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.vary import sequence_name, vary
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import CELLS


def varied(cell: Cell, masks: tuple[str, ...] = ()) -> Scan | None:
    forward = boundaries(simplify(scan(cell)), masks)
    scans = residuals(Scans(simplify(forward), simplify(differentiate(forward))))
    return vary(scans).backward


@pytest.mark.parametrize("masks", [(), ("starts", "valid")], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_no_parameter_is_left_and_the_scan_holds(name: str, masks: tuple[str, ...]) -> None:
    found = varied(CELLS[name](), masks)
    if found is not None:
        assert not found.params
        verify(found)


def test_what_is_read_becomes_a_sequence_and_the_cotangents_stay() -> None:
    found = varied(CELLS["elman"]())
    assert found is not None
    sequences = [i for i in found.inputs if str(i.attr).startswith(sequence_name(""))]
    assert {str(s.attr) for s in sequences} == {sequence_name("U"), sequence_name("W")}
    assert all(s.type.axes == {"T"} for s in sequences)
    types = {out.name: out.node.type.axes for out in found.outs}
    assert types["ct.U"] == types["ct.W"] == types["ct.b"] == frozenset()


def test_a_weight_transform_that_is_crossed_behind_the_loop_is_in_the_way() -> None:
    assert varied(modified(library.std().LSTM(3, 4), "weight_norm", ("U",), {})) is None
    assert varied(library.std().LSTM(3, 4)) is not None
