"""What a net remembers for its derivative: the tapes of its calls, joined along time.

In: one tape per call. Out: few long tapes, so that 110 single calls replay as one 110-step program.

Everything here is a value: `extended` returns a new history and leaves the old one as it was, so a
call that fails has changed nothing. Rows are still written once only, because a new history shares
its buffers with the old one and differs in where they stop; what lies behind that is garbage. So
only the newest of the histories that share buffers may be extended.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from .arrays import AnyArray, copied, empty_rows, share_memory
from .checks import check_count
from .inputs import Call
from .places import Places
from .program import Program
from .tape import Tape

SMALLEST = 16  # rows a buffer that grows has room for at least

# Measured on NumPy (LSTM, 32 to 256 units, 1 and 16 rows): where so few steps ran with the same
# parameters, it takes less time to run back over all at once, each step reading its own, than over
# one piece after the other: 1.2 to 6 times less.
MOST_ALIKE = 2
MOST_BYTES = 1 << 26  # of parameters that a segment keeps for it


@dataclass(frozen=True, slots=True)
class TimeBuffer:
    """Arrays that grow along their first axis together; the rows from `start` to `stop` count."""

    arrays: Mapping[str, AnyArray]
    start: int
    stop: int

    def __len__(self) -> int:
        return self.stop - self.start

    def rows(self) -> dict[str, AnyArray]:
        return {name: array[self.start : self.stop] for name, array in self.arrays.items()}

    def extended(self, more: Mapping[str, AnyArray], count: int) -> TimeBuffer:
        """With the `count` rows of `more` behind its own; copied in."""
        stop = self.stop + count
        if self.arrays and stop > len(next(iter(self.arrays.values()))):
            return self._moved(max(SMALLEST, 2 * (len(self) + count))).extended(more, count)
        for name, array in self.arrays.items():
            array[self.stop : stop] = more[name]
        return TimeBuffer(self.arrays, self.start, stop)

    def beside(self, more: Mapping[str, AnyArray]) -> TimeBuffer:
        """With further arrays, whose rows are copied beside its own."""
        room = len(next(iter(self.arrays.values())))
        arrays = dict(self.arrays)
        for name, rows in more.items():
            arrays[name] = empty_rows(rows, room)
            arrays[name][self.start : self.stop] = rows
        return TimeBuffer(arrays, self.start, self.stop)

    def without_first(self, count: int) -> TimeBuffer:
        return TimeBuffer(self.arrays, self.start + count, self.stop)

    def copied(self) -> TimeBuffer:
        """Sharing nothing with this one."""
        return self._moved(max(SMALLEST, len(self)))

    def _moved(self, room: int) -> TimeBuffer:
        arrays = {}
        for name, array in self.rows().items():
            arrays[name] = empty_rows(array, room)
            arrays[name][: len(self)] = array
        return TimeBuffer(arrays, 0, len(self))


CALL = "call"  # the one array of a buffer of calls: see `History`
NO_CALLS = TimeBuffer({CALL: np.empty((0, 3), np.int64)}, 0, 0)


@dataclass(frozen=True, slots=True)
class Waiting:
    """Rows, bool[B], of which a call ran no step, and which are reset before their next one.

    The states that the call returned are what they will be reset to.
    """

    initial: AnyArray | None  # to the initial state
    placed: AnyArray | None  # to values of the user's

    @classmethod
    def of(cls, resets: AnyArray | None, placed: Places | None) -> Waiting | None:
        """None if there are no such rows."""
        if resets is None and placed is None:
            return None
        return cls(resets, None if placed is None else placed.rows)


@dataclass(frozen=True, slots=True)
class Segment:
    """Steps that one program can run back over: same masks, and parameters.

    Where they `vary`, `params` are those of its first steps, and the buffer has those of all.
    """

    program: Program
    params: Mapping[str, AnyArray]
    variant: tuple[str, ...]
    batch: int
    buffer: TimeBuffer
    fresh: bool  # whether its first state is the initial state
    linked: bool  # whether its first state is the last one of the segment before
    waiting: Waiting | None = None  # where its call returned states
    varies: bool = False

    def holding(self, buffer: TimeBuffer, *, whole: bool = True) -> Segment:
        """The segment with other steps; not `whole` if its first ones have left it."""
        fresh, linked = whole and self.fresh, whole and self.linked
        return Segment(
            self.program, self.params, self.variant, self.batch, buffer, fresh, linked,
            self.waiting, self.varies,
        )  # fmt: skip

    def tape(self) -> Tape:
        return Tape(self.variant, len(self.buffer), self.batch, self.buffer.rows(), self.varies)

    def extended(
        self, rows: Mapping[str, AnyArray], count: int, params: Mapping[str, AnyArray]
    ) -> Segment | None:
        """With `count` steps more, which ran with `params`; None if they are another segment's."""
        if params is self.params and not self.varies:
            return self.holding(self.buffer.extended(rows, count))
        fixed = (p.name for p in self.program.cell.params if not p.trained)
        if any(params[name] is not self.params[name] for name in fixed):
            return None
        if max(count, 0 if self.varies else len(self.buffer)) > MOST_ALIKE:
            return None
        own = self.program.varying(params, self.variant)
        before = own if self.varies else self.program.varying(self.params, self.variant)
        if own is None or before is None:
            return None
        if sum(row.nbytes for row in own.values()) * (len(self.buffer) + count) > MOST_BYTES:
            return None
        buffer = self.buffer if self.varies else self.buffer.beside(before)
        longer = self.holding(buffer.extended({**rows, **own}, count))
        return replace(longer, varies=True)


