"""Running back over a history.

In: a program, what was recorded, cotangents of outputs and of the last state. Out: sums for the
parameters, cotangents of all inputs and of the first state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .arrays import AnyArray, namespace
from .carries import chosen, zeros_like
from .history import History, Segment
from .program import Program
from .tape import Tape


@dataclass(frozen=True, slots=True)
class Gradients:
    """What `backward` returns."""

    params: dict[str, AnyArray]  # of the trained parameters, by path
    inputs: Any  # stacked over all recorded steps: an array, or a tuple for several inputs
    state: dict[str, AnyArray]  # of the state before the first recorded step, by name
    steps: int  # how many steps were run back
    starts: dict[str, AnyArray] = field(default_factory=dict)
    """Of the values that rows were reset to, stacked over all recorded steps, by state name."""


class Sums:
    """Gradients of the trained parameters, added up."""

    def __init__(self, program: Program) -> None:
        trained = [param.name for param in program.cell.params if param.trained]
        self.params: dict[str, AnyArray] = dict.fromkeys(trained)  # None: nothing yet
        self._own: set[str] = set()  # whose array was made here, so that it may be added into

    def add(self, more: Mapping[str, AnyArray]) -> None:
        for name, array in more.items():
            known = self.params[name]
            if name in self._own:
                known += array
                self.params[name] = known  # a number without axes is no array to add into
            elif known is None:
                self.params[name] = array
            else:
                self.params[name] = known + array
                self._own.add(name)


def run_back(
    program: Program,
    history: History,
    d_ys: tuple[AnyArray | None, ...],
    d_carry: dict[str, AnyArray] | None,
    sums: Sums,
    params: Mapping[str, AnyArray],
) -> tuple[tuple[AnyArray | None, ...], dict[str, AnyArray], dict[str, AnyArray], int]:
    """Run back over every segment, the last one first.

    Args:
        d_ys: for each output, and then for each state as steps left it, [N, B, ...] over all
            recorded steps, or None. Those of states are 0 where a call did not return them.
        d_carry: of the state after the last step; None for 0.
        sums: what the parameters' gradients are added to.
        params: those that an initial state is made of while no step has run.
    Returns:
        Cotangents of each input, [N, B, ...] or None, of the state before the first step, and of
        the values that rows were reset to, [N, B, ...]; and the number of steps run.
    Cost: N backward steps.
    """
    pieces: list[tuple[AnyArray | None, ...]] = []
    placed: list[tuple[Tape, dict[str, AnyArray]]] = []
    stop, ran = history.steps, 0
    found: dict[str, AnyArray] = {}
    for segment in reversed(history.segments):
        start = stop - len(segment.buffer)
        ran_with = segment.program.cell
        seen = d_ys[: len(ran_with.outputs)]  # states are outputs of a program that returns them
        rows: Any = tuple(None if d is None else d[start:stop] for d in seen)
        if segment.waiting is not None:
            count = len(program.cell.outputs)
            rows = (*rows[:count], *_of_running(program, segment, rows[count:], sums))
        rows = rows if ran_with.output_is_tuple else rows[0]
        tape = segment.tape()
        back = segment.program.run_back(segment.params, tape, rows, d_carry)
        found = back.carry
        ran += tape.steps
        sums.add(back.params)
        pieces.append(back.inputs)
        placed.append((tape, back.placed))
        d_carry, stop = found if segment.linked else None, start
    if history.segments[0].fresh:
        params = history.segments[0].params if history.steps else params
        sums.add(program.initial_pullback(params, found))
    d_xs = tuple(_joined(parts) for parts in zip(*pieces[::-1], strict=True))
    return d_xs, found, _placed(program, placed[::-1]), ran


def _of_running(
    program: Program, segment: Segment, d_states: tuple[AnyArray | None, ...], sums: Sums
) -> tuple[AnyArray | None, ...]:
    """Cotangents of returned states, [T, B, ...] or None, without rows whose reset is to come.

    Those of the initial state go to `sums`; those of a user's values to nobody, as nothing that is
    recorded was given them yet.
    """
    waiting, arrays, of_initial = segment.waiting, program.arrays, {}
    assert waiting is not None
    found: list[AnyArray | None] = []
    for state, d in zip(program.cell.states, d_states, strict=True):
        nothing = arrays.zeros((segment.batch, *map(int, state.node.type.shape)), state=True)
        of_initial[state.name] = nothing if d is None else arrays.own(d.sum(0), state=True)
        for rows in (waiting.initial, waiting.placed):
            if d is not None and rows is not None:
                rows = rows.reshape(-1, *[1] * (d.ndim - 2))
                d = namespace(d).where(rows, namespace(d).zeros_like(d), d)
        found.append(d)
    if waiting.initial is not None:
        at_initial = chosen(waiting.initial, of_initial, zeros_like(of_initial))
        sums.add(program.initial_pullback(segment.params, at_initial))
    return tuple(found)


def _placed(
    program: Program, pieces: list[tuple[Tape, dict[str, AnyArray]]]
) -> dict[str, AnyArray]:
    """Along all steps; 0 in segments that were given no values, and empty if none was."""
    if not any(d for _, d in pieces):
        return {}
    found: dict[str, AnyArray] = {}
    for state in program.cell.states:
        shape = tuple(map(int, state.node.type.shape))
        parts = [
            d[state.name] if d else program.arrays.zeros((tape.steps, tape.batch, *shape))
            for tape, d in pieces
        ]
        found[state.name] = _joined(tuple(parts))
    return found


def _joined(parts: tuple[AnyArray | None, ...]) -> AnyArray | None:
    arrays = [part for part in parts if part is not None]
    if len(arrays) < 2:
        return arrays[0] if arrays else None
    return namespace(arrays[0]).concatenate(arrays)
