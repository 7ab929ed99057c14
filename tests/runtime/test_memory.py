"""Whether the memory suffices: what is refused beforehand, and what a failed allocation becomes."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import memory
from rnnc.runtime.errors import HistoryFullError, OutOfMemoryError
from tests.runtime.models import close, elman, random

GIB = 2**30
STEPS = GIB // 16 - 1  # of 4 outputs in float32, and one row of states: 1 GiB


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A machine of 1 GiB."""
    monkeypatch.setattr("rnnc.runtime.numpy_arrays.host_memory", lambda: GIB)


class Plain:
    """An input as it lies in a file: nothing copies it, and it takes no memory here."""

    def __init__(self, steps: int) -> None:
        self.shape = steps, 1, 3
        self.dtype = np.dtype(np.float32)
        self.flags = np.zeros(1).flags


@pytest.mark.usefixtures("small")
def test_what_is_sure_not_to_fit_is_refused_and_nothing_else() -> None:
    room: Any = elman(dtype="float32")._program._room
    room.check([Plain(STEPS)], STEPS, 1)
    with pytest.raises(OutOfMemoryError, match=r"1 rows take at least 1\.0 GiB.*are 1\.0 GiB"):
        room.check([Plain(STEPS + 1)], STEPS + 1, 1)
    repeated = np.broadcast_to(np.float32(0), (STEPS, 1, 3))
    with pytest.raises(OutOfMemoryError, match=r"take at least 1\.7 GiB"):  # the copy counts
        room.check([repeated], STEPS, 1)


@pytest.mark.usefixtures("small")
def test_every_entrance_counts_steps_and_rows() -> None:
    net, x = elman(), np.broadcast_to(0.0, (2**28, 3))
    cell, program, params = net.cell, net._program, dict(net.params)
    carry = {"h": np.zeros((1, 4))}
    calls: list[Callable[[], Any]] = [
        lambda: net.eval()(x),
        lambda: net.eval().scan(x),
        lambda: cell(np.zeros(4), x),
        lambda: program.forward(params, carry, x[:, None]),
    ]
    for call in calls:
        with pytest.raises(OutOfMemoryError, match="at least") as caught:
            call()
        assert isinstance(caught.value, MemoryError) and isinstance(caught.value, rnnc.Error)


def test_a_container_has_its_own_limit(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "CONTAINER_LIMIT", path)
    for text, is_limit in [("", False), ("max\n", False), ("1048576\n", True)]:
        if text:
            path.write_text(text)
        memory.host_memory.cache_clear()
        found = memory.host_memory()
        assert found == 2**20 if is_limit else 2**20 < found <= sys.maxsize
    memory.host_memory.cache_clear()


def test_errors_that_are_coded_stay_what_they_are() -> None:
    assert memory.out_of_memory(OutOfMemoryError("once"), "net") is None
    assert memory.out_of_memory(RuntimeError("another"), "net") is None
    net = elman()
    net.history_limit = 1
    with pytest.raises(HistoryFullError):
        net.scan(random(4, 2, 3))
    net.history_limit = GIB
    close(net.scan(random(4, 2, 3)), elman().scan(random(4, 2, 3)), 0)
