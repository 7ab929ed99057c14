"""Emitters of the structured ops but products: reducing, joining, picking.

In: a frame and a node. Out: statements at the frame's present site.
"""

from __future__ import annotations

from collections.abc import Callable

from ..ir import Node
from ..shapes import size
from .numpy_frame import Frame, dtype_of, number_text
from .numpy_layout import logical_order
from .numpy_parts import behind, concat_parts
from .numpy_views import EVERYTHING, Axis, Item, View, facing


def _place_of(f: Frame, view: View, axis: Axis) -> int:
    """Which axis of the array, as seen from the present site, that is."""
    return view.axes.index(axis) + (1 if view.rows and f.site.rows else 0)


# -- reducing --------------------------------------------------------------------------------------


def _reduce(ufunc: str) -> Callable[[Frame, Node], None]:
    def emit(f: Frame, node: Node) -> None:
        view = f.full(node.args[0])
        gone = int(node.attr)
        left = tuple(a for a in view.axes if a != gone)
        order = tuple(a if a == "B" or int(a) < gone else int(a) - 1 for a in left)
        target = f.target(node, order)
        axis = _place_of(f, view, gone)
        f.out(f"np.{ufunc}.reduce({f.text(view)}, {axis}, None, {f.text(target)})")
        f.settle(node, target)

    return emit


def total(f: Frame, node: Node) -> None:
    """A sum over leading axes."""
    view = f.full(node.args[0])
    axes = [0] if "T" in node.attr else []
    axes += [_place_of(f, view, "B")] if "B" in node.attr else []
    order = tuple(a for a in view.axes if a != "B" or "B" not in node.attr)
    target = f.target(node, order)
    where = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
    f.out(f"np.add.reduce({f.text(view)}, {where}, None, {f.text(target)})")
    f.settle(node, target)


def cumsum(f: Frame, node: Node) -> None:
    """A running sum, from either end."""
    axis, backwards = node.attr
    view = f.full(node.args[0])
    target = f.target(node, view.axes)
    into, source = target, view
    if backwards:
        items = [slice(None, None, -1) if a == axis else EVERYTHING for a in view.axes]
        into, source = target.indexed(items, target.axes), view.indexed(items, view.axes)
    place = _place_of(f, view, axis)
    f.out(f"np.add.accumulate({f.text(source)}, {place}, None, {f.text(into)})")
    f.settle(node, target)


# -- joining ---------------------------------------------------------------------------------------


def concat(f: Frame, node: Node) -> None:
    """Pieces that were not computed in their places are copied there."""
    target = f.target(node)
    if all(piece.op.name == "const" for piece in node.args):
        _fill_parts(f, node, target)
    else:
        for piece, part in zip(node.args, concat_parts(node, target), strict=True):
            source, place = behind(piece, part)
            if place is None or f.homes.get(source) != place:
                f.out(f"np.copyto({f.text(part)}, {f.operand(piece, part.axes)})")
    f.settle(node, target)


def _fill_parts(f: Frame, node: Node, target: View) -> None:
    """A number for each part."""
    values = ", ".join(number_text(piece.attr[0]) for piece in node.args)
    counts = [int(piece.type.shape[node.attr]) for piece in node.args]
    row = f"np.array([{values}], {dtype_of(node)})"
    if set(counts) != {1}:
        row = f"np.repeat({row}, {counts})"
    others = ", None" * (len(target.axes) - 1 - target.axes.index(node.attr))
    f.build(f"np.copyto({f.text(target)}, {row}{f'[:{others}]' if others else ''})")


def pad(f: Frame, node: Node) -> None:
    """Zeros, with the operand in their midst."""
    target = f.target(node)
    items: list[Item] = []
    for axis in target.axes:
        before = 0 if axis == "B" else int(node.attr[int(axis)][0])
        count = 0 if axis == "B" else int(node.args[0].type.shape[int(axis)])
        items.append(EVERYTHING if axis == "B" else slice(before, before + count))
    f.out(f"np.copyto({f.text(target)}, 0.0)")
    part = target.indexed(items, target.axes)
    f.out(f"np.copyto({f.text(part)}, {f.operand(node.args[0], target.axes)})")
    f.settle(node, target)


