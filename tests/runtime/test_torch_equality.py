"""LSTM, GRU and RNN compute what torch.nn's do, values and gradients, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import random

INPUTS, HIDDEN = 3, 5
NETS = ["LSTM", "GRU", "RNN", "RNN-relu"]
BATCHES = [None, 1, 3]  # None: no batch axis
STEPS = [1, 2, 17, 128]

VALUES, GRADIENTS = 1e-12, 1e-11


def build(name: str) -> Recur:
    """A net whose every parameter is random, biases too."""
    kind, _, act = name.partition("-")
    options = {"act": act} if act else {}
    net: Recur = getattr(rnnc, kind)(INPUTS, HIDDEN, dtype="float64", **options)
    draws = np.random.default_rng(1)
    net.load_params({n: draws.normal(0, 0.4, p.shape) for n, p in net.params.items()})
    return net


# torch's gradients by the names of ours; a second bias of torch's has that of the first.
ORIGINS = {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "d"}


def torch_twin(name: str, net: Recur) -> Any:
    """torch's module of the same parameters."""
    import torch

    kind, _, act = name.partition("-")
    options = {"nonlinearity": act} if act else {}
    twin = getattr(torch.nn, kind)(INPUTS, HIDDEN, dtype=torch.float64, **options)
    twin.load_state_dict(rnnc.interop.to_torch_state_dict(net))
    return twin


def starting_state(net: Recur, lead: tuple[int, ...]) -> dict[str, Array]:
    return {name: random(*lead, HIDDEN, seed=at + 2) for at, name in enumerate(net.state)}


def close(found: Any, wanted: Any, tolerance: float, name: str) -> None:
    __tracebackhide__ = True
    wanted = np.asarray(wanted).reshape(np.shape(found))
    np.testing.assert_allclose(found, wanted, tolerance, tolerance, err_msg=name)


@pytest.mark.torch
@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("steps", STEPS)
@pytest.mark.parametrize("name", NETS)
def test_values_and_every_gradient_are_torchs(name: str, steps: int, batch: int | None) -> None:
    import torch

    net = build(name)
    lead = () if batch is None else (batch,)
    xs, d_ys = random(steps, *lead, INPUTS), random(steps, *lead, HIDDEN, seed=1)
    start = starting_state(net, lead)
    d_state = {n: random(*lead, HIDDEN, seed=at + 9) for at, n in enumerate(start)}

    twin = torch_twin(name, net)
    their_xs = torch.from_numpy(xs).requires_grad_()
    their_start = {n: torch.from_numpy(a[None].copy()).requires_grad_() for n, a in start.items()}
    given = tuple(their_start.values())
    their_ys, their_last = twin(their_xs, given if len(given) > 1 else given[0])
    last = dict(zip(start, their_last if len(given) > 1 else (their_last,), strict=True))
    (
        (their_ys * torch.from_numpy(d_ys)).sum()
        + sum((last[n][0] * torch.from_numpy(d_state[n])).sum() for n in last)
    ).backward()

    net.state = start
    close(net.scan(xs), their_ys.detach(), VALUES, "ys")
    for state, value in net.state.items():
        close(value, last[state].detach(), VALUES, state)
    grads = net.backward(d_ys, d_state)
    close(grads.inputs, their_xs.grad, GRADIENTS, "d_xs")
    for state, value in grads.state.items():
        close(value, their_start[state].grad, GRADIENTS, f"d_{state}")
    for theirs, ours in ORIGINS.items():
        if ours in grads.params:
            close(grads.params[ours], getattr(twin, theirs).grad, GRADIENTS, f"d_{ours}")
    assert set(grads.params) <= set(ORIGINS.values())


@pytest.mark.parametrize("batch", BATCHES)
@pytest.mark.parametrize("name", NETS)
def test_no_steps_change_nothing_which_torch_refuses(name: str, batch: int | None) -> None:
    net = build(name)
    lead = () if batch is None else (batch,)
    start = starting_state(net, lead)
    d_state = {n: random(*lead, HIDDEN, seed=at + 9) for at, n in enumerate(start)}
    net.state = start
    assert net.scan(random(0, *lead, INPUTS)).shape == (0, *lead, HIDDEN)
    grads = net.backward(np.zeros((0, *lead, HIDDEN)), d_state)
    assert grads.inputs.shape == (0, *lead, INPUTS)
    assert not any(gradient.any() for gradient in grads.params.values())
    for state in start:
        np.testing.assert_array_equal(net.state[state], start[state])
        np.testing.assert_array_equal(grads.state[state], d_state[state])
