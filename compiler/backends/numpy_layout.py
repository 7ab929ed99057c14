"""In which order the axes of a node's array lie in memory.

In: a plan. Out: for every node an `Order`. Values with gates lie gate-major ([4,B,H]), so that one
gate is contiguous; matrix states, and what a product contracts, keep the batch in front.
"""

from __future__ import annotations

from ..ir import Node, Plan
from .numpy_views import Dim, Order

ALIGNED = ("concat", "slice", "pad", "at")  # structured, but laid out as their operands


def logical_order(node: Node) -> Order:
    """Batch first, then the trailing axes."""
    lead: Order = ("B",) if "B" in node.type.axes else ()
    return (*lead, *range(node.type.rank))


def dims_of(node: Node, order: Order) -> tuple[Dim, ...]:
    """The sizes of a node's axes in this order."""
    return tuple("B" if axis == "B" else int(node.type.shape[int(axis)]) for axis in order)


class Layout:
    """The order chosen for every node of a plan."""

    def __init__(self, plan: Plan) -> None:
        self._row_major = _row_major(plan)

    def __call__(self, node: Node) -> Order:
        order = logical_order(node)
        if len(order) < 3 or order[0] != "B" or node in self._row_major:
            return order
        return (*order[1:-1], "B", order[-1])


def _drops_ones(node: Node) -> bool:
    """Whether a node is one gate, say, out of several."""
    if node.op.name != "reshape":
        return False
    old, new = ([d for d in n.type.shape if d != 1] for n in (node.args[0], node))
    return old == new


def _row_major(plan: Plan) -> set[Node]:
    """The values of rank 2 and more that keep the batch in front.

    Matrix states, and all that meets them element by element, since batched products want one
    matrix per row; and what a product with a weight contracts over several axes at once.
    """
    nodes = [*plan.block, *plan.step, *plan.whole, *plan.tail, *plan.late]
    group: dict[Node, Node] = {}

    def root(node: Node) -> Node:
        while (above := group.get(node, node)) is not node:
            group[node] = group.get(above, above)
            node = above
        return node

    fixed: set[Node] = set()
    for node in nodes:
        members = [n for n in (node, *node.args) if n.type.rank > 1 and "B" in n.type.axes]
        if node.op.name == "einsum":
            if any(not a.type.axes for a in node.args):  # with a weight
                members = [a for a in members if a is not node]
            fixed.update(members)
        elif node.op.pointwise or node.op.name in ALIGNED or _drops_ones(node):
            for other in members[1:]:
                group[root(other)] = root(members[0])
    for carry in plan.scan.carries:
        fixed.update(n for n in (carry.node, carry.next) if n.type.rank > 1)
    roots = {root(n) for n in fixed}
    every = {n for node in nodes for n in (node, *node.args)} | fixed
    return {n for n in every if root(n) in roots}
