"""Modified cells as modules of PyTorch: as any other cell."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
import pytest

import rnnc
from tests.compiler.modifiers.cases import CASES, SIZE

torch = pytest.importorskip("torch", reason="needs torch")

import rnnc.torch  # noqa: E402

pytestmark = pytest.mark.torch

each_case = pytest.mark.parametrize("name", CASES)


def xs_of() -> Any:
    return torch.from_numpy(np.random.default_rng(4).normal(size=(5, 3, SIZE)))


@each_case
def test_values_and_gradients_are_those_of_the_net(name: str) -> None:
    net = rnnc.Recur(CASES[name].bound, dtype="float64", backend="numpy", seed=5)
    module = rnnc.torch.Recur(net)
    xs = xs_of().requires_grad_()
    ys, _ = module(xs, seed=5)
    wanted = net.scan(xs.detach().numpy())
    np.testing.assert_allclose(ys.detach(), wanted, rtol=0, atol=1e-13)
    ys.sum().backward()
    grads = net.backward(np.ones_like(wanted))
    np.testing.assert_allclose(xs.grad, grads.inputs, rtol=0, atol=1e-12)
    assert {path for path, _ in module.named_parameters()} == set(grads.params)
    for path, param in module.named_parameters():
        gradient = np.zeros(param.shape) if param.grad is None else param.grad
        np.testing.assert_allclose(gradient, grads.params[path], rtol=0, atol=1e-12)


@each_case
def test_modules_are_copied_pickled_and_loaded(name: str) -> None:
    module, xs = rnnc.torch.Recur(CASES[name].bound, dtype=torch.float64), xs_of()
    module.eval()
    wanted = module(xs)[0]
    other = rnnc.torch.Recur(CASES[name].bound, dtype=torch.float64, seed=9).eval()
    other.load_state_dict(module.state_dict())
    for again in (other, copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(again(xs)[0], wanted)


@each_case
def test_a_stack_of_them_is_one(name: str) -> None:
    cell, xs = CASES[name].bound, xs_of()
    stack = rnnc.torch.Stack([cell, rnnc.cells.GRU(SIZE, SIZE), cell], dtype=torch.float64).eval()
    net = rnnc.Stack([cell, rnnc.cells.GRU(SIZE, SIZE), cell], dtype="float64").eval()
    net.load_params({path: p.detach().numpy() for path, p in stack.named_parameters()})
    np.testing.assert_allclose(stack(xs)[0].detach(), net.scan(xs.numpy()), rtol=0, atol=1e-13)
