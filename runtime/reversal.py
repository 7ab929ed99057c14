"""A sequence backwards in time, each row within its own length.

In: arrays [T,B,...], and how many steps of each row count. Out: the same steps, the last one that
counts first; what lies beyond a row's length stays where it is. Done twice it changes nothing.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from .arrays import AnyArray, Array, is_tensor, namespace


@dataclass(frozen=True, slots=True)
class Reversal:
    """Of one call."""

    steps: int
    batch: int
    lengths: Array | None = None  # int64[B], on the host; None: all steps count

    def turned(self, array: AnyArray) -> AnyArray:
        """[T,B,...] -> [T,B,...], a copy."""
        if self.lengths is None:
            return namespace(array).flip(array, (0,))
        at = np.arange(self.steps)[:, None]
        order = np.where(at < self.lengths, self.lengths - 1 - at, at)
        rows = np.arange(self.batch)
        if is_tensor(array):
            torch = namespace(array)
            order, rows = (torch.as_tensor(index, device=array.device) for index in (order, rows))
        return array[order, rows]

    def turned_mask(self, mask: Array) -> Array:
        """bool[T,B] or real[T,B], alike: what parts steps t - 1 and t parts them backwards, too.

        Weights, real numbers, part them as far as they are not 1.

        Before  x0 x1 | x2 x3 x4        the mask is set at step 2
        After   x4 x3 x2 | x1 x0        it is set at step 3, where x1 is read
        """
        if not self.steps:
            return mask
        counts = np.full(self.batch, self.steps) if self.lengths is None else self.lengths
        at = np.arange(self.steps)[:, None]
        inside = (at > 0) & (at < counts)
        nothing = mask.dtype.type(mask.dtype.kind == "f")
        there = mask[np.where(inside, counts - at, 0), np.arange(self.batch)]
        found: Array = np.where(inside, there, nothing)
        return found
