"""Rows that begin their next step elsewhere than where the steps before left them.

In: masks of rows, bool[B], and what is said of a call. Out: its `boundaries` without those that
would cut such a beginning, and the rows that still wait behind it.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import torch

from ...grammar.problems import Error
from ..inputs import Call as Sizes
from .engine import Tensor
from .masks import plain_masks


class Waiting(NamedTuple):
    """Rows of a kept state, bool[B], that do not go on from it; None: there are none.

    No row is in two of these.
    """

    reset: Tensor | None = None  # before their next step
    fresh: Tensor | None = None  # that the next call of some steps begins
    placed: Tensor | None = None  # whose state was given, and no step has read it yet

    def with_reset(self, rows: Tensor) -> Waiting:
        """These rows begin with the initial state, as those do that have not begun at all."""
        begun = rows if self.fresh is None else rows & ~self.fresh
        return Waiting(either(self.reset, begun), self.fresh, without(self.placed, rows))

    def with_placed(self, rows: Tensor) -> Waiting:
        """These rows begin with a state that was given."""
        return Waiting(
            without(self.reset, rows), without(self.fresh, rows), either(self.placed, rows)
        )

    def after(self, lengths: Any) -> Waiting:
        """Those that a call of some steps, with these lengths if any, had no step of."""
        return Waiting(idle(self.reset, lengths), None, idle(self.placed, lengths))

    def to(self, moved: Callable[[Tensor], Tensor]) -> Waiting:
        """These where `moved` has put them."""
        return Waiting(*(None if rows is None else moved(rows) for rows in self))


def anew(waiting: Waiting) -> Tensor | None:
    """Rows that begin with the initial state."""
    return either(waiting.reset, waiting.fresh)


def anywhere(waiting: Waiting) -> Tensor | None:
    """Rows that begin with whatever state."""
    return either(anew(waiting), waiting.placed)


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


def without(rows: Tensor | None, others: Tensor) -> Tensor | None:
    """Rows that the first mask names, and the other does not."""
    return None if rows is None else rows & ~others
