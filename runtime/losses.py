"""Losses and their cotangents.

In: outputs and targets, arrays of NumPy or tensors. Out: a loss and the cotangent that
`net.backward` takes. The answer to tensors are tensors, the loss too, so that nobody waits for the
device.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from .arrays import AnyArray, Arrays, dtype_name, is_tensor, kind, namespace, widened
from .checks import describe
from .conversion import passing
from .errors import DTypeError, ShapeError
from .numpy_arrays import NumPyArrays, as_array
from .tensors import TorchArrays

OWNER = "this loss"  # of the arrays, in messages


def cross_entropy(ys: Any, targets: Any, mask: Any = None) -> tuple[float, AnyArray]:
    """The mean of -log softmax(ys)[target], in nats, and its cotangent.

    Args:
        ys: scores before any softmax, real[..., classes].
        targets: int[...], the right class of each.
        mask: bool[...], which of them count; all if None. The rest gets cotangent 0.
    Returns:
        The loss, a float (for a tensor: a tensor without axes), and d_ys, shaped like `ys`. Without
        a single target that counts both are 0.
    Raises:
        ShapeError, DTypeError, RangeError: naming the argument.
    """
    arrays, scores = _real(ys, "ys")
    if scores.ndim == 0:
        raise ShapeError("ys has the classes on its last axis, got a number")
    chosen = arrays.given(targets, "targets")
    if chosen.shape != scores.shape[:-1]:
        raise ShapeError(
            f"targets is int{describe(scores.shape[:-1])}, one for each score vector of ys "
            f"{describe(scores.shape)}, got {describe(chosen.shape)}"
        )
    counts = _counting(mask, tuple(chosen.shape), arrays)
    chosen = arrays.indices(chosen, scores.shape[-1], "targets", counts)[..., None]
    xp, number = namespace(scores), _number(tuple(scores.shape[:-1]), counts)
    if math.prod(scores.shape) == 0:
        return _mean(scores.sum(-1), counts, number), xp.zeros_like(scores)
    wide = widened(scores)
    with arrays.running():
        shifted = wide - xp.amax(wide, axis=-1, keepdims=True)
        d_ys = xp.exp(shifted)
        total = d_ys.sum(axis=-1, keepdims=True)
        losses = xp.log(total) - _at(shifted, chosen)
        d_ys = d_ys / total
        _put(d_ys, chosen, _at(d_ys, chosen) - 1)
        along = None if counts is None else counts[..., None]
        loss = _mean(losses[..., 0], counts, number)
        return loss, _weighted(d_ys, along, number, scores)


def squared_error(ys: Any, targets: Any, mask: Any = None) -> tuple[float, AnyArray]:
    """The mean of (ys - targets)^2 over all elements, and its cotangent.

    Args:
        ys: real[...].
        targets: real, shaped like `ys`.
        mask: truth values that broadcast to `ys` from the left, such as bool[T] or bool[T,B]: which
            elements count; all if None.
    Returns:
        The loss, a float (for a tensor: a tensor without axes), and d_ys, shaped like `ys`. Without
        a single element that counts both are 0.
    Raises:
        ShapeError, DTypeError: naming the argument.
    """
    arrays, values = _real(ys, "ys")
    wanted = arrays.real(arrays.given(targets, "targets"), "targets")
    if values.shape != wanted.shape:
        raise ShapeError(
            f"targets is shaped like ys, {describe(values.shape)}, got {describe(wanted.shape)}"
        )
    shape = tuple(values.shape)
    counts = _counting(mask, shape, arrays)
    number = _number(shape, counts)
    with arrays.running():
        error = widened(values) - widened(wanted)
        return _mean(error * error, counts, number), _weighted(2 * error, counts, number, values)


def _real(given: Any, name: str) -> tuple[Arrays, AnyArray]:
    """Reals as they are, or of another width as float32; and how to read what goes with them."""
    if is_tensor(given):
        if kind(given) != "f":
            way = "" if given.is_complex() else f"{name}.float()"
            raise DTypeError(
                f"{name} holds {dtype_name(given.dtype)}, not real numbers{passing(way)}"
            )
        dtype = dtype_name(given.dtype)
        arrays: Arrays = TorchArrays(dtype, given.device, OWNER)
        return arrays, arrays.real(arrays.given(given, name), name)
    array = as_array(given, name)
    dtype = array.dtype.name if array.dtype in (np.float32, np.float64) else "float32"
    arrays = NumPyArrays(dtype, OWNER)
    return arrays, arrays.real(array, name)


def _counting(mask: Any, shape: tuple[int, ...], arrays: Arrays) -> AnyArray | None:
    """Which elements count; None if all do."""
    if mask is None:
        return None
    flags = arrays.flags(arrays.given(mask, "mask") != 0, "mask")
    if flags.shape != shape[: flags.ndim]:
        raise ShapeError(f"mask is bool{describe(shape)}, got {describe(flags.shape)}")
    flags = flags.reshape(*flags.shape, *[1] * (len(shape) - flags.ndim))
    return namespace(flags).broadcast_to(flags, shape)


def _number(shape: tuple[int, ...], counts: AnyArray | None) -> Any:
    """How many elements count, at least 1, as it is what sums are divided by."""
    if counts is None:
        return max(math.prod(shape), 1)
    return counts.sum().clamp(min=1) if is_tensor(counts) else max(int(counts.sum()), 1)


def _mean(losses: AnyArray, counts: AnyArray | None, number: Any) -> Any:
    if is_tensor(losses):
        chosen = losses if counts is None else losses.where(counts, 0)
        return (chosen.sum(dtype=namespace(losses).float64) / number).to(losses.dtype)
    total = np.sum(losses, where=True if counts is None else counts, dtype=np.float64)
    return float(total / number)


def _weighted(
    cotangent: AnyArray, counts: AnyArray | None, number: Any, like: AnyArray
) -> AnyArray:
    """0 where an element does not count, even where the cotangent is NaN."""
    if counts is not None:
        cotangent = namespace(cotangent).where(counts, cotangent, 0)
    scaled = cotangent / number
    return scaled.to(like.dtype) if is_tensor(scaled) else scaled


def _at(array: AnyArray, index: AnyArray) -> AnyArray:
    """Along the last axis, the elements at an index."""
    return array.gather(-1, index) if is_tensor(array) else np.take_along_axis(array, index, -1)


def _put(array: AnyArray, index: AnyArray, values: AnyArray) -> None:
    """Write them."""
    if is_tensor(array):
        array.scatter_(-1, index, values)
    else:
        np.put_along_axis(array, index, values, -1)
