"""Modules on Triton: NumPy's numbers, and states in float32 whatever the width of the rest."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
pytest.importorskip("triton", reason="needs triton")
import torch

import rnnc.torch
from rnnc.runtime.backends import has_cuda
from rnnc.runtime.pytorch.engines import Engines, Options
from rnnc.runtime.tensors import TorchArrays
from tests.runtime.pytorch.test_module import close
from tests.runtime.pytorch.versions import graphs, kernels

pytestmark = [
    pytest.mark.torch,
    kernels,
    pytest.mark.skipif(has_cuda(), reason="the interpreter runs on tensors of the CPU"),
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
]

MASKS = {"lengths": [3, 1], "starts": [False, True, False], "boundaries": 2}


def inputs(dtype: Any) -> Any:
    return torch.randn(3, 2, 3, generator=torch.Generator().manual_seed(0)).to(dtype)


@pytest.mark.parametrize("cell", [rnnc.LSTMCell(3, 4), rnnc.GRUCell(3, 4)], ids=str)
def test_kernels_have_numpys_values_and_gradients(cell: Any) -> None:
    kernels, plain = (rnnc.torch.Recur(cell, backend=b) for b in ("triton", "numpy"))
    xs = inputs(torch.float32)
    found = []
    for module in (kernels, plain):
        ys, last = module(xs, **MASKS)
        loss = ys.square().sum() + last["h"].sum()
        found.append([ys, *last.values(), *torch.autograd.grad(loss, list(module.parameters()))])
    for mine, true in zip(*found, strict=True):
        close(mine, true.detach(), 2e-6)
    v = torch.ones_like(xs)
    moved = [torch.func.jvp(lambda x, m=m: m(x)[0], (xs,), (v,))[1] for m in (kernels, plain)]
    close(moved[0], moved[1].detach(), 2e-6)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_modules_keep_their_states_in_float32(dtype: Any) -> None:
    module, wide = (rnnc.torch.Recur(rnnc.LSTMCell(3, 4), backend="triton") for _ in range(2))
    xs = inputs(dtype)
    ys, state = module.to(dtype)(xs)
    assert ys.dtype == dtype
    assert {value.dtype for value in state.values()} == {torch.float32}
    again, _ = module(xs, state)
    close(again.float(), wide(xs.float(), wide(xs.float())[1])[0].detach(), 2e-2)
    state = {path: value.detach().requires_grad_() for path, value in state.items()}
    module(xs, state)[0].float().sum().backward()
    assert {p.grad.dtype for p in module.parameters() if p.grad is not None} == {dtype}
    assert {s.grad.dtype for s in state.values() if s.grad is not None} == {torch.float32}
    with pytest.raises(rnnc.Error, match=r"state\['h'\] is .* keeps torch.float32.*\.to\("):
        module(xs, {path: value.detach().to(dtype) for path, value in state.items()})


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_narrow_module_that_learns_its_beginning_is_one_graph() -> None:
    torch._dynamo.reset()
    cells = rnnc.loads(
        "cell L(n): (h[n] = g, x[n]) -> (h', h') { param g[n] = ones\n h' = 0.9 * h + x }"
    )
    module = rnnc.torch.Recur(cells.L(3), backend="triton", dtype=torch.bfloat16)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    xs = inputs(torch.bfloat16)
    (ys, last), (wanted, true) = compiled(xs), module(xs)
    assert torch.equal(ys, wanted)
    assert torch.equal(last["h"], true["h"]) and last["h"].dtype == torch.float32
    (d,) = torch.autograd.grad(last["h"].sum(), list(module.parameters()))
    (d_true,) = torch.autograd.grad(true["h"].sum(), list(module.parameters()))
    assert torch.equal(d, d_true) and d.any()
    torch._dynamo.reset()


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_kernels_are_compared_with_the_oracle_while_a_graph_is_made(tmp_path: Path) -> None:
    """As on a device, where the first call of all may be one within `torch.compile`."""
    torch._dynamo.reset()
    cells = rnnc.loads("cell Once(n): (h[n], x[n]) -> (h', h') { h' = tanh(0.7 * h + x) }")
    with rnnc.options(validate=2, cache=tmp_path):
        module = rnnc.torch.Recur(cells.Once(3), backend="triton")
        compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
        xs = inputs(torch.float32).requires_grad_()
        ys, _ = compiled(xs)
        assert torch.equal(ys, module(xs)[0])
        ys.sum().backward()
    assert any(tmp_path.iterdir())
    torch._dynamo.reset()


def test_a_module_runs_where_its_parameters_are_whichever_device_is_the_current_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    current = [0]

    @contextmanager
    def on(device: torch.device) -> Iterator[None]:
        before, current[0] = current[0], device.index
        yield
        current[0] = before

    monkeypatch.setattr(torch.cuda, "device", on)
    monkeypatch.setattr(torch.cuda, "current_device", lambda: current[0])
    monkeypatch.setattr("rnnc.runtime.backends.triton_problem", str)
    monkeypatch.setattr("rnnc.runtime.backends.is_interpreted", lambda: False)
    engines = Engines(rnnc.LSTMCell(3, 4).cell, Options())
    for device in (torch.device("cuda", 1), torch.device("cuda", 0)):
        arrays = engines.at(torch.float32, device, "the module").program.arrays
        assert isinstance(arrays, TorchArrays) and arrays.device == device
    assert current == [0]


def test_a_graph_is_told_the_dtypes_of_what_is_kept() -> None:
    text = """cell C(n): (h[n], x[n]) -> (h', h') {
        param P[9, n]
        h' = tanh(h + sin(h * t)) + P[minimum(t, 8)] * x
    }"""
    engine = Engines(rnnc.loads(text).C(3).cell, Options(backend="triton")).at(
        torch.bfloat16, torch.device("cpu"), "the module"
    )
    program = engine.program
    params = {p.name: torch.ones(9, 3, dtype=torch.bfloat16) for p in program.cell.params}
    carry = {s.name: torch.zeros(2, *map(int, s.node.type.shape)) for s in program.cell.states}
    _, _, tape = program.forward(params, carry, inputs(torch.bfloat16))
    assert tape is not None
    kept = {name: (shape, dtype) for name, (shape, dtype) in engine.kept(()).items()}
    found = {name: (tuple(a.shape[2:]), a.dtype) for name, a in tape.arrays.items() if name in kept}
    assert found == kept
    assert {torch.float32, torch.int64} < {dtype for _, dtype in kept.values()}
