"""What a graph of some steps replays is right: each step's arrays lie where the next one looks.

No device is needed: the calls of some steps are noted, with the tensors they were made with, and
made again with the same ones, as a graph would.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.mapping import Mapping
from rnnc.runtime.launch import load
from tests.compiler.backends import triton_runs
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import by_triton, forced, programs_of
from tests.compiler.hand_built import Numbers

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

UNROLL = 4
CELLS = {
    "LSTM": (3, 8), "GRU": (3, 8), "SLSTM": (3, 8, 2), "DeltaNet": (3, 4, 4), "LMU": (3, 4, 4),
}  # fmt: skip


class Kernel:
    """A kernel whose launches are noted."""

    def __init__(self, kernel: Any, tape: Tape) -> None:
        self._kernel, self._tape = kernel, tape

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any, **kwargs: Any) -> None:
            self._tape.note(lambda: self._kernel[grid](*args, **kwargs))

        return launch


class Tape:
    """Calls, to be made again."""

    def __init__(self) -> None:
        self.calls: list[Callable[[], object]] = []
        self.takes = False

    def note(self, call: Callable[[], object]) -> None:
        taken, self.takes = self.takes, False  # not what a kernel does inside
        call()
        self.takes = taken
        if taken:
            self.calls.append(call)

    def every_step(
        self, step: Callable[[int], None], T: int, clock: Any, allocates: bool = False
    ) -> None:
        """As that of a module, with a graph that is made of notes."""
        from torch.utils._python_dispatch import TorchDispatchMode

        def noted(_: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if self.takes:
                self.calls.append(lambda: _again(func, args, kwargs or {}, out))
            return out

        step(0)
        clock += 1
        self.calls, self.takes = [], True
        noting: Any = type("Noting", (TorchDispatchMode,), {"__torch_dispatch__": noted})
        with noting():
            for turn in range(UNROLL):
                step(turn)
            clock += UNROLL
        self.takes = False
        for _ in range((T - 1) // UNROLL - 1):
            for call in self.calls:
                call()
        for turn in range((T - 1) % UNROLL):
            step(turn)


def _again(func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Call an operator, and leave its results where the first ones are."""
    import torch

    found = func(*args, **kwargs)
    if isinstance(found, torch.Tensor) and found.data_ptr() != out.data_ptr():
        out.copy_(found)


@pytest.mark.parametrize("way", ["alternating", "step in blocks", "staged in blocks"])
@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("name", CELLS)
def test_replays_are_steps(
    name: str, dtype: str, way: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    replayed = []

    def loaded(source: str) -> Any:
        build = load(source)
        tape, names = Tape(), build.__globals__
        if "every_step" in names:
            replayed.append(source)
            for each in [n for n in names if n.startswith(("map", "step", "stage"))]:
                names[each] = Kernel(names[each], tape)
            names["every_step"] = tape.every_step
        return build

    cell = STANDARD[name](*CELLS[name])
    n = Numbers.draw(cell, steps=3 * UNROLL + 3, rows=2)
    programs = programs_of(cell)
    pair = forced(programs, way)
    wanted = by_triton(cell, programs, pair, n, dtype=dtype)
    monkeypatch.setattr(triton_runs, "load", loaded)
    found = by_triton(cell, programs, pair, n, dtype=dtype)
    for part in fields(wanted):
        for array, right in getattr(wanted, part.name).items():
            np.testing.assert_array_equal(getattr(found, part.name)[array], right)
    assert replayed or {pair.forward.kind, pair.backward.kind} <= {Mapping("loop").kind, "scan"}
