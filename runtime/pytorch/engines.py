"""The engines of one cell, for each dtype and device that its modules have been called with.

In: a cell and options. Out: engines, compiled when first asked for, and shared by all copies of a
module. A pickle holds what makes the cell again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch

from ...compiler import library
from ...compiler.ir import Cell
from ...compiler.origin import Made
from ..cell import BoundCell
from ..errors import CheckpointError, DTypeError
from .engine import Engine


@dataclass(frozen=True, slots=True)
class Options:
    """As `rnnc.Recur` takes them."""

    backend: str = "auto"
    exact: bool = False
    fast: bool = False


@dataclass(slots=True)
class Engines:
    """Of one cell."""

    cell: Cell
    options: Options
    _found: dict[tuple[str, str], Engine] = field(default_factory=dict)

    def at(self, dtype: torch.dtype, device: torch.device, what: str) -> Engine:
        """What runs for parameters like these, of what a message calls `what`.

        Raises:
            DTypeError: NumPy was asked for, and they are on a device. BackendError: it cannot run
            here. SettingError: nothing computes in that dtype.
        """
        width = str(dtype).removeprefix("torch.")
        found = self._found.get((width, str(device)))
        if found is not None:
            return found
        backend = self.options.backend
        if backend == "auto":
            backend = "numpy" if device.type == "cpu" else "triton"
        if backend == "numpy" and device.type != "cpu":
            raise DTypeError(f"{what} is on {device}, and backend='numpy' runs on the CPU")
        bound = BoundCell(self.cell, dtype=width, backend=backend)
        program = bound.program(
            width, backend=backend, exact=self.options.exact, fast=self.options.fast
        )
        found = self._found[width, str(device)] = Engine(program)
        return found

    def __deepcopy__(self, _memo: Any) -> Engines:
        return self

    def __reduce__(self) -> Any:
        if self.cell.origin is None:
            raise CheckpointError(f"the cell {self.cell.name} has no source to make it again from")
        return remade, (self.cell.origin, self.options)


def remade(made: Made, options: Options) -> Engines:
    """Those of a cell that is made again."""
    return Engines(library.remade(made), options)
