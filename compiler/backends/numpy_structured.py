"""Emitters of the structured ops: products, reductions, joining, picking.

In: an `Emitter` and a node. Out: statements in the emitter's present place.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from ..ir import Node
from ..shapes import size
from .numpy_products import Product, product
from .numpy_views import Order, View, aligned

if TYPE_CHECKING:
    from .numpy_emit import Emitter

Letters = dict[str, str | int]  # letter -> "T", "B" or the node's trailing axis


# -- products --------------------------------------------------------------------------------------


def einsum(e: Emitter, node: Node) -> None:
    """A product by `dot` where there is no batch of matrices, by `matmul` where there is."""
    spec = node.attr[0]
    a, b = (e.full(arg) for arg in node.args)
    out_lead = _lead(e, node)
    p = product(spec, _rows(e, a), _rows(e, b), out_lead)
    first, second = (b, a) if p.swapped else (a, b)
    letters = _letters(spec.split("->")[1])
    sizes = _sizes(e, node)
    if not p.contracted:
        _outer(e, node, p, first, second, letters)
    elif e.site.name == "step":
        _step_product(e, node, p, first, second, letters, sizes)
    else:
        _whole_product(e, node, p, first, second, letters, sizes)


def _lead(e: Emitter, node: Node) -> str:
    """The leading axes of a result at the present site."""
    timed = "T" if e.site.rows and "T" in node.type.axes else ""
    return timed + ("B" if "B" in node.type.axes else "")


def _rows(e: Emitter, view: View) -> str:
    timed = "T" if e.site.rows and view.rows else ""
    return timed + ("B" if "B" in view.axes else "")


def _letters(out: str) -> Letters:
    return {"T": "T", "B": "B", **{letter: at for at, letter in enumerate(out)}}


def _sizes(e: Emitter, node: Node) -> dict[str, str | int]:
    """Every letter's size; those of leading axes by name."""
    letters, _ = node.attr[0].split("->")
    sizes: dict[str, str | int] = {"T": e.site.count, "B": "B"}
    for names, arg in zip(letters.split(","), node.args, strict=True):
        sizes |= {n: int(d) for n, d in zip(names, arg.type.shape, strict=True)}
    return sizes


def _dim(letters: str, sizes: dict[str, str | int]) -> str:
    """The product of some axes' sizes, as source."""
    number, names = 1, []
    for letter in letters:
        dim = sizes[letter]
        if isinstance(dim, int):
            number *= dim
        else:
            names.append(dim)
    return " * ".join([*names, *([str(number)] if number != 1 or not names else [])])


def _axes_in_memory(e: Emitter, view: View, letters: str) -> str:
    """The letters of a view in the order its axes lie in memory."""
    lead = [x for x in letters if x in "TB"]
    trailing = [x for x in letters if x not in "TB"]
    found = ["T"] if "T" in lead else []
    return "".join(found + ["B" if a == "B" else trailing[int(a)] for a in view.axes])


def _outer(e: Emitter, node: Node, p: Product, a: View, b: View, letters: Letters) -> None:
    """Nothing is contracted: an elementwise product of widened operands."""
    target = e.target(node)
    operands = []
    for view, names in ((a, p.a), (b, p.b)):
        trailing = [x for x in names if x not in "TB"]
        axes = tuple("B" if axis == "B" else letters[trailing[int(axis)]] for axis in view.axes)
        operands.append(e.text(aligned(_renamed(view, axes), target.axes)))
    e.out(f"np.multiply({operands[0]}, {operands[1]}, {e.text(target)})")
    e.settle(node, target)


def _renamed(view: View, axes: Order) -> View:
    return view.indexed((slice(None),) * len(axes), axes)


def _natural(p: Product, letters: Letters) -> Order:
    """The result's axes in the order the product writes them, time left out."""
    return tuple(letters[x] for x in p.batch + p.rows + p.columns if x != "T")


