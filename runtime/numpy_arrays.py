"""Arrays of NumPy as a net's arrays: those of nets on the NumPy backend.

In: anything a user passes. Out: an array of the wanted dtype, native, aligned and contiguous, or an
error that names the argument and the way out. `tensors.py` reads with these functions what is no
tensor.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import numpy as np

from ..grammar.problems import Error
from .arrays import AnyArray, Array, is_tensor, on_host
from .checks import NARROW, a_type
from .conversion import check_numbers, to_numpy
from .errors import DTypeError, RangeError, SettingError, ShapeError
from .memory import host_memory

DEEPEST = 64  # axes that NumPy has at most


class NumPyArrays:
    """Arrays of NumPy: those of nets on the NumPy backend."""

    def __init__(self, dtype: str, owner: str = "this net") -> None:
        """For what computes with `dtype`, called `owner` in messages."""
        if dtype in NARROW:
            raise SettingError(
                f"dtype={dtype!r} takes backend='triton': NumPy computes in float32 or float64"
            )
        self.dtype = dtype
        self.state_dtype = dtype
        self.element = np.dtype(dtype)
        self.owner = owner

    def given(self, value: Any, name: str) -> Array:
        return as_array(value, name)

    def host(self, value: Any, name: str) -> Array:
        return as_array(value, name)

    def real(self, value: AnyArray, name: str, *, state: bool = False) -> Array:
        return as_real(value, self.element, name, self.owner)

    def indices(
        self, value: AnyArray, rows: int | None, name: str, valid: AnyArray | None = None
    ) -> Array:
        return as_indices(value, rows, name, valid)

    def flags(self, value: Any, name: str) -> Array:
        return as_flags(value, name)

    def in_numpy(self, values: Iterable[Any], name: str) -> bool:
        return True

    def zeros(self, shape: tuple[int, ...], *, state: bool = False) -> Array:
        return np.zeros(shape, self.dtype)

    def memory(self) -> int:
        return host_memory()

    def own(self, array: AnyArray, *, state: bool = False) -> Array:
        array = on_host(array) if is_tensor(array) else array
        copy = np.array(array, self.dtype, order="C")
        copy.setflags(write=False)
        return copy

    def owned(self, array: AnyArray, others: Iterable[AnyArray]) -> Array:
        shared = array.base is not None or any(np.may_share_memory(array, o) for o in others)
        mine: Array = array.copy() if shared else array
        mine.setflags(write=False)
        return mine

    def shown(self, array: AnyArray) -> Array:
        view: Array = array.view()
        view.setflags(write=False)
        return view

    def handed(self, array: AnyArray, in_numpy: bool) -> Array:
        found: Array = array
        return found

    def to_numpy(self, array: AnyArray) -> Array:
        found: Array = array
        return found

    def from_numpy(self, array: Array, *, state: bool) -> Array:
        return array

    def calling(self) -> AbstractContextManager[Any]:
        return nullcontext()

    def running(self, *, fast: bool = False) -> AbstractContextManager[Any]:
        return np.errstate(all="ignore")


def as_array(value: Any, name: str) -> Array:
    """`value` as a NumPy array of whatever dtype, without a copy where it is one already."""
    if type(value) is np.ndarray:
        return value
    is_list = isinstance(value, list | tuple)
    for part in parts(value) if is_list else (value,):
        if is_tensor(part):
            raise DTypeError(_torch_message(part, name, is_part=is_list))
        if isinstance(part, np.ma.MaskedArray):
            way = "array.filled(value) of each" if is_list else f"{name}.filled(value)"
            raise DTypeError(
                f"{name} {'holds' if is_list else 'is'} a masked array, whose mask would be lost: "
                f"pass {way}; a mask of padding is what `lengths` stands for"
            )
    try:
        array = np.asarray(value)
    except (MemoryError, Error):
        raise
    except Exception as error:  # of whatever is asked to be an array
        if is_list and "element with a sequence" in str(error):
            raise ShapeError(f"the parts of {name} have different shapes") from None
        held = f"{name} is {a_type(value)} that cannot be read as an array"
        raise DTypeError(f"{held}: {type(error).__name__}: {error}") from error
    if array.dtype.kind == "O" and not array.ndim:
        raise DTypeError(_object_message(value, name))
    return array


def parts(value: Any, depth: int = 0) -> Iterator[Any]:
    """Of lists in lists, one of each kind that lies in a list: NumPy would convert them all."""
    for kind, part in {type(part): part for part in value}.items():
        if issubclass(kind, list | tuple):
            if depth < DEEPEST:
                for inner in value:
                    if isinstance(inner, kind):
                        yield from parts(inner, depth + 1)
        else:
            yield part


def _torch_message(tensor: Any, name: str, *, is_part: bool) -> str:
    check_numbers(tensor, name)
    held = f"{name} holds tensors" if is_part else f"{name} is {a_type(tensor)}"
    way = f"{to_numpy(tensor, '')} of each" if is_part else to_numpy(tensor, name)
    return f"{held} of torch, and this net computes with NumPy: pass {way}"


def _object_message(value: Any, name: str) -> str:
    """Of what NumPy does not look into."""
    held = f"{name} is {a_type(value)}, in which NumPy sees Python objects, not numbers"
    if isinstance(value, Iterator):
        return f"{held}: pass np.stack(list({name}))"
    for way in ("toarray", "to_numpy", "todense"):  # sparse matrices, data frames
        if hasattr(value, way):
            return f"{held}: pass {name}.{way}()"
    return held


def check_real(array: Array, dtype: str, name: str, owner: str) -> None:
    """Raise a `DTypeError` unless `array` holds real floats."""
    if array.dtype.kind == "f":
        return
    held = array.dtype.name if array.dtype.kind != "O" else "Python objects"
    message = f"{name} holds {held}, {owner} computes with {dtype}"
    if array.dtype.kind in "iub":
        wide = "float32" if dtype in NARROW else dtype
        message += f"; convert it yourself: {name}.astype(np.{wide})"
    raise DTypeError(message)


def as_real(array: Array, element: np.dtype[Any], name: str, owner: str) -> Array:
    """Real floats of any width as `element`; too large ones become infinite."""
    if array.dtype != element:
        check_real(array, element.name, name, owner)
    return _plain(array, element)


def as_indices(array: Array, rows: int | None, name: str, valid: AnyArray | None = None) -> Array:
    """Integers of any width as int64, checked against the rows of the table they pick from."""
    if array.dtype.kind not in "iu":
        way = "" if array.dtype.kind == "c" else f"{name}.astype(np.int64)"
        raise DTypeError(no_index(name, array.dtype.name, way))
    if valid is not None:
        array = np.where(valid, array, 0)
    if rows is not None and array.size:
        check_range(int(array.min()), int(array.max()), rows, name)
    return _plain(array, np.dtype(np.int64))


def no_index(name: str, held: str, way: str) -> str:
    """Of what holds another kind of number than integers; `way` makes it integers, if any does."""
    return f"{name} holds {held}, but it is an index: pass integers{way and f', {way}'}"


def check_range(low: int, high: int, rows: int, name: str) -> None:
    """Raise a `RangeError` unless indices from `low` to `high` name rows of a table."""
    if low < 0 or high >= rows:
        wrong = low if low < 0 else high
        raise RangeError(f"{name} holds {wrong}, but its table has rows 0 to {rows - 1}")


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
        raise DTypeError(not_flags(name, array.dtype.name))
    return array


def not_flags(name: str, held: str) -> str:
    """Of what holds another kind of number than truth values."""
    return f"{name} holds {held}; it takes truth values: {name} != 0"
