"""Rows that begin a call at another state than the steps before left.

In: a mask of rows, bool[B], and what is said of a call. Out: its `boundaries` without those that
would cut such a beginning, and the rows that no step of the call was of.
"""

from __future__ import annotations

from typing import Any

import torch

from ...grammar.problems import Error
from ..inputs import Call as Sizes
from .engine import Tensor
from .masks import plain_masks


def uncut(boundaries: Any, rows: Tensor, sizes: Sizes, like: Tensor) -> Any:
    """`boundaries` that let all through to what these rows begin with.

    Args:
        like: of the module's dtype, and where it is.
    Returns:
        bool[T,B], or real[T,B] of weights, in the user's axes; what is no `boundaries` of such a
        call as it is, for the module to refuse.
    """
    try:
        cuts = plain_masks(sizes, like, None, None, boundaries, begins=False).boundaries
    except (Error, TypeError, ValueError, RuntimeError):
        return boundaries
    if cuts is None or cuts.shape != (sizes.steps, sizes.batch):
        return boundaries
    first = torch.arange(sizes.steps, device=cuts.device) == 0
    return sizes.returned(cuts.masked_fill(first.unsqueeze(1) & rows, cuts.is_floating_point()))


def idle(rows: Tensor | None, lengths: Any) -> Tensor | None:
    """Those of these rows that a call of some steps had no step of."""
    if rows is None or lengths is None:
        return None
    found = rows & (torch.as_tensor(lengths, device=rows.device) == 0)
    return found if found.any() else None


def either(rows: Tensor | None, others: Tensor | None) -> Tensor | None:
    """Rows that either mask names."""
    if rows is None or others is None:
        return others if rows is None else rows
    return rows | others
