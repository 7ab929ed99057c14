"""Modules on a CUDA device: the numbers that the same module has on the CPU, under every transform.

float32 on both sides: on the CPU NumPy runs, on the device Triton's kernels.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.pytorch.test_module import cell_of

pytestmark = [
    pytest.mark.torch,
    pytest.mark.gpu,
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),  # torch's own doing, in Dynamo
    pytest.mark.filterwarnings("ignore::FutureWarning"),
]

STEPS, ROWS, INPUTS = 9, 5, 3
MOST = 2e-5  # between two orders of the same float32 sums


def both_ways() -> Any:
    return rnnc.torch.Bidirectional(rnnc.LSTMCell(3, 2), rnnc.GRUCell(3, 2))


def layers() -> Any:
    return rnnc.torch.Stack([rnnc.LSTMCell(3, 4), rnnc.GRUCell(4, 4)], residual=[1])


MODULES: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: rnnc.torch.Recur(cell_of("LSTM")),
    "DeltaNet": lambda: rnnc.torch.Recur(cell_of("DeltaNet")),
    "MinGRU": lambda: rnnc.torch.Recur(cell_of("MinGRU")),
    "Chain": lambda: rnnc.torch.Recur(
        rnnc.Chain(rnnc.LSTMCell(3, 4), rnnc.Dense(4, 2), dtype="float32").cell
    ),
    "Stack": layers,
    "Bidirectional": both_ways,
}


class Pair:
    """A module on the CPU, its copy on the device, and an input."""

    def __init__(self, name: str) -> None:
        self.cpu = MODULES[name]()
        self.cuda = copy.deepcopy(self.cpu).to("cuda")
        draws = torch.Generator().manual_seed(1)
        self.xs = torch.randn(STEPS, ROWS, INPUTS, generator=draws)

    @property
    def both(self) -> list[tuple[Any, str]]:
        return [(self.cpu, "cpu"), (self.cuda, "cuda")]

    def alike(self, what: Callable[[Any, Any, str], Any], most: float = MOST) -> None:
        """Hold what is computed of the module and its input on the device to the CPU's."""
        wanted, found = (flat(what(module, self.xs.to(at), at)) for module, at in self.both)
        assert len(wanted) == len(found) > 0
        largest = max(float(one.detach().abs().max()) for one in wanted if one.numel())
        for one, other in zip(found, wanted, strict=True):
            assert one.is_cuda and not other.is_cuda
            found_here, true = one.detach().cpu(), other.detach()
            np.testing.assert_allclose(found_here, true, rtol=most, atol=most * largest)


def flat(value: Any) -> list[Any]:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    return [each for part in value for each in flat(part)] if isinstance(value, tuple) else [value]


def gradients(module: Any, *outs: Any) -> tuple[Any, ...]:
    loss = sum(out.square().sum() for out in flat(outs))
    return torch.autograd.grad(loss, list(module.parameters()))


MASKS: list[dict[str, Any]] = [
    {},
    {"lengths": [9, 0, 4, 1, 7]},
    {"starts": torch.arange(STEPS * ROWS).reshape(STEPS, ROWS) % 4 == 3, "boundaries": 4},
]


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("masks", MASKS, ids=["plain", "lengths", "starts"])
def test_values_and_gradients_are_the_cpus(name: str, masks: dict[str, Any]) -> None:
    if name == "Bidirectional":
        masks = {key: mask for key, mask in masks.items() if key == "lengths"}

    def what(module: Any, xs: Any, at: str) -> Any:
        here = {k: m.to(at) if isinstance(m, torch.Tensor) else m for k, m in masks.items()}
        xs = xs.clone().requires_grad_()
        ys, last = module(xs, **here)
        loss = ys.square().sum() + sum(value.sum() for value in last.values())
        return ys, last, *torch.autograd.grad(loss, [xs, *module.parameters()])

    Pair(name).alike(what)


@pytest.mark.parametrize("name", MODULES)
@pytest.mark.parametrize("steps", [0, 1])
def test_short_sequences_are_sequences(name: str, steps: int) -> None:
    def what(module: Any, xs: Any, at: str) -> Any:
        ys, last = module(xs[:steps])
        assert ys.shape[0] == steps
        return ys, last, *gradients(module, ys, last)

    Pair(name).alike(what)


