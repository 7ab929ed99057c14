"""A sequence through one net among several, there and back.

In: arrays [T,B,...] and what a user said of the call. Out: the net's output, and for the way back
its gradients, as arrays [T,B,...] again: only here are a call's own axes dealt with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from ..compiler.ir import Value
from .arrays import AnyArray
from .inputs import Call
from .recur import Recur
from .replay import Gradients


@dataclass(frozen=True, slots=True)
class Said:
    """What a user says of a call; and what nets return beside their outputs, as they return it."""

    starts: Any = None
    starts_at: Mapping[str, AnyArray] | None = None  # [T,B,...] by path
    lengths: Any = None
    boundaries: Any = None
    states: bool = False
    traces: bool = False  # return every named value, and move on nowhere
    window: int | None = None  # steps to remember; None for all
    held: int = 0  # bytes recorded beside the nets' own histories
    seen: dict[Recur, dict[str, AnyArray]] = field(default_factory=dict)  # [T,B,...] by name

    def beneath(self, path: str) -> Said:
        """What it says of the nets of a path."""
        values = None if self.starts_at is None else beneath(self.starts_at, path)
        return replace(self, starts_at=values)


@dataclass(frozen=True, slots=True)
class Ran:
    """A recorded call: its sizes, and what running back over it has to know."""

    call: Call
    with_states: bool
    note: Any

    def last(self, count: int) -> Ran:
        """Its last steps."""
        return replace(
            self, call=self.call.resized(count, single=self.call.single), note=self.note.last(count)
        )


def last_steps(ran: tuple[Ran, ...], window: int | None) -> tuple[Ran, ...]:
    """What is left of calls in a window of steps, as `History` keeps it."""
    excess = 0 if window is None else sum(each.call.steps for each in ran) - window
    if excess <= 0:
        return ran
    first = 0
    while excess >= ran[first].call.steps:
        excess -= ran[first].call.steps
        first += 1
    begun = ran[first]
    return (begun.last(begun.call.steps - excess) if excess else begun, *ran[first + 1 :])


@dataclass(frozen=True, slots=True)
class OfStates:
    """Cotangents of states by path: of the present ones, and [N,B,...] of those calls returned."""

    last: Mapping[str, AnyArray]
    each: Mapping[str, AnyArray]

    def beneath(self, path: str) -> OfStates:
        return OfStates(beneath(self.last, path), beneath(self.each, path))


def passed(net: Recur, x: AnyArray, call: Call, said: Said) -> AnyArray:
    """x [T,B,...] -> y [T,B,...]."""
    read, values = net._arrays.real, said.starts_at
    words = {
        "starts": said.starts, "lengths": said.lengths, "boundaries": said.boundaries,
        "starts_at": values and {name: call.returned(value) for name, value in values.items()},
    }  # fmt: skip
    others = sum(other._at.history.nbytes for other in said.seen)
    states: dict[str, AnyArray] = {}
    with net._alone():
        given = net._inputs.read(call.returned(x), single=call.single)
        if said.traces:
            (y,), said.seen[net] = net._traced(given, words)
            return y
        y = net._run(given, words, said.window, states=said.states, others=said.held + others)
    if said.states:
        y, states = y
    # It may have been given integers of NumPy, and then returns its arrays.
    said.seen[net] = {name: read(call.arranged(array), name) for name, array in states.items()}
    return read(call.arranged(y), net._cell.outputs[0].name)


def gone_back(
    net: Recur, d_y: AnyArray | None, ran: tuple[Ran, ...], states: OfStates
) -> tuple[Gradients, AnyArray | None]:
    """d_y [N,B,...] over all recorded calls -> the net's gradients, and d_x [N,B,...].

    Of the gradients, those of `starts` are [N,B,...] too.
    """
    whole = whole_of(ran)
    each = (states.each.get(state.name) for state in net._cell.states)
    with net._alone():
        grads = net._run_back((d_y, *each), states.last or None, in_numpy=False)
    starts = {name: whole.arranged(d) for name, d in grads.starts.items()}
    d_x = None if grads.inputs is None else whole.arranged(grads.inputs)
    return replace(grads, starts=starts), d_x


def step_of(value: Value) -> tuple[str, tuple[int, ...]]:
    """What one step of one row of an input or output is: its kind and its shape, in numbers."""
    return value.node.type.kind, tuple(int(dim) for dim in value.node.type.shape)


def whole_of(ran: tuple[Ran, ...]) -> Call:
    """The sizes of all recorded calls as one."""
    return ran[-1].call.resized(sum(each.call.steps for each in ran), single=False)


def parts(array: AnyArray, ran: tuple[Ran, ...]) -> list[AnyArray]:
    """[N,B,...] -> [T,B,...] of each call."""
    found, start = [], 0
    for each in ran:
        found.append(array[start : start + each.call.steps])
        start += each.call.steps
    return found


def above(by_path: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Values of several nets, each by its path."""
    return {f"{path}.{n}": value for path, values in by_path.items() for n, value in values.items()}


def beneath(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Those of a path, without it."""
    head = f"{path}."
    return {n.removeprefix(head): value for n, value in values.items() if n.startswith(head)}
