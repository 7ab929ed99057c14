"""Sequences turned around in time, each row within its own length.

In: [T, B, ...] and lengths. Out: the same, its last step first; padding stays where it is.
"""

from __future__ import annotations

import torch

from .engine import Tensor


def turned(xs: Tensor, lengths: Tensor | None) -> Tensor:
    """The steps of every row in the opposite order. Twice is as it was."""
    if lengths is None:
        return xs.flip(0)
    steps = torch.arange(xs.shape[0], device=xs.device)[:, None]
    counts = lengths.to(xs.device)
    index = torch.where(steps < counts, counts - 1 - steps, steps)
    return xs[index, torch.arange(xs.shape[1], device=xs.device)]
