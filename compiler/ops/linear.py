"""Ops that multiply and add over axes: products, sums, running sums, sums over leading axes."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import numpy as np

from ..shapes import Dim, Shape, Type, TypeProblem, axes_of
from . import op


def behind(axis: int, _size: int) -> int:
    """An axis, where there is one more in front."""
    return axis + 1


def _einsum_type(attr: tuple[str, str], a: Type, b: Type) -> Type:
    spec, summed = attr
    letters, out = spec.split("->")
    operands = letters.split(",")
    sizes: dict[str, int] = {}
    for at, (names, t) in enumerate(zip(operands, (a, b), strict=True)):
        if len(names) != t.rank:
            raise TypeProblem(f"'{names}' names {len(names)} axes of {t}", operand=at)
        other = operands[1 - at]
        for name, dim in zip(names, t.shape, strict=True):
            if names.count(name) > 1 or (name not in other and name not in out):
                raise TypeProblem(f"axis '{name}' of '{spec}' must be summed first", operand=at)
            if sizes.setdefault(name, dim) != dim:
                raise TypeProblem(f"inner sizes {sizes[name]} and {dim} differ", operand=at)
    axes = axes_of(a, b)
    if not set(summed) <= axes:
        raise TypeProblem(f"no operand varies over {summed}")
    return Type(tuple(sizes[name] for name in out), "real", axes - set(summed))


def _einsum_pullback(ct: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    (la, lb), out = y.attr[0].split("->")[0].split(","), y.attr[0].split("->")[1]

    def towards(mine: Any, other: Any, my_letters: str, other_letters: str) -> Any:
        extra = (ct.type.axes | other.type.axes) - mine.type.axes
        summed = "".join(sorted(extra))
        return ct.then("einsum", other, attr=(f"{out},{other_letters}->{my_letters}", summed))

    return towards(a, b, la, lb), towards(b, a, lb, la)


def _einsum_batching(
    attr: tuple[str, str], _size: int, widened: tuple[bool, bool], a: Any, b: Any
) -> Any:
    """One letter more; an operand without the axis is multiplied with all along it."""
    (letters, out), summed = attr[0].split("->"), attr[1]
    new = next(x for x in ascii_lowercase if x not in attr[0])
    names = [new * has + mine for has, mine in zip(widened, letters.split(","), strict=True)]
    return a.then("einsum", b, attr=(f"{','.join(names)}->{new}{out}", summed))


def _einsum_work(attr: tuple[str, str], *types: Type) -> tuple[tuple[int, Shape], ...]:
    """Every combination of letters: a product, and a sum where a letter goes away."""
    letters, out = attr[0].split("->")
    sizes: dict[str, int] = {}
    for names, type_ in zip(letters.split(","), types, strict=True):
        for letter, dim in zip(names, type_.shape, strict=True):
            known = sizes.get(letter)  # one with a name says more than a mere number
            if not isinstance(known, Dim) or not known.is_named:
                sizes[letter] = dim
    return ((1 if set(sizes) <= set(out) else 2, tuple(sizes.values())),)


op(
    "einsum", doc="sum of products: attr (spec, leading axes summed over)", arity=2,
    type=_einsum_type,
    reference=lambda attr, a, b: np.einsum(attr[0], a, b),
    pullback=_einsum_pullback, batching=_einsum_batching,
    linear_in=((0,), (1,)), work=_einsum_work,
    samples=(
        (("ab,b->a", ""), (Type((3, 4)), Type((4,)))),
        (("abc,ac->ab", ""), (Type((2, 3, 4)), Type((2, 4)))),
        (("a,b->ab", ""), (Type((3,)), Type((2,)))),
        (("a,a->", ""), (Type((5,)), Type((5,)))),
        (("abc,c->ba", ""), (Type((2, 3, 4)), Type((4,)))),
        (("ab,b->a", ""), (Type((3, 4)), Type((4,), axes=frozenset("B")))),
        (("a,b->ab", "B"), (Type((3,), axes=frozenset("B")), Type((4,), axes=frozenset("B")))),
    ),
)  # fmt: skip


def _sum_type(axis: int, a: Type) -> Type:
    if not 0 <= axis < a.rank:
        raise TypeProblem(f"{a} has no axis {axis}")
    return a.with_shape(a.shape[:axis] + a.shape[axis + 1 :])


def _widen(ct: Any, axis: int, shape: Any) -> Any:
    """`ct` with `axis` put back and repeated."""
    one = (*shape[:axis], 1, *shape[axis + 1 :])
    return ct.then("reshape", attr=one).then("broadcast", attr=tuple(shape))


op(
    "sum", doc="sum over the trailing axis attr", type=_sum_type, linear=True, reduces=True,
    reference=lambda axis, a: a.sum(axis=axis), widened=behind,
    pullback=lambda ct, y, a: (_widen(ct, y.attr, a.type.shape),),
    samples=((0, (Type((3,)),)), (1, (Type((2, 3, 4)),))),
)  # fmt: skip


def _max_pullback(ct: Any, y: Any, a: Any) -> tuple[Any]:
    # Equal maxima share the cotangent in equal parts.
    top = a.then("eq", _widen(y, y.attr, a.type.shape)).then("where", 1.0, 0.0)
    share = ct / top.then("sum", attr=y.attr)
    return (top * _widen(share, y.attr, a.type.shape),)


# Cheap, because its derivative asks which elements equal it: saved by one program and compared in
# another with operands computed again, it might equal none.
op(
    "amax", doc="largest along the trailing axis attr; equal ones share the derivative; NaN wins",
    type=_sum_type, reduces=True, cheap=True,
    reference=lambda axis, a: a.max(axis=axis), widened=behind,
    pullback=_max_pullback,
    samples=((0, (Type((4,)),)), (1, (Type((2, 3, 4)),))),
)  # fmt: skip


def _running_type(attr: tuple[int, bool], a: Type) -> Type:
    _sum_type(attr[0], a)
    return a


def _cumsum(attr: tuple[int, bool], a: Any) -> Any:
    axis, backwards = attr
    if backwards:
        return np.flip(np.cumsum(np.flip(a, axis), axis=axis), axis)
    return np.cumsum(a, axis=axis)


op(
    "cumsum", doc="running sum along a trailing axis: attr (axis, from the end)",
    type=_running_type, linear=True, reduces=True,
    reference=_cumsum, widened=lambda attr, _size: (attr[0] + 1, attr[1]),
    pullback=lambda ct, y, a: (ct.then("cumsum", attr=(y.attr[0], not y.attr[1])),),
    samples=(((0, False), (Type((4,)),)), ((1, True), (Type((2, 3)),))),
)  # fmt: skip


# -- leading axes: only the differentiator writes these two ------------------------------------


def _total_type(axes: str, a: Type) -> Type:
    if not axes or not set(axes) <= a.axes:
        raise TypeProblem(f"{a} does not vary over '{axes}'")
    return a.with_axes(a.axes - set(axes))


def _spread_type(axes: str, a: Type) -> Type:
    if not axes or set(axes) & a.axes:
        raise TypeProblem(f"{a} varies over '{axes}' already")
    return a.with_axes(a.axes | set(axes))


# For one example both are the identity: a reference sees no leading axes.
op(
    "total", doc="sum over the leading axes attr", type=_total_type, linear=True,
    work=lambda _axes, a: ((1, a.shape),),
    reference=lambda axes, a: a, widened=lambda axes, _size: axes,
    pullback=lambda ct, y, a: (ct.then("spread", attr=y.attr),),
    samples=(("B", (Type((3,), axes=frozenset("B")),)),),
)  # fmt: skip
op(
    "spread", doc="the same value along the leading axes attr", type=_spread_type, cheap=True,
    linear=True,
    reference=lambda axes, a: a, widened=lambda axes, _size: axes,
    pullback=lambda ct, y, a: (ct.then("total", attr=y.attr),),
    samples=(("B", (Type((3,)),)),),
)  # fmt: skip