def _step_product(
    e: Emitter, node: Node, p: Product, a: View, b: View, letters: Letters,
    sizes: dict[str, str | int],
) -> None:  # fmt: skip
    """In the loop: operands are views made before it, the result a buffer."""
    left = _matrix(e, node, a, p.a, (p.batch, p.rows, p.contracted), sizes)
    right = _matrix(e, node, b, p.b, (p.batch, p.contracted, p.columns), sizes)
    order = _natural(p, letters)
    home = e.homes.get(node)
    target = home if home is not None and home.axes == order else None
    dims = _groups((p.batch, p.rows, p.columns), sizes)
    flat = target.reshaped(dims, tuple(range(len(dims)))) if target else None
    if target is None or flat is None or not flat.contiguous:
        target = e.scratch(node, order)
        flat = target.reshaped(dims, tuple(range(len(dims))))
        assert flat is not None, "a fresh buffer is contiguous"
    e.out(f"{'matmul' if p.batch else 'dot'}({left}, {right}, {e.text(flat)})")
    e.settle(node, target)


def _groups(groups: tuple[str, ...], sizes: dict[str, str | int]) -> tuple[str | int, ...]:
    """Dims of a 2-D (batched: 3-D) arrangement; "B" and integers only, as views know them."""
    dims: list[str | int] = []
    for at, letters in enumerate(groups):
        if at == 0 and not letters:
            continue
        text = _dim(letters, sizes)
        dims.append(int(text) if text.isdigit() else text)
    return tuple(dims)


def _matrix(
    e: Emitter, node: Node, view: View, names: str, groups: tuple[str, ...],
    sizes: dict[str, str | int],
) -> str:  # fmt: skip
    """An operand of a step's product as a matrix: a view if NumPy allows, else copied each step."""
    order = "".join(groups)
    memory = _axes_in_memory(e, view, names)
    axes: Order = tuple(range(len(memory)))
    moved = view.indexed((slice(None),) * len(axes), axes)
    moved = moved.transposed(tuple(memory.index(x) for x in order))
    dims = _groups(groups, sizes)
    flat = moved.reshaped(dims, tuple(range(len(dims)))) if _known(dims) else None
    if flat is None:
        held = e.plain(node, tuple(sizes[x] for x in order))
        flat = held.reshaped(dims, tuple(range(len(dims))))
        assert flat is not None
        if view.rows or view.scope == "build":
            e.out(f"copyto({e.text(held)}, {e.text(moved)})")
        else:
            e.before(f"copyto({e.text(held)}, {moved.expression()})")
        return e.text(flat)
    if view.rows or view.scope == "build":
        return e.text(flat)
    return e.text(flat) if e.exact else e.packed(flat)


def _known(dims: tuple[str | int, ...]) -> bool:
    """Whether a view can name these sizes: products of the batch size it cannot."""
    return all(isinstance(d, int) or d == "B" for d in dims)


def _whole_product(
    e: Emitter, node: Node, p: Product, a: View, b: View, letters: Letters,
    sizes: dict[str, str | int],
) -> None:  # fmt: skip
    """Before or after the loop: for all rows at once."""
    left = _arranged(e, a, p.a, (p.batch, p.rows, p.contracted), sizes)
    right = _arranged(e, b, p.b, (p.batch, p.contracted, p.columns), sizes)
    name = "matmul" if p.batch else "dot"
    natural = p.batch + p.rows + p.columns
    order = _natural(p, letters)
    if "T" in natural and natural[0] != "T":
        target = e.target(node)
        written = ("T", *target.axes)
        perm = [natural.index(_letter(letters, axis)) for axis in written]
        dims = ", ".join(str(sizes[x]) for x in natural)
        e.out(
            f"copyto({e.text(target)}, {name}({left}, {right})"
            f".reshape({dims}).transpose({', '.join(map(str, perm))}))"
        )
        e.settle(node, target)
        return
    home = e.homes.get(node)
    target = home if home is not None and home.axes == order and not home.steps else None
    target = target or e.scratch(node, order)
    groups = [g for at, g in enumerate((p.batch, p.rows, p.columns)) if at or g]
    shape = ", ".join(_dim(g, sizes) for g in groups)
    e.out(f"{name}({left}, {right}, {e.text(target)}.reshape({shape}))")
    e.settle(node, target)


