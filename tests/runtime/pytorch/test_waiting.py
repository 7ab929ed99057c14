"""Rows that begin a call elsewhere than where the steps before left them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

pytest.importorskip("torch", reason="needs torch")
import torch

from rnnc.runtime.inputs import Call
from rnnc.runtime.pytorch.waiting import (
    Waiting,
    anew,
    anywhere,
    either,
    idle,
    uncut,
    without,
)

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


def test_rows_of_either_mask_and_of_one_alone() -> None:
    assert either(None, None) is None and without(None, FIRST) is None
    assert either(FIRST, None) is FIRST and either(None, FIRST) is FIRST
    both, none = either(FIRST, ~FIRST), without(FIRST, FIRST)
    assert both is not None and both.all() and none is not None and not none.any()


def named(waiting: Waiting) -> list[list[bool] | None]:
    return [None if rows is None else rows.tolist() for rows in waiting]


def test_a_row_waits_for_one_thing_at_a_time() -> None:
    second = ~FIRST
    waiting = Waiting().with_reset(FIRST)
    assert named(waiting) == [[True, False], None, None]
    waiting = waiting.with_placed(FIRST | second)
    assert named(waiting) == [[False, False], None, [True, True]]
    waiting = waiting.with_reset(second)
    assert named(waiting) == [[False, True], None, [True, False]]
    initial, elsewhere = anew(waiting), anywhere(waiting)
    assert initial is not None and initial.tolist() == [False, True]
    assert elsewhere is not None and elsewhere.all()


def test_a_row_that_has_not_begun_has_nothing_to_reset() -> None:
    waiting = Waiting(fresh=FIRST | ~FIRST).with_placed(~FIRST).with_reset(FIRST)
    assert named(waiting) == [[False, False], [True, False], [False, True]]


def test_nothing_waits_behind_steps_but_rows_that_had_none() -> None:
    waiting = Waiting(FIRST, None, ~FIRST)
    assert named(waiting.after(None)) == [None, None, None]
    assert named(waiting.after([0, 2])) == [[True, False], None, None]
    assert named(Waiting(fresh=FIRST).after([0, 2])) == [None, None, None]
