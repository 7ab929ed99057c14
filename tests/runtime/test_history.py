"""Growing time buffers: what they keep, what they share, what they let go."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.history import History, TimeBuffer
from rnnc.runtime.inputs import Call
from rnnc.runtime.tape import Tape


def rows(first: int, count: int) -> Array:
    return np.arange(first, first + count, dtype=float)[:, None]


def tape(first: int, count: int, *variant: str) -> Tape:
    return Tape(variant, count, 1, {"x": rows(first, count)})


PARAMS: dict[str, Array] = {}


class _Apart:
    """Compared, never run; nothing runs back over steps of it that had parameters of their own."""

    cell = rnnc.LSTMCell(1, 1).cell

    def varying(self, params: Any, variant: tuple[str, ...]) -> None:
        return None


PROGRAM: Any = _Apart()


def extended(history: History, first: int, count: int, *variant: str, window: int | None = None,
             params: dict[str, Array] = PARAMS) -> History:  # fmt: skip
    call = Call((), count, 1, batched=True, single=count == 1)
    return history.extended(
        PROGRAM, tape(first, count, *variant), call, params,
        with_states=False, fresh=not history.calls, window=window, lent=(),
    )  # fmt: skip


def kept(history: History) -> list[list[float]]:
    return [segment.tape().arrays["x"][:, 0].tolist() for segment in history.segments]


def test_rows_are_in_order_whatever_the_sizes_of_the_calls() -> None:
    history, sizes = History(), [1, 1, 5, 0, 30, 1, 2]
    for size in sizes:
        history = extended(history, history.steps, size)
    assert kept(history) == [list(map(float, range(40)))]
    assert history.call_sizes() == [(size, size == 1) for size in sizes]


def test_an_older_history_is_unharmed_by_a_younger_one() -> None:
    old = extended(extended(History(), 0, 3), 3, 1)
    first = extended(old, 100, 2)
    second = extended(old, 200, 3)
    assert kept(old) == [[0, 1, 2, 3]]
    assert kept(second) == [[0, 1, 2, 3, 200, 201, 202]]
    assert first.steps == 6, "only the newest may be extended, but lengths are everyone's own"


def test_single_steps_are_written_once() -> None:
    history, moves, array = extended(History(), 0, 1), 0, None
    for at in range(1, 1000):
        history = extended(history, at, 1)
        now = history.segments[0].buffer.arrays["x"]
        moves, array = moves + (now is not array), now
    assert moves < 12


def test_what_is_lent_is_copied_and_what_is_not_is_adopted() -> None:
    array = rows(0, 3)
    call = Call((), 3, 1, batched=True, single=False)
    given = Tape((), 3, 1, {"x": array})
    how: Any = {"with_states": False, "fresh": True, "window": None}
    lent = History().extended(PROGRAM, given, call, PARAMS, lent=(array[1:],), **how)
    assert not np.shares_memory(lent.segments[0].buffer.arrays["x"], array)
    own = History().extended(PROGRAM, given, call, PARAMS, lent=(), **how)
    assert own.segments[0].buffer.arrays["x"] is array


def test_segments_part_where_masks_or_parameters_change() -> None:
    history = extended(extended(extended(History(), 0, 2), 2, 1, "starts"), 3, 1, "starts")
    history = extended(history, 4, 1, "starts", params={})
    assert kept(history) == [[0, 1], [2, 3], [4]]
    assert [segment.linked for segment in history.segments] == [False, True, True]
    assert [segment.fresh for segment in history.segments] == [True, False, False]
    after_gap = extended(history.interrupted(), 5, 1, "starts")
    assert not after_gap.segments[-1].linked


@pytest.mark.parametrize("sizes", [[1] * 12, [3, 3, 6], [12], [2, 0, 9, 1]])
@pytest.mark.parametrize("window", [1, 4, 11])
def test_a_window_keeps_the_last_steps_and_their_calls(sizes: list[int], window: int) -> None:
    history, start = History(), 0
    for size in sizes:
        history = extended(history, start, size, window=window)
        start += size
    assert [x for part in kept(history) for x in part] == list(range(12 - window, 12))
    assert sum(size for size, _ in history.call_sizes()) == window
    assert not history.segments[0].fresh


def test_a_window_drops_whole_segments() -> None:
    history = extended(History(), 0, 3, window=4)
    history = extended(history, 3, 2, "starts", window=4)
    assert kept(history) == [[1, 2], [3, 4]]
    history = extended(history, 5, 2, "starts", window=4)
    assert kept(history) == [[3, 4, 5, 6]]


def test_a_copy_shares_nothing_that_is_written() -> None:
    history = extended(extended(History(), 0, 2), 2, 1)
    twin = history.copied()
    extended(history, 7, 1)
    assert kept(extended(twin, 8, 1)) == [[0, 1, 2, 8]]
    assert kept(history) == [[0, 1, 2]]


def test_a_tape_without_arrays_still_counts_its_steps() -> None:
    call = Call((), 3, 1, batched=True, single=False)
    history = History()
    for _ in range(2):
        history = history.extended(
            PROGRAM, Tape((), 3, 1, {}), call, PARAMS,
            with_states=False, fresh=False, window=None, lent=(),
        )  # fmt: skip
    assert history.steps == 6 and history.segments[0].tape().steps == 6
    assert len(TimeBuffer({}, 0, 3).without_first(1)) == 2


LEARNED = """
cell Learned(n): (h[n] = h0, x[n]) -> (h', h') {
    param U[n, n], h0[n] = constant(0.3)
    h' = tanh(U @ h + x)
}
"""


def learned_start(*calls: int, history: int | None = None, truncated: bool = False) -> Array:
    """The gradient of a learned start after scans of so many steps."""
    xs = np.random.default_rng(0).normal(size=(5, 2, 3))
    net = rnnc.Recur(rnnc.loads(LEARNED).Learned(3), dtype="float64", history=history)
    for steps in calls:
        net.scan(xs[:steps])
        if truncated and not steps:
            net.truncate()
    found: Array = net.backward(np.ones((net.recorded, 2, 3))).params["h0"]
    return found


@pytest.mark.parametrize(
    ("calls", "truncated"), [((0, 5), False), ((0, 0, 5), False), ((5, 0), False), ((0, 5), True)]
)
def test_a_call_of_no_steps_changes_no_gradient(calls: tuple[int, ...], truncated: bool) -> None:
    np.testing.assert_allclose(learned_start(*calls, truncated=truncated), learned_start(5))


@pytest.mark.parametrize("calls", [(5,), (0, 5), (0, 0, 5), (0, 5, 0)])
def test_a_start_that_left_the_window_has_no_gradient(calls: tuple[int, ...]) -> None:
    assert not learned_start(*calls, history=2).any()