def _letter(letters: Letters, axis: str | int) -> str:
    return next(x for x, a in letters.items() if a == axis and (a != "T" or x == "T"))


def _arranged(
    e: Emitter, view: View, names: str, groups: tuple[str, ...], sizes: dict[str, str | int]
) -> str:
    memory = _axes_in_memory(e, view, names)
    order = "".join(groups)
    text = e.text(view)
    if memory != order:
        text += f".transpose({', '.join(str(memory.index(x)) for x in order)})"
    used = [g for at, g in enumerate(groups) if at or g]
    if any(len(g) != 1 for g in used):
        text += f".reshape({', '.join(_dim(g, sizes) for g in used)})"
    return text


# -- reductions ------------------------------------------------------------------------------------


def _axis(e: Emitter, view: View, axis: str | int) -> int:
    """Where an axis lies in the array as seen from the present site."""
    return view.axes.index(axis) + (1 if view.rows and e.site.rows else 0)


def _reduce(ufunc: str) -> Callable[[Emitter, Node], None]:
    def emit(e: Emitter, node: Node) -> None:
        view = e.full(node.args[0])
        gone = node.attr
        order = tuple(
            a if a == "B" or int(a) < gone else int(a) - 1 for a in view.axes if a != gone
        )
        target = e.target(node, order)
        into = e.text(target)
        e.out(f"{ufunc}.reduce({e.text(view)}, {_axis(e, view, gone)}, None, {into})")
        e.settle(node, target)

    return emit


def total(e: Emitter, node: Node) -> None:
    """A sum over leading axes."""
    view = e.full(node.args[0])
    axes = [0] if "T" in node.attr else []
    axes += [_axis(e, view, "B")] if "B" in node.attr else []
    order = tuple(a for a in view.axes if a != "B" or "B" not in node.attr)
    target = e.target(node, order)
    where = str(axes[0]) if len(axes) == 1 else str(tuple(axes))
    e.out(f"np.add.reduce({e.text(view)}, {where}, None, {e.text(target)})")
    e.settle(node, target)


def cumsum(e: Emitter, node: Node) -> None:
    """A running sum, from either end."""
    axis, backwards = node.attr
    view = e.full(node.args[0])
    target = e.target(node, view.axes)
    into, source = target, view
    if backwards:
        items = tuple(slice(None, None, -1) if a == axis else slice(None) for a in view.axes)
        into, source = target.indexed(items, target.axes), view.indexed(items, view.axes)
    at = _axis(e, view, axis)
    e.out(f"np.add.accumulate({e.text(source)}, {at}, None, {e.text(into)})")
    e.settle(node, target)


# -- joining ---------------------------------------------------------------------------------------


def concat(e: Emitter, node: Node) -> None:
    """Pieces that were not computed in their places are copied there."""
    from .numpy_emit import concat_parts

    target = e.target(node)
    for piece, part in zip(node.args, concat_parts(node, target), strict=True):
        source = piece
        while source.op.name == "reshape" and source not in e.homes:
            source = source.args[0]
        home = e.homes.get(source)
        if home is None or home.base != target.base:
            e.out(f"copyto({e.text(part)}, {e.operand(piece, part.axes)})")
    e.settle(node, target)


def pad(e: Emitter, node: Node) -> None:
    """Zeros, with the operand in their midst."""
    target = e.target(node)
    items = tuple(
        slice(None) if a == "B" else slice(node.attr[int(a)][0],
                                           node.attr[int(a)][0] + int(node.args[0].type.shape[int(a)]))
        for a in target.axes
    )  # fmt: skip
    e.out(f"{e.text(target)}[...] = 0")
    part = target.indexed(items, target.axes)
    e.out(f"copyto({e.text(part)}, {e.operand(node.args[0], target.axes)})")
    e.settle(node, target)


