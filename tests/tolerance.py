"""How far from its reference a result may be: the one measure of error, and the bounds on it.

    error = rms(found - wanted) / max(rms(wanted), FLOOR * scale)

`scale` is the largest rms of the arrays that are compared together, so that one which should be 0
is not held against itself. One wrong element cannot hide in a large array: what a single element
is off by, in terms of `scale`, counts as soon as it exceeds `GUARD` times the error above.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.compiler.run_scans import Outcome

Array = npt.NDArray[Any]

FLOOR = 1e-3
GUARD = 50
PARTS = {"values": ("carry", "ys"), "gradients": ("d_params", "d_carry", "d_xs")}


@dataclass(frozen=True)
class Bound:
    """The largest errors allowed."""

    values: float
    gradients: float


# For cells that do not amplify rounding errors.
FLOAT64 = Bound(1e-13, 1e-12)
FLOAT32 = Bound(1e-6, 3e-6)
CENTRAL_DIFFERENCES = 1e-6

# For any cell: so many times the error of a plain float32 evaluation, and a little more.
TIMES_PLAIN, BESIDES_PLAIN = 4.0, 1e-7


def rms(array: Array) -> float:
    """Root of the mean square; 0 of nothing."""
    return float(np.sqrt(np.mean(np.square(array, dtype=float)))) if array.size else 0.0


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


def errors(found: Outcome, wanted: Outcome, part: str, floor: float = FLOOR) -> dict[str, float]:
    """The errors of the "values" or of the "gradients", by name: `d_params.W`."""
    mine, theirs = _arrays(found, part), _arrays(wanted, part)
    assert mine.keys() == theirs.keys()
    scale = max((rms(a[np.isfinite(a)]) for a in theirs.values()), default=0.0)
    return {name: error(mine[name], theirs[name], scale, floor) for name in theirs}


def _arrays(outcome: Outcome, part: str) -> dict[str, Array]:
    found: dict[str, Array] = {}
    for group in PARTS[part]:
        arrays: Mapping[str, Array] = getattr(outcome, group)
        found |= {f"{group}.{name}": array for name, array in arrays.items()}
    return found


def excesses(found: Outcome, wanted: Outcome, bound: Bound, floor: float = FLOOR) -> list[str]:
    """A line for every array that is further off than `bound` allows."""
    lines = []
    for part in PARTS:
        allowed = getattr(bound, part)
        for name, value in errors(found, wanted, part, floor).items():
            if not value <= allowed:
                lines.append(f"{name} is off by {value:.1e}, allowed are {allowed:.1e}")
    return lines


def adaptive_bound(plain: Outcome, wanted: Outcome, floor: float = FLOOR) -> Bound:
    """What float32 may be off by, from what a plain evaluation in float32 is."""
    worst = {part: max(errors(plain, wanted, part, floor).values(), default=0.0) for part in PARTS}
    return Bound(**{part: TIMES_PLAIN * value + BESIDES_PLAIN for part, value in worst.items()})


def assert_within(found: Outcome, wanted: Outcome, bound: Bound) -> None:
    """No array is further off than `bound` allows."""
    __tracebackhide__ = True
    lines = excesses(found, wanted, bound)
    assert not lines, "\n".join(lines)
