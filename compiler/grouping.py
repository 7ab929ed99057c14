"""Elementwise nodes of one shape together, in as few groups as can be: a kernel for each.

In: nodes, operands first. Out: single nodes, and groups, in an order in which they can be computed.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from .ir import Node

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
    return node.op.pointwise


def unshaped(node: Node) -> Node:
    """The value with the same elements in the same order that was shaped last of all."""
    while node.op.name in ("reshape", "stop_gradient"):
        node = node.args[0]
    return node


def in_groups(nodes: Sequence[Node]) -> Iterator[Node | list[Node]]:
    """Each node once, after its operands: whatever is ready goes first that is in no group.

    A group takes all that its own nodes make ready. Cost: linear in the nodes and their operands,
    times a logarithm.
    """
    place = {node: at for at, node in enumerate(nodes)}
    missing = {node: {a for a in node.args if a in place} for node in nodes}
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for arg in missing[node]:
            readers.setdefault(arg, []).append(node)
    single: list[int] = []  # places of what is ready, the first one first
    grouped: dict[Domain, list[int]] = {}

    def release(node: Node) -> None:
        if is_elementwise(node):
            heappush(grouped.setdefault(domain_of(node), []), place[node])
        else:
            heappush(single, place[node])

    def done(node: Node) -> None:
        for reader in readers.get(node, ()):
            missing[reader].discard(node)
            if not missing[reader]:
                release(reader)

    for node in nodes:
        if not missing[node]:
            release(node)
    while single or grouped:
        if single:
            node = nodes[heappop(single)]
            yield node
            done(node)
            continue
        domain = min(grouped, key=lambda d: grouped[d][0])
        group: list[Node] = []
        while grouped[domain]:
            group.append(nodes[heappop(grouped[domain])])
            done(group[-1])
        del grouped[domain]
        yield group
