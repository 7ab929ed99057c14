"""Every state at every step, returned by a forward pass and taken by a backward one.

In: a cell. Out: the same cell with its new states as further outputs, so that they are values like
any other: they have cotangents, and masks, derivatives and backends know nothing new of them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..compiler.ir import Cell, Value
from ..compiler.passes.boundaries import AFTER
from .arrays import AnyArray
from .checks import check_names, describe
from .cotangents import Recorded, shape_in
from .errors import NothingRecordedError, ShapeError
from .inputs import Call


def observing(cell: Cell) -> Cell:
    """The cell with each state, as a step leaves it, behind its outputs."""
    states = (Value(f"{AFTER}{state.name}", state.new) for state in cell.states)
    return replace(cell, outputs=(*cell.outputs, *states), output_is_tuple=True)


def read_d_states(
    given: Any, recorded: Recorded, with_states: Sequence[bool]
) -> tuple[AnyArray | None, ...]:
    """Cotangents of each state over all recorded steps, [N, B, ...]; None where none is given.

    Args:
        given: a dict of arrays stacked over all recorded steps, or a list with a dict, or None,
            for each call; states that are not named are 0.
        recorded: the calls, and `with_states`, which of them returned their states.
    Raises:
        NamesError, ShapeError, DTypeError: naming the entry. NothingRecordedError: it is of a call
        that did not return its states.
    """
    states, arrays = recorded.cell.states, recorded.arrays
    found: dict[str, AnyArray] = {}
    for what, entry, call, start, known in _entries(given, recorded, with_states):
        check_names(entry, (state.name for state in states), what, all_needed=False)
        if not known:
            raise NothingRecordedError(
                f"{what} is of a call that did not return its states: scan(xs, states=True) does"
            )
        for state in states:
            if entry.get(state.name) is None:
                continue
            name, wanted = f"{what}[{state.name!r}]", shape_in(call, state.node)
            array = arrays.given(entry[state.name], name)
            if array.shape != wanted:
                raise ShapeError(f"{name} is {describe(wanted)}, got {describe(array.shape)}")
            rows = arrays.real(call.arranged(array), name)
            if state.name not in found:
                sizes = recorded.whole.steps, recorded.whole.batch
                found[state.name] = arrays.zeros((*sizes, *rows.shape[2:]))
            found[state.name][start : start + call.steps] = rows
    return tuple(found.get(state.name) for state in states)


def _entries(
    given: Any, recorded: Recorded, with_states: Sequence[bool]
) -> Iterator[tuple[str, Mapping[str, Any], Call, int, bool]]:
    """What is given for which steps: its name, the arrays, the call, where it starts."""
    if given is None:
        return
    if not isinstance(given, list):
        yield "d_states", given, recorded.whole, 0, all(with_states)
        return
    if len(given) != len(recorded.calls):
        count = len(recorded.calls)
        raise ShapeError(
            f"d_states is a list of {len(given)}, but takes an entry for each of {count} "
            f"call{'s' * (count != 1)}, None where its states were not used"
        )
    start = 0
    for at, (entry, call) in enumerate(zip(given, recorded.calls, strict=True)):
        if entry is not None:
            yield f"d_states[{at}]", entry, call, start, with_states[at]
        start += call.steps


def values_of(d_states: Any) -> Iterator[Any]:
    """The arrays among what was passed, one after the other."""
    for entry in d_states if isinstance(d_states, list) else (d_states,):
        if isinstance(entry, Mapping):
            yield from entry.values()
