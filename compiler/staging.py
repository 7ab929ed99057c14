"""A step cut in stages: before each product with a weight whose operand the step computes.

In: a plan. Out: its stages. Within a stage a block needs nothing of the others but what an earlier
stage, or the step before, has left in memory.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from .dependence import is_contraction
from .ir import Carry, Node, Plan, apply


@dataclass(frozen=True, slots=True)
class Stage:
    """Part of a step: the carries it advances, what it leaves behind, and what it finds.

    `given` says in which stack a value of an earlier stage lies.
    """

    plan: Plan
    given: dict[Node, Node]


def staged(plan: Plan) -> tuple[Stage, ...]:
    """The stages of a step, in order.

    Before  d = ct * e[t];  ct' = d @ U;  stack(d)
    After   d = ct * e[t];  stack(d)            each block its own units
            ct' = stack(d)[t] @ U               each block all of d

    Args:
        plan: of a verified scan.
    Returns:
        One stage if no product reads what the step computes. A value between stages is stacked,
        whether or not anything else reads the stack.
    """
    level: dict[Node, int] = {}
    cut: dict[Node, Node] = {}
    for node in plan.step:
        level[node] = max((level.get(a, 0) for a in node.args), default=0)
        value = _operand(plan, node)
        if value is not None:
            cut.setdefault(value, apply("stack", value))
            level[node] = max(level[node], level[value] + 1)
    kept = list(dict.fromkeys([*plan.kept, *cut.values()]))
    count = max(level.values(), default=0) + 1
    return tuple(_stage(plan, at, level, cut, kept) for at in range(count))


def _operand(plan: Plan, node: Node) -> Node | None:
    """The value that a product with a weight reads, if the step computes it."""
    if not is_contraction(node) or not any(not a.type.axes for a in node.args):
        return None
    (value,) = (a for a in node.args if a.type.axes) if _has_one(node) else (node,)
    while value.op.view and value.args:
        value = value.args[0]
    computed = value is not node and value.op.name != "carry" and plan.computes(value)
    return value if computed else None


def _has_one(node: Node) -> bool:
    return sum(bool(a.type.axes) for a in node.args) == 1


def _stage(
    plan: Plan, at: int, level: dict[Node, int], cut: dict[Node, Node], kept: list[Node]
) -> Stage:
    def here(value: Node) -> bool:
        return level.get(value, 0) == at

    carries: tuple[Carry, ...] = tuple(c for c in plan.scan.carries if here(c.next))
    left = tuple(n for n in kept if plan.computes(n.args[0]) and here(n.args[0]))
    given = {value: stack for value, stack in cut.items() if level[value] < at}
    part = replace(plan, scan=replace(plan.scan, carries=carries), kept=left)
    return Stage(part, given)
