"""Addresses are computed in 64 bits: kernels run far into arrays that nobody allocates.

The lint (`test_triton_lint.py`) says of every index of every kernel how wide it is computed; here
the addresses of some kernels are compared with where the elements of a step are.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from math import ceil, prod
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.backends import Module
from rnnc.compiler.backends.to_triton import to_triton
from rnnc.compiler.mapping import Mapping
from rnnc.runtime.launch import load
from rnnc.runtime.rehearse import Array as Passed
from rnnc.runtime.rehearse import Launch, rehearse
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import device, programs_of
from tests.compiler.hand_built import Array

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

STEP, ROWS, HIDDEN, BYTES = 3_000_000, 20, 48, 4
CLOCK = 1_000  # what a kernel that is launched for a step reads of the time
assert STEP * ROWS * HIDDEN > 2**31
WRITTEN = ("k", "l", "a")  # prefixes of the arrays that a kernel writes


@dataclass
class Memory:
    """Has zeros everywhere but in the clock, and records where a kernel reads and writes."""

    read: set[int] = field(default_factory=set)
    written: set[int] = field(default_factory=set)

    def load(self, pointers: Array, mask: Array, other: Array, dtype: Any) -> Array:
        self.read.update(pointers[mask].tolist())
        return np.full(pointers.shape, CLOCK if dtype == np.int64 else 0, dtype)

    def store(self, pointers: Array, value: Array, mask: Array) -> None:
        self.written.update(pointers[mask].tolist())


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Iterator[Memory]:
    """What Triton's interpreter reads and writes, in place of the machine's."""
    if device() != "cpu":
        pytest.skip("a device's memory cannot be replaced")
    from triton.runtime import interpreter

    found, real = Memory(), interpreter._interpreter
    own = {name: getattr(real, name) for name in dir(real) if not name.startswith("__")}
    fake = SimpleNamespace(**{**own, "load": found.load, "store": found.store})
    monkeypatch.setattr(interpreter, "_interpreter", fake)
    yield found


def run_far(module: Module, launch: Launch, blocks: int) -> dict[str, int]:
    """Run a kernel for one late step; the addresses at which its arrays begin."""
    import torch
    from triton import language as tl

    kernel = next(k for k in module.kernels if k.name == launch.kernel)
    function = load(module.source).__globals__[kernel.name]
    given_arrays = {n: a for n, a in launch.arguments.items() if isinstance(a, Passed)}
    pool = torch.zeros(len(given_arrays), 8, dtype=torch.uint8)  # near each other in memory
    arrays = {
        name: place.view(getattr(torch, passed.dtype))
        for place, (name, passed) in zip(pool, given_arrays.items(), strict=True)
    }
    given: dict[str, Any] = {"REAL": tl.float32, "NARROW": tl.float32, "FED": tl.float32}
    turn = STEP - CLOCK if "clock" in arrays else STEP
    given |= {"IEEE": "ieee", "begin": turn, "end": turn + 1, "T": 2 * STEP + 1, "B": ROWS}
    given |= {**dict(kernel.constants), **arrays}
    grid = (ceil(ROWS / given["ROWS"]), blocks)
    function[grid](**{name: given[name] for name in function.arg_names})
    return {name: array.data_ptr() for name, array in arrays.items()}


def place_of(passed: Passed, base: int) -> set[int]:
    """The addresses of a step of an array, or of all of one that has no time."""
    sizes = [ROWS if dim == "B" else int(dim) for dim in passed.shape if dim != "T"]
    count = prod(sizes)
    first = STEP * count if "T" in passed.shape else 0
    return set(range(base + first * BYTES, base + (first + count) * BYTES, BYTES))


@pytest.mark.parametrize("way", ["forward", "backward"])
@pytest.mark.parametrize("kind", ["loop", "step", "staged"])
def test_kernels_find_elements_beyond_32_bits(kind: str, way: str, memory: Memory) -> None:
    programs = programs_of(STANDARD.RNN(3, HIDDEN))
    plan = programs.plans[way == "backward"]
    assert plan is not None
    blocks = 1 if kind == "loop" else HIDDEN // 16
    module = to_triton(plan, Mapping(kind, blocks))  # type: ignore[arg-type]
    launches = [
        x for x in rehearse(module, plan.scan, "float32").launches if "begin" in x.arguments
    ]
    assert launches
    for launch in launches:
        memory.read.clear()
        memory.written.clear()
        bases = run_far(module, launch, blocks)
        arrays = {n: a for n, a in launch.arguments.items() if isinstance(a, Passed)}
        written = [place_of(arrays[n], at) for n, at in bases.items() if n.startswith(WRITTEN)]
        assert memory.written == set().union(*written), launch.kernel
        read = [
            place_of(arrays[n], at)
            for n, at in bases.items()
            if "T" in arrays[n].shape and not n.startswith(WRITTEN)
        ]
        far = {at for at in memory.read if at - min(bases.values()) > STEP * ROWS * BYTES}
        assert far == set().union(*read), launch.kernel
