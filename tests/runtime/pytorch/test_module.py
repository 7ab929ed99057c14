"""A cell as a module: what users of PyTorch do with modules works, and gives the net's numbers."""

from __future__ import annotations

import copy
import gc
import io
import pickle
from typing import Any

import numpy as np
import pytest

import rnnc
from tests.compiler.backends.sources import SIZES, STANDARD
from tests.library.table import CORE

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.pytorch.versions import graphs

pytestmark = [
    pytest.mark.torch,
    # torch's own doing, in Dynamo
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]

STEPS, ROWS = 4, 3
NAMES = (*CORE, "Chain")


def cell_of(name: str) -> Any:
    if name == "Chain":
        return rnnc.Chain(rnnc.LSTMCell(3, 4), rnnc.Dense(4, 2), dtype="float64").cell
    template = getattr(rnnc.cells, name)
    return template(*SIZES.get(name, (3,) if len(STANDARD[name].settings) == 1 else (3, 4)))


def module_of(name: str, **options: Any) -> Any:
    return rnnc.torch.Recur(cell_of(name), dtype=torch.float64, **options)


def inputs_of(module: Any, steps: int = STEPS, rows: int = ROWS) -> Any:
    (x,) = module._runner.cell.inputs
    draws = torch.Generator().manual_seed(1)
    shape = (steps, rows, *map(int, x.node.type.shape))
    if x.node.type.kind == "int":
        return torch.randint(0, 3, shape, generator=draws)
    return torch.randn(shape, generator=draws, dtype=torch.float64)


def close(found: Any, wanted: Any, most: float = 1e-12) -> None:
    np.testing.assert_allclose(found.detach(), np.asarray(wanted), rtol=0, atol=most)


@pytest.mark.parametrize("name", NAMES)
def test_values_and_gradients_are_those_of_the_net(name: str) -> None:
    module = module_of(name)
    net = rnnc.Recur(cell_of(name), dtype="float64", backend="numpy")
    net.load_params({path: p.detach().numpy() for path, p in module.named_parameters()})
    xs = inputs_of(module)
    starts, lengths = torch.rand(STEPS, ROWS) < 0.3, torch.tensor([4, 0, 2])
    said: dict[str, Any] = {"starts": starts, "lengths": lengths, "boundaries": 2}
    ys, last = module(xs, **said)
    wanted = net.scan(xs.numpy(), **{k: v if k == "boundaries" else v.numpy()
                                     for k, v in said.items()})  # fmt: skip
    close(ys, wanted)
    for state, value in net.state.items():
        close(last[state], value)
    ys.square().sum().backward()
    grads = net.backward(2 * wanted)
    for path, p in module.named_parameters():
        close(p.grad, grads.params[path], 1e-11)


@pytest.mark.parametrize("name", ["LSTM", "Chain"])
def test_a_sequence_in_parts_with_its_state_is_the_sequence(name: str) -> None:
    module = module_of(name)
    xs = inputs_of(module)
    ys, last = module(xs)
    first, state = module(xs[:1])
    second, state = module(xs[1:3], state)
    third, state = module.step(xs[3], state)
    close(torch.cat([first, second, third[None]]), ys.detach())
    for path, value in last.items():
        close(state[path], value.detach())


def test_axes_are_the_users() -> None:
    plain, first = module_of("GRU"), module_of("GRU", batch_first=True)
    xs = inputs_of(plain)
    ys, _ = plain(xs)
    close(first(xs.swapaxes(0, 1))[0].swapaxes(0, 1), ys.detach())
    one, state = plain(xs[:, 0])
    close(one, ys[:, 0].detach())
    assert state["h"].shape == (4,)


def test_parameters_lie_where_their_paths_say() -> None:
    module = module_of("Chain")
    assert dict(module.named_parameters()).keys() == {"0.W", "0.U", "0.b", "1.W", "1.b"}
    assert module.get_parameter("0.W") is module.get_submodule("0").W
    other = module_of("Chain", seed=5)
    assert not torch.equal(other.get_parameter("0.W"), module.get_parameter("0.W"))
    other.load_state_dict(module.state_dict())
    xs = inputs_of(module)
    assert torch.equal(other(xs)[0], module(xs)[0])