@pytest.mark.parametrize("name", MODULES)
def test_second_derivatives_are_the_cpus(name: str) -> None:
    def what(module: Any, xs: Any, at: str) -> Any:
        xs = xs.clone().requires_grad_()
        first = torch.autograd.grad(module(xs)[0].square().sum(), xs, create_graph=True)[0]
        return torch.autograd.grad(first.square().sum(), [xs, *module.parameters()])

    Pair(name).alike(what, 1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_transforms_are_the_cpus(name: str) -> None:
    def moved(module: Any, xs: Any, at: str) -> Any:
        return torch.func.jvp(lambda x: module(x)[0], (xs,), (torch.ones_like(xs),))

    def mapped(module: Any, xs: Any, at: str) -> Any:
        return torch.func.vmap(lambda x: module(x)[0])(torch.stack([xs, 2 * xs]))

    def of_each_sample(module: Any, xs: Any, at: str) -> Any:
        params = {n: p.detach() for n, p in module.named_parameters()}

        def loss(params: Any, x: Any) -> Any:
            return torch.func.functional_call(module, params, (x[:, None],))[0].square().sum()

        return torch.func.vmap(torch.func.grad(loss), in_dims=(None, 1))(params, xs)

    for what in (moved, mapped, of_each_sample):
        Pair(name).alike(what, 1e-4)


@pytest.mark.parametrize("name", MODULES)
def test_compiled_by_inductor_it_is_one_graph(name: str) -> None:
    torch._dynamo.reset()
    pair = Pair(name)
    compiled: Any = torch.compile(pair.cuda, fullgraph=True)
    xs = pair.xs.cuda()
    (ys, last), (wanted, true) = compiled(xs), pair.cuda(xs)
    for one, other in zip(
        [*flat((ys, last)), *gradients(pair.cuda, ys)],
        [*flat((wanted, true)), *gradients(pair.cuda, wanted)],
        strict=True,
    ):
        torch.testing.assert_close(one, other, rtol=MOST, atol=MOST)
    torch._dynamo.reset()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_narrow_modules_and_autocast_keep_states_in_float32(dtype: Any) -> None:
    pair = Pair("LSTM")
    wanted = pair.cpu(pair.xs)[0].detach()
    with torch.autocast("cuda", dtype):
        ys, last = pair.cuda(pair.xs.cuda())
    assert ys.dtype == dtype and {s.dtype for s in last.values()} == {torch.float32}
    narrow, state = copy.deepcopy(pair.cuda).to(dtype)(pair.xs.cuda().to(dtype))
    assert narrow.dtype == dtype and {s.dtype for s in state.values()} == {torch.float32}
    for found in (ys, narrow):
        torch.testing.assert_close(found.float().cpu(), wanted, rtol=0, atol=3e-2)


@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_drop_ins_are_cudnns(kind: str) -> None:
    theirs = getattr(torch.nn, kind)(3, 4, num_layers=2, bidirectional=True).cuda()
    ours = getattr(rnnc.torch, kind)(3, 4, num_layers=2, bidirectional=True).cuda()
    ours.load_state_dict(theirs.state_dict())
    xs = torch.randn(STEPS, ROWS, 3, device="cuda")
    packed = torch.nn.utils.rnn.pack_padded_sequence(
        xs, torch.tensor([9, 1, 4, 5, 7]), enforce_sorted=False
    )
    with torch.backends.cudnn.flags(allow_tf32=False):
        for given in (xs, packed):
            wanted, found = theirs(given), ours(given)
            pairs = zip(flat(found), flat(wanted), strict=True)
            for one, other in pairs:
                if isinstance(one, torch.Tensor) and one.is_floating_point():
                    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)
        for one, other in zip(
            gradients(ours, ours(xs)), gradients(theirs, theirs(xs)), strict=True
        ):
            torch.testing.assert_close(one, other, rtol=1e-3, atol=1e-4)


def test_a_stateful_net_goes_on_where_it_was() -> None:
    def what(module: Any, xs: Any, at: str) -> Any:
        net = rnnc.torch.Stateful(module)
        ys = torch.cat([net(xs[:2]), net.step(xs[2])[None], net(xs[3:])])
        return ys, net.state, *gradients(module, ys)

    Pair("Stack").alike(what)


def test_a_module_moves_between_devices() -> None:
    pair = Pair("LSTM")
    wanted = pair.cpu(pair.xs)[0]
    there = pair.cuda(pair.xs.cuda())[0]
    back = pair.cuda.to("cpu")(pair.xs)[0]
    assert torch.equal(back, wanted)
    torch.testing.assert_close(there.cpu(), wanted, rtol=MOST, atol=MOST)
    with pytest.raises(rnnc.Error, match=r"is torch.float32 on cuda:0, and .* on cpu"):
        pair.cuda(pair.xs.cuda())


def test_what_is_drawn_and_dropped_along_a_stream_is_the_cpus() -> None:
    cells = rnnc.loads(
        "cell D(n): (h[n], x[n]) -> (h', h') { param W[n, n]\n h' = tanh(W @ dropout(x, 0.3) + h) }"
    )
    cpu = rnnc.torch.Stateful(rnnc.torch.Stack([cells.D(3), cells.D(3)], dropout=0.3))
    cuda = copy.deepcopy(cpu).to("cuda")
    xs = torch.randn(STEPS, ROWS, INPUTS, generator=torch.Generator().manual_seed(1))
    for part in torch.split(xs, 4):
        found, wanted = cuda(part.cuda(), seed=3), cpu(part, seed=3)
        torch.testing.assert_close(found.cpu(), wanted, rtol=MOST, atol=MOST)