def diag(e: Emitter, node: Node) -> None:
    """A matrix with the operand as its diagonal."""
    from .numpy_emit import logical_order

    target = e.target(node, logical_order(node))
    into = e.text(target)
    e.out(f"{into}[...] = 0")
    e.out(f"np.einsum('...ii->...i', {into})[...] = {e.text(e.full(node.args[0]).logical())}")
    e.settle(node, target)


def diagonal(e: Emitter, node: Node) -> None:
    """The diagonal of a matrix."""
    from .numpy_emit import logical_order

    target = e.target(node, logical_order(node))
    source = e.text(e.full(node.args[0]).logical())
    e.out(f"copyto({e.text(target)}, np.diagonal({source}, 0, -2, -1))")
    e.settle(node, target)


def iota(e: Emitter, node: Node) -> None:
    """0, 1, 2, ... along one axis."""
    target = e.target(node)
    shape, axis = node.attr
    ones = ", ".join("-1" if at == axis else "1" for at in range(len(shape)))
    e.out(f"copyto({e.text(target)}, np.arange({int(shape[axis])}).reshape({ones}))")
    e.settle(node, target)


# -- rows by index ---------------------------------------------------------------------------------


def take(e: Emitter, node: Node) -> None:
    """Rows of a table. Indices were checked when the call began."""
    from .numpy_emit import logical_order

    table, index = e.full(node.args[0]).logical(), e.full(node.args[1])
    target = e.target(node, logical_order(node))
    into = e.text(target)
    if table.rows or "B" in table.axes:
        rows = _flat_index(e, table, index)
        e.out(f"{into}[...] = {rows[0]}[{rows[1]}].reshape({into}.shape)")
    else:
        e.out(f"np.take({e.text(table)}, {e.text(index)}, 0, {into}, 'clip')")
    e.settle(node, target)


def _flat_index(e: Emitter, table: View, index: View) -> tuple[str, str]:
    """A table per row: all leading axes as one, and an index pair into it."""
    text = e.text(table)
    lead = (1 if table.rows and e.site.rows else 0) + ("B" in table.axes)
    flat = f"{text}.reshape((-1, *{text}.shape[{lead}:]))"
    picked = f"{e.text(index)}.reshape(-1)"
    return flat, f"np.arange(len({flat})), {picked}"


def scatter(e: Emitter, node: Node) -> None:
    """Rows put, or added up, where an index says."""
    from .numpy_emit import logical_order

    rows, summed = node.attr
    index, values = e.full(node.args[0]), e.full(node.args[1]).logical()
    width = size(node.args[1].type.shape)
    target = e.target(node, logical_order(node))
    into = e.text(target)
    count = f"{e.text(index)}.size"
    flat = f"{e.text(values)}.reshape({count}, {width})"
    picked = f"{e.text(index)}.reshape(-1)"
    lead = (1 if index.rows and e.site.rows else 0) + ("B" in index.axes)
    if summed and lead == len(summed):
        e.out(f"copyto({into}, scattered({rows}, {picked}, {flat}).reshape({into}.shape))")
    else:
        assert not summed, "a sum over some of the leading axes"
        e.out(f"{into}[...] = 0")
        table = f"{into}.reshape({count}, {rows}, {width})"
        e.out(f"{table}[np.arange({count}), {picked}] = {flat}")
    e.settle(node, target)


EMITTERS: dict[str, Callable[[Emitter, Node], None]] = {
    "einsum": einsum, "sum": _reduce("np.add"), "amax": _reduce("np.maximum"), "cumsum": cumsum,
    "total": total, "concat": concat, "pad": pad, "diag": diag, "diagonal": diagonal,
    "iota": iota, "take": take, "scatter": scatter,
}  # fmt: skip