def test_a_name_that_a_module_needs_is_refused() -> None:
    cells = rnnc.loads(
        "cell Odd(n): (h[n], x[n]) -> (h', h') { param forward[n] = ones\n h' = h + forward * x }"
    )
    with pytest.raises(rnnc.Error, match="forward cannot be the name of a parameter in PyTorch"):
        rnnc.torch.Recur(cells.Odd(3))


def test_copies_pickles_and_files() -> None:
    module = module_of("Chain")
    xs = inputs_of(module)
    wanted = module(xs)[0]
    file = io.BytesIO()
    torch.save(module, file)
    file.seek(0)
    twins = copy.deepcopy(module), pickle.loads(pickle.dumps(module))
    for twin in (*twins, torch.load(file, weights_only=False)):
        assert torch.equal(twin(xs)[0], wanted)
        with torch.no_grad():
            twin.get_parameter("0.b").add_(1)
        assert not torch.equal(twin(xs)[0], wanted)
    assert torch.equal(module(xs)[0], wanted)


def test_dtypes_follow_the_module() -> None:
    module = rnnc.torch.Recur(rnnc.GRUCell(3, 4))
    xs = inputs_of(module)
    ys, state = module(xs.float())
    assert ys.dtype == state["h"].dtype == torch.float32
    close(module.double()(xs)[0], ys.detach(), 1e-6)
    with pytest.raises(rnnc.Error, match=r"x is torch.float32 on cpu, and .* takes torch.float64"):
        module(xs.float())


def test_under_autocast_outputs_follow_and_states_stay() -> None:
    module = rnnc.torch.Recur(rnnc.LSTMCell(3, 4))
    xs = inputs_of(module).float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ys, state = module(xs.bfloat16())
        again, _ = module(xs, state)
    assert ys.dtype == again.dtype == torch.bfloat16
    assert {value.dtype for value in state.values()} == {torch.float32}
    close(ys.float(), module(xs)[0].detach(), 2e-2)
    ys.float().sum().backward()
    assert {p.grad.dtype for p in module.parameters() if p.grad is not None} == {torch.float32}


def test_parametrisations_and_hooks_are_seen() -> None:
    module = module_of("RNN")
    xs = inputs_of(module)

    class Doubled(torch.nn.Module):
        def forward(self, w: Any) -> Any:
            return 2 * w

    plain = module(xs)[0]
    torch.nn.utils.parametrize.register_parametrization(module, "W", Doubled())
    ys, _ = module(xs / 2)
    close(ys, plain.detach())
    ys.sum().backward()
    assert module.parametrizations.W.original.grad is not None
    seen: list[Any] = []
    module.register_forward_hook(lambda *given: seen.append(given))
    module(xs)
    assert len(seen) == 1


def test_packed_sequences_go_in_and_come_out() -> None:
    rnn = torch.nn.utils.rnn
    module = module_of("LSTM")
    layer: Any = torch.nn.LSTM(3, 4, dtype=torch.float64)
    with torch.no_grad():
        layer.weight_ih_l0.copy_(module.W.reshape(16, 3))
        layer.weight_hh_l0.copy_(module.U.reshape(16, 4))
        layer.bias_ih_l0.copy_(module.b.reshape(16))
        layer.bias_hh_l0.zero_()
    xs = inputs_of(module)
    for lengths, is_sorted in (([2, 4, 1], False), ([4, 2, 2], True)):
        packed = rnn.pack_padded_sequence(xs, torch.tensor(lengths), enforce_sorted=is_sorted)
        ys, last = module(packed)
        wanted, (h, c) = layer(packed)
        close(ys.data, wanted.data.detach())
        assert torch.equal(ys.batch_sizes, wanted.batch_sizes)
        assert (ys.sorted_indices is None) == (wanted.sorted_indices is None)
        close(last["h"], h[0].detach())
        close(last["c"], c[0].detach())
    with pytest.raises(rnnc.Error, match="a PackedSequence has lengths of its own"):
        module(packed, lengths=torch.tensor([1, 1, 1]))


