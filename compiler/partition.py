"""A step divided among programs: heads, channels, units, rows of a matrix state.

In: a plan, and into how many blocks. Out: the plan of one block, the same step on smaller shapes,
and along which axis each array outside it is divided; or None where blocks would need each other
more than they may.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from types import MappingProxyType
from typing import Any, TypeAlias

from .dependence import is_contraction
from .ir import Carry, Node, Plan, Scan, apply, leaf, toposort
from .shapes import Type

Axis: TypeAlias = int | None  # the trailing axis that is divided; None: every block has all of it

EMPTY: Mapping[Node, Node] = MappingProxyType({})
MOST_CHOICES = 64  # ways to divide the carries that are tried


@dataclass(frozen=True, slots=True)
class Array:
    """What a node of a block is outside it: the node whose array it is in, and its divided axis."""

    node: Node
    axis: Axis = None


@dataclass(frozen=True, slots=True)
class Block:
    """The plan of one of `count` blocks; `arrays` tells what its leaves and results belong to.

    What its plan keeps is what the loop computes: of the rest the host knows.
    """

    plan: Plan
    count: int = 1
    arrays: dict[Node, Array] = field(default_factory=dict)
    carries: dict[str, Carry] = field(default_factory=dict)  # the whole step's, by name

    def array(self, node: Node) -> Array:
        """The array a node of the block is in."""
        return self.arrays.get(node, Array(node))


class _Conflict(Exception):
    """Blocks would need each other."""


def undivided(plan: Plan) -> Block:
    """The plan as its only block."""
    kept = tuple(n for n in plan.kept if plan.computes(n.args[0]))
    return Block(replace(plan, kept=kept), 1, {}, {c.name: c for c in plan.scan.carries})


def partition(
    plan: Plan,
    count: int,
    *,
    exchange: bool = False,
    among: Sequence[Carry] = (),
    given: Mapping[Node, Node] = EMPTY,
) -> Block | None:
    """Divide a step into `count` blocks.

    Before  h' = a * h + x[t]                   h: real[B,64]
    After   h' = a * h + x[t]                   h: real[B,16], one of 4 blocks

    Args:
        plan: of a verified scan.
        count: at least 2.
        exchange: whether a block may read all of a carry, as it was before the step. Otherwise
            blocks are independent: they may be whole loops apart.
        among: the carries of the whole step, of which the plan advances some.
        given: values that lie in memory: the stack that each is in.
    Returns:
        The plan of a block, or None: an axis of every carry must divide into `count` parts, and
        what a block needs of the others must not be a product that they compute in the same step.
    Cost: linear in the nodes of the step, times the ways to divide the carries that are tried.
    """
    carries = among or plan.scan.carries
    if not carries:
        return None
    options = [
        [axis for axis, dim in enumerate(c.node.type.shape) if dim % count == 0] for c in carries
    ]
    for tried, axes in enumerate(product(*options)):
        if tried >= MOST_CHOICES:
            break
        try:
            found = dict(zip((c.node for c in carries), axes, strict=True))
            return _Division(plan, count, found, exchange, given).block(carries)
        except _Conflict:
            continue
    return None


class _Division:
    """One way to divide: an axis for every carry."""

    def __init__(
        self,
        plan: Plan,
        count: int,
        axes: dict[Node, int],
        exchange: bool,
        given: Mapping[Node, Node],
    ) -> None:
        self.plan, self.count, self.exchange, self.given = plan, count, exchange, given
        self.axes = axes  # of the carries
        self.found: dict[tuple[Node, Axis], Node] = {}
        self.arrays: dict[Node, Array] = {}
        self.step = set(plan.step)
        for carry in plan.scan.carries:
            self._leaf("carry", carry.node, axes[carry.node])

    def block(self, among: Sequence[Carry]) -> Block:
        scan = self.plan.scan
        carries = tuple(self._carry(c) for c in scan.carries)
        kept = tuple(self._kept(n) for n in self.plan.kept if self.plan.computes(n.args[0]))
        order = toposort([*(c.next for c in carries), *kept])
        step = tuple(n for n in order if n.args and n not in kept)
        local = Scan(scan.name, (), (), carries, (), scan.reverse)
        plan = Plan(local, (), (), (), step, kept, (), ())
        return Block(plan, self.count, self.arrays, {c.name: c for c in among})

    def _carry(self, carry: Carry) -> Carry:
        axis = self.axes[carry.node]
        node, next_ = self.found[carry.node, axis], self._local(carry.next, axis)
        return Carry(carry.name, node, leaf("input", carry.name, node.type), next_)

    def _kept(self, node: Node) -> Node:
        """What a block leaves behind: its part, along the axis that its value is divided."""
        value = node.args[0]
        axes = [at for at, dim in enumerate(value.type.shape) if dim % self.count == 0]
        for axis in sorted(axes, key=lambda at: (value, at) not in self.found):
            try:
                local = apply(node.op, self._local(value, axis), attr=node.attr)
            except _Conflict:
                continue
            self.arrays[local] = Array(node, axis)
            return local
        raise _Conflict  # every block would write all of it

    def _local(self, root: Node, axis: Axis) -> Node:
        """A node in a block; iterative, since graphs are deep."""
        todo = [(root, axis)]
        while todo:
            node, axis = todo[-1]
            if (node, axis) in self.found:
                todo.pop()
                continue
            if node in self.given:
                self._leaf("input", self.given[node], axis)
                self.found[node, axis] = apply("at", self.found[self.given[node], axis])
            elif node.op.name in ("const", "iota"):
                self.found[node, axis] = self._made(node, axis)
            elif node.op.name == "carry":
                if not self.exchange or axis not in (None, self.axes[node]):
                    raise _Conflict
                self._leaf("input", node, axis)
            elif node not in self.step and not self._is_seen_through(node, axis):
                self._leaf("input" if node.type.axes else "param", node, axis)
            elif axis is None and is_contraction(node):
                raise _Conflict  # every block would compute all of a product
            else:
                wanted = list(zip(node.args, operand_axes(node, axis, self.count), strict=True))
                missing = [pair for pair in wanted if pair not in self.found]
                if missing:
                    todo += missing
                    continue
                args = [self.found[pair] for pair in wanted]
                attr = _local_attr(node, self._shape(node, axis), axis)
                self.found[node, axis] = apply(node.op, *args, attr=attr, span=node.span)
            todo.pop()
        return self.found[root, axis]

    def _is_seen_through(self, node: Node, axis: Axis) -> bool:
        """Whether a node before the loop is a view that a block can take of its own part."""
        if not (node.op.view and node.args):
            return False
        try:
            operand_axes(node, axis, self.count)
        except _Conflict:
            return False
        return True

    def _leaf(self, op: str, node: Node, axis: Axis) -> None:
        type_ = Type(self._shape(node, axis), node.type.kind, node.type.axes)
        local = leaf(op, f"{node.label or node.op.name}.{len(self.arrays)}", type_)
        self.found[node, axis] = local
        self.arrays[local] = Array(node, axis)

    def _made(self, node: Node, axis: Axis) -> Node:
        if axis is None:
            return node
        if node.op.name == "iota":
            if node.attr[1] == axis:
                raise _Conflict  # its numbers differ from block to block
            return apply(node.op, attr=(self._shape(node, axis), node.attr[1]))
        value, _, kind = node.attr
        return apply(node.op, attr=(value, self._shape(node, axis), kind))

    def _shape(self, node: Node, axis: Axis) -> tuple[int, ...]:
        return tuple(
            int(dim) // self.count if at == axis else int(dim)
            for at, dim in enumerate(node.type.shape)
        )


def operand_axes(node: Node, axis: Axis, count: int) -> list[Axis]:
    """Along which axis each operand is divided if the result is along `axis`.

    Raises:
        _Conflict: a block of the result needs more than a block of each operand.
    """
    if axis is None:
        return [None] * len(node.args)
    if node.op.pointwise:
        return [axis] * len(node.args)
    match node.op.name:
        case "at" | "spread" | "total" | "stop_gradient":
            return [axis]
        case "slice":
            whole = (0, int(node.args[0].type.shape[axis]))
            return [_unless(tuple(node.attr[axis]) != whole, axis)]
        case "pad":
            return [_unless(tuple(node.attr[axis]) != (0, 0), axis)]
        case "flip":
            return [_unless(node.attr == axis, axis)]
        case "cumsum":
            return [_unless(node.attr[0] == axis, axis)]
        case "concat":
            return [_unless(node.attr == axis, axis)] * len(node.args)
        case "transpose":
            return [int(node.attr[axis])]
        case "sum" | "amax":
            return [axis if axis < node.attr else axis + 1]
        case "broadcast":
            return [axis if node.args[0].type.shape[axis] == node.type.shape[axis] else None]
        case "reshape":
            return [_before_reshape(node, axis, count)]
        case "einsum":
            letters, out = node.attr[0].split("->")
            return [
                names.index(out[axis]) if out[axis] in names else None
                for names in letters.split(",")
            ]
        case "take":
            return [axis + 1, None]
        case "scatter":
            return [None, _unless(axis == 0, axis - 1)]
    raise _Conflict


def _unless(conflict: bool, axis: int) -> int:
    if conflict:
        raise _Conflict
    return axis


def _before_reshape(node: Node, axis: int, count: int) -> int:
    """The operand's axis that falls into the same blocks: an outermost one of those joined."""
    old, new = node.args[0].type.shape, node.type.shape
    inside = 1
    for dim in new[axis + 1 :]:
        inside *= int(dim)
    total = inside * int(new[axis])
    # Blocks are runs of `inside * new[axis] / count` elements that repeat every `total`.
    behind = 1
    for at in reversed(range(len(old))):
        wide = behind * int(old[at])
        if wide == total and old[at] % count == 0:
            return at
        behind = wide
    raise _Conflict


def _local_attr(node: Node, shape: tuple[int, ...], axis: Axis) -> Any:
    """What a node's attr is in a block."""
    if axis is None:
        return node.attr
    match node.op.name:
        case "reshape" | "broadcast":
            return shape
        case "slice":
            return tuple(
                (0, shape[at]) if at == axis else bounds for at, bounds in enumerate(node.attr)
            )
    return node.attr
