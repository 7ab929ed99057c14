"""Ops on whole matrices that no sum of products says: solving linear equations."""

from __future__ import annotations

from string import ascii_lowercase
from typing import Any

import numpy as np

from ..shapes import Shape, Type, TypeProblem, axes_of
from . import op


def _solve_type(_attr: Any, a: Type, b: Type) -> Type:
    if a.rank < 2 or a.shape[-1] != a.shape[-2]:
        raise TypeProblem(f"square matrices are needed, got {a}", operand=0)
    if b.rank != a.rank or b.shape[:-1] != a.shape[:-1]:
        raise TypeProblem(f"{b} is no right side for {a}", operand=1)
    return Type(b.shape, "real", axes_of(a, b))


def _solve(_attr: Any, a: Any, b: Any) -> Any:
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        return np.full_like(b, np.nan) if a.ndim == 2 else np.stack(
            [_solve(None, *pair) for pair in zip(a, b, strict=True)]
        )  # fmt: skip


def _solve_pullback(ct: Any, y: Any, a: Any, b: Any) -> tuple[Any, Any]:
    """Of A^-1 B: A'^-1 ct for B, and minus its outer product with the result for A."""
    rank = a.type.rank
    turned = a.then("transpose", attr=(*range(rank - 2), rank - 1, rank - 2))
    d_b = turned.then("solve", ct)
    summed = "".join(sorted((d_b.type.axes | y.type.axes) - a.type.axes))
    lead, row, column, inner = ascii_lowercase[: rank - 2], *ascii_lowercase[rank - 2 : rank + 1]
    spec = f"{lead}{row}{column},{lead}{inner}{column}->{lead}{row}{inner}"
    return -d_b.then("einsum", y, attr=(spec, summed)), d_b


def _solve_work(_attr: Any, a: Type, b: Type) -> tuple[tuple[int, Shape], ...]:
    """A factorisation, then two products with triangles."""
    return (1, (*a.shape, a.shape[-1])), (2, (*a.shape, b.shape[-1]))


op(
    "solve", doc="the X of a @ X = b, matrix by matrix; NaN where there is none", arity=2,
    type=_solve_type, reference=_solve, pullback=_solve_pullback,
    widened=lambda attr, _size: attr, by_library=True, reduces=True,
    linear_in=((1,),), work=_solve_work,
    samples=(
        (None, (Type((3, 3)), Type((3, 2)))),
        (None, (Type((1, 1)), Type((1, 4)))),
        (None, (Type((2, 2, 2)), Type((2, 2, 3)))),
        (None, (Type((2, 2), axes=frozenset("B")), Type((2, 1)))),
        (None, (Type((2, 2)), Type((2, 3), axes=frozenset("B")))),
    ),
)  # fmt: skip
