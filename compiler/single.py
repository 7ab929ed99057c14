"""A step that is run by itself: what it computes, and where all goes that is read later.

In: a plan. Out: its `Step`. Elementwise values are computed in the parts that are read of them
(`cutting`), and what products read of states is an array of its own, rounded when it is written.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from .cutting import cut
from .dependence import is_contraction
from .grouping import Copy, is_seen_through
from .ir import Node, Plan, leaf, rebuild, toposort


@dataclass(frozen=True, slots=True)
class Step:
    """One step of a loop, to be run by itself.

    Args:
        nodes: what it computes, operands first.
        copies: what is kept of every step, the states that change, and these as products read them.
        sums: what is summed over the steps -> the value of this one.
        rounded: states as products read them, in the program's type -> the states.
    """

    nodes: list[Node]
    copies: list[Copy]
    sums: dict[Node, Node]
    rounded: dict[Node, Node]


def one_step(plan: Plan) -> Step:
    """The step of a plan; what nobody reads is not computed."""
    summed = [n for n in plan.kept if n.op.name != "stack" and plan.computes(n.args[0])]
    goes = {n: n.args[0] for n in plan.kept if plan.computes(n.args[0])}
    goes |= {c.node: c.next for c in plan.scan.carries if c.next is not c.node}
    goes = _renamed(goes, cut(plan.step, list(goes.values())))
    goes, rounded = _with_rounded_states(plan, goes)
    nodes = _ordered(plan, goes.values())
    sums = {node: goes.pop(node) for node in summed}
    return Step(nodes, [Copy(value, array) for array, value in goes.items()], sums, rounded)


def _with_rounded_states(
    plan: Plan, goes: dict[Node, Node]
) -> tuple[dict[Node, Node], dict[Node, Node]]:
    """The same with products that read arrays of their own, where these go, and of what states."""
    rounded: dict[Node, Node] = {}  # state -> as products read it
    found: dict[Node, Node] = {}
    for node in _ordered(plan, goes.values()):
        args = tuple(found.get(arg, arg) for arg in node.args)
        if is_contraction(node):
            args = tuple(_rounded(arg, rounded) for arg in args)
        found[node] = rebuild(node, args)
    goes = _renamed(goes, found)
    goes |= {new: goes[state] for state, new in rounded.items() if state in goes}
    return goes, {new: state for state, new in rounded.items()}


def _rounded(operand: Node, rounded: dict[Node, Node]) -> Node:
    """What a product reads instead of a state, or of a view of one."""
    views = [operand]
    while is_seen_through(views[-1]):
        views.append(views[-1].args[0])
    state = views.pop()
    if state.op.name != "carry":
        return operand
    if state not in rounded:
        rounded[state] = leaf("carry", f"{state.attr}, rounded", state.type)
    found = rounded[state]
    for view in reversed(views):
        found = rebuild(view, (found,))
    return found


def _renamed(goes: dict[Node, Node], found: dict[Node, Node]) -> dict[Node, Node]:
    return {array: found.get(value, value) for array, value in goes.items()}


def _ordered(plan: Plan, roots: Iterable[Node]) -> list[Node]:
    """What the step computes for these, operands first, without leaves and what was before it."""
    before = {*plan.once, *plan.whole, *plan.block}
    order = toposort(roots, lambda node: node in before)
    return [node for node in order if node.args and node not in before]
