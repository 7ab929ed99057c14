"""The order in which the host computes: elementwise nodes of one shape together, in few groups.

In: nodes, operands first. Out: single nodes, and groups for a kernel each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import heappop, heappush
from typing import TypeAlias

from ..ir import Node
from .triton_values import Dims, extents

Domain: TypeAlias = tuple[str, Dims]


def domain_of(node: Node) -> Domain:
    """The leading axes and sizes that the nodes of a group share."""
    return node.type.lead, extents(node)


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
        if node.op.pointwise:
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
