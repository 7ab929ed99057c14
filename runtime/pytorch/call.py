"""One application of an engine, and what is said of its steps.

In: an engine, masks. Out: a call of it, of its derivative, on more rows, of an ensemble.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from ..arrays import AnyArray
from ..tape import Tape
from .engine import Engine, Tensor


@dataclass(frozen=True, slots=True)
class Masks:
    """What is said of steps, as `Program.forward` takes it; nothing of it has a derivative."""

    starts: AnyArray | None = None  # bool[T,B]
    lengths: AnyArray | None = None  # int64[B]
    boundaries: AnyArray | None = None  # bool[T,B], or real[T,B]

    def repeated(self, times: int) -> Masks:
        """For as many times the rows, the first ones first."""

        def wide(array: Any, *axes: int) -> Any:
            if array is None:
                return None
            return torch.as_tensor(array).repeat(*axes)

        with torch._C._DisableFuncTorch():  # they are no part of what is transformed
            return Masks(
                wide(self.starts, 1, times), wide(self.lengths, times),
                wide(self.boundaries, 1, times),
            )  # fmt: skip


@dataclass(slots=True)
class Call:
    """One application of an engine. `tape` is what its run left for running back, if it did.

    `mapped` are the masks that `vmap` has an axis of: they come with the tensors, after them.
    """

    engine: Engine
    masks: Masks = field(default_factory=Masks)
    records: bool = True
    tape: Tape | None = None
    mapped: tuple[str, ...] = ()

    def again(self) -> Call:
        """A call of the same on other tensors."""
        return Call(self.engine, self.masks, self.records, mapped=self.mapped)

    def of_tangents(self) -> Call:
        """The call of the derivative in a direction."""
        return Call(self.engine.tangent, self.masks, mapped=self.mapped)

    def on_rows(self, times: int) -> Call:
        """The call on as many times the rows."""
        return Call(self.engine, self.masks.repeated(times), self.records, mapped=self.mapped)

    def over(self, count: int, own: Sequence[bool]) -> Call:
        """The call on so many of each tensor that `own` says, all sharing their masks."""
        return Call(self.engine.mapped(count, tuple(own)), self.masks, self.records)

    def apart(self, given: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
        """The tensors, and the masks among them."""
        count = len(self.engine.is_real)
        return given[:count], given[count:]

    def plain(self, given: Sequence[Tensor]) -> Sequence[Tensor]:
        """The tensors of a call that is to run: no axis is mapped any more."""
        flat, masks = self.apart(given)
        if masks:
            self.masks = Masks(**dict(zip(self.mapped, masks, strict=True)))
        return flat
