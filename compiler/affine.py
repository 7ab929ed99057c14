"""Steps that are affine in the states, place by place: h' = a * h + b, or [u' v'] = A [u v] + b.

In: a plan. Out: its carries in groups that read each other, a few numbers at each place; the
coefficients of each, which read no carry but those of groups before it; or None.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import reduce
from operator import or_

from .dependence import affine_nodes, is_aligned
from .derive import jvp
from .ir import Carry, Node, Plan, apply, const, rebuild, toposort
from .rewrite import simplified, substitute

WIDEST = 2  # carries of a group: a complex state, or an oscillator's place and speed


@dataclass(frozen=True, slots=True)
class Affine:
    """Carries whose next values are `factors @ carries + rests`, at each place by itself."""

    carries: tuple[Carry, ...]
    factors: tuple[tuple[Node, ...], ...]  # a row for each carry
    rests: tuple[Node, ...]


def affine(plan: Plan) -> tuple[Affine, ...] | None:
    """The groups of a plan, first what others read; None if one is not affine, or is too wide."""
    plain = _without_stops([c.next for c in plan.scan.carries])
    found: list[Affine] = []
    for group in _groups(plan.scan.carries, plain):
        made = _affine(group, plain) if len(group) <= WIDEST else None
        if made is None:
            return None
        coefficients = [*(a for row in made.factors for a in row), *made.rests]
        if {carry.node for carry in group} & set(toposort(coefficients)):
            return None
        found.append(made)
    return tuple(found)


def _groups(carries: Sequence[Carry], nexts: Mapping[Node, Node]) -> list[list[Carry]]:
    """Carries that read each other, be it through others, together; what is read, first.

    Equals stand in the order of the plan.
    """
    reads = {carry.node: 1 << at for at, carry in enumerate(carries)}  # sets, as bits
    for node in toposort(nexts[carry.next] for carry in carries):
        if node not in reads:
            reads[node] = reduce(or_, (reads[a] for a in node.args), 0)
    reached = [reads[carry.node] | reads[nexts[carry.next]] for carry in carries]
    for middle in range(len(carries)):  # as in Warshall's algorithm
        reached = [r | reached[middle] if r >> middle & 1 else r for r in reached]
    groups: dict[int, list[Carry]] = {}
    for at, carry in enumerate(carries):
        back = sum(1 << by for by, theirs in enumerate(reached) if theirs >> at & 1)
        groups.setdefault(reached[at] & back, []).append(carry)
    # What a group reads reaches less than the group does.
    return sorted(groups.values(), key=lambda g: reached[carries.index(g[0])].bit_count())


def _affine(group: Sequence[Carry], plain: Mapping[Node, Node]) -> Affine | None:
    nexts = [plain[carry.next] for carry in group]
    order = toposort(nexts)
    linear = affine_nodes(order, _reading({c.node for c in group}, order))
    if any(node not in linear for node in nexts) or not is_aligned(group):
        return None
    shape = group[0].node.type.shape
    ones = apply("spread", const(1.0, shape), attr="B")
    zeros = apply("spread", const(0.0, shape), attr="B")
    columns = [jvp({carry.node: ones}, nexts) for carry in group]
    factors = [[column.get(next_, zeros) for column in columns] for next_ in nexts]
    bare = substitute(nexts, {carry.node: zeros for carry in group})
    rests = [bare[next_] for next_ in nexts]
    simple = simplified([*(a for row in factors for a in row), *rests])
    return Affine(
        tuple(group),
        tuple(tuple(simple[a] for a in row) for row in factors),
        tuple(simple[rest] for rest in rests),
    )


def _reading(carries: set[Node], order: list[Node]) -> set[Node]:
    """What depends on carries, and they."""
    found = set(carries)
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
