"""A sequence in pieces: what of it runs at once, and where its gradient arrives and goes on.

In: a sequence, and what is said of it. Out: some of its steps, as a module takes them; the graphs
that they leave; their outputs as those of a block.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch

from ..tbptt import Stream
from .engine import Tensor
from .runner import State


@dataclass(frozen=True, slots=True)
class Sequence:
    """What is to be run, in the user's axes, and what is said of it."""

    xs: Any
    stream: Stream
    seed: Any

    @property
    def steps(self) -> int:
        return self.stream.call.steps

    @property
    def axis(self) -> int:
        """Where its steps lie."""
        return 1 if self.stream.call.swapped else 0

    def part(self, steps: slice) -> tuple[Any, dict[str, Any]]:
        """Some of its steps, as a module takes them."""
        return _part(self.xs, steps, self.axis), {**self.stream.said(steps), "seed": self.seed}


@dataclass(slots=True)
class Piece:
    """Steps of the stream that ran at once, from a state without a past."""

    start: int
    stop: int
    again: bool  # whether its graph is kept for more than one gradient
    link: State | None  # the same state with its past; None where no gradient goes on
    leaves: Mapping[str, Tensor] | None  # where its gradient arrives; None of the initial state

    def taken(self) -> State:
        """The gradients of its states that have arrived, once."""
        found: State = {}
        for name, leaf in (self.leaves or {}).items():
            if leaf.grad is not None:
                found[name], leaf.grad = leaf.grad, None
        return found


def with_past(state: State | None) -> bool:
    return state is not None and any(value.requires_grad for value in state.values())


def _part(xs: Any, steps: slice, axis: int) -> Any:
    if isinstance(xs, tuple | list):
        return tuple(_part(x, steps, axis) for x in xs)
    return xs[:, steps] if axis else xs[steps]


def joined(parts: list[Any], axis: int) -> Any:
    """Outputs of pieces as those of a block."""
    if len(parts) == 1:
        return parts[0]
    if isinstance(parts[0], tuple):
        return tuple(joined(list(each), axis) for each in zip(*parts, strict=True))
    return torch.cat(parts, axis)
