"""Elementwise nodes of one shape together, in few groups: a kernel for each.

In: nodes, operands first. Out: single nodes, and groups, in an order in which they can be computed;
and what of a step its groups have at hand.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from .dependence import is_outer
from .ir import Node

Lattice: TypeAlias = tuple[str, tuple[int, ...]]


def lattice_of(node: Node) -> Lattice:
    """The leading axes and sizes that the nodes of a group share; axes of one element are none."""
    return node.type.lead, tuple(int(dim) for dim in node.type.shape if dim != 1)


def same_elements(node: Node) -> Node | None:
    """The value that has the same elements in the same places; None if there is none."""
    if node.op.name not in ("reshape", "stop_gradient"):
        return None
    (value,) = node.args
    return value if lattice_of(value) == lattice_of(node) else None


def joins_a_group(node: Node) -> bool:
    """Whether a node is elementwise, or another name of such a one."""
    while (value := same_elements(node)) is not None:
        node = value
    return node.op.pointwise or is_outer(node)


def unshaped(node: Node) -> Node:
    """The value below all reshapes: the same elements in the same order."""
    while node.op.name in ("reshape", "stop_gradient"):
        node = node.args[0]
    return node


def at_hand(nodes: Iterable[Node], lattice: Lattice) -> dict[Node, Node]:
    """What a kernel of this lattice has, of nodes it reads or computes: by the value below."""
    return {unshaped(node): node for node in nodes if lattice_of(node) == lattice}


def in_groups(nodes: Sequence[Node]) -> Iterator[Node | list[Node]]:
    """Each node once, after its operands: whatever is ready goes first that is in no group.

    A group takes all that its own nodes make ready, but for products of them that sum nothing:
    these read other elements. Cost: linear in the nodes and their operands, times a logarithm, and
    in the groups times the shapes there are.
    """
    place = {node: at for at, node in enumerate(nodes)}
    missing = {node: {a for a in node.args if a in place} for node in nodes}
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for arg in missing[node]:
            readers.setdefault(arg, []).append(node)
    single: list[int] = []  # places of what is ready, the first one first
    grouped: dict[Lattice, list[int]] = {}

    def release(ready: Iterable[Node]) -> None:
        for node in ready:
            grouping = grouped.setdefault(lattice_of(node), []) if joins_a_group(node) else single
            heappush(grouping, place[node])

    def freed_by(node: Node) -> Iterator[Node]:
        for reader in readers.get(node, ()):
            missing[reader].discard(node)
            if not missing[reader]:
                yield reader

    release(node for node in nodes if not missing[node])
    while single or grouped:
        if single:
            node = nodes[heappop(single)]
            yield node
            release(freed_by(node))
            continue
        lattice = min(grouped, key=lambda d: grouped[d][0])
        group, waiting = list[Node](), list[Node]()
        while grouped[lattice]:
            group.append(nodes[heappop(grouped[lattice])])
            freed = list(freed_by(group[-1]))
            waiting += filter(is_outer, freed)
            release(node for node in freed if not is_outer(node))
        del grouped[lattice]
        yield group
        release(waiting)
