"""Clipping, and optimisers against a scalar run by hand, for arrays of NumPy and for tensors."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import is_tensor
from tests.runtime.conftest import Like
from tests.runtime.models import close, elman, numpy_of, random


@pytest.mark.parametrize(
    ("call", "kind", "message"),
    [
        (lambda: rnnc.clip_by_norm({}, 0), ValueError, "positive"),
        (lambda: rnnc.SGD(-1), ValueError, "rate"),
        (lambda: rnnc.clip_by_norm({}, "1"), ValueError, "positive"),  # type: ignore[arg-type]
        (lambda: rnnc.clip_by_norm([1.0], 1), TypeError, "d_params"),  # type: ignore[arg-type]
        (lambda: rnnc.clip_by_norm({"W": [1.0]}, 1), TypeError, r"d_params\['W'\].*list"),
        (lambda: rnnc.clip_by_norm({"W": np.ones(2, int)}, 1), TypeError, "holds int64"),
        (lambda: rnnc.SGD("x"), ValueError, "rate"),  # type: ignore[arg-type]
        (lambda: rnnc.SGD(1, momentum=np.nan), ValueError, "momentum"),
        (lambda: rnnc.SGD(1, momentum="x"), ValueError, "momentum"),  # type: ignore[arg-type]
        (lambda: rnnc.SGD(1).step({"W": [1.0]}, {}), TypeError, r"params\['W'\]"),
        (lambda: rnnc.Adam(np.nan), ValueError, "rate"),
        (lambda: rnnc.Adam(decay=(0.9, 1.0)), ValueError, "decay"),
        (lambda: rnnc.Adam(decay=(0.9, "x")), ValueError, "decay"),  # type: ignore[arg-type]
        (lambda: rnnc.Adam(decay=0.9), ValueError, "decay"),  # type: ignore[arg-type]
        (lambda: rnnc.Adam(epsilon=-1), ValueError, "epsilon"),
        (lambda: rnnc.SGD(1).step({}, {"W": random(2)}), ValueError, "W"),
        (lambda: rnnc.SGD(1).step({"W": random(2)}, {}), ValueError, "no gradient"),
        (lambda: rnnc.Adam(1).step({"W": random(2)}, {}), ValueError, "no gradient"),
        (lambda: rnnc.Adam(1).step({"W": random(2)}, {"W": random(3)}), ValueError, r"\[2\]"),
    ],
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert isinstance(caught.value, rnnc.Error)


def test_clipping_scales_all_gradients_together(like: Like) -> None:
    full = np.full((2, 2), 3.0, np.float32), np.full(4, 4.0, np.float32)
    gradients = {"W": like(full[0]), "b": like(full[1])}
    clipped = rnnc.clip_by_norm(gradients, 1.0)
    close(clipped, {"W": np.full((2, 2), 0.3), "b": np.full(4, 0.4)}, 1e-6)
    assert numpy_of(clipped["W"]).dtype == np.float32
    close(rnnc.clip_by_norm(gradients, 10.1), gradients, 0)
    close(rnnc.clip_by_norm({"W": like(np.zeros(2))}, 1.0), {"W": np.zeros(2)}, 0)
    nowhere = rnnc.clip_by_norm({"W": like(np.array([np.nan, 1.0]))}, 1.0)["W"]
    assert np.isnan(numpy_of(nowhere)).all()


@pytest.mark.filterwarnings("error")
def test_infinity_gives_nan_without_a_warning(like: Like) -> None:
    infinite = like(np.array([[np.inf, 1.0]]))
    assert np.isnan(numpy_of(rnnc.clip_by_norm({"W": infinite}, 1.0)["W"])).all()
    for optimiser in (rnnc.SGD(0.1, momentum=0.9), rnnc.Adam(0.1)):
        for sign in (1, -1):
            optimiser.step({"W": infinite}, {"W": sign * infinite})


def test_sgd_keeps_no_array_of_the_callers(like: Like) -> None:
    optimiser, params = rnnc.SGD(1.0, momentum=0.5), {"W": like(np.zeros(1))}
    gradient = like(np.array([2.0]))
    optimiser.step(params, {"W": gradient})
    gradient[:] = 100.0
    close(optimiser.step(params, {"W": like(np.zeros(1))})["W"], [-1.0])


def test_sgd_with_momentum_by_hand(like: Like) -> None:
    optimiser, p, v = rnnc.SGD(0.1, momentum=0.9), 1.0, 0.0
    params = {"W": like(np.array([1.0])), "fixed": like(np.array([5.0]))}
    for g in (2.0, -1.0, 0.5):
        new = optimiser.step(params, {"W": like(np.array([g]))})
        v = 0.9 * v + g
        p -= 0.1 * v
        assert new.keys() == params.keys() and new["W"] is not params["W"]
        close(new["fixed"], [5.0])
        close(new["W"], [p])
        params = {**params, **new}


def test_adam_by_hand(like: Like) -> None:
    optimiser, p, m, v = rnnc.Adam(0.1), 1.0, 0.0, 0.0
    params = {"W": like(np.array([1.0]))}
    for t, g in enumerate((2.0, -1.0, 0.5), start=1):
        params = optimiser.step(params, {"W": like(np.array([g]))})
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g * g
        p -= 0.1 * (m / (1 - 0.9**t)) / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        close(params["W"], [p])


@pytest.mark.torch
@pytest.mark.parametrize("optimiser", [rnnc.SGD(0.1, momentum=0.9), rnnc.Adam(0.1)])
def test_new_parameters_are_of_their_own_library_whatever_gradients_are(
    optimiser: rnnc.SGD | rnnc.Adam,
) -> None:
    import torch

    W, g = random(3), random(3, seed=1)
    fixed = g.copy()
    fixed.setflags(write=False)
    wanted = copy.deepcopy(optimiser).step({"W": W}, {"W": g})["W"]
    for p, gradient in [(torch.tensor(W), fixed), (W, torch.tensor(g))]:
        found = copy.deepcopy(optimiser).step({"W": p}, {"W": gradient})["W"]
        assert is_tensor(found) == is_tensor(p)
        close(found, wanted)


@pytest.mark.torch
@pytest.mark.parametrize("make", [lambda: rnnc.SGD(1.0, momentum=0.99), lambda: rnnc.Adam(1e-2)])
def test_moments_of_narrow_gradients_lose_nothing(make: Callable[[], Any]) -> None:
    """In bfloat16 itself, 0.999 v + 0.001 g^2 would soon stand still."""
    import torch

    wide, narrow = make(), make()
    p = torch.ones(4)
    for step in range(200):
        g = torch.tensor(random(4, seed=step)).bfloat16()
        wide.step({"W": p}, {"W": g.float()})
        found = narrow.step({"W": p.bfloat16()}, {"W": g})["W"]
    assert found.dtype == torch.bfloat16
    for name in ("velocity", "moments"):
        kept = getattr(narrow, name, {})
        close(dict(enumerate(kept.values())), dict(enumerate(getattr(wide, name, {}).values())), 0)


@pytest.mark.torch
def test_tensors_that_require_a_gradient_are_refused() -> None:
    import torch

    with pytest.raises(TypeError, match=r"pass d_params\['W'\]\.detach\(\)"):
        rnnc.clip_by_norm({"W": torch.nn.Parameter(torch.ones(2))}, 1.0)


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


@pytest.mark.parametrize("make", [lambda: rnnc.SGD(0.1, momentum=0.9), lambda: rnnc.Adam(0.1)])
def test_a_parameter_without_a_gradient_stays_as_it_is(make: Callable[[], Any]) -> None:
    optimiser, params = make(), {"W": np.ones(3), "b": np.ones(2)}
    both = {name: np.full_like(value, 0.5) for name, value in params.items()}
    params = optimiser.step(params, both)
    one = optimiser.step(params, {"W": both["W"]})
    assert np.array_equal(one["b"], params["b"]) and not np.array_equal(one["W"], params["W"])
    kept = optimiser.state.get("velocity") or optimiser.state["first"]
    assert kept.keys() == params.keys()  # what was gathered for it is not forgotten
