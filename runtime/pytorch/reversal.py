"""Sequences turned around in time, each row within its own length.

In: [T, B, ...] and lengths. Out: the same, its last step first; padding stays where it is. As
`runtime/reversal.py`, in operations that every transform of torch knows.
"""

from __future__ import annotations

import torch

from .engine import Tensor


def turned(xs: Tensor, lengths: Tensor | None) -> Tensor:
    """The steps of every row in the opposite order. Twice is as it was."""
    if lengths is None:
        return xs.flip(0)
    steps = torch.arange(xs.shape[0], device=xs.device).unsqueeze(1)
    counts = lengths.to(xs.device)
    index = torch.where(steps < counts, counts - 1 - steps, steps)
    return xs[index, torch.arange(xs.shape[1], device=xs.device)]


def turned_mask(mask: Tensor, lengths: Tensor | None) -> Tensor:
    """[T, B], alike: what parts steps t - 1 and t parts them backwards, too.

    As `Reversal.turned_mask` in `runtime/reversal.py`.
    """
    steps = torch.arange(mask.shape[0], device=mask.device).unsqueeze(1)
    counts = mask.shape[0] if lengths is None else lengths.to(mask.device)
    inside = (steps > 0) & (steps < counts)
    rows = torch.arange(mask.shape[1], device=mask.device)
    there = mask[torch.where(inside, counts - steps, 0), rows]
    nothing = torch.ones_like(there) if mask.is_floating_point() else torch.zeros_like(there)
    return torch.where(inside, there, nothing)
