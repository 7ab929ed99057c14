"""`regroup` brings free terms together; that it changes no value is tested with the pipeline."""

from __future__ import annotations

from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.regroup import regroup
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.places import Place, places
from tests.compiler.hand_built import elman


def test_a_bias_leaves_the_step_with_the_input() -> None:
    before = simplify(scan(elman()))
    sums = []
    for s in (hoist(before), hoist(regroup(before))):
        place = places(s)
        sums.append(len([n for n in s if n.op.name == "add" and place[n] is Place.STEP]))
    assert sums == [2, 1]
