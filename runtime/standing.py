"""Where a net stands in its stream of calls.

In: what a call left. Out: what the next one starts from, or why it cannot. A `Standing` is a value:
a net moves on by taking another one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import AnyArray, Array, Arrays, kind
from .carries import check_no_state, chosen, read_row_states, read_rows
from .checks import in_bytes
from .errors import HistoryFullError, StateError
from .history import History
from .inputs import Call
from .places import Places, alone, read_places
from .program import Program
from .truncation import read_boundaries, read_lengths, read_mask


@dataclass(frozen=True, slots=True)
class Masks:
    """The masks of one call, as a program takes them; None for what the call does not say."""

    starts: AnyArray | None = None  # bool[T,B]
    lengths: AnyArray | None = None  # int64[B]
    boundaries: AnyArray | None = None  # bool[T,B], or real[T,B]
    placed: Places | None = None  # of every step

    def by_name(self) -> dict[str, Any]:
        """As arguments of `forward`."""
        return {
            "starts": self.starts,
            "lengths": self.lengths,
            "boundaries": self.boundaries,
            "placed": self.placed,
        }


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
    placed: Places | None = None  # of [B, ...]: rows that are reset to these values instead

    def entering(
        self, program: Program, params: Mapping[str, AnyArray], batch: int
    ) -> dict[str, AnyArray]:
        """The state before the next step, [B, ...], rows that wait for a reset being reset."""
        if not program.cell.states:
            return {}
        if self.carry is not None and self.resets is None:
            found = dict(self.carry)
        else:
            found = program.initial(params, batch)
            if self.carry is not None and self.resets is not None:
                found = chosen(self.resets, found, self.carry)
        return found if self.placed is None else chosen(self.placed.rows, self.placed.values, found)

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

    def check_room(
        self, call: Call, step_bytes: int, window: int | None, limit: int, others: int
    ) -> None:
        """Raise a `HistoryFullError` if recording `call` takes more than `limit` bytes.

        Args:
            others: bytes that are recorded elsewhere under the same limit.
        """
        steps = self.history.steps + call.steps
        if window is not None:
            steps = min(steps, window)
        taken = steps * step_bytes + others
        if taken > limit:
            needed, most = in_bytes(taken), in_bytes(limit)
            raise HistoryFullError(
                f"recording {steps} steps takes {needed}, the limit is {most}: "
                "call truncate() after backward, keep fewer steps with history=, or call eval() "
                "where no gradient is wanted"
            )

    def masks(
        self, cell: Cell, call: Call, arrays: Arrays, *, starts: Any = None,
        starts_at: Any = None, lengths: Any = None, boundaries: Any = None,
    ) -> Masks:  # fmt: skip
        """What the next call says of resets, lengths and cuts."""
        resets = None if starts is None else read_mask(starts, call, "starts", arrays)
        counts = None if lengths is None else read_lengths(lengths, call, arrays)
        cuts = None
        if boundaries is not None:
            cuts = read_boundaries(boundaries, call, self.step, arrays)
            if not self.history.steps:
                # Nothing is recorded before it, and an initial state has a gradient: no cut, or 1.
                cuts[:1] = kind(cuts) == "f"
        placed = read_places(cell, arrays, resets, starts_at, call)
        return Masks(None if placed else resets, counts, cuts, placed if cell.states else None)

    def with_waiting(self, masks: Masks, call: Call, arrays: Arrays) -> Masks:
        """With the rows that wait for a reset before the first step of a call that is recorded."""
        if not call.steps or (self.resets is None and self.placed is None):
            return masks
        starts, placed, waiting = masks.starts, masks.placed, self.placed
        if waiting is not None:
            if starts is not None:  # what comes later holds
                waiting = waiting.without(starts[0])
            placed = placed.preceded(waiting) if placed else alone(waiting, call.steps)
        if self.resets is not None:
            if starts is None:
                starts = read_mask(np.zeros(call.steps, bool), call, "starts", arrays)
            starts[0] |= self.resets
        return replace(masks, starts=starts, placed=placed)

    def waiting(
        self, call: Call, lengths: Array | None, arrays: Arrays, *, recording: bool
    ) -> tuple[AnyArray | None, Places | None]:
        """The rows that wait for their reset still, once a call has run."""
        if not call.steps:
            return self.resets, self.placed
        if self.resets is None and self.placed is None:
            return None, None
        if not recording or lengths is None or not (lengths == 0).any():
            return None, None
        idle = arrays.flags(lengths == 0, "lengths")  # rows that ran no step
        return (
            None if self.resets is None else self.resets & idle,
            None if self.placed is None else self.placed.without(~idle),
        )

    def resetting(self, rows: AnyArray) -> Standing:
        """With these rows, bool[B], waiting to be reset to the initial state."""
        placed = None if self.placed is None else self.placed.without(rows)
        resets = rows if self.resets is None else self.resets | rows
        return replace(self, resets=resets, placed=placed)

    def reset_rows(
        self, cell: Cell, arrays: Arrays, rows: Any, state: Any, batch_first: bool, what: str
    ) -> Standing:
        """With some rows waiting to be reset before the next step, to `state` if there is one.

        Args:
            what: whose state it is, for messages.
        Raises:
            StateError: it has no batch axis. As `read_rows` and `read_row_states`.
        """
        check_no_state(rows)
        like = self.like
        if like is not None and not like.batched and (state is not None or self.carry is not None):
            raise StateError(f"the state of {what} has no batch axis: call reset()")
        if state is None:
            if like is None or (self.carry is None and self.placed is None):
                return self  # every row is at the initial state already
            return self.resetting(read_rows(rows, like.batch, arrays)) if cell.states else self
        names = f"the state that rows of {what} are reset to"
        known = None if like is None else like.batch
        values, batch = read_row_states(cell, arrays, state, names, known)
        if not values:
            return self
        mask = read_rows(rows, batch, arrays)
        if like is None:
            like = Call((), 0, batch, True, single=False, batch_first=batch_first)
        resets = None if self.resets is None else self.resets & ~mask
        return replace(
            self, like=like, resets=resets, placed=Places(mask, values).over(self.placed)
        )