@dataclass(frozen=True, slots=True)
class History:
    """The recorded calls since the last boundary.

    `calls` has a row for each: the step it ended at, whether it was a step without a time axis, and
    whether it returned its states.
    `connected`: whether the net's state is still what the last recorded step returned.
    """

    segments: tuple[Segment, ...] = ()
    calls: TimeBuffer = NO_CALLS
    dropped: int = 0  # steps that have left the window
    connected: bool = False
    steps: int = field(init=False)  # of all segments; asked for many times a call

    def __post_init__(self) -> None:
        steps = sum([len(segment.buffer) for segment in self.segments])
        object.__setattr__(self, "steps", steps)

    @property
    def nbytes(self) -> int:
        """What all steps take, if each takes as much as the last one."""
        if not self.segments:
            return 0
        arrays = self.segments[-1].buffer.arrays.values()
        step_bytes: int = sum(array[:1].nbytes for array in arrays)
        return self.steps * step_bytes

    def call_sizes(self) -> list[tuple[int, bool]]:
        """For each call, how many of its steps are recorded, and whether it was a single step."""
        found, before = [], self.dropped
        for end, single, _ in self.calls.rows()[CALL].tolist():
            found.append((end - before, bool(single)))
            before = end
        return found

    def with_states(self) -> list[bool]:
        """For each call, whether it returned its states."""
        return [bool(seen) for _, _, seen in self.calls.rows()[CALL].tolist()]

    def extended(
        self,
        program: Program,
        tape: Tape,
        call: Call,
        params: Mapping[str, AnyArray],
        *,
        with_states: bool,
        fresh: bool,
        window: int | None,
        lent: tuple[AnyArray, ...],
        waiting: Waiting | None = None,
    ) -> History:
        """With one call more.

        Args:
            program: what ran it; one that returns states has more outputs than the others.
            tape: the call's; its arrays are kept as they are where this starts a segment.
            call: its sizes.
            params: what it ran with; compared by identity.
            with_states: whether the call returned its states.
            fresh: whether it started from the initial state.
            window: how many steps to remember; None for all.
            lent: arrays that others may write into. What shares memory with them is copied.
            waiting: rows that are reset later, but whose states it returned.
        """
        ends = self.dropped + self.steps + call.steps
        row = np.array([[ends, call.single, with_states]])
        calls = self.calls.extended({CALL: row}, 1)
        if not call.steps and self.calls:
            return replace(self, calls=calls)  # nothing has come between the steps
        rows, count = dict(tape.arrays), tape.steps
        whole = window is None or count <= window
        if window is not None and not whole:
            rows, count = {name: copied(array[-window:]) for name, array in rows.items()}, window
        segments = self.segments if self.steps else ()  # a call of no steps is not the first
        last = segments[-1] if segments else None
        kind = program, tape.variant
        joins = last and last.waiting is waiting is None and (last.program, last.variant) == kind
        longer = None
        if last and joins and self.connected and whole:
            longer = last.extended(rows, count, params)
        if longer:
            segments = (*segments[:-1], longer)
        else:
            kept = {name: _kept(array, lent) for name, array in rows.items()}
            buffer = TimeBuffer(kept, 0, count)
            linked = bool(segments) and self.connected and whole
            segment = Segment(
                program, params, tape.variant, tape.batch, buffer, fresh and whole, linked, waiting
            )
            segments = (*segments, segment)
        found = History(segments, calls, self.dropped, connected=True)
        return found if window is None else found._within(window, ends)

    def _within(self, window: int, ends: int) -> History:
        """The last `window` of the steps up to `ends`, and the calls they belong to."""
        excess = self.steps - window
        segments = list(self.segments)
        while excess > 0:
            first = segments[0]
            gone = min(excess, len(first.buffer))
            excess -= gone
            if gone == len(first.buffer):
                segments.pop(0)
            else:
                buffer = first.buffer.without_first(gone)
                segments[0] = first.holding(buffer, whole=False)
        dropped = ends - sum([len(s.buffer) for s in segments])
        past = int(self.calls.rows()[CALL][:, 0].searchsorted(dropped, side="right"))
        calls = self.calls.without_first(past if dropped > self.dropped else 0)
        return History(tuple(segments), calls, dropped, self.connected)

    def interrupted(self) -> History:
        """After a call that was not recorded: what comes next is not connected to this."""
        return replace(self, connected=False) if self.calls else self

    def copied(self) -> History:
        """Sharing nothing that is written to."""
        segments = tuple(s.holding(s.buffer.copied()) for s in self.segments)
        return replace(self, segments=segments, calls=self.calls.copied())


def _kept(array: AnyArray, lent: tuple[AnyArray, ...]) -> AnyArray:
    return copied(array) if any(share_memory(array, other) for other in lent) else array


def read_window(given: Any) -> int | None:
    """`history=`: a number of steps to remember; None for all. Raises a `SettingError`."""
    return None if given is None else check_count(given, "history is a number of steps")
