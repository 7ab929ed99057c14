"""The same operation on parts that lie side by side is one operation on all of them.

In: a scan. Out: a scan in which gates that `split` took apart, and that nothing treated each in its
own way, are computed together again: what they read is then one array, which a kernel reads at
once. Smaller loads than four bytes a thread are not asked for ahead of their step.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any, TypeAlias

from ..ir import Node, Scan, apply, rebuild

VIEWS = ("reshape", "slice")  # in this order: a gate is a slice, with its axis of size 1 dropped
Likeness: TypeAlias = tuple[str, Any, Any, tuple[Node, ...]]  # an operation, and what it is on
Bounds: TypeAlias = tuple[int, int]


def rejoin(scan: Scan) -> Scan:
    """Pull reshapes and slices through elementwise operations: the inverse of `split`.

    Before  a = tanh(v[0] + x[0]);  n = sigmoid(v[1] + x[1])
    After   u = v + x;  a = tanh(u[0]);  n = sigmoid(u[1])

    Args:
        scan: verified; views of views that this leaves are `simplify`'s.
    Returns:
        A scan with equal outputs, bit for bit.
    Cost: none in arithmetic: parts are joined that leave no gap, and are all computed anyway.
    """
    for view in VIEWS:
        while (better := _once(scan, view)) is not scan:
            scan = better
    return scan


def _once(scan: Scan, view: str) -> Scan:
    """Every operation on such views of the same values, once; the scan itself if there is none."""
    order = list(scan)
    alike: dict[Likeness, list[Node]] = {}
    for node in order:
        likeness = _likeness(node, view)
        if likeness is not None:
            alike.setdefault(likeness, []).append(node)
    joined = {
        node: bounds
        for nodes in alike.values()
        if (bounds := _together(nodes)) is not None
        for node in nodes
    }
    if not joined:
        return scan
    found: dict[Node, Node] = {}
    for node in order:
        if node in joined:
            found[node] = _pulled(node, joined[node], found)
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _likeness(node: Node, name: str) -> Likeness | None:
    """What a node has in common with those of other parts; None if it is no operation on parts."""
    if not node.op.pointwise or len(node.args) < 2 or any(a.op.name != name for a in node.args):
        return None
    views, sources = [a.attr for a in node.args], tuple(a.args[0] for a in node.args)
    if len({s.type.kind for s in sources}) > 1:  # a choice, whose test is no part of the others
        return None
    if name == "reshape":
        is_of_a_part = any(s.op.name == "slice" for s in sources)
        is_alike = len({s.type.shape for s in sources}) == 1
        return (node.op.name, node.attr, views[0], sources) if is_of_a_part and is_alike else None
    whole = tuple((0, int(dim)) for dim in sources[0].type.shape[1:])
    if len({s.type.shape[1:] for s in sources}) > 1 or any(v[1:] != whole for v in views):
        return None
    if not views[0]:  # of a number: nothing is left out
        return None
    shifts = tuple(start - views[0][0][0] for (start, _), *_ in views)
    return node.op.name, node.attr, shifts, sources


def _together(nodes: list[Node]) -> Bounds | None:
    """From where to where the first operands' parts reach; None if there is one, or a gap."""
    if nodes[0].args[0].op.name == "reshape":
        return 0, 0  # of the whole: there are no parts to tell apart
    parts = sorted(node.args[0].attr[0] for node in nodes)
    is_row = all(before[1] == behind[0] for before, behind in pairwise(parts))
    return (parts[0][0], parts[-1][1]) if is_row and len(parts) > 1 else None


def _pulled(node: Node, bounds: Bounds, found: dict[Node, Node]) -> Node:
    """The view of an operation, in place of an operation on views."""
    view = node.args[0]
    if view.op.name == "reshape":
        sources = [found[a.args[0]] for a in node.args]
        joined = apply(node.op, *sources, attr=node.attr, span=node.span)
        return apply("reshape", joined, attr=view.attr)
    (start, stop), ((mine, end), *rest) = bounds, view.attr
    parts = []
    for operand in node.args:
        source, shift = found[operand.args[0]], operand.attr[0][0] - mine
        part = (start + shift, stop + shift)
        is_whole = part == (0, int(source.type.shape[0]))
        parts.append(source if is_whole else apply("slice", source, attr=(part, *rest)))
    joined = apply(node.op, *parts, attr=node.attr, span=node.span)
    return apply("slice", joined, attr=((mine - start, end - start), *rest))
