"""Elementwise nodes of one shape together, in few groups: a kernel for each.

In: nodes, operands first, and which values also go to arrays of other nodes. Out: single nodes, and
groups, in an order in which they can be computed; what a group has at hand it writes wherever that
goes, and what none has, one that runs anyway reads and copies, if there is one.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from heapq import heappop, heappush
from typing import TypeAlias

from .dependence import is_outer
from .ir import Node

Lattice: TypeAlias = tuple[str, tuple[int, ...]]

MOST_IN_A_GROUP = 128  # nodes: with more, a compiler takes minutes, and runs out of registers


@dataclass(frozen=True, slots=True)
class Copy:
    """A value that also goes to the array of another node: all of it, or one part of an axis."""

    value: Node
    array: Node  # what is kept of every step, the state that it is next, or parts joined
    part: tuple[int, int] | None = None  # the axis, and where on it the value begins

    @property
    def lattice(self) -> Lattice:
        """Of the elements that are written: of an array of all steps, those of one."""
        if self.part:
            return lattice_of(self.value)
        lead, dims = lattice_of(self.array)
        return lead.replace("T", ""), dims


@dataclass(slots=True, eq=False)
class Group:
    """Elementwise nodes of one kernel, and what it copies; some of that it reads for this alone."""

    lattice: Lattice
    nodes: list[Node] = field(default_factory=list)
    copies: list[Copy] = field(default_factory=list)
    reads: list[Node] = field(default_factory=list)


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


def arrange(
    nodes: Sequence[Node], copies: Sequence[Copy] = ()
) -> tuple[list[Node | Group], list[Node]]:
    """The order in which nodes are computed, by whom values are copied, and what is joined so.

    Returns:
        Nodes and groups in order; and the concatenations that are missing from it, since groups
        write all their parts.
    """
    order: list[Node | Group] = [
        Group(lattice_of(each[0]), each) if isinstance(each, list) else each
        for each in in_groups(nodes)
    ]
    copying = _Copying(order)
    joined = [node for node in order if isinstance(node, Node) and copying.can_join(node)]
    to_joined = {node: list(_parts(node)) for node in joined}
    for copy in copies:
        for part in to_joined.get(copy.value, ()):
            copying.give(replace(part, array=copy.array))
        if copy.value not in to_joined:
            copying.give(copy)
    for part in itertools.chain.from_iterable(to_joined.values()):
        copying.give(part)
    return [each for each in order if each not in to_joined], joined


def _parts(joined: Node) -> Iterator[Copy]:
    """The operands of a concatenation, each a part of it."""
    start, axis = 0, joined.attr
    for arg in joined.args:
        yield Copy(arg, joined, (axis, start))
        start += int(arg.type.shape[axis])


class _Copying:
    """Who copies what, of nodes and groups in order; it may add groups behind them."""

    def __init__(self, order: list[Node | Group]) -> None:
        self._order = order
        self._place: dict[Node, int] = {}
        self._first: dict[tuple[Lattice, Node], Group] = {}  # that has a value at hand
        self._last: dict[Lattice, int] = {}
        for at, each in enumerate(order):
            if isinstance(each, Node):
                self._place[each] = at
                continue
            self._last[each.lattice] = at
            for node in each.nodes:
                self._place[node] = at
                # What a product that sums nothing reads, it reads as views of another shape.
                for value in (node, *(() if is_outer(node) else node.args)):
                    self._first.setdefault((each.lattice, unshaped(value)), each)

    def can_join(self, node: Node) -> bool:
        """Whether a node is a concatenation of what groups of the right shape compute."""
        return node.op.name == "concat" and all(
            arg.type.lead == node.type.lead
            and (at := self._place.get(unshaped(arg))) is not None
            and isinstance(group := self._order[at], Group)
            and group.lattice == lattice_of(arg)
            for arg in node.args
        )

    def give(self, copy: Copy) -> None:
        """Have the first group copy a value that has it at hand.

        Else the last one of its shape, if the value is there by then; else a group of its own.
        """
        lattice = copy.lattice
        first = self._first.get((lattice, unshaped(copy.value)))
        if first is not None and lattice_of(copy.value) == lattice:
            first.copies.append(copy)
            return
        last = self._last.get(lattice, -1)
        if last <= self._place.get(array_of(copy.value), -1):
            last = self._last[lattice] = len(self._order)
            self._order.append(Group(lattice))
        group = self._order[last]
        assert isinstance(group, Group)
        group.copies.append(copy)
        group.reads.append(copy.value)


def is_seen_through(node: Node) -> bool:
    """Whether a kernel reads a node where that lies of which it is a view."""
    return node.op.view or node.op.name in ("at", "spread")


def array_of(node: Node) -> Node:
    """What a view is of."""
    while is_seen_through(node):
        node = node.args[0]
    return node


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
        while grouped[lattice] and len(group) < MOST_IN_A_GROUP:
            group.append(nodes[heappop(grouped[lattice])])
            freed = list(freed_by(group[-1]))
            waiting += filter(is_outer, freed)
            release(node for node in freed if not is_outer(node))
        if not grouped[lattice]:
            del grouped[lattice]
        yield group
        release(waiting)