def test_an_initial_state_that_is_learned_learns() -> None:
    cells = rnnc.loads(
        "cell Learned(n): (h[n] = tanh(s), x[n]) -> (h', h') {\n"
        "param s[n] = uniform(-1, 1)\n h' = h * sigmoid(x) }"
    )
    module = rnnc.torch.Recur(cells.Learned(3), dtype=torch.float64)
    xs = inputs_of(module, steps=2)
    names = list(dict(module.named_parameters()))

    def function(*values: Any) -> Any:
        given = dict(zip(names, values, strict=True))
        return torch.func.functional_call(module, given, (xs,))[0]

    values = [p.detach().requires_grad_() for p in module.parameters()]
    assert torch.autograd.gradcheck(function, values)
    assert torch.autograd.gradgradcheck(function, values)


def test_an_ensemble_by_vmap_over_weights() -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    many = {
        name: torch.stack([p.detach() * (1 + k / 10) for k in range(3)])
        for name, p in module.named_parameters()
    }

    def loss(params: Any, xs: Any) -> Any:
        return torch.func.functional_call(module, params, (xs,))[0].square().sum()

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(0, None))(many, xs)
    for k in range(3):
        wanted = torch.func.grad(loss)({name: p[k] for name, p in many.items()}, xs)
        for name, d in wanted.items():
            close(found[name][k], d)


@graphs
def test_a_period_cuts_between_steps_and_not_before_the_beginning() -> None:
    cells = rnnc.loads(
        "cell L(n): (h[n] = g, x[n]) -> (h', h') { param g[n] = ones\n h' = 0.9 * h + x }"
    )
    module = rnnc.torch.Recur(cells.L(2), dtype=torch.float64)
    net = rnnc.Recur(cells.L(2), dtype="float64", backend="numpy")
    xs = inputs_of(module)
    for boundaries in (3, [0, 2], torch.full((STEPS,), 0.5, dtype=torch.float64)):
        net.reset()
        ys = net.scan(xs.numpy(), boundaries=boundaries if isinstance(boundaries, int | list)
                      else boundaries.numpy())  # fmt: skip
        wanted = net.backward(np.ones_like(ys)).params["g"]
        compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
        for run in (module, compiled):
            (found,) = torch.autograd.grad(
                run(xs, boundaries=boundaries)[0].sum(), list(module.parameters())
            )
            assert found.any()
            close(found, wanted)
    torch._dynamo.reset()


@graphs
def test_a_graph_outlives_other_modules_of_the_same_cell() -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    wanted = compiled(xs)[0]
    other = module_of("GRU")
    other(xs)
    del other
    gc.collect()
    assert torch.equal(compiled(xs)[0], wanted)
    torch._dynamo.reset()


@pytest.mark.parametrize("wrong", [
    ("array-dtype", lambda m, xs: m(xs.numpy())),
    ("array-dtype", lambda m, xs: m(list(xs))),
    ("array-dtype", lambda m, xs: m(None)),
    ("array-dtype", lambda m, xs: m.step([1.0, 2.0, 3.0])),
    ("array-dtype", lambda m, xs: m(xs, {"h": np.zeros((ROWS, 4))})),
    ("bad-setting", lambda m, xs: module_of("GRU", backend="nump")),
    ("bad-setting", lambda m, xs: module_of("GRU", device="nowhere")),
    ("array-shape", lambda m, xs: m(xs[..., :2])),
    ("array-shape", lambda m, xs: m(xs, {"h": torch.zeros(2, 4, dtype=torch.float64)})),
    ("array-dtype", lambda m, xs: m(xs, {"h": torch.zeros(ROWS, 4)})),
    ("unknown-names", lambda m, xs: m(xs, {"c": torch.zeros(ROWS, 4)})),
    ("array-shape", lambda m, xs: m(xs, starts=torch.zeros(2, 2, dtype=torch.bool))),
    ("array-dtype", lambda m, xs: m(xs, starts=torch.zeros(STEPS, ROWS))),
    ("out-of-range", lambda m, xs: m(xs, lengths=torch.tensor([9, 1, 1]))),
    ("bad-setting", lambda m, xs: m(xs, boundaries=0)),
])  # fmt: skip
def test_mistakes_are_named(wrong: Any) -> None:
    code, call = wrong
    module = module_of("GRU")
    with pytest.raises(rnnc.Error) as found:
        call(module, inputs_of(module))
    assert found.value.code == code
