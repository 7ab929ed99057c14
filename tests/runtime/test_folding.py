"""Pieces between steps at which every row is cut run back side by side, and give the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.oracle import Masks
from rnnc.runtime import folding
from rnnc.runtime.program import Program
from tests.compiler.hand_built import CELLS, Numbers, lstm
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

STEPS, ROWS, PERIOD = 50, 2, 8
BOUND = Bound(1e-12, 1e-11)

Array = np.ndarray[Any, Any]


@pytest.fixture
def loops(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """The steps and rows of every run back."""
    ran: list[tuple[int, int]] = []
    back = Program._back

    def seen(self: Any, params: Any, tape: Any, *given: Any) -> Any:
        ran.append((tape.steps, tape.batch))
        return back(self, params, tape, *given)

    monkeypatch.setattr(Program, "_back", seen)
    return ran


def every(period: int, first: int = 0) -> Array:
    """bool[T,B]: all rows, at every so many steps."""
    return np.repeat((np.arange(STEPS) % period == first)[:, None], ROWS, 1)


def some() -> Array:
    return np.random.default_rng(5).random((STEPS, ROWS)) < 0.3


MASKS = {
    "a period": (Masks(boundaries=every(PERIOD)), [(2, 2), (8, 12)]),
    "in mid period": (Masks(boundaries=every(PERIOD, 3)), [(3, 2), (7, 2), (8, 10)]),
    "resets": (Masks(starts=every(PERIOD)), [(2, 2), (8, 12)]),
    "weights": (Masks(weights=np.where(every(PERIOD), 0.0, 1.5)), [(2, 2), (8, 12)]),
    "one row is reset, the other cut": (
        Masks(
            starts=every(PERIOD) & [True, False],
            boundaries=every(PERIOD) & [False, True],
        ),
        [(2, 2), (8, 12)],
    ),
    "resets of some rows between": (
        Masks(starts=some(), boundaries=every(PERIOD)),
        None,
    ),
    "lengths": (Masks(boundaries=every(4), lengths=np.array([STEPS, 41])), [(4, 20), (10, 2)]),
    "a row without steps": (
        Masks(boundaries=every(PERIOD), lengths=np.array([STEPS, 0])),
        [(50, 2)],
    ),
}  # fmt: skip


@pytest.mark.parametrize("mask", MASKS)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_the_oracle(
    name: str, mask: str, loops: list[tuple[int, int]]
) -> None:
    cell, (masks, wanted) = CELLS[name](), MASKS[mask]
    n = Numbers.draw(cell, steps=STEPS, rows=ROWS)
    assert_within(by_program(Program(cell, "float64"), n, masks), by_oracle(cell, n, masks), BOUND)
    if wanted is not None:
        assert sorted(loops) == wanted


def test_exact_programs_add_up_in_one_order(loops: list[tuple[int, int]]) -> None:
    cell = lstm()
    n = Numbers.draw(cell, steps=STEPS, rows=ROWS)
    by_program(Program(cell, "float64", exact=True), n, Masks(boundaries=every(PERIOD)))
    assert loops == [(STEPS, ROWS)]


def test_arrays_that_take_longer_to_copy_than_a_step_stay(loops: list[tuple[int, int]]) -> None:
    net = rnnc.LSTM(2, 128, backend="numpy")
    xs = np.ones((STEPS, 8, 2), np.float32)
    ys = net.scan(xs, boundaries=PERIOD)
    net.backward(np.ones_like(ys))
    assert loops == [(STEPS, 8)]


def test_a_net_gives_the_same_gradients_of_everything(
    monkeypatch: pytest.MonkeyPatch, loops: list[tuple[int, int]]
) -> None:
    """Of states, of values that rows were reset to, of integers (none), of the last state."""
    draws = np.random.default_rng(0)
    net = rnnc.GRU(3, 4, backend="numpy", dtype="float64")
    xs, d_ys, d_states = (draws.standard_normal((STEPS, ROWS, k)) for k in (3, 4, 4))
    starts = every(PERIOD) | some()
    places = {"h": draws.standard_normal((STEPS, ROWS, 4))}

    def gradients() -> Any:
        net.reset()
        net.scan(xs, starts=starts, starts_at=places, states=True)
        return net.backward(d_ys, {"h": np.ones((ROWS, 4))}, {"h": d_states})

    folded = gradients()
    assert sorted(loops) == [(2, 2), (8, 12)]
    monkeypatch.setattr(folding, "MOST_BYTES", 0)
    whole = gradients()
    assert loops[-1] == (STEPS, ROWS)
    np.testing.assert_allclose(folded.inputs, whole.inputs, rtol=0, atol=1e-12)
    for kind in ("params", "state", "starts"):
        for name, d in getattr(whole, kind).items():
            np.testing.assert_allclose(getattr(folded, kind)[name], d, rtol=0, atol=1e-11)
    assert folded.steps == whole.steps == STEPS
