"""Nodes that are views: parts of an array, or all of it in another shape.

In: a node and the view of what it is made of, or of what is made of it. Out: the other's view.
"""

from __future__ import annotations

from ..ir import Node
from .numpy_views import EVERYTHING, Axis, Dim, Item, Order, View

VIEWS = ("slice", "reshape", "transpose", "broadcast", "flip", "stop_gradient", "spread", "at")


def part_of(view: View, node: Node) -> View:
    """A slice or flip of `view`, which has all the axes of its type."""
    items = [EVERYTHING if a == "B" else _item(node, int(a)) for a in view.axes]
    return view.indexed(items, view.axes)


def _item(node: Node, axis: int) -> Item:
    if node.op.name == "flip":
        return slice(None, None, -1) if axis == node.attr else EVERYTHING
    start, stop = map(int, node.attr[axis])
    whole = int(node.args[0].type.shape[axis])
    return EVERYTHING if (start, stop) == (0, whole) else slice(start, stop)


def turned(view: View, node: Node) -> View:
    """A transpose of `view`: the same array, its axes under other names."""
    names: dict[Axis, Axis] = {old: new for new, old in enumerate(node.attr)}
    return view.named(tuple(names.get(a, a) for a in view.axes))


def reshaped_to(view: View, node: Node) -> View | None:
    """`view` with the trailing shape of `node`, if that needs no copy."""
    lead: Order = ("B",) if "B" in view.axes else ()
    dims: tuple[Dim, ...] = (*lead, *(int(d) for d in node.type.shape))
    return view.logical().reshaped(dims, (*lead, *range(node.type.rank)))


def behind(node: Node, view: View) -> tuple[Node, View | None]:
    """What `node` is merely another shape of, and where it must be for `node` to be in `view`.

    There is no such place for a view that is not all of its operand.
    """
    found: View | None = view
    while found is not None and node.op.name in ("reshape", "transpose"):
        source = node.args[0]
        if node.op.name == "reshape":
            found = reshaped_to(found, source)
        else:
            found = found.named(tuple(a if a == "B" else node.attr[int(a)] for a in found.axes))
        node = source
    return (node, None) if node.op.name in VIEWS else (node, found)


def concat_parts(node: Node, whole: View) -> list[View]:
    """The parts of a concat's array its pieces belong in."""
    parts, start = [], 0
    for piece in node.args:
        stop = start + int(piece.type.shape[node.attr])
        items = [slice(start, stop) if a == node.attr else EVERYTHING for a in whole.axes]
        parts.append(whole.indexed(items, whole.axes))
        start = stop
    return parts
