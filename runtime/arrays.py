"""Arrays of NumPy and tensors of torch behind one small protocol.

`Arrays` is what depends on the net: which library, dtype and device it computes with. NumPy's half
is in `numpy_arrays.py`, torch's in `tensors.py`. What the two libraries merely spell differently is
a function that takes an array of either; nothing here imports torch, as who has no tensor needs
none.

Nobody writes into an array that a net keeps or is given, and whoever keeps a user's copies it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeAlias

import numpy as np

from .errors import ReadOnlyError

Array: TypeAlias = np.ndarray[Any, np.dtype[Any]]
AnyArray: TypeAlias = Any  # an array of NumPy, or a tensor of torch


class Arrays(Protocol):
    """How the arrays of one net are read, made, kept and handed out."""

    @property
    def dtype(self) -> str:
        """Of reals: "float32", "float64", "bfloat16" or "float16"."""

    @property
    def state_dtype(self) -> str:
        """Of states: `dtype`, but float32 where that is narrower."""

    @property
    def element(self) -> Any:
        """`dtype` as the library has it; what `build(B, dtype)` of a module takes."""

    # -- from users ------------------------------------------------------------------------------

    def given(self, value: Any, name: str) -> AnyArray:
        """`value` as an array, not converted yet; NumPy's, or one of this library."""

    def host(self, value: Any, name: str) -> Array:
        """`value` as an array of NumPy, for what Python has to look at."""

    def real(self, value: AnyArray, name: str, *, state: bool = False) -> AnyArray:
        """Real floats as `dtype`, or `state_dtype`."""

    def indices(
        self, value: AnyArray, rows: int | None, name: str, valid: AnyArray | None = None
    ) -> AnyArray:
        """Integers as int64, checked against the rows of the table they pick from.

        Where `valid`, bool[T,B], is false they may be anything, and become 0.
        """

    def flags(self, value: Any, name: str) -> AnyArray:
        """Truth values."""

    def in_numpy(self, values: Iterable[Any], name: str) -> bool:
        """Whether results are handed out as NumPy's arrays, because `values` are none of torch."""

    # -- kept, and handed out --------------------------------------------------------------------

    def zeros(self, shape: tuple[int, ...], *, state: bool = False) -> AnyArray:
        """Real zeros."""

    def memory(self) -> int:
        """Bytes that there are for arrays: of the machine, or of the device."""

    def own(self, array: AnyArray, *, state: bool = False) -> AnyArray:
        """A copy that nobody else writes into, of an array of any library and real dtype."""

    def owned(self, array: AnyArray, others: Iterable[AnyArray]) -> AnyArray:
        """`array` itself if it shares no memory with `others`, else a copy."""

    def shown(self, array: AnyArray) -> AnyArray:
        """What users get to see of an array that the net keeps: writing into it changes nothing."""

    def handed(self, array: AnyArray, in_numpy: bool) -> AnyArray:
        """A result as the user gets it."""

    # -- modules that run on the host ------------------------------------------------------------

    def to_numpy(self, array: AnyArray) -> Array:
        """An array of this library for a NumPy module, which computes in `state_dtype`."""

    def from_numpy(self, array: Array, *, state: bool) -> AnyArray:
        """What a NumPy module returned, as an array of this library."""

    def calling(self) -> AbstractContextManager[Any]:
        """While a net is called: what it keeps is made as in any other call."""

    def running(self, *, fast: bool = False) -> AbstractContextManager[Any]:
        """While a module runs: no warnings, and products as exact as promised."""


LOAD_PARAMS = "write net.load_params({{{0!r}: ...}})"
STATE = "write net.state = {{**net.state, {0!r}: ...}}"


class Shown(Mapping[str, AnyArray]):
    """Arrays that a net keeps, by name, as users get to see them: each when it is asked for."""

    def __init__(
        self, arrays: Arrays, kept: Mapping[str, AnyArray], replacing: str = LOAD_PARAMS
    ) -> None:
        """Show what is kept.

        Args:
            replacing: what to write in place of `shown["W"] = array`, with its name for {0}.
        """
        self._arrays = arrays
        self._kept = kept
        self._replacing = replacing

    def __getitem__(self, name: str) -> AnyArray:
        return self._arrays.shown(self._kept[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._kept)

    def __len__(self) -> int:
        return len(self._kept)

    def __setitem__(self, name: str, _array: object) -> None:
        """Refuse it, as these are not the arrays that a net keeps.

        Raises:
            ReadOnlyError: always.
        """
        raise ReadOnlyError(f"arrays are shown here, not set: {self._replacing.format(name)}")

    def __repr__(self) -> str:
        return repr(dict(self))


# -- arrays of either library --------------------------------------------------------------------


def is_tensor(value: Any) -> bool:
    """Whether `value` is a tensor of torch, which then has been imported."""
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(value, torch.Tensor)


def namespace(array: AnyArray) -> Any:
    """The module with the functions of an array's library: `exp`, `where`, `concatenate`."""
    return sys.modules["torch"] if is_tensor(array) else np


def kind(array: AnyArray) -> str:
    """What an array holds, as NumPy's `dtype.kind` says it: "f", "i", "u", "b", "c", "O"."""
    if not is_tensor(array):
        found: str = array.dtype.kind
        return found
    if array.dtype.is_floating_point or array.dtype.is_complex:
        return "f" if array.dtype.is_floating_point else "c"
    return "b" if str(array.dtype) == "torch.bool" else "i"


def dtype_name(dtype: Any) -> str:
    """As NumPy names them: `float32` of `torch.float32`."""
    return f"{dtype}".removeprefix("torch.")


def on_host(array: AnyArray) -> Array:
    """A tensor as an array of NumPy; bfloat16, which NumPy lacks, as float32."""
    wide = array.float() if str(array.dtype) == "torch.bfloat16" else array
    found: Array = wide.numpy(force=True)
    return found


def widened(array: AnyArray) -> AnyArray:
    """Tensors of narrow numbers as float32, so that sums and small changes are not lost."""
    return array.float() if is_tensor(array) and array.itemsize == 2 else array


def empty_rows(like: AnyArray, count: int) -> AnyArray:
    """Room for `count` rows like those of an array, not filled."""
    shape = (count, *like.shape[1:])
    return like.new_empty(shape) if is_tensor(like) else np.empty(shape, like.dtype)


def copied(array: AnyArray) -> AnyArray:
    """A contiguous copy."""
    if is_tensor(array):
        return array.new_empty(array.shape).copy_(array)
    return np.array(array, order="C")


def share_memory(array: AnyArray, other: AnyArray) -> bool:
    """Whether a write into one of two arrays may change the other."""
    if is_tensor(array) != is_tensor(other):
        return False  # what crosses from one library to the other is copied
    if is_tensor(array):
        mine, theirs = array.untyped_storage(), other.untyped_storage()
        return bool(mine.data_ptr() == theirs.data_ptr() and mine.nbytes())
    return bool(np.may_share_memory(array, other))
