"""A sequence through one net among several, there and back.

In: arrays [T,B,...] and what a user said of the call. Out: the net's output, and for the way back
its gradients, as arrays [T,B,...] again: only here are a call's own axes dealt with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from ..compiler.ir import Value
from .arrays import AnyArray
from .inputs import Call
from .recur import Recur
from .replay import Gradients


@dataclass(frozen=True, slots=True)
class Said:
    """What a user says of a call, as it was passed; and the states that nets return, if asked."""

    starts: Any = None
    lengths: Any = None
    boundaries: Any = None
    states: bool = False
    seen: dict[Recur, dict[str, AnyArray]] = field(default_factory=dict)  # [T,B,...] by name


@dataclass(frozen=True, slots=True)
class Ran:
    """A recorded call: its sizes, and what running back over it has to know."""

    call: Call
    with_states: bool
    note: Any


@dataclass(frozen=True, slots=True)
class OfStates:
    """Cotangents of states by path: of the present ones, and [N,B,...] of those calls returned."""

    last: Mapping[str, AnyArray]
    each: Mapping[str, AnyArray]

    def beneath(self, path: str) -> OfStates:
        return OfStates(beneath(self.last, path), beneath(self.each, path))


def passed(net: Recur, x: AnyArray, call: Call, said: Said) -> AnyArray:
    """x [T,B,...] -> y [T,B,...]."""
    given, read = call.returned(x), net._arrays.real
    states: dict[str, AnyArray] = {}
    if call.single:
        y = net(given)
    else:
        y = net.scan(
            given, starts=said.starts, lengths=said.lengths, boundaries=said.boundaries,
            states=said.states,
        )  # fmt: skip
    if said.states:
        y, states = y
    # It may have been given integers of NumPy, and then returns its arrays.
    said.seen[net] = {name: read(call.arranged(array), name) for name, array in states.items()}
    return read(call.arranged(y), net._cell.outputs[0].name)


def gone_back(
    net: Recur, d_y: AnyArray | None, ran: tuple[Ran, ...], states: OfStates
) -> tuple[Gradients, AnyArray | None]:
    """d_y [N,B,...] over all recorded calls -> the net's gradients, and d_x [N,B,...]."""
    whole = whole_of(ran)
    pieces = {name: parts(array, ran) for name, array in states.each.items()}
    d_states = [
        {name: each.call.returned(piece[at]) for name, piece in pieces.items()}
        if each.with_states
        else None
        for at, each in enumerate(ran)
    ]
    grads = net.backward(
        None if d_y is None else whole.returned(d_y), states.last or None, d_states
    )
    return grads, None if grads.inputs is None else whole.arranged(grads.inputs)


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
