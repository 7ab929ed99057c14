"""Rows that are reset before the next step, as a call meets them.

In: a mask of these rows, bool[B], and what is said of a call. Out: its `starts`, and the rows that
wait still.
"""

from __future__ import annotations

from typing import Any

import torch

from ..tensors import stacked
from .engine import Tensor


def with_waiting(starts: Any, waiting: Tensor, steps: int, axis: int) -> Any:
    """`starts` with resets of the rows that wait, before the first step.

    Args:
        axis: where steps lie in a mask of steps and rows.
    Returns:
        [T,B] in the user's axes; what is no mask of such a call as it is, for the module to refuse.
    """
    if starts is None:
        starts = waiting.new_zeros(steps)
    try:
        found = torch.as_tensor(stacked(starts, "starts"), device=waiting.device)
    except (TypeError, ValueError, RuntimeError):
        return starts
    if found.ndim == 1:
        by_step = found.unsqueeze(1).expand(-1, len(waiting))
    else:
        by_step = found.swapaxes(0, axis) if found.ndim == 2 else found
    is_sized = tuple(by_step.shape) == (steps, len(waiting))
    if not is_sized or found.is_floating_point() or found.is_complex():
        return starts
    first = torch.arange(steps, device=found.device) == 0
    return (by_step | (first.unsqueeze(1) & waiting)).swapaxes(0, axis)


def still_waiting(waiting: Tensor | None, lengths: Any) -> Tensor | None:
    """The rows that wait still once a call of some steps has run: those of no step."""
    if waiting is None or lengths is None:
        return None
    idle = waiting & (torch.as_tensor(lengths, device=waiting.device) == 0)
    return idle if idle.any() else None
