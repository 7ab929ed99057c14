"""Dropout between layers: which elements of a sequence are dropped, and what the others become.

In: a rate and a seed. Out: factors, 0 or 1 / (1 - rate) ("inverted": nothing is left to do in eval
mode). They follow from draws like those of cells, `runtime/draws.py`, of the seed, the layer, the
step of the stream, the row and the element.

Source: Srivastava et al. 2014; between layers only, Zaremba et al. 2014 (arXiv:1409.2329); one mask
for a sequence, Gal & Ghahramani 2016 (arXiv:1512.05287).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np

from .arrays import Array
from .checks import check_flag
from .draws import Draw, drawn, key_of, site_of
from .errors import SettingError


@dataclass(frozen=True, slots=True)
class Dropout:
    """How much is dropped."""

    rate: float
    per_sequence: bool
    seed: int

    def factors(
        self, layer: int, step: int, steps: int, batch: int, shape: tuple[int, ...]
    ) -> Array:
        """What the input of a layer is multiplied by: float64[T,B,...], or [1,B,...] per sequence.

        Args:
            layer: its number; each has masks of its own.
            step: of the stream, at which the call begins.
            shape: of one step of one row.
        """
        what = between(layer, shape)
        steps = 1 if self.per_sequence else steps
        uniform = drawn(what, key_of(self.seed, site_of(what.name)), step, steps, batch)
        return (uniform > self.rate) / (1 - self.rate)


def between(layer: int, shape: tuple[int, ...]) -> Draw:
    """What says which elements of a layer's input are dropped: those up to the rate."""
    return Draw(f"dropout {layer}", "uniform", shape)  # no name that a cell can draw by


def read_dropout(rate: Any, per_sequence: Any, seed: int) -> Dropout | None:
    """The settings of a stack; None where nothing is dropped. Raises a `SettingError`."""
    check_flag(per_sequence, "per_sequence")
    is_number = isinstance(rate, int | float | np.floating) and not isinstance(rate, bool)
    if not is_number or not math.isfinite(rate) or not 0 <= rate < 1:
        raise SettingError(f"dropout is a rate from 0 to below 1, got {rate!r}")
    return Dropout(float(rate), bool(per_sequence), seed) if rate else None
