"""Elementwise values of which parts alone are read, computed where each part is.

In: the nodes of a step, and which of them are read elsewhere. Out: for each node the one that takes
its place. Gates that were joined for one product are elementwise together until each goes its own
way: taken apart right behind the product, one kernel does all the rest, and reads the parts where
they lie.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from .ir import Node, apply, const, rebuild
from .shapes import size

Bounds: TypeAlias = Any  # the attr of a slice


def cut(nodes: Sequence[Node], read: Sequence[Node]) -> dict[Node, Node]:
    """For each node the one that takes its place, if `read` alone are read elsewhere, whole."""
    wanted = _read_in_parts(nodes, read)
    found: dict[Node, Node] = {}
    parts: dict[tuple[Node, Bounds], Node] = {}

    def part_of(node: Node, bounds: Bounds) -> Node:
        if (node, bounds) in parts:
            return parts[node, bounds]
        if node.op.name == "const":
            value, _, kind = node.attr
            return const(value, tuple(stop - start for start, stop in bounds), kind)
        return apply("slice", found.get(node, node), attr=bounds)

    for node in nodes:
        for bounds in wanted.get(node, ()):
            args = tuple(part_of(arg, bounds) for arg in node.args)
            parts[node, bounds] = rebuild(node, args)
        if node.op.name == "slice":
            found[node] = part_of(node.args[0], node.attr)
        else:
            found[node] = rebuild(node, tuple(found.get(arg, arg) for arg in node.args))
    return found


def _read_in_parts(nodes: Sequence[Node], read: Sequence[Node]) -> dict[Node, dict[Bounds, None]]:
    """Elementwise values whose every reader is a slice, or another such value: by which slices."""
    readers: dict[Node, list[Node]] = {}
    for node in nodes:
        for arg in node.args:
            readers.setdefault(arg, []).append(node)
    found: dict[Node, dict[Bounds, None]] = {}
    whole = set(read)
    for node in reversed(nodes):
        mine = readers.get(node, [])
        if not node.op.pointwise or node in whole or not mine:
            continue
        if all(n.op.name == "slice" or n in found for n in mine):
            every = (found.get(n) or {n.attr: None} for n in mine)
            bounds = {each: None for some in every for each in some}
            elements = sum(size(tuple(stop - start for start, stop in each)) for each in bounds)
            if elements <= size(node.type.shape):  # in all no more is computed
                found[node] = bounds
    return found
