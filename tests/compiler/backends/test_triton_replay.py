"""What a graph of some steps replays is right: each step's arrays lie where the next one looks.

No device is needed: what a module does between the begin and the end of a capture is noted, with
the tensors it was done with, and a replay does it again with the same ones. Memory that nobody has
written holds NaN, and so does a state that was read for the last time.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import nullcontext
from dataclasses import fields
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.mapping import CAPTURED, GRAPHED
from rnnc.runtime.launch import load
from tests.compiler.backends import triton_runs
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import by_triton, forced, programs_of, way_of
from tests.compiler.hand_built import Numbers

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

HOST, STEP, STAGED = "alternating", "step in blocks", "staged in blocks"
# On and off powers of two; steps of which a graph of 16 leaves 0, 1 or some over; and the ways that
# are legal, forward or backward.
CELLS: dict[str, tuple[tuple[int, ...], int, tuple[str, ...]]] = {
    "LSTM": ((3, 48), 51, (HOST, STEP, STAGED)),
    "GRU": ((5, 48), 33, (HOST, STEP)),
    "LSTMP": ((3, 32, 32), 33, (STAGED,)),
    "SLSTM": ((3, 6, 2), 34, (HOST,)),
    "DeltaNet": ((3, 4, 4), 33, (HOST, STEP)),
    "LMU": ((3, 4, 5), 34, (HOST,)),
}
ROWS = 3
BLOCK = 16  # elements of a program of a map kernel, so that there are several


class Graph:
    """In place of `torch.cuda.CUDAGraph`."""

    capturing: Graph | None = None
    replays = 0

    def __init__(self) -> None:
        self._calls: list[Callable[[], object]] = []
        self._noting: Any = None
        self._is_done = True  # what a device would only have recorded

    def capture_begin(self, **_: Any) -> None:
        from torch.utils._python_dispatch import TorchDispatchMode

        def noted(_: Any, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
            out = func(*args, **(kwargs or {}))
            if Graph.capturing:
                self._calls.append(lambda: _again(func, args, kwargs or {}, out))
            return out

        Graph.capturing = self
        self._noting = type("Noting", (TorchDispatchMode,), {"__torch_dispatch__": noted})()
        self._noting.__enter__()

    def capture_end(self) -> None:
        self._noting.__exit__(None, None, None)
        Graph.capturing = None

    def note(self, call: Callable[[], object]) -> None:
        Graph.capturing = None  # not what a kernel does inside
        call()
        Graph.capturing = self
        self._calls.append(call)

    def replay(self) -> None:
        if not self._is_done:
            Graph.replays += 1
            for call in self._calls:
                call()
        self._is_done = False


class Kernel:
    """A kernel whose launches are noted while there is a capture."""

    def __init__(self, kernel: Any) -> None:
        self._kernel = kernel

    def __getitem__(self, grid: Any) -> Callable[..., None]:
        def launch(*args: Any, **kwargs: Any) -> None:
            def call() -> None:
                self._kernel[grid](*args, **kwargs)

            Graph.capturing.note(call) if Graph.capturing else call()

        return launch


def _again(func: Any, args: Any, kwargs: Any, out: Any) -> None:
    """Call an operator, and leave its results where the first ones are."""
    import torch

    found = func(*args, **kwargs)
    if isinstance(found, torch.Tensor) and found.data_ptr() != out.data_ptr():
        out.copy_(found)


@pytest.fixture
def replayed(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], Any]]:
    """Loads a module as on a device, whose graphs are made of notes."""
    import torch

    for name, stand_in in {
        "CUDAGraph": Graph,
        "Stream": lambda _: nullcontext(),
        "stream": lambda stream: stream,
        "current_stream": lambda _: None,
        "empty_cache": lambda: None,
        "is_current_stream_capturing": lambda: False,
    }.items():
        monkeypatch.setattr(torch.cuda, name, stand_in)
    monkeypatch.setattr(Graph, "replays", 0)
    monkeypatch.setattr(Graph, "capturing", None)
    torch.use_deterministic_algorithms(True)  # so that `torch.empty` is full of NaN
    yield _as_on_a_device
    torch.use_deterministic_algorithms(False)


def _as_on_a_device(source: str) -> Any:
    if "every_step(" not in source:
        return load(source)
    source = source.replace('clock.device.type != "cuda" or ', "")
    source = source.replace("side.wait_stream(torch.cuda.current_stream(clock.device))", "pass")
    source, swaps = re.subn(r"^( +)(c\d.*) = l\d.*$", _with_poison, source, flags=re.MULTILINE)
    assert swaps == 1
    build = load(source)
    names = build.__globals__
    names["BLOCK"] = BLOCK
    for each in [n for n in names if n.startswith(("map", "step", "stage"))]:
        names[each] = Kernel(names[each])
    return build


def _with_poison(swap: re.Match[str]) -> str:
    """States change places, and those that are to be written hold what nobody may read."""
    indent, states = swap.groups()
    news = [name for name in states.split(", ") if name.startswith("l")]
    filled = "".join(
        f'\n{indent}{name}.fill_(float("nan") if {name}.is_floating_point() else -1)'
        for name in news
    )
    return f"{swap.group()}{filled}"


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize(
    ("name", "way"), [(name, way) for name, (_, _, ways) in CELLS.items() for way in ways]
)
def test_replays_are_steps(
    name: str, way: str, dtype: str, monkeypatch: pytest.MonkeyPatch, replayed: Callable[[str], Any]
) -> None:
    sizes, steps, _ = CELLS[name]
    cell = STANDARD[name](*sizes)
    n = Numbers.draw(cell, steps=steps, rows=ROWS)
    programs = programs_of(cell)
    pair = forced(programs, way, steps=steps, rows=ROWS)
    assert way in {way_of(pair.forward), way_of(pair.backward)}
    wanted = by_triton(cell, programs, pair, n, dtype=dtype)
    monkeypatch.setattr(triton_runs, "load", replayed)
    found = by_triton(cell, programs, pair, n, dtype=dtype)
    for part in fields(wanted):
        for array, right in getattr(wanted, part.name).items():
            np.testing.assert_array_equal(getattr(found, part.name)[array], right)
    graphs = sum(each.kind in GRAPHED for each in (pair.forward, pair.backward))
    assert Graph.replays == graphs * ((steps - 1) // CAPTURED - 1)
