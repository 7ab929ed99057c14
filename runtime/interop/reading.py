"""Weights as arrays, whatever library they are of.

In: arrays, tensors, lists of numbers by name. Out: float64 arrays of the shapes they are to have;
or an error that names the first that has not.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..arrays import AnyArray, Array, dtype_name, is_tensor, kind, on_host
from ..checks import describe
from ..conversion import check_numbers, check_strided, passing, to
from ..errors import DTypeError, ShapeError
from ..numpy_arrays import as_array, check_real

OWNER = "a net"


def numbers(value: Any, name: str, shape: tuple[int, ...] | None = None) -> Array:
    """A value as float64, of a shape.

    Raises:
        DTypeError: it holds no real floats; ShapeError: it has another shape.
    """
    array = _on_host(value, name) if is_tensor(value) else as_array(value, name)
    if array.dtype.name == "bfloat16":  # of ml_dtypes, as JAX has it; no kind of NumPy's
        array = array.astype(np.float32)
    check_real(array, "float64", name, OWNER)
    if shape is not None and array.shape != shape:
        raise ShapeError(f"{name} is {describe(shape)}, got {describe(array.shape)}")
    return array.astype(np.float64)


def _on_host(tensor: AnyArray, name: str) -> Array:
    check_strided(tensor, name)
    check_numbers(tensor, name)
    if kind(tensor) != "f":
        way = to(tensor, name, "float64", tensor.device)
        held = f"{name} holds {dtype_of(tensor)}"
        raise DTypeError(f"{held}, and {OWNER} computes with reals{passing(way)}")
    try:
        return on_host(tensor)
    # Of a narrow dtype, or of a class of its own.
    except (TypeError, RuntimeError, NotImplementedError) as error:
        raise DTypeError(f"{name} is a tensor that cannot be read as an array: {error}") from error


def dtype_of(value: Any) -> str:
    """What a weight is of, and its net where nothing else is said; float32 of plain lists."""
    return dtype_name(getattr(value, "dtype", "float32"))
