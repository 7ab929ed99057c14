"""Every allocation may fail: the error is coded, the net as it was, the next call right."""

from __future__ import annotations

import numpy as np
import pytest

from tests.faults import nets
from tests.faults.allocations import failing, sweep, sweep_new

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
