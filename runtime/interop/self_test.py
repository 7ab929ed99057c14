"""What was imported runs beside what it was imported from, before it is handed out.

In: layers, their parameters, and the original as a function. Out: nothing, or an error: that the
table of layouts is right is not taken on trust.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, Final, TypeAlias

import numpy as np

from ..arrays import Array
from ..checkpoint.snapshot import joined
from ..errors import ImportMismatchError
from .layers import Layers, Place, Values

STEPS, ROWS = 3, 2  # few: what is rounded to float32 in an original grows with the steps
TOLERANCE: Final = 1e-6

# xs [T,B,I] -> ys [T,B,F], and what each cell's states are at the end, [B,H] by name.
States: TypeAlias = Mapping[Place, Mapping[str, Array]]
Original: TypeAlias = Callable[[Array], tuple[Array, States]]


def check(layers: Layers, values: Mapping[Place, Values], original: Original, of: str) -> None:
    """Raise an `ImportMismatchError` unless both make the same of two random sequences.

    Args:
        original: computes in float64, from a state of zeros; `of` is what to call it.
    Cost: a program in float64 on NumPy, and a few steps of it.
    """
    xs = np.random.default_rng(0).standard_normal((STEPS, ROWS, layers.inputs))
    wanted, states = original(xs)
    net = layers.net(values, dtype="float64", backend="numpy").eval()
    ys, last = net.scan(xs), net.state
    off = {}
    for place in layers.places:
        path = layers.path(place)
        own = states[place].items()
        off[place] = max(difference(last[joined(path, name)], value) for name, value in own)
    off[place] = max(off[place], difference(ys, wanted))
    wrong = [place for place in off if not off[place] <= TOLERANCE]
    if wrong:
        raise ImportMismatchError(
            f"the net made of {of} does not compute what it does: {wrong[0]} is the first that "
            f"differs, by {off[wrong[0]]:.3g}; the largest difference is {max(off.values()):.3g}"
        )


def difference(found: Array, wanted: Array) -> float:
    """The largest between two arrays, as a part of the largest value where that is above 1."""
    if found.shape != wanted.shape:
        return np.inf
    same = (found == wanted) | (np.isnan(found) & np.isnan(wanted))
    scale = max(1.0, np.abs(wanted[np.isfinite(wanted)]).max(initial=0.0))
    with np.errstate(invalid="ignore", over="ignore"):
        off = np.where(same, 0.0, np.abs(found - wanted)) / scale
    return float(np.nan_to_num(off, nan=np.inf, posinf=np.inf).max(initial=0.0))


def jax_in_float64() -> AbstractContextManager[Any]:
    """While an original runs that JAX may compute: it rounds to float32 by default."""
    jax = sys.modules.get("jax")
    if jax is None:
        return nullcontext()
    home = jax if hasattr(jax, "enable_x64") else jax.experimental  # there in earlier versions
    found: AbstractContextManager[Any] = home.enable_x64(True)
    return found
