"""How far from its reference an outcome may be; the measure is `rnnc.runtime.tolerance`'s."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy.typing as npt

from rnnc.runtime.tolerance import BESIDES_PLAIN as BESIDES_PLAIN
from rnnc.runtime.tolerance import BOUNDS, FLOOR, adaptive, scale_of
from rnnc.runtime.tolerance import Bound as Bound
from rnnc.runtime.tolerance import error as error
from tests.compiler.run_scans import Outcome

Array = npt.NDArray[Any]

PARTS = {"values": ("carry", "ys"), "gradients": ("d_params", "d_carry", "d_xs")}

# For cells that do not amplify rounding errors.
FLOAT64 = BOUNDS["float64"]
FLOAT32 = BOUNDS["float32"]
CENTRAL_DIFFERENCES = 1e-6


def errors(found: Outcome, wanted: Outcome, part: str, floor: float = FLOOR) -> dict[str, float]:
    """The errors of the "values" or of the "gradients", by name: `d_params.W`."""
    mine, theirs = _arrays(found, part), _arrays(wanted, part)
    assert mine.keys() == theirs.keys()
    scale = scale_of(theirs.values())
    return {name: error(mine[name], theirs[name], scale, floor) for name in theirs}


def worst(found: Outcome, wanted: Outcome, floor: float = FLOOR) -> Bound:
    """The largest error of the values, and of the gradients."""
    return Bound(*(max(errors(found, wanted, p, floor).values(), default=0.0) for p in PARTS))


def larger(*bounds: Bound) -> Bound:
    """The largest of each part."""
    return Bound(max(b.values for b in bounds), max(b.gradients for b in bounds))


def is_within(off: Bound, allowed: Bound) -> bool:
    return off.values <= allowed.values and off.gradients <= allowed.gradients


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
    off = worst(plain, wanted, floor)
    return Bound(adaptive(off.values), adaptive(off.gradients))


def assert_within(found: Outcome, wanted: Outcome, bound: Bound) -> None:
    """No array is further off than `bound` allows."""
    __tracebackhide__ = True
    lines = excesses(found, wanted, bound)
    assert not lines, "\n".join(lines)
