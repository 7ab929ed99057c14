"""Rows that begin a call elsewhere than where the steps before left them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
import torch

from rnnc.runtime.inputs import Call
from rnnc.runtime.pytorch.waiting import either, idle, uncut

pytestmark = pytest.mark.torch
STEPS, ROWS = 3, 2
LIKE = torch.zeros(1, dtype=torch.float64)
FIRST = torch.tensor([True, False])  # rows that begin elsewhere


def shown(boundaries: Any, *, batch_first: bool = False) -> Any:
    sizes = Call((), STEPS, ROWS, True, False, batch_first)
    return uncut(boundaries, FIRST, sizes, LIKE)


@pytest.mark.parametrize(
    ("boundaries", "wanted"),
    [
        (1, [[0, 1], [1, 1], [1, 1]]),
        (2, [[0, 1], [0, 0], [1, 1]]),
        ([0, 1], [[0, 1], [1, 1], [0, 0]]),
        ([], [[0, 0], [0, 0], [0, 0]]),
        (np.ones((STEPS, ROWS), bool), [[0, 1], [1, 1], [1, 1]]),
        ([0.5, 0.0, 1.0], [[1.0, 0.5], [0.0, 0.0], [1.0, 1.0]]),
        (torch.ones(STEPS, ROWS, dtype=torch.int32), [[0, 1], [1, 1], [1, 1]]),
    ],
    ids=str,
)
def test_boundaries_let_all_through_to_a_beginning(boundaries: Any, wanted: Any) -> None:
    found = shown(boundaries)
    assert found.tolist() == torch.tensor(wanted).to(found.dtype).tolist()
    if not isinstance(boundaries, np.ndarray | torch.Tensor):
        assert shown(boundaries, batch_first=True).equal(found.T)


@pytest.mark.parametrize("wrong", [0, [7], "often", torch.ones(1, 2, 3), torch.ones(3, 1), [None]])
def test_what_the_module_refuses_is_left_to_it(wrong: Any) -> None:
    assert shown(wrong) is wrong


def test_no_step_was_of_rows_of_length_0() -> None:
    assert idle(None, [0, 1]) is None and idle(FIRST, None) is None and idle(FIRST, [1, 0]) is None
    found = idle(FIRST, [0, 0])
    assert found is not None and found.tolist() == [True, False]


def test_rows_of_either_mask() -> None:
    assert either(None, None) is None
    assert either(FIRST, None) is FIRST and either(None, FIRST) is FIRST
    both = either(FIRST, ~FIRST)
    assert both is not None and both.all()
