"""What a program is given -> arrays as its modules read them.

In: parameters, carries, sequences, masks and cotangents, of whatever kind. Out: arrays of the
program's library, dtype and shapes; or an error that names the argument.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any, TypeAlias

import numpy as np

from ..compiler.ir import Cell
from ..compiler.passes.boundaries import PLACED, placed_name
from .arrays import AnyArray, Array, Arrays, is_tensor, kind
from .checks import check_names, describe
from .conversion import check_features
from .errors import SettingError, ShapeError
from .inputs import table_rows
from .places import Places
from .truncation import as_lengths

Named: TypeAlias = Mapping[str, AnyArray]


class Settled(dict[str, AnyArray]):
    """The parameters of a net: checked when they came in, and never written into."""


Sequences: TypeAlias = Any  # an array, or a tuple of arrays in the cell's order


class Arguments:
    """Reads what the programs of one cell are given."""

    def __init__(self, cell: Cell, arrays: Arrays) -> None:
        self.cell = cell
        self.arrays = arrays
        self._rows = table_rows(cell)
        self._params = {p.name: tuple(map(int, p.node.type.shape)) for p in cell.params}
        self._states = {s.name: tuple(map(int, s.node.type.shape)) for s in cell.states}

    # -- parameters and states -------------------------------------------------------------------

    def params(self, given: Named, needed: Collection[str]) -> list[AnyArray]:
        """Those that a module reads, in its order; all have to be there."""
        if isinstance(given, Settled):
            return [given[name] for name in needed]
        check_names(given, self._params, "params", all_needed=True)
        return [self._shaped(given[n], self._params[n], f"params[{n!r}]") for n in needed]

    def carry(self, given: Named, batch: int) -> list[AnyArray]:
        """Every state, [B, ...]; 0 for what the compiler added and nobody gave."""
        check_names(given, self._states, "carry", all_needed=True)
        return [
            self._shaped(given[name], (batch, *shape), f"carry[{name!r}]", state=True)
            if name in given
            else self.arrays.zeros((batch, *shape), state=True)
            for name, shape in self._states.items()
        ]

    def last_cotangents(self, given: Named | None, batch: int) -> list[AnyArray]:
        """The cotangent of every state, [B, ...]; 0 for those left out."""
        given = given or {}
        check_names(given, self._states, "d_carry", all_needed=False)
        return [
            self._shaped(given[name], (batch, *shape), f"d_carry[{name!r}]", state=True)
            if given.get(name) is not None
            else self.arrays.zeros((batch, *shape), state=True)
            for name, shape in self._states.items()
        ]

    def cotangent(self, given: Any, name: str) -> AnyArray:
        """The cotangent of a state, of any shape."""
        return self.arrays.real(self.arrays.given(given, name), name, state=True)

    def _shaped(
        self, given: Any, shape: tuple[int, ...], name: str, *, state: bool = False
    ) -> AnyArray:
        array = self.arrays.real(self.arrays.given(given, name), name, state=state)
        if array.shape != shape:
            raise ShapeError(f"{name} is {describe(array.shape)}, it must be {describe(shape)}")
        return array

    # -- sequences -------------------------------------------------------------------------------

    def inputs(self, given: Sequences) -> list[AnyArray]:
        """Every input, [T, B, ...]; not converted yet."""
        cell = self.cell
        parts = given if cell.input_is_tuple else (given,)
        if not cell.inputs:
            raise SettingError(f"cell {cell.name} has no input: nothing says how many steps")
        if not isinstance(parts, tuple) or len(parts) != len(cell.inputs):
            names = ", ".join(x.name for x in cell.inputs)
            raise ShapeError(f"xs must be a tuple of {len(cell.inputs)} arrays: {names}")
        found: list[AnyArray] = []
        for source, value in zip(cell.inputs, parts, strict=True):
            array = self.arrays.given(value, source.name)
            kind = source.node.type
            if kind.kind == "real":
                check_features(array, source.name)
            lead = (found[0].shape[:2] if found else array.shape[:2]) or ("T", "B")
            if array.ndim != 2 + kind.rank or array.shape != (*lead, *kind.shape):
                wanted = describe((*(lead if found else ("time", "batch")), *kind.shape))
                raise ShapeError(f"{source.name} is {describe(array.shape)}, it must be {wanted}")
            found.append(array)
        return found

    def converted(self, given: list[AnyArray], valid: Array | None) -> list[AnyArray]:
        """The inputs as modules read them.

        Integers that name no row are refused, as a kernel would read outside its table; where
        `valid`, bool[T,B], is false they may be anything.
        """
        return [
            self.arrays.real(array, x.name)
            if x.node.type.kind == "real"
            else self.arrays.indices(array, self._rows.get(x.name), x.name, _over(valid, array))
            for x, array in zip(self.cell.inputs, given, strict=True)
        ]

    def masks(
        self, steps: int, batch: int, starts: Any, lengths: Any, boundaries: Any
    ) -> tuple[dict[str, AnyArray], Array | None]:
        """Those that are used, [T,B] by name; and which steps count, on the host."""
        masks: dict[str, AnyArray] = {}
        for name, value in (("starts", starts), ("boundaries", boundaries)):
            if value is not None:
                mask = self.arrays.given(value, name)
                if mask.shape != (steps, batch):
                    raise ShapeError(
                        f"{name} is {describe(mask.shape)}, it must be [time, batch] = "
                        f"{describe((steps, batch))}"
                    )
                if name == "boundaries" and kind(mask) == "f":
                    masks["weights"] = self.arrays.real(mask, name)
                else:
                    masks[name] = self.arrays.flags(mask, name)
        if lengths is None:
            return masks, None
        counts = self.arrays.host(lengths, "lengths")
        if counts.shape != (batch,):
            raise ShapeError(f"lengths is {describe(counts.shape)}, it must be [{batch}]")
        counts = as_lengths(counts, steps)
        valid = np.arange(steps)[:, None] < counts
        return {**masks, "valid": self.arrays.flags(valid, "lengths")}, valid

    def placed(
        self, given: Places | None, steps: int, batch: int, valid: Array | None
    ) -> dict[str, AnyArray]:
        """The mask of resets to given values, and the values, by the names modules give them."""
        if given is None:
            return {}
        check_names(given.values, self._states, "placed", all_needed=True)
        mask = self.arrays.flags(given.rows, PLACED)
        if mask.shape != (steps, batch):
            raise ShapeError(
                f"the rows of placed are {describe(mask.shape)}, they must be [time, batch] = "
                f"{describe((steps, batch))}"
            )
        if valid is not None:  # or a padded step would compute on what may be no number
            mask = mask & self.arrays.flags(valid, "lengths")
        found = {f"mask.{PLACED}": mask}
        for name, shape in self._states.items():
            wide = (steps, batch, *shape)
            value = self._shaped(given.values[name], wide, f"placed.values[{name!r}]", state=True)
            # Modules read a sequence in the net's dtype, and keep states in a wider one.
            found[placed_name(name)] = value.to(self.arrays.element) if is_tensor(value) else value
        return found

    def cotangents(self, given: Sequences, steps: int, batch: int) -> dict[str, AnyArray]:
        """The cotangent of every output by name, [T, B, ...]; 0 for those left out."""
        outputs = self.cell.outputs
        parts = (
            given if self.cell.output_is_tuple and given is not None else (given,) * len(outputs)
        )
        if len(parts) != len(outputs):
            raise ShapeError(f"d_ys must be a tuple of {len(outputs)}, one for each output")
        found = {}
        for at, (out, value) in enumerate(zip(outputs, parts, strict=True)):
            name = f"d_ys[{at}]" if self.cell.output_is_tuple else "d_ys"
            shape = (steps, batch, *map(int, out.node.type.shape))
            if value is None:
                found[out.name] = self.arrays.zeros(shape)
            else:
                found[out.name] = self._shaped(value, shape, name)
        return found


def _over(valid: Array | None, array: AnyArray) -> Array | None:
    """bool[T,B] for values [T,B,...]."""
    return None if valid is None else valid.reshape(*valid.shape, *[1] * (array.ndim - 2))
