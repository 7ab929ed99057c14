"""Alike elementwise operations on neighbouring parts become one.

In: a scan. Out: a scan with fewer elementwise operations on more elements each: what a call costs
is paid once for all gates.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, TypeAlias

from ..ir import Node, Scan, apply, const, rebuild

VIEWS = ("slice", "reshape", "at", "stack")
SQUASHING = {"sigmoid": (0.5, 0.5), "tanh": (1.0, 0.0)}  # s * tanh(s * x) + t

Sizes: TypeAlias = tuple[int, ...]


def merge(scan: Scan) -> Scan:
    """One operation on the whole for operations on its parts, from the operands upwards.

    Parts are rows of one axis, whichever it is: of an ensemble's gates it is the second.

    Before  i, f, g, o = sigmoid(p[0] + u[0]), sigmoid(p[1] + u[1]), tanh(p[2] + u[2]), ...
    After   s = [.5, .5, 1, .5];  i, f, g, o = s * tanh(s * (p + u)) + [.5, .5, 0, .5]

    Args:
        scan: verified.
    Returns:
        A scan with equal outputs; up to rounding where sigmoid(x) = tanh(x / 2) / 2 + 1/2 is used.
    Cost: one operation fewer for every part.
    """
    found: dict[Node, Node] = {}
    for level in _levels(list(scan)):
        merged = _merged([n for n in level if n.op.name not in VIEWS], found)
        for node in level:
            found[node] = merged.get(node) or rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _levels(order: list[Node]) -> list[list[Node]]:
    """Nodes by how many operations lie beneath them, views behind what they are views of."""
    depth: dict[Node, int] = {}
    levels: list[list[Node]] = []
    for node in order:
        below = max((depth[a] for a in node.args), default=0)
        depth[node] = below + (node.op.name not in VIEWS)
        while len(levels) <= depth[node]:
            levels.append([])
        levels[depth[node]].append(node)
    return [sorted(level, key=lambda n: n.op.name in VIEWS) for level in levels]


@dataclass(frozen=True, slots=True)
class _Frame:
    """The sizes of a value's axes before and behind the one along which it has parts."""

    front: Sizes
    behind: Sizes

    def around(self, *rows: int) -> Sizes:
        return (*self.front, *rows, *self.behind)

    @property
    def axis(self) -> int:
        return len(self.front)


@dataclass(frozen=True, slots=True)
class _Part:
    """Rows `start` to `stop` of one axis of a value."""

    whole: Node
    axis: int
    start: int
    stop: int

    @property
    def frame(self) -> _Frame:
        shape = tuple(int(d) for d in self.whole.type.shape)
        return _Frame(shape[: self.axis], shape[self.axis + 1 :])


Operand: TypeAlias = _Part | Node


@dataclass(frozen=True, slots=True)
class _Member:
    """An old node and its new operands; a part is given as such."""

    node: Node
    operands: tuple[Operand, ...]

    @property
    def parts(self) -> tuple[_Part, ...]:
        return tuple(o for o in self.operands if isinstance(o, _Part))

    @property
    def key(self) -> Any:
        """What members that can be merged have in common."""
        op = "squash" if self.node.op.name in SQUASHING else self.node.op.name
        operands = ((o.whole,) if isinstance(o, _Part) else _common(o) for o in self.operands)
        return (op, self.node.attr, self.parts[0].frame, *operands)


def _common(node: Node) -> Any:
    """An operand that is no part is the same one, or a number."""
    return "const" if node.op.name == "const" else node


def _merged(level: list[Node], found: dict[Node, Node]) -> dict[Node, Node]:
    """Each of the nodes that can be merged -> its part of the merged one."""
    groups: dict[Any, list[_Member]] = {}
    for node in level:
        if node.op.pointwise and len(node.args) > 0:
            member = _Member(node, tuple(_part_of(found[a]) or found[a] for a in node.args))
            if member.parts and len({(p.stop - p.start, p.frame) for p in member.parts}) == 1:
                groups.setdefault(member.key, []).append(member)
    merged: dict[Node, Node] = {}
    for group in groups.values():
        group.sort(key=lambda m: m.parts[0].start)
        for run in _runs(group):
            if len(run) > 1:
                merged |= _one(run)
    return merged


