"""Resets, lengths and boundaries inside a sequence, against a loop by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.errors import RangeError
from rnnc.runtime.inputs import Call
from rnnc.runtime.numpy_arrays import NumPyArrays
from rnnc.runtime.truncation import read_boundaries
from tests.runtime.models import ByHand, bound, close, elman, random

pytestmark = pytest.mark.usefixtures("each_library")


def masks(seed: int, steps: int = 9, batch: int = 3) -> dict[str, Any]:
    rng = np.random.default_rng(seed)
    boundaries = rng.random((steps, batch)) < 0.25
    boundaries[0] = False
    return {
        "starts": rng.random((steps, batch)) < 0.25,
        "boundaries": boundaries,
        "lengths": rng.integers(0, steps + 1, batch),
    }


@pytest.mark.parametrize("used", ["starts", "boundaries", "lengths", "starts lengths", "all"])
@pytest.mark.parametrize("seed", range(3))
def test_masks_mean_what_the_loop_by_hand_does(used: str, seed: int) -> None:
    given = {name: mask for name, mask in masks(seed).items() if name in used or used == "all"}
    net, xs = elman(), random(9, 3, 3)
    d_ys, d_state = random(9, 3, 4, seed=1), random(3, 4, seed=2)
    hand = ByHand(net.params, xs, **given)
    close(net.scan(xs, **given), hand.ys)
    close(net.state["h"], hand.state)
    grads = net.backward(d_ys, {"h": d_state})
    d_params, d_xs, d_first = hand.backward(d_ys, d_state)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)
    close(grads.state["h"], d_first)


def test_padding_may_be_nan() -> None:
    net, xs, lengths = elman(), random(6, 2, 3), np.array([2, 6])
    want = net.scan(xs, lengths=lengths)
    d_ys = random(6, 2, 4)
    grads = net.backward(d_ys)
    net.reset()
    xs[2:, 0] = np.nan
    close(net.scan(xs, lengths=lengths), want, 0)
    close(net.backward(d_ys).params, grads.params, 0)
    assert not net.backward(d_ys).inputs[2:, 0].any()


def test_padding_tokens_may_be_anything() -> None:
    from rnnc import Recur

    net = Recur(bound("Embedding", 5, 3))
    tokens = np.array([[1, 4], [-1, 2], [99, 0]])
    ys = net.scan(tokens, lengths=[1, 3])
    close(ys[0, 0], net.params["E"][1], 0)
    assert not ys[1:, 0].any()
    grads = net.backward(np.ones_like(ys))
    assert grads.inputs is None
    np.testing.assert_array_equal(grads.params["E"][:, 0], [1, 1, 1, 0, 1])


def test_one_flag_for_a_step_holds_for_every_row_and_integers_are_flags() -> None:
    net, xs = elman(), random(4, 2, 3)
    want = ByHand(net.params, xs, starts=np.array([[0, 0], [0, 0], [1, 1], [0, 0]], bool)).ys
    close(net.scan(xs, starts=[False, False, True, False]), want)
    net.reset()
    close(net.scan(xs, starts=[0, 0, 1, 0]), want)
    net.reset()
    close(net.scan(xs[:, 0], starts=[0, 0, 1, 0]), want[:, 0])


def test_a_period_counts_the_steps_of_the_stream_and_a_list_those_of_the_call() -> None:
    net, xs, d_ys = elman(), random(10, 2, 3), random(10, 2, 4, seed=1)
    net.scan(xs[:3], boundaries=4)
    net.reset(rows=[0])  # does not rewind the stream
    net.scan(xs[3:6], boundaries=4)
    net.scan(xs[6:], boundaries=[2])
    cuts, starts = np.zeros((10, 2), bool), np.zeros((10, 2), bool)
    cuts[[4, 8]], starts[3, 0] = True, True
    d_params, d_xs, _ = ByHand(net.params, xs, boundaries=cuts, starts=starts).backward(d_ys)
    grads = net.backward(d_ys)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)


def test_a_boundary_before_the_first_recorded_step_cuts_nothing() -> None:
    net, xs, d_ys = elman(), random(4, 2, 3), random(4, 2, 4)
    net.scan(xs)
    want = net.backward(d_ys)
    for boundaries in (4, [0], np.eye(4, 1, dtype=bool)[:, 0]):
        net.reset()
        net.scan(xs, boundaries=boundaries)
        close(net.backward(d_ys).params, want.params)
        close(net.backward(d_ys).state, want.state)


def test_weights_scale_what_crosses_a_boundary_and_change_no_value() -> None:
    """A weight w between two steps: what crosses it is w of the whole gradient, the rest is cut."""
    xs, d_ys = random(6, 2, 3), random(6, 2, 4, seed=1)
    weights = np.ones((6, 2))
    weights[3] = 1.5, 0.25
    net, whole, cut = elman(), elman(), elman()
    np.testing.assert_array_equal(net.scan(xs, boundaries=weights), whole.scan(xs))
    cut.scan(xs, boundaries=[3])
    found = net.backward(d_ys).inputs
    part = weights[3][:, None]
    close(
        found[:3],
        part * whole.backward(d_ys).inputs[:3] + (1 - part) * cut.backward(d_ys).inputs[:3],
    )
    close(found[3:], whole.backward(d_ys).inputs[3:])


def test_weights_of_0_and_1_are_cuts_bit_for_bit() -> None:
    xs, d_ys = random(6, 2, 3), random(6, 2, 4, seed=1)
    cuts = np.random.default_rng(2).random((6, 2)) < 0.4
    found = []
    for boundaries in (cuts, 1.0 - cuts):
        net = elman(batch_first=True)
        net.scan(xs.swapaxes(0, 1), boundaries=boundaries.T)
        found.append(net.backward(d_ys.swapaxes(0, 1)))
    close(found[0].params, found[1].params, 0)
    close(found[0].inputs, found[1].inputs, 0)
    close(found[0].state, found[1].state, 0)


def test_a_stream_may_be_longer_than_any_machine_integer() -> None:
    cuts = read_boundaries(3, Call((), 7, 2, True, False), 2**63, NumPyArrays("float64"))
    np.testing.assert_array_equal(np.flatnonzero(cuts[:, 0]), [1, 4])


def test_a_period_beyond_all_streams_is_refused() -> None:
    with pytest.raises(IndexError, match="at most") as caught:
        elman().scan(random(4, 2, 3), boundaries=10**30)
    assert isinstance(caught.value, RangeError)
    cuts = read_boundaries(2**62, Call((), 3, 1, True, False), 2**62 - 1, NumPyArrays("float64"))
    np.testing.assert_array_equal(cuts[:, 0], [False, True, False])


@pytest.mark.parametrize("period", [1, 2, 5, 8])
def test_a_period_equals_truncating_by_hand(period: int) -> None:
    whole, cut, xs, d_ys = elman(), elman(), random(8, 2, 3), random(8, 2, 4, seed=1)
    close(whole.scan(xs, boundaries=period), cut.scan(xs))
    cut.reset()
    total: dict[str, Any] = {}
    for start in range(0, 8, period):
        cut.scan(xs[start : start + period])
        for name, d in cut.backward(d_ys[start : start + period]).params.items():
            total[name] = total.get(name, 0) + d
        cut.truncate()
    close(whole.backward(d_ys).params, total)


def test_a_choice_of_the_cells_own_beside_a_reset_reads_the_state_before_it_is_replaced() -> None:
    """The state may be another name of the buffer that its successor is written to."""
    cells = rnnc.loads(
        "cell D(n): (h[n], x[n]) -> (h', y) { y = x * 2\n h' = where(x > 0, h, x - 1) }"
    )
    net = rnnc.Recur(cells.D(1), dtype="float64", backend="numpy").eval()
    xs = np.array([[-1.0, -1.0], [1.0, 1.0], [1.0, 1.0]])[:, :, None]
    starts = np.array([[False, True], [False, False], [False, False]])
    net.scan(xs, starts=starts)
    np.testing.assert_array_equal(net.state["h"], [[-2.0], [-2.0]])
