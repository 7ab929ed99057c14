"""Where a net stands in its stream of calls.

In: what a call left. Out: what the next one starts from, or why it cannot. A `Standing` is a value:
a net moves on by taking another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .arrays import AnyArray, Arrays
from .carries import chosen
from .checks import in_bytes
from .errors import HistoryFullError, StateError
from .history import History
from .inputs import Call
from .program import Program
from .truncation import read_boundaries, read_lengths, read_mask


@dataclass(frozen=True, slots=True)
class Standing:
    """The state after the last call, and what is recorded."""

    carry: Mapping[str, AnyArray] | None = (
        None  # [B, ...]; None: the initial state, of any batch size
    )
    like: Call | None = None  # the sizes of the call that left the carry
    step: int = 0  # steps run so far; nothing rewinds it
    resets: AnyArray | None = None  # bool[B]: rows that are reset before the next step
    history: History = field(default_factory=History)

    def entering(
        self, program: Program, params: Mapping[str, AnyArray], batch: int
    ) -> dict[str, AnyArray]:
        """The state before the next step, [B, ...], rows that wait for a reset being reset."""
        if not program.cell.states:
            return {}
        if self.carry is not None and self.resets is None:
            return dict(self.carry)
        initial = program.initial(params, batch)
        if self.carry is None or self.resets is None:
            return initial
        return chosen(self.resets, initial, self.carry)

    def check_fit(self, call: Call) -> None:
        """Raise a `StateError` unless `call` has the batch axis and size of the state."""
        if self.like is None:
            return
        if self.like.batched != call.batched:
            here, there = ("a", "none") if call.batched else ("no", "one")
            raise StateError(
                f"this call has {here} batch axis, the state has {there}; call reset() before it"
            )
        if self.like.batch != call.batch:
            text = (
                f"the state holds {self.like.batch} rows, this call has {call.batch}; "
                "call reset() before it"
            )
            if not call.single and self.like.batch == call.steps:
                text += ", or swap its time and batch axes"
            raise StateError(text)

    def check_room(self, call: Call, step_bytes: int, window: int | None, limit: int) -> None:
        """Raise a `HistoryFullError` if recording `call` takes more than `limit` bytes."""
        steps = self.history.steps + call.steps
        if window is not None:
            steps = min(steps, window)
        if steps * step_bytes > limit:
            needed, most = in_bytes(steps * step_bytes), in_bytes(limit)
            raise HistoryFullError(
                f"recording {steps} steps takes {needed}, the limit is {most}: "
                "call truncate() after backward, keep fewer steps with history=, or call eval() "
                "where no gradient is wanted"
            )

    def masks(
        self, call: Call, starts: Any, lengths: Any, boundaries: Any, arrays: Arrays
    ) -> tuple[AnyArray | None, AnyArray | None, AnyArray | None]:
        """Resets, lengths and cuts of the next call; None for what it does not say."""
        resets = None if starts is None else read_mask(starts, call, "starts", arrays)
        counts = None if lengths is None else read_lengths(lengths, call, arrays)
        cuts = None
        if boundaries is not None:
            cuts = read_boundaries(boundaries, call, self.step, arrays)
            if not self.history.steps:
                cuts[:1] = False  # nothing is recorded before it; an initial state has a gradient
        return resets, counts, cuts
