"""A module becomes a net that computes the same, and a whole net a module."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.pytorch.test_layers import LENGTHS, STEPS, inputs, layers, of_module
from tests.runtime.pytorch.test_module import close
from tests.runtime.test_random import CELLS

pytestmark = pytest.mark.torch

F64: Any = {"dtype": "float64"}
MODULES: dict[str, Callable[..., Any]] = {
    "cell": lambda **said: rnnc.torch.Recur(rnnc.LSTMCell(3, 4), **F64, **said),
    "chain": lambda **said: rnnc.torch.Recur(
        rnnc.Chain(rnnc.GRUCell(3, 4), rnnc.Dense(4, 2)), **F64, **said
    ),
    "both": lambda **said: rnnc.torch.Bidirectional(
        rnnc.GRUCell(3, 4), rnnc.LSTMCell(3, 4), merge="mean", **F64, **said
    ),
    "stack": lambda **said: rnnc.torch.Stack(layers(), residual=[1], **F64, **said),
    "named": lambda **said: rnnc.torch.Stack(
        {"low": rnnc.GRUCell(3, 4), "high": rnnc.Dense(4, 2)}, **F64, **said
    ),
}


def trained(name: str, **said: Any) -> Any:
    """With parameters that no seed draws."""
    module = MODULES[name](**said)
    draws = torch.Generator().manual_seed(5)
    with torch.no_grad():
        for p in module.parameters():
            p.add_(0.3 * torch.randn(p.shape, generator=draws, dtype=p.dtype))
    return module


@pytest.mark.parametrize("name", MODULES)
def test_a_module_becomes_a_net_with_its_values_states_and_gradients(name: str) -> None:
    module = trained(name)
    net: Any = module.to_net(backend="numpy")
    assert type(net).__name__ == type(module).__name__
    xs, starts = inputs(), torch.rand(STEPS, 3, generator=torch.Generator().manual_seed(1)) < 0.3
    ys, last = module(xs, starts=starts, lengths=LENGTHS)
    close(ys, net.scan(xs.numpy(), starts=starts.numpy(), lengths=LENGTHS.numpy()))
    for path, value in of_module(net.state).items():
        close(last[path], value)
    ys.square().sum().backward()
    grads = net.backward(2 * ys.detach().numpy())
    assert len(grads.params) == len(list(module.parameters()))
    for path, d in of_module(grads.params).items():
        close(module.get_parameter(path).grad, d, 1e-11)


@pytest.mark.parametrize("name", MODULES)
def test_a_net_has_copies_and_goes_on_by_itself(name: str) -> None:
    module = trained(name)
    net: Any = module.to_net()
    before = {path: np.array(value) for path, value in net.params.items()}
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    for path, value in net.params.items():
        np.testing.assert_array_equal(value, before[path])
    net.load_params({path: value + 1 for path, value in before.items()})
    assert not any(p.any() for p in module.parameters())


@pytest.mark.parametrize("name", MODULES)
def test_a_net_has_the_modules_options_axes_and_mode(name: str) -> None:
    module = trained(name, batch_first=True, exact=True).eval()
    net: Any = module.to_net(backend="numpy")
    xs = inputs().swapaxes(0, 1)
    close(module(xs)[0], net.scan(xs.numpy()))
    assert not net.training and module.train().to_net().training
    inner = {"": net} if isinstance(net, rnnc.Recur) else net._nets()
    assert all(each._program.exact and not each._program.fast for each in inner.values())
    narrow = module.to_net(dtype="float32")
    assert {value.dtype for value in narrow.params.values()} == {np.dtype("float32")}
    wide = module.float().to_net()
    assert {value.dtype for value in wide.params.values()} == {np.dtype("float32")}


def test_the_weights_of_a_parametrized_module_are_its_effective_ones() -> None:
    module = trained("cell")
    torch.nn.utils.parametrizations.weight_norm(module, "U", dim=0)
    with torch.no_grad():
        module.parametrizations.U.original0.mul_(1.5)
    net: Any = module.to_net(backend="numpy")
    assert list(net.params) == ["W", "U", "b"]
    close(module.U, net.params["U"], 0)
    close(module(inputs())[0], net.scan(inputs().numpy()))


def test_a_trained_module_is_served_where_there_is_no_torch(tmp_path: Path) -> None:
    module = trained("stack").eval()
    path = tmp_path / "net.safetensors"
    module.to_net(backend="numpy").save(path)
    np.save(tmp_path / "xs.npy", inputs().numpy())
    code = f"""
