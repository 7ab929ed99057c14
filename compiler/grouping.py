"""Elementwise nodes of one shape together, in as few groups as can be: a kernel for each.

In: nodes, operands first. Out: single nodes, and groups, in an order in which they can be computed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from .dependence import is_contraction
from .ir import Node, apply

Domain: TypeAlias = tuple[str, tuple[int, ...]]


def domain_of(node: Node) -> Domain:
    """The leading axes and sizes that the nodes of a group share; axes of one element are none."""
    return node.type.lead, tuple(int(dim) for dim in node.type.shape if dim != 1)


def renamed(node: Node) -> Node | None:
    """The value of which a node has the elements in the same places; None if it is no such one."""
    if node.op.name not in ("reshape", "stop_gradient"):
        return None
    (value,) = node.args
    return value if domain_of(value) == domain_of(node) else None


def is_elementwise(node: Node) -> bool:
    """Whether a group computes a node, or has computed it under another name."""
    while (value := renamed(node)) is not None:
        node = value
    return node.op.pointwise or is_outer(node)


def is_outer(node: Node) -> bool:
    """Whether a node is a product that sums nothing."""
    return node.op.name == "einsum" and not node.attr[1] and not is_contraction(node)


def factors(node: Node) -> tuple[Node, ...]:
    """Of a product that sums nothing, its operands as views of its own shape, to be multiplied."""
    letters, out = node.attr[0].split("->")
    found = []
    for names, operand in zip(letters.split(","), node.args, strict=True):
        axes = dict(zip(names, operand.type.shape, strict=True))
        mine = [x for x in out if x in axes]
        view = apply("transpose", operand, attr=tuple(names.index(x) for x in mine))
        view = apply("reshape", view, attr=tuple(axes.get(x, 1) for x in out))
        found.append(apply("broadcast", view, attr=node.type.shape))
    return tuple(found)


def operands(node: Node) -> tuple[Node, ...]:
    """What a group reads for an elementwise node; of others nothing."""
    if is_outer(node):
        return factors(node)
    return node.args if node.op.pointwise else ()


def unshaped(node: Node) -> Node:
    """The value with the same elements in the same order that was shaped last of all."""
    while node.op.name in ("reshape", "stop_gradient"):
        node = node.args[0]
    return node


def in_groups(nodes: Sequence[Node]) -> Iterator[Node | list[Node]]:
    """Each node once, after its operands: whatever is ready goes first that is in no group.

    A group takes all that its own nodes make ready, but for products of them that sum nothing:
    these read other elements. Cost: linear in the nodes and their operands, times a logarithm.
    """
    place = {node: at for at, node in enumerate(nodes)}
    missing = {node: {a for a in node.args if a in place} for node in nodes}
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for arg in missing[node]:
            readers.setdefault(arg, []).append(node)
    single: list[int] = []  # places of what is ready, the first one first
    grouped: dict[Domain, list[int]] = {}

    def release(ready: Iterable[Node]) -> None:
        for node in ready:
            grouping = grouped.setdefault(domain_of(node), []) if is_elementwise(node) else single
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
        domain = min(grouped, key=lambda d: grouped[d][0])
        group, waiting = list[Node](), list[Node]()
        while grouped[domain]:
            group.append(nodes[heappop(grouped[domain])])
            freed = list(freed_by(group[-1]))
            waiting += filter(is_outer, freed)
            release(node for node in freed if not is_outer(node))
        del grouped[domain]
        yield group
        release(waiting)
