"""A cell together with the parameters it starts with, callable as the function it is.

In: an `ir.Cell` and a seed. Out: `h, y = cell(h, x)`, and what `Recur` and `compile` take.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import Array, check_dtype, frozen
from .carries import read_carry
from .errors import SettingError, ShapeError
from .inputs import Call, Inputs
from .params import initialise
from .program import Program, compile


class BoundCell:
    """A cell whose sizes are bound: a function of a state and an input that keeps neither.

    `cell(state, x)` returns the new state and the output, with or without a batch axis; a cell
    without state is called as `cell(x)`. A state is an array, or a tuple where there are several.
    """

    def __init__(
        self,
        cell: Cell,
        *,
        seed: int = 0,
        dtype: Any = "float32",
        params: Mapping[str, Array] | None = None,
        label: str = "",
    ) -> None:
        """Bind nothing yet: parameters are drawn and the program compiled when first needed.

        Args:
            cell: one step, its sizes bound.
            seed: what the parameters are drawn from.
            dtype: float32 or float64.
            params: the values to start with instead, by path.
            label: how it prints; the cell's name and sizes by default.
        """
        self.cell = cell
        self.seed = seed
        self.dtype = check_dtype(dtype)
        self.label = label or _label(cell)
        self._given = params
        self._programs: dict[Any, Program] = {}

    @cached_property
    def params(self) -> Mapping[str, Array]:
        """The parameters and consts it starts with, read-only, by path."""
        return MappingProxyType(self.draw(self.dtype))

    def draw(self, dtype: np.dtype[Any], seed: int | None = None) -> dict[str, Array]:
        """The values a net starts from: drawn from `seed`, or without one the cell's own."""
        if seed is not None or self._given is None:
            return initialise(self.cell, self.seed if seed is None else seed, dtype)
        return {name: frozen(array.astype(dtype)) for name, array in self._given.items()}

    def starting_with(self, params: Mapping[str, Array], dtype: np.dtype[Any]) -> BoundCell:
        """The same cell with these parameters; compiled programs are shared."""
        other = BoundCell(self.cell, dtype=dtype, params=params, label=self.label)
        other._programs = self._programs
        return other

    def program(
        self,
        dtype: np.dtype[Any],
        *,
        backend: str = "auto",
        exact: bool = False,
        fast: bool = False,
    ) -> Program:
        """The compiled cell; the same one for the same options."""
        key = dtype, backend, exact, fast
        if key not in self._programs:
            self._programs[key] = compile(
                self.cell, backend=backend, dtype=dtype.name, exact=exact, fast=fast
            )
        return self._programs[key]

    def initial(self, batch: int | None = None) -> Any:
        """The state before the first step, `[...]` or `[batch, ...]`."""
        carry = self.program(self.dtype).initial(self.params, 1 if batch is None else batch)
        return self._packed({n: a[0] if batch is None else a for n, a in carry.items()})

    def __call__(self, *arguments: Any) -> Any:
        """`new_state, y = cell(state, x)`, or `y = cell(x)` without state; eager, no gradient."""
        wanted = 2 if self.cell.states else 1
        if len(arguments) != wanted:
            form = "cell(state, x)" if wanted == 2 else "cell(x)"
            raise SettingError(f"{self} is called as {form}, got {len(arguments)} arguments")
        inputs = Inputs(self.cell, self.dtype, batch_first=False)
        call = inputs.read(arguments[-1], single=True)
        carry = self._unpacked(arguments[0], call) if self.cell.states else {}
        xs: Any = inputs.convert(call, None)
        program = self.program(self.dtype)
        carry, ys, _ = program.forward(
            self.params, carry, xs if self.cell.input_is_tuple else xs[0], record=False
        )
        outputs = tuple(call.returned(y) for y in (ys if self.cell.output_is_tuple else (ys,)))
        y = outputs if self.cell.output_is_tuple else outputs[0]
        if not self.cell.states:
            return y
        return self._packed({n: a if call.batched else a[0] for n, a in carry.items()}), y

    def _packed(self, carry: Mapping[str, Array]) -> Any:
        arrays = tuple(carry[state.name] for state in self.cell.states)
        return arrays[0] if len(arrays) == 1 else arrays

    def _unpacked(self, state: Any, call: Call) -> dict[str, Array]:
        names = [s.name for s in self.cell.states]
        if not isinstance(state, Mapping):
            parts = (state,) if len(names) == 1 else state
            if not isinstance(parts, tuple) or len(parts) != len(names):
                raise ShapeError(f"the state of {self} is a tuple ({', '.join(names)})")
            state = dict(zip(names, parts, strict=True))
        lead = (call.batch,) if call.batched else ()
        carry, _ = read_carry(self.cell, self.dtype, state, f"the state of {self}", lead)
        return carry

    def __repr__(self) -> str:
        return self.label


def _label(cell: Cell) -> str:
    """`LSTM(10, 5)`, with options by name where they are no sizes."""
    parts = [
        str(value) if isinstance(value, int) and not isinstance(value, bool) else f"{name}={value}"
        for name, value in cell.settings.items()
    ]
    return f"{cell.name}({', '.join(parts)})"
