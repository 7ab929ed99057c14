"""Steps that are affine in each state, element by element: h' = a * h + b.

In: a plan. Out: a and b of every carry, which read no carry; or None.
"""

from __future__ import annotations

from dataclasses import dataclass

from .dependence import affine_nodes, is_diagonal
from .derive import jvp
from .ir import Carry, Node, Plan, apply, const, rebuild, toposort
from .rewrite import simplified, substitute


@dataclass(frozen=True, slots=True)
class Affine:
    """A carry whose next value is `factor * carry + rest`, element by element."""

    carry: Carry
    factor: Node
    rest: Node


def affine(plan: Plan) -> tuple[Affine, ...] | None:
    """Every carry of a plan as such; None if one of them is not."""
    carries = {c.node for c in plan.scan.carries}
    found: list[Affine] = []
    plain = _without_stops([c.next for c in plan.scan.carries])
    for carry in plan.scan.carries:
        shape, next_ = carry.node.type.shape, plain[carry.next]
        order = toposort([next_])
        if carry.node in order and not (
            next_ in affine_nodes(order, _reading(carry.node, order)) and is_diagonal([carry])
        ):
            return None
        ones = apply("spread", const(1.0, shape), attr="B")
        zeros = apply("spread", const(0.0, shape), attr="B")
        factor = jvp({carry.node: ones}, [next_]).get(next_, zeros)
        rest = substitute([next_], {carry.node: zeros})[next_]
        simple = simplified([factor, rest])
        factor, rest = simple[factor], simple[rest]
        if carries & set(toposort([factor, rest])):
            return None
        found.append(Affine(carry, factor, rest))
    return tuple(found)


def _reading(carry: Node, order: list[Node]) -> set[Node]:
    """What depends on a carry."""
    found = {carry}
    for node in order:
        if any(a in found for a in node.args):
            found.add(node)
    return found


def _without_stops(roots: list[Node]) -> dict[Node, Node]:
    """Values as they are: where a gradient stops is no matter of theirs."""
    found: dict[Node, Node] = {}
    for node in toposort(roots):
        args = tuple(found[a] for a in node.args)
        found[node] = args[0] if node.op.name == "stop_gradient" else rebuild(node, args)
    return found
