"""Ops that arrange elements: leaves, reshaping, slicing, joining, picking by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..dims import minus, plus
from ..shapes import Type, TypeProblem, axes_of, size
from . import op


def _given(_attr: Any, *_types: Type) -> Type:
    raise TypeProblem("a leaf is given its type")


for _name, _doc in (
    ("param", "a parameter or constant tensor, by path"),
    ("input", "an input: one step of it in a Cell, all of it in a Scan"),
    ("carry", "a state's value before the step"),
):
    op(_name, doc=_doc, arity=0, type=_given, reference=None, nograd=True, cheap=True)

op(
    "const", doc="a tensor filled with one number: attr (value, shape, kind)", arity=0,
    type=lambda attr: Type(attr[1], attr[2]),
    reference=lambda attr: np.full(
        attr[1], attr[0], {"real": float, "int": int, "bool": bool}[attr[2]]
    ),
    nograd=True, cheap=True, samples=(((-0.5, (2, 3), "real"), ()), ((1.0, (), "bool"), ())),
)  # fmt: skip
op(
    "iota", doc="0, 1, 2, ... along one axis: attr (shape, axis)", arity=0,
    type=lambda attr: Type(attr[0]),
    reference=lambda attr: np.broadcast_to(
        np.arange(attr[0][attr[1]], dtype=float).reshape(
            [-1 if at == attr[1] else 1 for at in range(len(attr[0]))]
        ),
        attr[0],
    ),
    nograd=True, cheap=True, samples=((((4,), 0), ()), (((2, 3), 1), ())),
)  # fmt: skip
op(
    "stop_gradient", doc="a, whose derivative is 0", type=lambda _, a: a, nograd=True, cheap=True,
    made_up=True, view=True, reference=lambda _, a: a, widened=lambda _, _size: None,
    samples=((None, (Type((3,)),)),),
)  # fmt: skip

# -- the same elements in another shape ------------------------------------------------------


def _reshape_type(shape: Any, a: Type) -> Type:
    if size(shape) != size(a.shape):
        raise TypeProblem(f"{a} has {size(a.shape)} elements, not {size(shape)}")
    return a.with_shape(shape)


op(
    "reshape", doc="the elements in another trailing shape: attr shape", type=_reshape_type,
    cheap=True, view=True, reference=lambda shape, a: np.reshape(a, shape),
    widened=lambda shape, size: (size, *shape),
    pullback=lambda ct, y, a: (ct.then("reshape", attr=tuple(a.type.shape)),),
    samples=(((6,), (Type((2, 3)),)), ((2, 1, 2), (Type((4,)),))),
)  # fmt: skip


def _broadcast_type(shape: Any, a: Type) -> Type:
    if len(shape) != a.rank or any(d not in (1, s) for d, s in zip(a.shape, shape, strict=True)):
        raise TypeProblem(f"{a} does not fill {list(shape)}")
    return a.with_shape(shape)


def _broadcast_pullback(ct: Any, y: Any, a: Any) -> tuple[Any]:
    for axis, (dim, wide) in enumerate(zip(a.type.shape, y.type.shape, strict=True)):
        if dim != wide:
            kept = (*ct.type.shape[:axis], 1, *ct.type.shape[axis + 1 :])
            ct = ct.then("sum", attr=axis).then("reshape", attr=kept)
    return (ct,)


op(
    "broadcast", doc="axes of size 1 repeated: attr shape, of the same rank", type=_broadcast_type,
    cheap=True, view=True, reference=lambda shape, a: np.broadcast_to(a, shape),
    widened=lambda shape, size: (size, *shape),
    pullback=_broadcast_pullback,
    samples=(((2, 3), (Type((1, 3)),)), ((4,), (Type((1,)),))),
)  # fmt: skip


def _transpose_type(order: Any, a: Type) -> Type:
    if sorted(order) != list(range(a.rank)):
        raise TypeProblem(f"{list(order)} is no order of the axes of {a}")
    return a.with_shape(tuple(a.shape[axis] for axis in order))


op(
    "transpose", doc="trailing axes in another order: attr order", type=_transpose_type,
    cheap=True, view=True, reference=lambda order, a: np.transpose(a, order),
    widened=lambda order, _size: (0, *(axis + 1 for axis in order)),
    pullback=lambda ct, y, a: (
        ct.then("transpose", attr=tuple(int(at) for at in np.argsort(y.attr))),
    ),
    samples=(((1, 0), (Type((2, 3)),)), ((2, 0, 1), (Type((2, 3, 4)),))),
)  # fmt: skip


def _flip_type(axis: int, a: Type) -> Type:
    if not 0 <= axis < a.rank:
        raise TypeProblem(f"{a} has no axis {axis}")
    return a


op(
    "flip", doc="the elements from the end along attr", type=_flip_type, cheap=True, view=True,
    reference=lambda axis, a: np.flip(a, axis), widened=lambda axis, _size: axis + 1,
    pullback=lambda ct, y, a: (ct.then("flip", attr=y.attr),),
    samples=((0, (Type((3,)),)), (1, (Type((2, 3)),))),
)  # fmt: skip

# -- parts ---------------------------------------------------------------------------------------


def _slice_type(bounds: Any, a: Type) -> Type:
    if len(bounds) != a.rank:
        raise TypeProblem(f"{a} has {a.rank} axes, not {len(bounds)}")
    for axis, ((start, stop), dim) in enumerate(zip(bounds, a.shape, strict=True)):
        if not 0 <= start <= stop <= dim:
            raise TypeProblem(f"{start}:{stop} leaves axis {axis} of {a}")
    # A whole axis keeps the name of its size.
    return a.with_shape(
        tuple(
            dim if stop - start == dim else minus(stop, start)
            for (start, stop), dim in zip(bounds, a.shape, strict=True)
        )
    )


def _pad_type(attr: Any, a: Type) -> Type:
    widths = attr
    if len(widths) != a.rank:
        raise TypeProblem(f"{a} has {a.rank} axes, not {len(widths)}")
    return a.with_shape(tuple(b + d + e for (b, e), d in zip(widths, a.shape, strict=True)))


def _slice_pullback(ct: Any, y: Any, a: Any) -> tuple[Any]:
    pairs = zip(y.attr, a.type.shape, strict=True)
    return (ct.then("pad", attr=tuple((i, int(dim) - j) for (i, j), dim in pairs)),)


def _pad_pullback(ct: Any, y: Any, a: Any) -> tuple[Any]:
    pairs = zip(y.attr, a.type.shape, strict=True)
    return (ct.then("slice", attr=tuple((b, b + int(dim)) for (b, _), dim in pairs)),)


op(
    "slice", doc="a part: attr ((start, stop), ...) for every trailing axis", type=_slice_type,
    cheap=True, view=True,
    reference=lambda bounds, a: a[tuple(slice(i, j) for i, j in bounds)],
    widened=lambda bounds, size: ((0, size), *bounds),
    pullback=_slice_pullback,
    samples=((((1, 3),), (Type((4,)),)), (((0, 2), (1, 2)), (Type((2, 3)),))),
)  # fmt: skip
op(
    "pad", doc="zeros around: attr ((before, behind), ...) for every trailing axis",
    type=_pad_type, cheap=True, linear=True, reference=lambda widths, a: np.pad(a, widths),
    widened=lambda widths, _size: ((0, 0), *widths),
    pullback=_pad_pullback,
    samples=((((1, 0),), (Type((4,)),)), (((0, 2), (1, 1)), (Type((2, 3)),))),
)  # fmt: skip


def _concat_type(axis: int, *types: Type) -> Type:
    first = types[0]
    for at, t in enumerate(types):
        rest = (t.rank, t.kind, t.shape[:axis], t.shape[axis + 1 :])
        if rest != (first.rank, first.kind, first.shape[:axis], first.shape[axis + 1 :]):
            raise TypeProblem(f"{t} does not join {first} along axis {axis}", operand=at)
    dim = plus(*(t.shape[axis] for t in types))
    shape = (*first.shape[:axis], dim, *first.shape[axis + 1 :])
    return Type(shape, first.kind, axes_of(*types))


def _concat_pullback(ct: Any, y: Any, *parts: Any) -> tuple[Any, ...]:
    result, start = [], 0
    for part in parts:
        stop = start + int(part.type.shape[y.attr])
        bounds = [(0, int(d)) for d in part.type.shape]
        bounds[y.attr] = (start, stop)
        result.append(ct.then("slice", attr=tuple(bounds)))
        start = stop
    return tuple(result)


op(
    "concat", doc="parts one after the other along attr", arity=-1, type=_concat_type, cheap=True,
    linear=True,
    reference=lambda axis, *parts: np.concatenate(parts, axis=axis),
    widened=lambda axis, _size: axis + 1,
    pullback=_concat_pullback,
    samples=((0, (Type((2,)), Type((3,)))), (1, (Type((2, 1)), Type((2, 2)), Type((2, 1))))),
)  # fmt: skip


def _diag_type(_attr: Any, a: Type) -> Type:
    if a.rank != 1:
        raise TypeProblem(f"a vector is needed, got {a}")
    return a.with_shape((a.shape[0], a.shape[0]))


def _diagonal_type(_attr: Any, a: Type) -> Type:
    if a.rank != 2 or a.shape[0] != a.shape[1]:
        raise TypeProblem(f"a square matrix is needed, got {a}")
    return a.with_shape(a.shape[:1])


# An element of a diagonal stands a row and a column behind the one before it: where rows have a
# place more, in the same column.


def _diag_batching(_attr: Any, size: int, _widened: Any, a: Any) -> Any:
    count = int(a.type.shape[1])
    column = a.then("reshape", attr=(size, count, 1))
    longer = column.then("pad", attr=((0, 0), (0, 0), (0, count)))
    flat = longer.then("reshape", attr=(size, count * (count + 1)))
    square = flat.then("slice", attr=((0, size), (0, count * count)))
    return square.then("reshape", attr=(size, count, count))


def _diagonal_batching(_attr: Any, size: int, _widened: Any, a: Any) -> Any:
    count = int(a.type.shape[1])
    flat = a.then("reshape", attr=(size, count * count))
    longer = flat.then("pad", attr=((0, 0), (0, count)))
    rows = longer.then("reshape", attr=(size, count, count + 1))
    column = rows.then("slice", attr=((0, size), (0, count), (0, 1)))
    return column.then("reshape", attr=(size, count))


op(
    "diag", doc="the square matrix with this diagonal", type=_diag_type, linear=True,
    reference=lambda _, a: np.diag(a), batching=_diag_batching,
    pullback=lambda ct, y, a: (ct.then("diagonal"),),
    samples=((None, (Type((3,)),)),),
)  # fmt: skip
op(
    "diagonal", doc="the diagonal of a square matrix", type=_diagonal_type, cheap=True, view=True,
    reference=lambda _, a: np.diagonal(a), batching=_diagonal_batching,
    pullback=lambda ct, y, a: (ct.then("diag"),),
    samples=((None, (Type((3, 3)),)),),
)  # fmt: skip

# -- rows by an integer input -------------------------------------------------------------------


def _take_type(_attr: Any, table: Type, index: Type) -> Type:
    if table.rank < 1:
        raise TypeProblem(f"{table} has no rows", operand=0)
    if index.kind != "int" or index.rank != 0:
        raise TypeProblem(f"an index is one integer, got {index}", operand=1)
    return Type(table.shape[1:], table.kind, axes_of(table, index))


def _scatter_type(attr: tuple[int, str], index: Type, row: Type) -> Type:
    rows, summed = attr
    axes = axes_of(index, row)
    if not set(summed) <= axes:
        raise TypeProblem(f"no operand varies over {summed}")
    return Type((rows, *row.shape), row.kind, axes - set(summed))


def _scatter(attr: tuple[int, str], index: Any, row: Any) -> Any:
    table = np.zeros((attr[0], *row.shape))
    table[int(index)] = row
    return table


def _take_pullback(ct: Any, y: Any, table: Any, index: Any) -> tuple[Any, None]:
    summed = "".join(sorted((ct.type.axes | index.type.axes) - table.type.axes))
    return index.then("scatter", ct, attr=(int(table.type.shape[0]), summed)), None


def _rows_in_front(a: Any) -> Any:
    """The first two axes in the other order."""
    return a.then("transpose", attr=(1, 0, *range(2, a.type.rank)))


def _each(a: Any, size: int, has: bool) -> list[Any]:
    """What `a` is at each place of the axis in front; the same everywhere, if it has none."""
    if not has:
        return [a] * size
    shape = tuple(map(int, a.type.shape[1:]))
    whole = tuple((0, dim) for dim in shape)
    parts = (a.then("slice", attr=((at, at + 1), *whole)) for at in range(size))
    return [part.then("reshape", attr=shape) for part in parts]


def _together(parts: list[Any]) -> Any:
    """Values along a new axis in front."""
    first, *rest = (p.then("reshape", attr=(1, *map(int, p.type.shape))) for p in parts)
    return first.then("concat", *rest, attr=0)


def _take_batching(
    _attr: Any, size: int, widened: tuple[bool, bool], table: Any, index: Any
) -> Any:
    if not widened[1]:
        return _rows_in_front(table).then("take", index)
    tables, indices = _each(table, size, widened[0]), _each(index, size, has=True)
    return _together([t.then("take", i) for t, i in zip(tables, indices, strict=True)])


def _scatter_batching(
    attr: tuple[int, str], size: int, widened: tuple[bool, bool], index: Any, row: Any
) -> Any:
    if not widened[0]:
        return _rows_in_front(index.then("scatter", row, attr=attr))
    indices, rows = _each(index, size, has=True), _each(row, size, widened[1])
    return _together([i.then("scatter", r, attr=attr) for i, r in zip(indices, rows, strict=True)])


op(
    "take", doc="row `index` of a table", arity=2, type=_take_type,
    reference=lambda _, table, index: table[int(index)],
    pullback=_take_pullback, batching=_take_batching,
    samples=((None, (Type((4, 3)), Type((), "int"))),),
)  # fmt: skip
op(
    "scatter", doc="zeros but for row `index`: attr (rows, leading axes summed over)", arity=2,
    type=_scatter_type, reference=_scatter, batching=_scatter_batching,
    pullback=lambda ct, y, index, row: (None, ct.then("take", index)),
    samples=(
        ((4, ""), (Type((), "int"), Type((3,)))),
        ((4, "B"), (Type((), "int", frozenset("B")), Type((3,), axes=frozenset("B")))),
    ),
)  # fmt: skip
