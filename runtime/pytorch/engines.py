"""The engines of one cell, for each dtype and device that its modules have been called with.

In: a cell and options. Out: engines, compiled when first asked for, and shared by all copies of a
module. A pickle holds what makes the cell again.
"""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass, field
from typing import Any

import torch

from ...compiler import library
from ...compiler.ir import Cell
from ...compiler.mode import in_mode
from ...compiler.origin import Made
from ...grammar.problems import Error
from ..arrays import dtype_name
from ..backends import BACKENDS
from ..cell import BoundCell
from ..errors import CheckpointError, DTypeError, SettingError
from ..inputs import Inputs
from ..tensors import TorchArrays
from .engine import Engine, engine_of


@dataclass(frozen=True, slots=True)
class Options:
    """As `rnnc.Recur` takes them; or a `SettingError`."""

    backend: str = "auto"
    exact: bool = False
    fast: bool = False

    def __post_init__(self) -> None:
        if self.backend not in ("auto", *BACKENDS):
            raise SettingError(f"backend is 'auto', 'numpy' or 'triton', got {self.backend!r}")


@dataclass(slots=True)
class Engines:
    """Of one cell."""

    cell: Cell
    options: Options
    _found: dict[tuple[torch.dtype, torch.device], Engine] = field(default_factory=dict)
    _refused: dict[tuple[torch.dtype, torch.device], Engine] = field(default_factory=dict)
    _readers: dict[Any, Inputs] = field(default_factory=dict)
    _modes: dict[bool, Engines] = field(default_factory=dict)

    def in_mode(self, *, training: bool) -> Engines:
        """Those of the cell in training, or out of it."""
        if not self.cell.beside:
            return self
        found = self._modes.get(training)
        if found is None:
            made = Engines(in_mode(self.cell, training=training), self.options)
            found = self._modes.setdefault(training, made)  # another thread's, if that was first
        return found

    def at(self, dtype: torch.dtype, device: torch.device, what: str) -> Engine:
        """What runs for parameters like these, of what a message calls `what`.

        Raises:
            DTypeError: nothing runs there, or NumPy was asked for, and they are on a device.
            BackendError: it cannot run here. SettingError: nothing computes in that dtype. While
            Dynamo makes a graph, what `refused` was told is raised when the graph is run: an error
            that is raised sooner becomes one of Dynamo's.
        """
        found = self._found.get((dtype, device))
        if found is None and torch.compiler.is_dynamo_compiling():
            found = self._refused.get((dtype, device))
        if found is not None:
            return found
        if device.type not in ("cpu", "cuda"):
            raise DTypeError(f"{what} is on {device}, and runs on the CPU or on a CUDA device")
        width = dtype_name(dtype)
        backend = self.options.backend
        if backend == "auto":
            backend = "numpy" if device.type == "cpu" else "triton"
        if backend == "numpy" and device.type != "cpu":
            raise DTypeError(f"{what} is on {device}, and backend='numpy' runs on the CPU")
        bound = BoundCell(self.cell, dtype=width, backend=backend)
        # A program is of the device that is torch's current one when it is made.
        with torch.cuda.device(device) if device.type == "cuda" else nullcontext():
            program = bound.program(
                width, backend=backend, exact=self.options.exact, fast=self.options.fast
            )
        return self._found.setdefault((dtype, device), engine_of(program))

    def refused(self, dtype: torch.dtype, device: torch.device, error: Error) -> Engine:
        """What stands in graphs for the engine that `at` could not make."""
        program = BoundCell(self.cell, dtype="float32", backend="numpy").program()
        told = error.with_traceback(None)  # the frames that it came through hold parameters
        return self._refused.setdefault((dtype, device), engine_of(program, told))

    def reader(
        self, dtype: torch.dtype, device: torch.device, what: str, *, batch_first: bool
    ) -> Inputs:
        """What tells the sizes of a call, and whether its inputs are good ones."""
        key = dtype, device, batch_first
        found = self._readers.get(key)
        if found is None:
            arrays = TorchArrays(dtype_name(dtype), device, what)
            calls = "module.step", "module"
            made = Inputs(self.cell, arrays, batch_first=batch_first, calls=calls)
            found = self._readers.setdefault(key, made)
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
