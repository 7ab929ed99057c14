"""Losses against central differences, optimisers against a scalar run by hand."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from tests.runtime.models import close, elman, random


def differences(loss: Callable[[Array], float], at: Array) -> Array:
    found = np.zeros(at.shape)
    for index in np.ndindex(at.shape):
        step = np.zeros(at.shape)
        step[index] = 1e-6
        found[index] = (loss(at + step) - loss(at - step)) / 2e-6
    return found


MASK = np.array([[True, False], [True, True], [False, False]])


@pytest.mark.parametrize("mask", [None, MASK])
def test_cross_entropy_and_its_cotangent(mask: Array | None) -> None:
    ys, targets = random(3, 2, 5), np.arange(6).reshape(3, 2) % 5
    loss, d_ys = rnnc.cross_entropy(ys, targets, mask)
    each = np.log(np.exp(ys).sum(-1)) - np.take_along_axis(ys, targets[..., None], -1)[..., 0]
    close(loss, each.mean() if mask is None else each[mask].mean())
    close(d_ys, differences(lambda at: rnnc.cross_entropy(at, targets, mask)[0], ys), 1e-8)


@pytest.mark.parametrize("mask", [None, MASK, MASK[:, 0]])
def test_squared_error_and_its_cotangent(mask: Array | None) -> None:
    ys, targets = random(3, 2, 4), random(3, 2, 4, seed=1)
    loss, d_ys = rnnc.squared_error(ys, targets, mask)
    errors = (ys - targets) ** 2
    close(loss, errors.mean() if mask is None else errors[mask].mean())
    close(d_ys, differences(lambda at: rnnc.squared_error(at, targets, mask)[0], ys), 1e-8)


def test_large_scores_are_no_trouble() -> None:
    ys = np.array([[1e30, 0.0], [-1e30, 0.0], [1000.0, 0.0]], np.float32)
    loss, d_ys = rnnc.cross_entropy(ys, [0, 1, 0])
    assert loss == 0 and not d_ys.any() and d_ys.dtype == np.float32


def test_what_does_not_count_may_be_anything() -> None:
    ys, targets = random(3, 2, 5), np.where(MASK, 1, -100)
    ys[~MASK] = np.nan
    loss, d_ys = rnnc.cross_entropy(ys, targets, MASK)
    assert np.isfinite(loss) and not d_ys[~MASK].any()
    loss, d_ys = rnnc.squared_error(ys, np.zeros((3, 2, 5)), MASK)
    assert np.isfinite(loss) and not d_ys[~MASK].any()


def test_nothing_that_counts_is_a_loss_of_0() -> None:
    for mask in (np.zeros((3, 2), bool), np.zeros(3, bool)):
        loss, d_ys = rnnc.squared_error(random(3, 2), random(3, 2), mask)
        assert loss == 0 and not d_ys.any()
    loss, d_ys = rnnc.cross_entropy(np.zeros((0, 2, 5)), np.zeros((0, 2), int))
    assert loss == 0 and d_ys.shape == (0, 2, 5)


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: rnnc.cross_entropy(random(3, 5), [0, 1]), ValueError, r"int\[3\]"),
        (lambda: rnnc.cross_entropy(random(2, 5), [0, 5]), IndexError, "holds 5"),
        (lambda: rnnc.cross_entropy(random(2, 5), [0.0, 1.0]), TypeError, "an index"),
        (lambda: rnnc.cross_entropy(np.zeros((2, 5), int), [0, 1]), TypeError, "ys holds int64"),
        (lambda: rnnc.squared_error(random(3), random(1, 3)), ValueError, r"shaped like ys, \[3\]"),
        (lambda: rnnc.squared_error(random(3), random(3), [True]), ValueError, r"bool\[3\]"),
        (lambda: rnnc.clip_by_norm({}, 0), ValueError, "positive"),
        (lambda: rnnc.SGD(-1), ValueError, "rate"),
        (lambda: rnnc.clip_by_norm({}, "1"), ValueError, "positive"),  # type: ignore[arg-type]
        (lambda: rnnc.clip_by_norm([1.0], 1), TypeError, "d_params"),  # type: ignore[arg-type]
        (lambda: rnnc.clip_by_norm({"W": [1.0]}, 1), TypeError, r"d_params\['W'\].*list"),  # type: ignore[dict-item]
        (lambda: rnnc.clip_by_norm({"W": np.ones(2, int)}, 1), TypeError, "holds int64"),
        (lambda: rnnc.SGD("x"), ValueError, "rate"),  # type: ignore[arg-type]
        (lambda: rnnc.SGD(1, momentum=np.nan), ValueError, "momentum"),
        (lambda: rnnc.SGD(1, momentum="x"), ValueError, "momentum"),  # type: ignore[arg-type]
        (lambda: rnnc.SGD(1).step({"W": [1.0]}, {}), TypeError, r"params\['W'\]"),  # type: ignore[dict-item]
        (lambda: rnnc.Adam(np.nan), ValueError, "rate"),
        (lambda: rnnc.Adam(decay=(0.9, 1.0)), ValueError, "decay"),
        (lambda: rnnc.Adam(decay=(0.9, "x")), ValueError, "decay"),  # type: ignore[arg-type]
        (lambda: rnnc.Adam(decay=0.9), ValueError, "decay"),  # type: ignore[arg-type]
        (lambda: rnnc.Adam(epsilon=-1), ValueError, "epsilon"),
        (lambda: rnnc.SGD(1).step({}, {"W": random(2)}), ValueError, "W"),
        (lambda: rnnc.Adam(1).step({"W": random(2)}, {"W": random(3)}), ValueError, r"\[2\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert isinstance(caught.value, rnnc.Error)


def test_clipping_scales_all_gradients_together() -> None:
    gradients = {"W": np.full((2, 2), 3.0, np.float32), "b": np.full(4, 4.0, np.float32)}
    clipped = rnnc.clip_by_norm(gradients, 1.0)
    close(clipped, {"W": np.full((2, 2), 0.3), "b": np.full(4, 0.4)}, 1e-6)
    assert clipped["W"].dtype == np.float32
    close(rnnc.clip_by_norm(gradients, 10.1), gradients, 0)
    close(rnnc.clip_by_norm({"W": np.zeros(2)}, 1.0), {"W": np.zeros(2)}, 0)
    assert np.isnan(rnnc.clip_by_norm({"W": np.array([np.nan, 1.0])}, 1.0)["W"]).all()


@pytest.mark.filterwarnings("error")
def test_infinity_gives_nan_without_a_warning() -> None:
    infinite = np.array([[np.inf, 1.0]])
    assert np.isnan(rnnc.clip_by_norm({"W": infinite}, 1.0)["W"]).all()
    for loss, d_ys in (rnnc.cross_entropy(infinite, [1]), rnnc.squared_error(infinite, infinite)):
        assert np.isnan(loss) and np.isnan(d_ys).any()
    for optimiser in (rnnc.SGD(0.1, momentum=0.9), rnnc.Adam(0.1)):
        for sign in (1, -1):
            optimiser.step({"W": infinite}, {"W": sign * infinite})


def test_sgd_keeps_no_array_of_the_callers() -> None:
    optimiser, params = rnnc.SGD(1.0, momentum=0.5), {"W": np.zeros(1)}
    gradient = np.array([2.0])
    optimiser.step(params, {"W": gradient})
    gradient[:] = 100.0
    close(optimiser.step(params, {"W": np.zeros(1)})["W"], [-1.0])


def test_sgd_with_momentum_by_hand() -> None:
    optimiser, p, v = rnnc.SGD(0.1, momentum=0.9), 1.0, 0.0
    params = {"W": np.array([1.0]), "fixed": np.array([5.0])}
    for g in (2.0, -1.0, 0.5):
        new = optimiser.step(params, {"W": np.array([g])})
        v = 0.9 * v + g
        p -= 0.1 * v
        assert set(new) == {"W"} and new["W"] is not params["W"]
        close(new["W"], [p])
        params = {**params, **new}


def test_adam_by_hand() -> None:
    optimiser, p, m, v = rnnc.Adam(0.1), 1.0, 0.0, 0.0
    params = {"W": np.array([1.0])}
    for t, g in enumerate((2.0, -1.0, 0.5), start=1):
        params = optimiser.step(params, {"W": np.array([g])})
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        close(params["W"], [p])


@pytest.mark.parametrize("optimiser", [rnnc.SGD(0.3, momentum=0.5), rnnc.Adam(0.03)])
def test_a_net_learns_to_repeat_its_last_input(optimiser: rnnc.SGD | rnnc.Adam) -> None:
    net, losses = elman(1, 8, dtype="float32"), []
    readout = random(8)
    for step in range(150):
        xs = random(12, 16, 1, seed=step).astype(np.float32)
        ys = net.scan(xs)
        loss, d_y = rnnc.squared_error(ys[1:] @ readout, xs[:-1, :, 0])
        d_ys = np.zeros_like(ys)
        d_ys[1:] = d_y[..., None] * readout
        grads = net.backward(d_ys)
        net.load_params(optimiser.step(net.params, rnnc.clip_by_norm(grads.params, 1.0)))
        net.reset()
        losses.append(loss)
    assert np.mean(losses[-10:]) < 0.15 * np.mean(losses[:3])
