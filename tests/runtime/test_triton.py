"""Nets on real kernels: on a CUDA device where there is one, else in Triton's interpreter.

What nets promise whichever program runs is tested with a stand-in, in `test_tensors.py`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.program import Program
from rnnc.runtime.recur import Recur
from rnnc.runtime.validation import compare
from tests.runtime.models import ByHand, bound, close, elman, numpy_of, random

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

CELLS = ("Elman", "Leaky", "Dense", "Embedding")


def on_triton(name: str, *sizes: int, **keywords: Any) -> Recur:
    return Recur(bound(name, *sizes), backend="triton", **keywords)


@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
@pytest.mark.parametrize("name", CELLS)
def test_kernels_compute_what_the_oracle_does(name: str, dtype: str) -> None:
    program = Program(bound(name, 3, 4).cell, dtype, backend="triton")
    for masks in ((), ("starts", "boundaries", "valid"), ("starts", "weights", "valid")):
        assert not compare(program, masks)


def test_a_net_does_what_the_loop_by_hand_does() -> None:
    net = on_triton("Elman", 3, 4, dtype="float64")
    xs, d_ys = random(7, 2, 3), random(7, 2, 4, seed=1)
    ys = [*net.scan(xs[:4]), net(xs[4]), *net.scan(xs[5:])]
    hand = ByHand(net.params, xs)
    close(np.stack(ys), hand.ys)
    d_params, d_xs, _ = hand.backward(d_ys)
    grads = net.backward(d_ys)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)


@pytest.mark.parametrize(("steps", "batch"), [(0, 2), (5, 0), (0, 0)])
def test_nothing_is_legal(steps: int, batch: int) -> None:
    net = on_triton("Elman", 3, 4)
    ys = net.scan(np.zeros((steps, batch, 3)))
    assert ys.shape == (steps, batch, 4)
    grads = net.backward(ys)
    assert grads.inputs.shape == (steps, batch, 3)
    assert not any(d.any() for d in grads.params.values())


def test_the_same_call_gives_the_same_bits() -> None:
    xs = random(9, 3, 3)
    found = []
    for _ in range(2):
        net = rnnc.LSTM(3, 5, backend="triton")
        ys = net.scan(xs)
        found.append({"ys": ys, **net.backward(ys).params})
    close(found[0], found[1], 0)


def test_products_are_exact_whatever_the_user_allows_torch() -> None:
    import torch

    xs = random(20, 4, 64)
    wanted = rnnc.LSTM(64, 32, backend="triton").scan(xs)
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("high")
    try:
        close(rnnc.LSTM(64, 32, backend="triton").scan(xs), wanted, 0)
    finally:
        torch.set_float32_matmul_precision(before)


# -- on a device -----------------------------------------------------------------------------------


@pytest.mark.gpu
@pytest.mark.filterwarnings("ignore:Synchronization debug mode")  # said once in a process
def test_calls_with_tensors_do_not_wait_for_the_device() -> None:
    import torch

    net = rnnc.LSTM(64, 64, backend="triton")
    xs = torch.randn(32, 16, 64, device="cuda")
    dones = torch.rand(32, 16, device="cuda") < 0.1
    for _ in range(2):  # the first compiles
        torch.cuda.set_sync_debug_mode("default" if _ == 0 else "error")
        try:
            ys = net.scan(xs, starts=dones)
            y = net(xs[0])
            net.reset(rows=dones[0])
            grads = net.backward([ys, y])
            net.load_params(rnnc.Adam().step(net.params, rnnc.clip_by_norm(grads.params, 1.0)))
            net.truncate()
        finally:
            torch.cuda.set_sync_debug_mode("default")


@pytest.mark.gpu
def test_a_net_lives_on_the_device_that_was_current_when_it_was_made() -> None:
    import torch

    last = torch.cuda.device_count() - 1
    with torch.cuda.device(last):
        net = rnnc.GRU(3, 4, backend="triton")
    assert net.params["W"].device == torch.device("cuda", last)
    xs = torch.zeros(5, 2, 3, device=f"cuda:{last}")
    assert net.scan(xs).device == xs.device
    with pytest.raises(TypeError, match=r"x\.to\('cuda:"):
        net.scan(xs.cpu())


@pytest.mark.gpu
def test_kernels_are_validated_once_on_a_device(tmp_path: Any) -> None:
    with rnnc.options(cache=tmp_path):
        rnnc.GRU(3, 4, backend="triton").scan(np.zeros((5, 2, 3)))
        (verdict,) = tmp_path.glob("*.verdict")
        assert torch_name() in verdict.read_text()


def torch_name() -> str:
    import torch

    return torch.cuda.get_device_name()


@pytest.mark.gpu
def test_an_index_outside_its_table_is_refused_before_a_kernel_reads_it() -> None:
    import torch

    net = on_triton("Embedding", 5, 3)
    with pytest.raises(IndexError, match="holds 1000000000"):
        net(torch.tensor([10**9], device="cuda"))
    assert net(torch.tensor([4], device="cuda")).shape == (1, 3)


@pytest.mark.gpu
def test_numpy_in_numpy_out_on_a_device() -> None:
    net, host = elman(backend="triton"), elman(backend="numpy")
    xs = random(6, 2, 3)
    close(net.scan(xs), host.scan(xs))
    close(numpy_of(dict(net.state)), dict(host.state))
