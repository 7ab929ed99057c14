"""The pieces of a concat are computed by one operation where they are alike.

In: a scan, hoisted. Out: a scan with fewer elementwise operations on more elements each, mostly in
derivatives: the cotangents of gates are products of one cotangent with a factor for each gate.
"""

from __future__ import annotations

from ..ir import Node, Scan, apply, rebuild
from ..places import places, serial

BORDER = ("stack", "accumulate")
LEAVES = ("param", "input", "const")


def gather(scan: Scan) -> Scan:
    """One operation for neighbouring pieces with a common operand, along whichever axis.

    Before  d = concat(ct * e[t], ct * f[t], ct * g[t]);   stack(ct * e[t])
    After   d = ct * concat(e, f, g)[t];                   stack(d)[0]

    Args:
        scan: verified, hoisted.
    Returns:
        A scan with equal outputs, bit for bit. The other operands, which read no carry, are
        joined before the loop once they are hoisted.
    Cost: one operation fewer per step for every piece.
    """
    gathering = _Gathering(scan)
    return scan.rebuilt(gathering.run())


class _Gathering:
    def __init__(self, scan: Scan) -> None:
        self.order = list(scan)
        self.place = places(self.order)
        self.serial = serial(self.order)
        self.readers: dict[Node, list[Node]] = {}
        for node in self.order:
            for arg in node.args:
                self.readers.setdefault(arg, []).append(node)
        self.roots = set(scan.roots())
        self.found: dict[Node, Node] = {}

    def run(self) -> dict[Node, Node]:
        """Every node -> what it became."""
        parts: dict[Node, Node] = {}  # an old piece -> its part of the new whole
        for node in sorted(self.order, key=lambda n: self.place[n]):
            if node.op.name in BORDER and node.args[0] in parts:
                self.found[node] = _outside(node, parts[node.args[0]])
            elif node.op.name == "concat" and node in self.serial:
                self.found[node], gathered = self._joined(node)
                parts |= gathered
            else:
                self.found[node] = rebuild(node, tuple(self.found[a] for a in node.args))
        return self.found

    def _joined(self, node: Node) -> tuple[Node, dict[Node, Node]]:
        """The concat anew, and which part of it is which of its old pieces."""
        groups: list[list[Node]] = []
        axis = int(node.attr)
        for piece in node.args:
            if groups and self._common([*groups[-1], piece], axis):
                groups[-1].append(piece)
            else:
                groups.append([piece])
        pieces: list[Node] = []
        parts: dict[Node, Node] = {}
        for group in groups:
            if len(group) == 1:
                pieces.append(self.found[group[0]])
                continue
            whole = self._one(group, axis)
            pieces.append(whole)
            for at, piece in enumerate(group):
                bounds = [(0, size) for size in _sizes(whole)]
                bounds[axis] = (at, at + 1)
                part = apply("slice", whole, attr=tuple(bounds))
                parts[piece] = part
                parts[_inner(piece)] = _shaped(part, _inner(piece).type.shape)
        return pieces[0] if len(pieces) == 1 else apply("concat", *pieces, attr=axis), parts

    def _common(self, group: list[Node], axis: int) -> int | None:
        """Which operand of alike operations is the same for all, counted from 1; None if none is.

        The others read no carry and are computed: joining them costs nothing.
        """
        inner = [_inner(piece) for piece in group]
        first = inner[0]
        if not first.op.pointwise or any(
            n.op is not first.op or n.attr != first.attr or n.type != first.type
            or piece.type.shape[axis] != 1 or not self._is_free_to_move(piece)
            for n, piece in zip(inner, group, strict=True)
        ):  # fmt: skip
            return None
        for at, operand in enumerate(first.args):
            others = [a for n in inner for i, a in enumerate(n.args) if i != at]
            if all(n.args[at] is operand for n in inner) and operand in self.serial:
                if all(a not in self.serial and _is_computed(a) for a in others):
                    return at + 1
        return None

    def _is_free_to_move(self, piece: Node) -> bool:
        """Whether nothing in the step reads the piece besides the concat."""
        inner = _inner(piece)
        readers = [*self.readers[piece], *(self.readers[inner] if inner is not piece else ())]
        in_step = [r for r in readers if r.op.name not in BORDER and r is not piece]
        return len(in_step) == 1 and piece not in self.roots and inner not in self.roots

    def _one(self, group: list[Node], axis: int) -> Node:
        inner = [_inner(piece) for piece in group]
        one = _sizes(group[0])
        all_ = (*one[:axis], len(group), *one[axis + 1 :])
        operands = []
        for at in range(len(inner[0].args)):
            values = [_shaped(self.found[n.args[at]], one) for n in inner]
            if len(set(values)) == 1:
                operands.append(apply("broadcast", values[0], attr=all_))
            else:
                operands.append(apply("concat", *values, attr=axis))
        return apply(inner[0].op, *operands, attr=inner[0].attr, span=inner[0].span)


def _outside(border: Node, part: Node) -> Node:
    """A border of a part as part of the border: `stack(d[0])` is `stack(d)[0]`."""
    views: list[Node] = []
    while part.op.name in ("slice", "reshape"):
        views.append(part)
        part = part.args[0]
    found = apply(border.op, part)
    for view in reversed(views):
        found = apply(view.op, found, attr=view.attr)
    return found


def _inner(piece: Node) -> Node:
    """The piece without the axis it is joined along."""
    return piece.args[0] if piece.op.name == "reshape" else piece


def _sizes(node: Node) -> tuple[int, ...]:
    return tuple(int(d) for d in node.type.shape)


def _shaped(node: Node, shape: tuple[int, ...]) -> Node:
    return node if node.type.shape == shape else apply("reshape", node, attr=tuple(shape))


def _is_computed(node: Node) -> bool:
    """No leaf, nor a view of one."""
    while node.op.name in ("at", "reshape", "broadcast", "slice"):
        node = node.args[0]
    return node.op.name not in LEAVES
