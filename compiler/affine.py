"""Steps that are affine in the states, place by place: h' = a * h + b, or [u' v'] = A [u v] + b.

In: a scan. Out: its carries in groups that read each other, a few numbers at each place; the
coefficients of each, which read no carry but those of groups before it; or None. A running maximum
is one of them, h' = max(a + h, b).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import or_
from typing import Literal

from .dependence import affine_nodes, is_aligned
from .derive import jvp
from .extremum import Join, extremum
from .ir import Carry, Node, Scan, apply, const, rebuild, toposort
from .rewrite import simplified, substitute

WIDEST = 2  # carries of a group: a complex state, or an oscillator's place and speed


@dataclass(frozen=True, slots=True)
class Affine:
    """Carries whose next values are `factors @ carries + rests`, at each place by itself.

    Of a running extremum, the join is what adds, and the sum what multiplies.
    """

    carries: tuple[Carry, ...]
    factors: tuple[tuple[Node, ...], ...]  # a row for each carry
    rests: tuple[Node, ...]
    join: Literal["add"] | Join = "add"


def affine(scan: Scan) -> tuple[Affine, ...] | None:
    """The groups of a scan, first what others read; None if one is not affine, or is too wide."""
    plain = _without_stops([c.next for c in scan.carries])
    found: list[Affine] = []
    for group in _groups(scan.carries, plain):
        made = _linear(group, plain) or _extremum(group, plain)
        if made is None:
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


def _linear(group: Sequence[Carry], plain: Mapping[Node, Node]) -> Affine | None:
    if len(group) > WIDEST:
        return None
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
    return _free(Affine(tuple(group), tuple(map(tuple, factors)), tuple(rests)))


def _extremum(group: Sequence[Carry], plain: Mapping[Node, Node]) -> Affine | None:
    found = extremum(group[0].node, plain[group[0].next]) if len(group) == 1 else None
    if found is None:
        return None
    return _free(Affine(tuple(group), ((found.factor,),), (found.rest,), found.join))


def _free(group: Affine) -> Affine | None:
    """The group with its coefficients at their simplest, if these are free of its carries."""
    simple = simplified([*(a for row in group.factors for a in row), *group.rests])
    factors = tuple(tuple(simple[a] for a in row) for row in group.factors)
    rests = tuple(simple[rest] for rest in group.rests)
    read = toposort([*(a for row in factors for a in row), *rests])
    if {carry.node for carry in group.carries} & set(read):
        return None
    return replace(group, factors=factors, rests=rests)


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