def _runs(members: list[_Member]) -> Iterable[list[_Member]]:
    """Maximal stretches of members that lie side by side in every whole."""
    run = [members[0]]
    for member in members[1:]:
        pairs = zip(run[-1].parts, member.parts, strict=True)
        if all(before.stop == behind.start for before, behind in pairs):
            run.append(member)
        else:
            yield run
            run = [member]
    yield run


def _part_of(node: Node) -> _Part | None:
    """`node` as rows of one axis of a value, if it is such a part."""
    borders: list[Node] = []
    while node.op.name in ("reshape", "at", "stack"):
        if node.op.name != "reshape":
            borders.append(node)
        node = node.args[0]
    if node.op.name != "slice" or node.type.rank < 1:
        return None
    whole = node.args[0]
    pairs = zip(node.attr, whole.type.shape, strict=True)
    cut = [axis for axis, (bounds, dim) in enumerate(pairs) if bounds != (0, dim)] or [0]
    if len(cut) > 1:
        return None
    for border in reversed(borders):
        whole = apply(border.op, whole)
    return _Part(whole, cut[0], *node.attr[cut[0]])


def _one(run: list[_Member]) -> dict[Node, Node]:
    """The merged operation; each member as a part of it."""
    frame = run[0].parts[0].frame
    counts = [m.parts[0].stop - m.parts[0].start for m in run]
    rows: Sizes = (sum(counts),)
    if any(isinstance(o, Node) and o.op.name != "const" for o in run[0].operands):
        rows = (len(run), counts[0])  # a common operand is repeated along an axis of its own
    operands = []
    for at, operand in enumerate(run[0].operands):
        others = [m.operands[at] for m in run]
        if isinstance(operand, _Part):
            stop = max(o.stop for o in others if isinstance(o, _Part))
            part = _rows(operand.whole, operand.start, stop, frame)
            operands.append(_shaped(part, frame.around(*rows)))
        elif operand.op.name == "const":
            values = [o.attr[0] for o in others if isinstance(o, Node)]
            numbers = _by_part(values, counts, frame, operand.type.kind)
            operands.append(_shaped(numbers, frame.around(*rows)))
        else:
            one = _shaped(operand, frame.around(1, counts[0]))
            operands.append(apply("broadcast", one, attr=frame.around(*rows)))
    names = [m.node.op.name for m in run]
    if len(set(names)) == 1:
        whole = apply(run[0].node.op, *operands, attr=run[0].node.attr, span=run[0].node.span)
    else:
        scale, shift = (_by_part([SQUASHING[n][i] for n in names], counts, frame) for i in (0, 1))
        whole = apply("tanh", operands[0] * scale) * scale + shift
    whole = _shaped(whole, frame.around(sum(counts)))
    found: dict[Node, Node] = {}
    start = 0
    for member, count in zip(run, counts, strict=True):
        part = _rows(whole, start, start + count, frame)
        found[member.node] = _shaped(part, tuple(int(d) for d in member.node.type.shape))
        start += count
    return found


def _shaped(node: Node, shape: Sizes) -> Node:
    return node if node.type.shape == shape else apply("reshape", node, attr=shape)


def _rows(whole: Node, start: int, stop: int, frame: _Frame) -> Node:
    if (start, stop) == (0, whole.type.shape[frame.axis]):
        return whole
    bounds = [(0, size) for size in frame.around(stop)]
    bounds[frame.axis] = (start, stop)
    return apply("slice", whole, attr=tuple(bounds))


def _by_part(values: list[float], counts: list[int], frame: _Frame, kind: str = "real") -> Node:
    """A number for each part."""
    if len({repr(v) for v in values}) == 1:
        return const(values[0], frame.around(sum(counts)), kind)
    parts = [const(v, frame.around(n), kind) for v, n in zip(values, counts, strict=True)]
    return apply("concat", *parts, attr=frame.axis)