import sys
sys.modules["torch"] = None
import numpy as np, rnnc
net = rnnc.load_net({str(path)!r})
np.save({str(tmp_path / "ys.npy")!r}, net.scan(np.load({str(tmp_path / "xs.npy")!r})))
"""
    subprocess.run([sys.executable, "-c", code], check=True, cwd=Path(__file__).parents[3])
    close(module(inputs())[0], np.load(tmp_path / "ys.npy"))


def test_a_net_and_a_module_say_the_same_of_dropout_and_residual_connections() -> None:
    said: Any = {"dropout": 0.25, "per_sequence": True, "residual": [1]}
    module = rnnc.torch.Stack(layers(), **said, **F64)
    net: Any = module.to_net(backend="numpy")
    assert str(net.report()) == str(rnnc.Stack(layers(), **said, **F64, backend="numpy").report())
    again = rnnc.torch.Stack(net, batch_first=True)
    assert again.extra_repr() == "dropout=0.25, per_sequence=True, residual=[1]"
    assert {n: p.tolist() for n, p in again.named_parameters()} == {
        n: p.tolist() for n, p in module.named_parameters()
    }
    for path, value in again.to_net(backend="numpy").params.items():
        np.testing.assert_array_equal(value, net.params[path])
    xs = inputs()
    close(again.eval()(xs.swapaxes(0, 1))[0].swapaxes(0, 1), module.eval()(xs)[0].detach())
    other = rnnc.torch.Stack(net, dropout=0.0, per_sequence=False, residual=False)
    assert other.extra_repr() == ""
    named = rnnc.torch.Stack(rnnc.Stack({"low": rnnc.GRUCell(3, 4)}))
    assert named.get_parameter("low.W").shape == (3, 4, 3)


def test_a_module_of_a_net_has_parameters_of_its_own() -> None:
    net = rnnc.Stack([rnnc.GRUCell(3, 4), rnnc.Dense(4, 2)], backend="numpy", **F64)
    module = rnnc.torch.Stack(net)
    with torch.no_grad():
        for p in module.parameters():
            p.zero_()
    assert net.params["0.W"].any()


@pytest.mark.parametrize("name", MODULES)
def test_a_report_is_that_of_the_net(name: str) -> None:
    module = trained(name)
    net: Any = module.to_net(backend="numpy")
    assert str(module.report(steps=7, rows=2)) == str(net.report(steps=7, rows=2))
    assert "FLOPs" in str(module.report())
    with pytest.raises(rnnc.Error, match="steps is a number of steps"):
        module.report(steps=0)


def test_what_has_no_numbers_is_told_by_its_name() -> None:
    with pytest.raises(rnnc.Error, match="W is on the device meta, where tensors have") as found:
        MODULES["cell"](device="meta").to_net()
    assert found.value.code == "array-dtype"
    with pytest.raises(rnnc.Error, match="backend"):
        MODULES["cell"]().to_net(backend="fortran")


SEED = 5
STATEFUL: dict[str, Callable[[], Any]] = {
    "cell": MODULES["cell"],
    "chain": MODULES["chain"],
    "both": MODULES["both"],
    "named": MODULES["named"],
    "batch first": lambda: MODULES["stack"](batch_first=True),
    "no state": lambda: rnnc.torch.Recur(rnnc.Dense(3, 4), **F64),
    "draws": lambda: rnnc.torch.Stack(
        [CELLS.Drop(3), rnnc.Bidirectional(CELLS.Drop(3), CELLS.Drop(3)), rnnc.Dense(6, 2)],
        dropout=0.3, **F64,
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", STATEFUL)
def test_a_net_of_a_stateful_module_goes_on_where_it_stands(name: str) -> None:
    module = STATEFUL[name]()
    kept = rnnc.torch.Stateful(module)
    xs = inputs().swapaxes(0, 1) if module.batch_first else inputs()
    for net in (kept.to_net(backend="numpy", seed=SEED), None):  # where it begins, and later on
        net = kept.to_net(backend="numpy", seed=SEED) if net is None else net
        assert net.training and net.recorded == 0
        for path, value in of_module(net.state).items():
            close(kept.state[path], value)
        close(kept(xs, seed=SEED), net.scan(xs.numpy()))


def test_a_net_of_a_stateful_module_has_no_part_of_its_state(tmp_path: Path) -> None:
    kept = rnnc.torch.Stateful(trained("stack"))
    kept(inputs()[:, 0])  # without a batch axis
    net = kept.eval().to_net(backend="numpy")
    assert not net.training
    net.save(tmp_path / "net.safetensors")
    before = {path: value.detach().clone() for path, value in kept.state.items()}
    wanted = net.scan(inputs()[:, 0].numpy())
    for path, value in before.items():
        close(kept.state[path], value, 0)
    close(kept(inputs()[:, 0]), wanted)
    close(
        torch.tensor(rnnc.load_net(tmp_path / "net.safetensors").scan(inputs()[:, 0].numpy())),
        wanted,
        0,
    )
    with pytest.raises(rnnc.Error, match="backend"):
        kept.to_net(backend="fortran")


@pytest.mark.parametrize("name", MODULES)
def test_a_net_draws_from_the_seed_that_is_said(name: str) -> None:
    net: Any = MODULES[name]().to_net(backend="numpy", seed=SEED)
    nets = [net] if isinstance(net, rnnc.Recur) else net._nets().values()
    assert {each._seed for each in nets} == {SEED}
    with pytest.raises(rnnc.Error, match="seed is an integer, got 'x'"):
        MODULES[name]().to_net(seed="x")
