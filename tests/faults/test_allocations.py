"""Every allocation may fail: the error is coded, the net as it was, the next call right."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.faults import nets
from tests.faults.allocations import failing, sweep, sweep_new
from tests.faults.run import ROOT, SECONDS

FEW = ("Elman", "Leaky", "SLSTM", "MinGRU", "Embedding")


def test_allocations_fail_when_they_are_told_to() -> None:
    with failing(1, once=True) as counter:
        np.zeros(3)
        with pytest.raises(MemoryError):
            np.ones(3)
        np.zeros(3)
        assert counter.made == 3
    with failing(0, once=False), pytest.raises(MemoryError):
        np.zeros(3)


@pytest.mark.parametrize("cold", [False, True], ids=["ready", "cold"])
@pytest.mark.parametrize("name", FEW)
def test_whichever_allocation_fails_a_net_is_as_it_was(name: str, cold: bool) -> None:
    for action in nets.ACTIONS:
        count, wrong = sweep(name, action, once=cold, cold=cold)
        assert not wrong, "\n".join(wrong)
        if action in ("step", "scan", "masked", "backward"):
            assert count >= 4, "the whole call was swept"


@pytest.mark.parametrize("name", FEW)
def test_whichever_allocation_of_a_new_net_fails_the_next_one_is_right(name: str) -> None:
    count, wrong = sweep_new(name, once=True)
    assert not wrong, "\n".join(wrong)
    assert count >= len(nets.new(name).params)


LIMITED = """
import resource
import numpy as np, rnnc

net = rnnc.LSTM(3, 4).eval()
xs = np.broadcast_to(np.float32(0.5), (50_000_000, 1, 3))  # 1.4 GB with what comes of them
net.scan(xs[:4])
before = net.state["h"].copy()
used = int(open("/proc/self/statm").read().split()[0]) * resource.getpagesize()
resource.setrlimit(resource.RLIMIT_AS, (used + (256 << 20),) * 2)
try:
    net.scan(xs)
except rnnc.Error as error:
    print(error.code, isinstance(error, MemoryError), (net.state["h"] == before).all())
print(net.scan(xs[:4]).shape)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_a_process_of_little_memory_gets_the_error_and_goes_on() -> None:
    """G 118 of the list of bad inputs: what no estimate can know, an allocation says."""
    command = [sys.executable, "-c", LIMITED]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=SECONDS)
    assert done.stdout == "out-of-memory True True\n(4, 1, 4)\n", done.stderr
