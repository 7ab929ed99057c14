"""Checking and converting what users pass as arrays.

In: anything. Out: a NumPy array of the wanted dtype, native, aligned and contiguous, which may be
the user's own: nobody writes into it, and whoever keeps it copies it. Or an error that names the
argument and the way out.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import numpy as np

from .errors import DTypeError, NamesError, RangeError, SettingError, ShapeError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]


def as_array(value: Any, name: str) -> Array:
    """`value` as a NumPy array of whatever dtype, without a copy where it is one already."""
    if type(value) is np.ndarray:
        return value
    if type(value).__module__.partition(".")[0] == "torch":
        raise DTypeError(_torch_message(value, name))
    if isinstance(value, np.ma.MaskedArray):
        raise DTypeError(
            f"{name} is a masked array, whose mask would be lost: pass {name}.filled(value), "
            "and `lengths` if the mask marks padding"
        )
    try:
        return np.asarray(value)
    except ValueError:
        if isinstance(value, list | tuple):
            raise ShapeError(f"the parts of {name} have different shapes") from None
        raise


def _torch_message(value: Any, name: str) -> str:
    way = name
    if getattr(value, "requires_grad", False):
        way += ".detach()"
    if getattr(getattr(value, "device", None), "type", "cpu") != "cpu":
        way += ".cpu()"
    held = f"{name} is a {type(value).__name__} of torch"
    return f"{held}, and this net computes with NumPy: pass {way}.numpy()"


def check_real(array: Array, dtype: np.dtype[Any], name: str) -> None:
    """Raise a `DTypeError` unless `array` holds real floats."""
    if array.dtype == dtype or array.dtype.kind == "f":
        return
    held = array.dtype.name if array.dtype.kind != "O" else "Python objects"
    message = f"{name} holds {held}, this net computes with {dtype.name}"
    if array.dtype.kind in "iub":
        message += f"; convert it yourself: {name}.astype(np.{dtype.name})"
    elif array.dtype.kind == "c":
        message += f"; pass {name}.real and {name}.imag as features of their own"
    raise DTypeError(message)


def as_real(array: Array, dtype: np.dtype[Any], name: str) -> Array:
    """Real floats of any width as `dtype`; too large ones become infinite."""
    check_real(array, dtype, name)
    return _plain(array, dtype)


def as_indices(array: Array, rows: int | None, name: str) -> Array:
    """Integers of any width as int64, checked against the rows of the table they pick from."""
    if array.dtype.kind not in "iu":
        raise DTypeError(
            f"{name} holds {array.dtype.name}, but it is an index: pass integers, "
            f"{name}.astype(np.int64)"
        )
    if rows is not None and array.size:
        low, high = int(array.min()), int(array.max())
        if low < 0 or high >= rows:
            wrong = low if low < 0 else high
            raise RangeError(f"{name} holds {wrong}, but its table has rows 0 to {rows - 1}")
    return _plain(array, np.dtype(np.int64))


def _plain(array: Array, dtype: np.dtype[Any]) -> Array:
    flags = array.flags
    if array.dtype == dtype and flags.c_contiguous and flags.aligned:
        return array
    with np.errstate(over="ignore"):
        return np.array(array, dtype, order="C")


def as_flags(value: Any, name: str) -> Array:
    """Truth values; integers 0 and 1 stand for them."""
    array = as_array(value, name)
    if array.dtype.kind in "iu" and np.isin(array, (0, 1)).all():
        array = array.astype(bool)
    if array.dtype != np.dtype(bool):
        raise DTypeError(f"{name} holds {array.dtype.name}; it takes truth values: {name} != 0")
    return array


def frozen(array: Array) -> Array:
    """A copy nobody can write into: how parameters and states are kept."""
    copy = np.array(array, order="C")
    copy.setflags(write=False)
    return copy


def owned(array: Array, others: Iterable[Array]) -> Array:
    """`array` itself if it shares no memory with `others`, else a copy."""
    shared = array.base is not None or any(np.may_share_memory(array, o) for o in others)
    array = array.copy() if shared else array
    array.setflags(write=False)
    return array


def check_dtype(dtype: Any) -> np.dtype[Any]:
    """float32 or float64, by whatever NumPy takes for one of them; else raise a `SettingError`."""
    try:
        found: np.dtype[Any] = np.dtype(dtype)
    except TypeError:
        found = np.dtype(object)
    if found not in (np.float32, np.float64):
        raise SettingError(f"dtype is float32 or float64, got {dtype!r}")
    return found


def check_flag(value: Any, name: str) -> None:
    """Raise a `SettingError` unless an option is True or False: "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise SettingError(f"{name} is True or False, got {value!r}")


def check_names(given: Any, names: Iterable[str], what: str, *, all_needed: bool) -> None:
    """Raise a `NamesError` that lists every unknown and every missing name at once."""
    if not isinstance(given, Mapping):
        raise DTypeError(f"{what} takes a dict of arrays by name, not {type(given).__name__}")
    wanted = list(names)
    unknown = [str(name) for name in given if name not in wanted]
    missing = [name for name in wanted if name not in given] if all_needed else []
    if unknown or missing:
        parts = [f"has no {', '.join(unknown)}"] if unknown else []
        parts += [f"also needs {', '.join(missing)}"] if missing else []
        known = ", ".join(wanted) or "none"
        raise NamesError(f"{what} {' and '.join(parts)}; its names: {known}")


def describe(shape: Iterable[object]) -> str:
    """`[3, 5]`."""
    return f"[{', '.join(str(size) for size in shape)}]"
