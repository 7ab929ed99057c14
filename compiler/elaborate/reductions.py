"""Functions over one axis: sum, mean, max, cumsum, cumprod; and the way to any axis.

In: operands. Out: nodes. What `prelude.rnn` defines over the last axis works over any: the axis is
moved behind the others before, and what is left of it moved back after.
"""

from __future__ import annotations

from collections.abc import Callable

from ...grammar.problems_of_values import BadSize, NotConstant
from . import arguments
from .arrange import part, reshaped
from .tensors import Site, constant, tensor
from .values import Operand, Tensor, Value, describe

Reduction = Callable[[Site, Tensor, int], Tensor]


def reduction(reduce: Reduction) -> Callable[[Site, Operand, Operand, Operand], Value]:
    """The function `(value, axis, keepdims)` of a reduction of one axis."""

    def build(site: Site, value: Operand, axis: Operand, keepdims: Operand) -> Value:
        node = tensor(site, value)
        try:
            at = arguments.axis(site, axis, node.type.rank, value)
        except NotConstant as problem:
            if site.name in ("max", "min"):
                problem.hints += (f"'{site.name}imum(a, b)' compares two values",)
            raise
        return keep(site, reduce(site, node, at), keepdims, at)

    return build


def keep(site: Site, result: Tensor, keepdims: Operand, axis: int) -> Tensor:
    """`result`, in which `axis` is gone; with `keepdims` it stays, at size 1."""
    if not arguments.truth(site, keepdims, "'keepdims'"):
        return result
    shape = result.type.shape
    return reshaped(site, result, (*shape[:axis], 1, *shape[axis:]))


def _sum(site: Site, node: Tensor, axis: int) -> Tensor:
    return site.apply("sum", node, attr=axis)


def _mean(site: Site, node: Tensor, axis: int) -> Tensor:
    total = _sum(site, node, axis)
    _need_elements(site, node, axis)
    return site.apply("div", total, constant(int(node.type.shape[axis]), total.type.shape))


def _max(site: Site, node: Tensor, axis: int) -> Tensor:
    _need_elements(site, node, axis)
    return site.apply("amax", node, attr=axis)


def _min(site: Site, node: Tensor, axis: int) -> Tensor:
    return site.apply("neg", _max(site, site.apply("neg", node), axis))


def _need_elements(site: Site, node: Tensor, axis: int) -> None:
    if not node.type.shape[axis]:
        raise BadSize(f"'{site.name}' of no elements", site.span, f"axis {axis} has size 0")


sum_of = reduction(_sum)
mean_of = reduction(_mean)
max_of = reduction(_max)
min_of = reduction(_min)


def cumsum(site: Site, value: Operand, axis: Operand) -> Value:
    """Running sum along an axis."""
    node = tensor(site, value)
    at = arguments.axis(site, axis, node.type.rank, value)
    return site.apply("cumsum", node, attr=(at, False))


def cumprod(site: Site, value: Operand, axis: Operand) -> Value:
    """Running product along an axis, written out."""
    node = tensor(site, value)
    at = arguments.axis(site, axis, node.type.rank, value)
    if not node.type.shape[at]:
        return node
    rows = [part(site, node, at, 0, 1)]
    for start in range(1, node.type.shape[at]):
        rows.append(site.apply("mul", rows[-1], part(site, node, at, start, start + 1)))
    return rows[0] if len(rows) == 1 else site.apply("concat", *rows, attr=at)


def to_last(site: Site, value: Operand, axis: Operand) -> tuple[Tensor, int]:
    """The value with `axis` moved behind the others, and where that axis was.

    Raises:
        BadAxis, BadSize: there is no such axis, or nothing on it.
    """
    node = tensor(site, value)
    at = arguments.axis(site, axis, node.type.rank, value)
    if not node.type.shape[at]:
        raise BadSize(f"'{site.name}' of no elements", value.span, f"this is {describe(node)}")
    if at == node.type.rank - 1:
        return node, at
    order = (*(i for i in range(node.type.rank) if i != at), at)
    return site.apply("transpose", node, attr=order), at


def from_last(site: Site, node: Tensor, axis: int) -> Tensor:
    """The value with its last axis moved to `axis`."""
    last = node.type.rank - 1
    if axis == last:
        return node
    return site.apply("transpose", node, attr=(*range(axis), last, *range(axis, last)))
