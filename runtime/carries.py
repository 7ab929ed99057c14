"""What a user passes as a state -> a carry: arrays [B, ...] by name.

In: a dict of arrays, with or without a batch axis. Out: checked copies nobody can write into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import Array, as_array, as_real, check_names, describe, frozen
from .errors import DTypeError, RangeError, ShapeError

Carry = Mapping[str, Array]


def read_carry(
    cell: Cell, dtype: np.dtype[Any], given: Any, what: str, lead: tuple[int, ...] | None
) -> tuple[dict[str, Array], tuple[int, ...]]:
    """A state for every name.

    Args:
        given: arrays by name, [...] or [B, ...].
        what: whose state it is, for messages.
        lead: (B,) or (): the leading axes wanted; None for either, the same for all.
    Returns:
        The arrays as [B, ...], with B = 1 where there is no batch axis; and their leading axes.
    Raises:
        NamesError, ShapeError, DTypeError: naming the state.
    """
    check_names(given, (state.name for state in cell.states), what, all_needed=True)
    carry: dict[str, Array] = {}
    for state in cell.states:
        array = as_array(given[state.name], state.name)
        shape = tuple(int(dim) for dim in state.node.type.shape)
        own = array.shape[: max(0, array.ndim - len(shape))]
        if array.shape != (*own, *shape) or len(own) > 1 or (lead is not None and own != lead):
            either = f"{describe(shape)} or {describe(['batch', *shape])}"
            wanted = either if lead is None else describe([*lead, *shape])
            raise ShapeError(f"{state.name} is {wanted}, got {describe(array.shape)}")
        lead = own  # the first one decides for the others
        array = frozen(as_real(array, dtype, state.name))
        carry[state.name] = array if own else array[None]
    return carry, lead or ()


def read_d_carry(
    given: Any, carry: Carry, dtype: np.dtype[Any], what: str, *, batched: bool
) -> dict[str, Array]:
    """Cotangents of a carry, [B, ...]; 0 for the states that are not named."""
    check_names(given, carry, what, all_needed=False)
    found = {name: np.zeros(array.shape, dtype) for name, array in carry.items()}
    for name, value in given.items():
        array = as_array(value, name)
        shape = carry[name].shape if batched else carry[name].shape[1:]
        if array.shape != shape:
            raise ShapeError(f"{what}[{name!r}] is {describe(shape)}, got {describe(array.shape)}")
        found[name] = as_real(array, dtype, name).reshape(carry[name].shape)
    return found


def read_rows(given: Any, batch: int) -> Array:
    """Truth values, or indices of rows -> bool[B]."""
    array = as_array(given, "rows")
    if array.dtype == np.dtype(bool):
        if array.shape != (batch,):
            raise ShapeError(f"rows is bool[{batch}], got {describe(array.shape)}")
        return array.copy()
    if array.size and array.dtype.kind not in "iu":
        raise DTypeError(f"rows holds {array.dtype.name}: pass truth values or indices")
    if array.size and not 0 <= array.min() <= array.max() < batch:
        wrong = int(array.min()) if array.min() < 0 else int(array.max())
        raise RangeError(f"rows names row {wrong}, but the state has {batch} rows")
    mask = np.zeros(batch, bool)
    mask[array.astype(np.int64)] = True
    return mask


def chosen(rows: Array, yes: Carry, no: Carry) -> dict[str, Array]:
    """Rows of `yes` where `rows`, bool[B], says so, and of `no` elsewhere."""
    return {
        name: np.where(rows.reshape(-1, *[1] * (array.ndim - 1)), yes[name], array)
        for name, array in no.items()
    }


def zeros_like(carry: Carry) -> dict[str, Array]:
    return {name: np.zeros_like(array) for name, array in carry.items()}
