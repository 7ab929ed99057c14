"""Resets to values of the user's: which rows start anew, and where.

In: what a user passes as `starts_at`, or as the `state` of `reset(rows=...)`. Out: a `Places`: its
rows leave what came before behind, as at any reset, and go on from these values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..compiler.ir import Cell
from .arrays import AnyArray, Arrays, copied, namespace
from .carries import chosen
from .checks import check_names, describe
from .errors import SettingError, ShapeError
from .inputs import Call


@dataclass(frozen=True, slots=True)
class Places:
    """Rows that start anew, and at what; of every step, or of the next one without the T axis."""

    rows: AnyArray  # bool[T,B]
    values: Mapping[str, AnyArray]  # [T, B, ...] by state name; what other rows hold is not read

    def without(self, rows: AnyArray) -> Places:
        """With these rows, as many axes as its own, left out."""
        return replace(self, rows=self.rows & ~rows)

    def over(self, before: Places | None) -> Places:
        """With those of `before` whose rows it does not have; of the next step, both."""
        if before is None:
            return self
        values = chosen(self.rows, self.values, before.values)
        return Places(self.rows | before.rows, values)

    def preceded(self, waiting: Places) -> Places:
        """With what waited for its first step."""
        first = Places(self.rows[0], {name: value[0] for name, value in self.values.items()})
        first = first.over(waiting)
        rows = copied(self.rows)
        rows[0] = first.rows
        values = {}
        for name, value in self.values.items():
            values[name] = copied(value)
            values[name][0] = first.values[name]
        return Places(rows, values)


def alone(waiting: Places, steps: int) -> Places:
    """What waits for the next step, in a call that has no places of its own."""
    values, lead = {}, (steps, *waiting.rows.shape)
    rows = namespace(waiting.rows).zeros_like(waiting.rows)
    rows = copied(namespace(rows).broadcast_to(rows, lead))
    rows[0] = waiting.rows
    for name, value in waiting.values.items():
        values[name] = namespace(value).broadcast_to(value, (steps, *value.shape))
    return Places(rows, values)


def read_places(
    cell: Cell, arrays: Arrays, starts: AnyArray | None, given: Any, call: Call
) -> Places | None:
    """The places of a call.

    Args:
        starts: bool[T,B], the rows that start anew.
        given: None, or for every state an array [B, ...], the same at every step, or [T, B, ...];
            without a batch axis as the call, or with its axes swapped.
    Raises:
        SettingError, NamesError, ShapeError, DTypeError: naming the state.
    """
    if given is None:
        return None
    if starts is None:
        raise SettingError("starts_at says where the rows of starts begin: pass starts= too")
    check_names(given, (state.name for state in cell.states), "starts_at", all_needed=True)
    values: dict[str, AnyArray] = {}
    for state in cell.states:
        what = f"starts_at[{state.name!r}]"
        shape = tuple(int(dim) for dim in state.node.type.shape)
        if state.name not in given:  # the compiler added it
            values[state.name] = arrays.zeros((call.steps, call.batch, *shape), state=True)
            continue
        array = arrays.given(given[state.name], what)
        rows = (call.batch,) if call.batched else ()
        lead = (call.steps, *rows) if not call.swapped else (*rows, call.steps)
        if array.shape == (*rows, *shape):
            real = arrays.real(array, what, state=True)
            real = real if call.batched else real[None]
            wide = (call.steps, *real.shape)
            values[state.name] = namespace(real).broadcast_to(real, wide)
        elif array.shape == (*lead, *shape):
            values[state.name] = call.arranged(arrays.real(array, what, state=True))
        else:
            choices = f"{describe([*rows, *shape])} or {describe([*lead, *shape])}"
            raise ShapeError(f"{what} is {choices}, got {describe(array.shape)}")
    return Places(starts, values)
