"""The masks of a sequence: resets, lengths and truncation boundaries.

In: what a user passes as `starts`, `lengths` and `boundaries`. Out: bool[T,B], int64[B], bool[T,B],
or real[T,B] for boundaries that are weights.

    starts      row b is reset before step t: its state becomes the initial state
    boundaries  row b's state goes on, its cotangent is cut, or weighed, between t - 1 and t
    lengths     row b's state is held from step lengths[b] on, and its outputs are 0
"""

from __future__ import annotations

import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from .arrays import AnyArray, Array, Arrays, copied, kind, namespace
from .checks import describe
from .errors import DTypeError, RangeError, SettingError, ShapeError
from .inputs import Call

LONGEST_PERIOD = 2**62  # steps: a step of the stream and one of a call are added as int64


def read_mask(given: Any, call: Call, name: str, arrays: Arrays) -> AnyArray:
    """Truth values for each step and row, or each step and every row -> bool[T,B], a copy."""
    array = arrays.given(given, name)
    _check_shape(array, call, name, "bool")  # first: a mask may repeat one value for ever
    return _by_step_and_row(arrays.flags(array, name), call)


def _check_shape(array: AnyArray, call: Call, name: str, holds: str) -> None:
    shown = (call.batch, call.steps) if call.swapped else (call.steps, call.batch)
    if array.shape != (call.steps,) and (not call.batched or array.shape != shown):
        choices = [describe([call.steps])] + ([describe(shown)] if call.batched else [])
        raise ShapeError(f"{name} is {holds}{' or '.join(choices)}, got {describe(array.shape)}")


def _by_step_and_row(array: AnyArray, call: Call) -> AnyArray:
    """[T], or [T,B] in the user's axes -> [T,B], a copy."""
    if array.ndim == 1:
        wide = (call.steps, call.batch)
        return copied(namespace(array).broadcast_to(array[:, None], wide))
    return copied(array.T if call.swapped else array)


def as_lengths(lengths: Array, steps: int) -> Array:
    """Numbers of steps, 0 to `steps` -> int64 of whatever shape."""
    if lengths.dtype.kind not in "iu" and lengths.size:
        raise DTypeError(f"lengths holds {lengths.dtype.name}, but it counts steps: pass integers")
    counts = lengths.astype(np.int64)
    # Read as unsigned, negative numbers are the largest.
    if counts.size and counts.view(np.uint64).max() > steps:
        wrong = int(lengths.min()) if lengths.min() < 0 else int(lengths.max())
        raise RangeError(f"lengths holds {wrong}, but the sequence has {steps} steps")
    return counts


def read_lengths(given: Any, call: Call, arrays: Arrays) -> Array:
    """How many steps of each row count -> int64[B], on the host."""
    array = arrays.host(given, "lengths")
    shape = (call.batch,) if call.batched else ()
    if array.shape != shape and not (not call.batched and array.shape == (1,)):
        wanted = f"one integer for each of {call.batch} rows" if call.batched else "one integer"
        raise ShapeError(f"lengths is {wanted}, got {describe(array.shape)}")
    return as_lengths(array, call.steps).reshape(call.batch)


def read_boundaries(given: Any, call: Call, stream_step: int, arrays: Arrays) -> AnyArray:
    """Where cotangents are cut -> bool[T,B]; or what they are multiplied by -> real[T,B].

    Args:
        given: a period, which counts the steps of the stream, whichever calls they came in; a list
            of steps of this call; a mask like `starts`; or weights of the same shapes.
        stream_step: the number of steps run before this call.
    """
    period = _period(given)
    if period is not None:
        cuts = (np.arange(call.steps) + stream_step % period) % period == 0
        return read_mask(cuts, call, "boundaries", arrays)
    array = arrays.given(given, "boundaries")
    if array.ndim == 1 and (kind(array) in "iu" or not len(array)):
        return read_mask(_at_steps(arrays.host(array, "boundaries"), call.steps), call,
                         "boundaries", arrays)  # fmt: skip
    if kind(array) == "f":
        return _read_weights(array, call, arrays)
    return read_mask(array, call, "boundaries", arrays)


def _read_weights(array: AnyArray, call: Call, arrays: Arrays) -> AnyArray:
    _check_shape(array, call, "boundaries", "real")
    check_weights(arrays.host(array, "boundaries"))
    return _by_step_and_row(arrays.real(array, "boundaries"), call)


def check_weights(weights: Array) -> None:
    """Raise a `SettingError` unless cotangents can be multiplied by them."""
    wrong = weights[~(np.isfinite(weights) & (weights >= 0))]
    if wrong.size:
        raise SettingError(
            f"boundaries holds {wrong[0]:g}: a weight of a cotangent is finite, 0 or more"
        )


def _period(given: Any) -> int | None:
    """`given` as a period, or None if it is something else."""
    if isinstance(given, Sequence | bool | np.bool_) or getattr(given, "ndim", False):
        return None
    try:
        period = operator.index(given)
    except TypeError:
        raise DTypeError("boundaries is a period (an integer), a list of steps or a mask") from None
    if period < 1:
        raise SettingError(f"the period of boundaries is at least 1 step, got {period}")
    if period > LONGEST_PERIOD:
        raise RangeError(f"the period of boundaries is at most 2**62 steps, got {period}")
    return period


def _at_steps(at: Array, steps: int) -> Array:
    """Numbers of steps -> bool[T]."""
    if at.size and not 0 <= at.min() <= at.max() < steps:
        wrong = int(at.min()) if at.min() < 0 else int(at.max())
        raise RangeError(f"boundaries names step {wrong}, but the sequence has {steps} steps")
    if len(np.unique(at)) < at.size:
        raise SettingError(
            "boundaries names a step twice: integers are steps, a mask holds truth values, "
            "such as mask != 0"
        )
    cuts = np.zeros(steps, bool)
    cuts[at.astype(np.int64)] = True
    return cuts