def diag(f: Frame, node: Node) -> None:
    """A matrix with the operand as its diagonal."""
    target = f.target(node, logical_order(node))
    into = f.text(target)
    f.out(f"np.copyto({into}, 0.0)")
    f.out(f"np.copyto(np.einsum('...ii->...i', {into}), {f.text(f.full(node.args[0]).logical())})")
    f.settle(node, target)


def diagonal(f: Frame, node: Node) -> None:
    """The diagonal of a matrix."""
    target = f.target(node, logical_order(node))
    source = f.text(f.full(node.args[0]).logical())
    f.out(f"np.copyto({f.text(target)}, np.diagonal({source}, 0, -2, -1))")
    f.settle(node, target)


def solve(f: Frame, node: Node) -> None:
    """Linear equations, by LAPACK."""
    target = f.target(node, logical_order(node))
    sides = (f.text(facing(f.full(side).logical(), target.axes)) for side in node.args)
    f.out(f"np.copyto({f.text(target)}, solved({', '.join(sides)}))")
    f.settle(node, target)


# -- rows by index ---------------------------------------------------------------------------------


def take(f: Frame, node: Node) -> None:
    """Rows of a table. Indices were checked when the call began."""
    table, index = f.full(node.args[0]).logical(), f.full(node.args[1])
    target = f.target(node, logical_order(node))
    into = f.text(target)
    if "B" in table.axes or table.rows:  # a table for each row
        lead = (1 if table.rows and f.site.rows else 0) + ("B" in table.axes)
        text = f.text(table)
        tables = f"{text}.reshape({_together(f, table, lead)}, *{text}.shape[{lead}:])"
        pair = f"np.arange({f.text(index)}.size), {f.text(index)}.reshape(-1)"
        f.out(f"np.copyto({into}, {tables}[{pair}].reshape({into}.shape))")
    else:
        f.out(f"np.take({f.text(table)}, {f.text(index)}, 0, {into}, 'clip')")
    f.settle(node, target)


def _together(f: Frame, table: View, lead: int) -> str:
    names = ([f.site.count] if table.rows and f.site.rows else []) + ["B"] * ("B" in table.axes)
    assert len(names) == lead
    return " * ".join(names)


def scatter(f: Frame, node: Node) -> None:
    """Rows put, or added up, where an index says: a table for each row of the axes not summed."""
    rows, summed = node.attr
    index, values = f.full(node.args[0]), f.full(node.args[1]).logical()
    width = size(node.args[1].type.shape)
    target = f.target(node, logical_order(node))
    into, picked = f.text(target), f.text(index)
    sizes = ([f.site.count] if index.rows and f.site.rows else []) + ["B"] * ("B" in index.axes)
    names = ("T" if index.rows and f.site.rows else "") + "B" * ("B" in index.axes)
    kept = [dim for dim, name in zip(sizes, names, strict=True) if name not in summed]
    if kept:
        shape = [dim if dim in kept else "1" for dim in sizes]
        tables = f"np.arange({' * '.join(kept)}).reshape({', '.join(shape)})"
        picked = f"({tables} * {rows} + {picked})"
    count = " * ".join([*kept, str(rows)])
    flat = f"{f.text(values)}.reshape({' * '.join(sizes)}, {width})"
    f.out(
        f"np.copyto({into}, scattered({count}, {picked}.reshape(-1), {flat}).reshape({into}.shape))"
    )
    f.settle(node, target)


EMITTERS: dict[str, Callable[[Frame, Node], None]] = {
    "sum": _reduce("add"), "amax": _reduce("maximum"), "cumsum": cumsum, "total": total,
    "concat": concat, "pad": pad, "diag": diag, "diagonal": diagonal, "take": take,
    "scatter": scatter, "solve": solve,
}  # fmt: skip
