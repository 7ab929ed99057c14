"""How far from its reference a result may be: the one measure of error, and the bounds on it.

In: two arrays of NumPy. Out: a number.

    error = rms(found - wanted) / max(rms(wanted), FLOOR * scale)

`scale` is the largest rms of the arrays that are compared together, so that one which should be 0
is not held against itself. One wrong element cannot hide in a large array: what a single element
is off by, in terms of `scale`, counts as soon as it exceeds `GUARD` times the error above.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np

from .arrays import Array

FLOOR: Final = 1e-3
GUARD: Final = 50


@dataclass(frozen=True, slots=True)
class Bound:
    """The largest errors allowed."""

    values: float
    gradients: float


# For cells that do not amplify rounding errors.
BOUNDS: Final[Mapping[str, Bound]] = {
    "float64": Bound(1e-13, 1e-12),
    "float32": Bound(1e-6, 3e-6),
    "float16": Bound(6e-3, 1.5e-2),
    "bfloat16": Bound(6e-3, 1.5e-2),
}

# For any cell: so many times the error of a plain float32 evaluation, and a little more.
TIMES_PLAIN: Final = 4.0
BESIDES_PLAIN: Final = 1e-7

# In a narrow dtype: so many times what the oracle makes of one rounding of all that it is given, as
# the worst of some draws. Where two operands of a maximum are nearly equal, say, rounding decides
# which of them the gradient goes to, and one draw in six may be the one that shows it.
TIMES_ROUNDING: Final = 4.0
NUDGES: Final = 32  # at most: no more than it takes to explain what is off
ROUNDING: Final[Mapping[str, float]] = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # relative


def rms(array: Array) -> float:
    """Root of the mean square; 0 of nothing. Squares of large numbers are no infinities."""
    largest = float(np.max(np.abs(array), initial=0.0))
    if not 0 < largest < np.inf:  # or it is NaN
        return largest
    return largest * float(np.sqrt(np.mean(np.square(array / largest, dtype=float))))


def scale_of(arrays: Iterable[Array]) -> float:
    """The largest rms of arrays that are compared together."""
    return max((rms(array[np.isfinite(array)]) for array in arrays), default=0.0)


def error(found: Array, wanted: Array, scale: float, floor: float = FLOOR) -> float:
    """The error of one array; infinite where a NaN or another infinity stands in one of them."""
    if found.shape != wanted.shape:
        return np.inf
    difference = np.zeros(found.shape)
    np.subtract(found, wanted, out=difference, where=found != wanted)  # infinities may be equal
    if not difference.any():
        return 0.0
    finite = np.where(np.isfinite(wanted), wanted, 0.0)
    usual = rms(difference) / max(rms(finite), floor * scale, np.finfo(float).tiny)
    single = float(np.max(np.abs(difference))) / max(rms(finite), scale, np.finfo(float).tiny)
    worst = max(usual, single / GUARD)
    return np.inf if np.isnan(worst) else worst


def nudged(array: Array, dtype: str, draws: np.random.Generator) -> Array:
    """Numbers that a rounding to this dtype might have come from; integers are left as they are."""
    if array.dtype.kind != "f":
        return array
    return np.asarray(array * (1 + ROUNDING[dtype] * draws.uniform(-1, 1, array.shape)))


def adaptive(plain: float) -> float:
    """What float32 may be off by, where a plain evaluation in float32 is off by `plain`."""
    return TIMES_PLAIN * plain + BESIDES_PLAIN
