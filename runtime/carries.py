"""What a user passes as a state -> a carry: arrays [B, ...] by name.

In: a dict of arrays, with or without a batch axis. Out: checked copies nobody can write into.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import AnyArray, Arrays, copied, kind, namespace
from .checks import check_names, describe
from .errors import DTypeError, RangeError, SettingError, ShapeError

Carry = Mapping[str, AnyArray]


def read_carry(
    cell: Cell, arrays: Arrays, given: Any, what: str, lead: tuple[int, ...] | None
) -> tuple[dict[str, AnyArray], tuple[int, ...]]:
    """A state for every name; 0 for what the compiler added and nobody gave.

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
    carry: dict[str, AnyArray] = {}
    for state in cell.states:
        if state.name not in given:
            continue
        array = arrays.given(given[state.name], state.name)
        shape = tuple(int(dim) for dim in state.node.type.shape)
        own = tuple(array.shape[: max(0, array.ndim - len(shape))])
        if array.shape != (*own, *shape) or len(own) > 1 or (lead is not None and own != lead):
            either = f"{describe(shape)} or {describe(['batch', *shape])}"
            wanted = either if lead is None else describe([*lead, *shape])
            raise ShapeError(f"{state.name} is {wanted}, got {describe(array.shape)}")
        lead = own  # the first one decides for the others
        array = arrays.own(arrays.real(array, state.name, state=True), state=True)
        carry[state.name] = array if own else array[None]
    batch = lead[0] if lead else 1
    for state in cell.states:
        shape = tuple(map(int, state.node.type.shape))
        carry.setdefault(state.name, arrays.zeros((batch, *shape), state=True))
    return {state.name: carry[state.name] for state in cell.states}, lead or ()


def read_d_carry(
    given: Any, carry: Carry, arrays: Arrays, what: str, *, batched: bool
) -> dict[str, AnyArray]:
    """Cotangents of a carry, [B, ...]; 0 for the states that are not named."""
    check_names(given, carry, what, all_needed=False)
    found = {name: arrays.zeros(array.shape, state=True) for name, array in carry.items()}
    for name, value in given.items():
        array = arrays.given(value, name)
        shape = carry[name].shape if batched else carry[name].shape[1:]
        if array.shape != shape:
            raise ShapeError(f"{what}[{name!r}] is {describe(shape)}, got {describe(array.shape)}")
        found[name] = arrays.real(array, name, state=True).reshape(carry[name].shape)
    return found


def read_rows(given: Any, batch: int, arrays: Arrays) -> AnyArray:
    """Truth values, or indices of rows -> bool[B], a copy."""
    check_no_state(given)
    array = arrays.given(given, "rows")
    if kind(array) == "b":
        if array.shape != (batch,):
            raise ShapeError(f"rows is bool[{batch}], got {describe(array.shape)}")
        return copied(arrays.flags(array, "rows"))
    at = arrays.host(array, "rows")
    if at.size and at.dtype.kind not in "iu":
        raise DTypeError(f"rows holds {at.dtype.name}: pass truth values or indices")
    if at.size and not 0 <= at.min() <= at.max() < batch:
        wrong = int(at.min()) if at.min() < 0 else int(at.max())
        raise RangeError(f"rows names row {wrong}, but the state has {batch} rows")
    if len(np.unique(at)) < at.size:
        raise SettingError(
            "rows names a row twice: integers are rows, a mask holds truth values, "
            "such as rows != 0"
        )
    mask = np.zeros(batch, bool)
    mask[at.astype(np.int64)] = True
    return arrays.flags(mask, "rows")


def check_no_state(rows: Any) -> None:
    """Raise a `DTypeError` for a state in place of rows, `reset({"h": ...})`."""
    if isinstance(rows, Mapping):
        raise DTypeError(
            "rows are truth values or indices, not a dict: of all rows, set net.state; of some, "
            "reset(rows, state)"
        )


def read_row_states(
    cell: Cell, arrays: Arrays, given: Any, what: str, batch: int | None
) -> tuple[dict[str, AnyArray], int]:
    """A state for every name and row, as `read_carry`, and how many rows there are.

    Raises:
        As `read_carry`; ShapeError: it has no batch axis.
    """
    values, lead = read_carry(cell, arrays, given, what, None if batch is None else (batch,))
    if values and not lead:
        name, value = next(iter(values.items()))
        shape = describe(["batch", *value.shape[1:]])
        raise ShapeError(f"{name} is {shape}, got {describe(value.shape[1:])}")
    return values, lead[0] if lead else 0


def chosen(rows: AnyArray, yes: Carry, no: Carry) -> dict[str, AnyArray]:
    """Rows of `yes` where `rows`, bool[B], says so, and of `no` elsewhere."""
    return {
        name: namespace(array).where(rows.reshape(-1, *[1] * (array.ndim - 1)), yes[name], array)
        for name, array in no.items()
    }


def zeros_like(carry: Carry) -> dict[str, AnyArray]:
    return {name: namespace(array).zeros_like(array) for name, array in carry.items()}
