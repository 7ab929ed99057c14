"""`schedule` says when each node is computed."""

from __future__ import annotations

import pytest

from rnnc.compiler.ir import Plan
from rnnc.compiler.library import std
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.schedule import SECTIONS
from rnnc.compiler.pipeline import Goal, stages
from tests.compiler.hand_built import CELLS


def plans(name: str, goal: Goal) -> list[Plan]:
    cell = CELLS[name]() if name in CELLS else std()[name](3, 4)
    *_, last = stages(cell, goal)
    return [plan for plan in last.value if isinstance(plan, Plan)]


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_every_node_stands_once_behind_its_operands(name: str, masks: tuple[str, ...]) -> None:
    for plan in plans(name, Goal(masks)):
        seen = set()
        for node in (n for section in SECTIONS for n in getattr(plan, section)):
            assert node not in seen
            assert all(a in seen or not a.args for a in node.args), node
            seen.add(node)
        assert seen == {n for n in plan.scan if n.args}


def test_a_step_reads_no_more_than_a_block_at_a_time() -> None:
    (forward, _) = plans("GRU", Goal())
    assert not forward.whole
    assert forward.block[0].op.name == "einsum"


def test_what_needs_one_row_of_a_stack_is_not_put_off() -> None:
    """The cotangent of W @ x is a product with a factor of the same step: it follows the block."""
    (_, backward) = plans("GRU", Goal())
    assert {"mul", "concat"} <= {n.op.name for n in backward.tail}
    assert {n.op.name for n in backward.late} >= {"einsum", "total"}
    assert "mul" not in {n.op.name for n in backward.late}
