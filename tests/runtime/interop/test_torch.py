"""A module of torch and the net made of it, or the other way round, compute the same in float64."""

from __future__ import annotations

from collections.abc import Callable
from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.interop import from_torch, load_torch_state_dict, to_torch_state_dict
from tests.runtime.models import close, numpy_of, random

STEPS, BATCH, INPUTS, HIDDEN, PROJECTED = 4, 2, 3, 5, 2
TOLERANCE = 1e-12
KINDS: dict[str, tuple[str, dict[str, Any]]] = {
    "RNN": ("RNN", {}),
    "RNN-relu": ("RNN", {"nonlinearity": "relu"}),
    "LSTM": ("LSTM", {}),
    "LSTM-projected": ("LSTM", {"proj_size": PROJECTED}),
    "GRU": ("GRU", {}),
}
CONFIGURATIONS = list(product(KINDS, (1, 2, 3), (False, True), (False, True)))

pytestmark = pytest.mark.torch


def module_of(kind: str, layers: int = 1, both: bool = False, **keywords: Any) -> Any:
    """torch's module, every parameter of which is random, biases too."""
    import torch

    name, options = KINDS[kind]
    keywords = {"dtype": torch.float64, **options, **keywords}
    return randomised(
        getattr(torch.nn, name)(INPUTS, HIDDEN, layers, bidirectional=both, **keywords)
    )


def randomised(module: Any, seed: int = 0) -> Any:
    import torch

    draws = np.random.default_rng(seed)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.copy_(torch.from_numpy(draws.normal(0, 0.5, parameter.shape)))
    return module


def paths_of(layers: int, both: bool) -> list[str]:
    """Ours of each layer and direction, in the order of torch's states."""
    ways = ["forward.", "backward."] if both else [""]
    return [f"{at}.{way}" if layers > 1 else way for at in range(layers) for way in ways]


def assert_same(net: Any, module: Any, paths: list[str]) -> None:
    """Outputs and last states, from zeros and from other states."""
    import torch

    kinds = ("h", "c") if isinstance(module, torch.nn.LSTM) else ("h",)
    lead = (BATCH, STEPS) if module.batch_first else (STEPS, BATCH)
    xs, zeros = random(*lead, INPUTS), {name: 0 * value for name, value in net.state.items()}
    sizes = {name: value.shape[-1] for name, value in zeros.items()}
    given = {n: random(BATCH, size, seed=at) for at, (n, size) in enumerate(sizes.items())}
    start = [torch.tensor(np.stack([given[f"{path}{kind}"] for path in paths])) for kind in kinds]
    for state in (None, tuple(start) if len(kinds) > 1 else start[0]):
        net.reset()
        if state is not None:
            net.state = given
        with torch.no_grad():
            ys, last = module(torch.tensor(xs), state)
        close(net.scan(xs), ys, TOLERANCE)
        last = last if len(kinds) > 1 else (last,)
        for kind, values in zip(kinds, last, strict=True):
            for path, value in zip(paths, values, strict=True):
                close(net.state[f"{path}{kind}"], value, TOLERANCE)


@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize(("kind", "layers", "both", "bias"), CONFIGURATIONS)
def test_a_module_becomes_a_net_and_the_net_a_module(
    kind: str, layers: int, both: bool, bias: bool, batch_first: bool
) -> None:
    settings: Any = (kind, layers, both)
    module = module_of(*settings, bias=bias, batch_first=batch_first)
    paths = paths_of(layers, both)
    net = from_torch(module)
    assert_same(net, module, paths)

    net.load_params({n: random(*p.shape, seed=at) for at, (n, p) in enumerate(net.params.items())})
    state = to_torch_state_dict(net)
    assert list(state) == list(module.state_dict())
    module.load_state_dict(state)
    assert_same(net, module, paths)

    again = from_torch(module_of(*settings, bias=bias))
    load_torch_state_dict(again, state)
    assert_same_bits(again.params, net.params)
    assert_same_bits(to_torch_state_dict(again), state)


DROP_INS = list(product(KINDS, (1, 2), (False, True)))


@pytest.mark.parametrize(("kind", "layers", "both"), DROP_INS)
def test_a_drop_in_becomes_the_net_that_torchs_module_becomes(
    kind: str, layers: int, both: bool
) -> None:
    module = module_of(kind, layers, both, batch_first=True)
    ours = drop_in_of(module, kind, layers, both)
    wanted, paths = from_torch(module), paths_of(layers, both)
    for net in (from_torch(ours), ours.to_net()):
        assert_same_bits(net.params, wanted.params)
        assert net.training  # as the module is; and it drops, if it has layers
        assert_same(net.eval(), module, paths)
    assert str(ours.report(rows=2)) == str(from_torch(module, backend="numpy").report(rows=2))
    if layers > 1:
        assert "dropout      0.25" in str(ours.report())
    assert not ours.eval().to_net().training


def drop_in_of(module: Any, kind: str, layers: int, both: bool) -> Any:
    import rnnc.torch

    name, options = KINDS[kind]
    dropout = 0.25 if layers > 1 else 0.0
    module.dropout = dropout
    made = getattr(rnnc.torch, name)(
        INPUTS, HIDDEN, layers, bidirectional=both, batch_first=True, dropout=dropout,
        dtype=module.weight_ih_l0.dtype, **options,
    )  # fmt: skip
    made.load_state_dict(module.state_dict())
    module.eval()
    return made


def test_a_module_of_ours_becomes_its_own_net() -> None:
    import rnnc.torch

    module = rnnc.torch.Stack([rnnc.GRUCell(3, 5), rnnc.Dense(5, 2)], dropout=0.5)
    assert_same_bits(from_torch(module).params, module.to_net().params)
    assert from_torch(module, dtype="float64").params["0.W"].dtype == np.float64


@pytest.mark.parametrize("ours", [False, True])
def test_the_weights_of_a_parametrized_module_are_its_effective_ones(ours: bool) -> None:
    import torch

    parametrizations = torch.nn.utils.parametrizations
    module = module_of("GRU", 2, batch_first=True)
    if ours:
        module = drop_in_of(module, "GRU", 2, both=False).eval()
    parametrizations.orthogonal(module, "weight_hh_l1")
    parametrizations.weight_norm(module, "weight_ih_l0")
    with torch.no_grad():
        module.parametrizations.weight_ih_l0.original0.mul_(1.5)
    net = from_torch(module)
    weight = numpy_of(module.weight_hh_l1.detach())
    close(net.params["1.U"].reshape(-1, HIDDEN), weight, 0)
    close(weight.T @ weight, np.eye(HIDDEN), TOLERANCE)
    xs = random(BATCH, STEPS, INPUTS)
    with torch.no_grad():
        close(net.scan(xs), module(torch.tensor(xs))[0], TOLERANCE)
    cell = cell_of("LSTMCell")
    parametrizations.weight_norm(cell, "weight_hh")
    close(from_torch(cell).params["U"].reshape(-1, HIDDEN), cell.weight_hh.detach(), 0)


def assert_same_bits(found: Any, wanted: Any) -> None:
    assert list(found) == list(wanted)
    for name in wanted:
        np.testing.assert_array_equal(numpy_of(found[name]), numpy_of(wanted[name]), name)


def cell_of(name: str, **keywords: Any) -> Any:
    import torch

    made = getattr(torch.nn, name)(INPUTS, HIDDEN, dtype=torch.float64, **keywords)
    return randomised(made)


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("name", ["RNNCell", "LSTMCell", "GRUCell"])
def test_a_cell_class_becomes_a_net_and_the_net_a_cell(name: str, bias: bool) -> None:
    import torch

    module, xs = cell_of(name, bias=bias), random(STEPS, BATCH, INPUTS)
    net, state = from_torch(module), None
    for x in xs:
        with torch.no_grad():
            state = module(torch.tensor(x), state)
        close(net(x), state[0] if isinstance(state, tuple) else state, TOLERANCE)
    assert state is not None
    last = state if isinstance(state, tuple) else (state,)
    close(dict(net.state), dict(zip(("h", "c"), last, strict=False)), TOLERANCE)

    found = to_torch_state_dict(net, "rnn.", cell=True)
    assert list(found) == [f"rnn.{each}" for each in module.state_dict()]
    again = from_torch(cell_of(name, bias=bias))
    again.load_params({n: 0 * p for n, p in again.params.items()})
    load_torch_state_dict(again, found, "rnn.")
    assert_same_bits(again.params, net.params)


def test_a_single_cell_is_a_recur_and_other_nets_are_as_flat_as_can_be() -> None:
    from rnnc.runtime.recur import Recur

    assert isinstance(from_torch(module_of("LSTM")), Recur)
    assert isinstance(from_torch(module_of("LSTM", both=True)), rnnc.Bidirectional)
    assert isinstance(from_torch(module_of("LSTM", 2)), rnnc.Stack)
    assert repr(from_torch(module_of("LSTM"))) == "Recur(LSTM(3, 5))"


def test_two_biases_are_one_but_a_grus() -> None:
    lstm, gru = module_of("LSTM"), module_of("GRU")
    both = numpy_of((lstm.bias_ih_l0 + lstm.bias_hh_l0).detach())
    close(from_torch(lstm).params["b"], both.reshape(4, HIDDEN), 0)
    close(from_torch(gru).params["b"], gru.bias_ih_l0.detach().reshape(3, HIDDEN), 0)
    close(from_torch(gru).params["d"], gru.bias_hh_l0.detach().reshape(3, HIDDEN), 0)
    assert not to_torch_state_dict(from_torch(lstm))["bias_hh_l0"].any()
    assert_same_bits(to_torch_state_dict(from_torch(gru)), gru.state_dict())


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_net_has_the_modules_dtype_mode_and_dropout(dtype: str) -> None:
    import torch

    module = module_of("GRU", 2, dtype=getattr(torch, dtype), dropout=0.25)
    net = from_torch(module)
    assert net.training and {p.dtype.name for p in net.params.values()} == {dtype}
    assert "dropout      0.25" in str(net.report())
    assert not from_torch(module.eval()).training
    assert from_torch(module, dtype="float64").params["0.W"].dtype == np.float64
    assert {each.dtype for each in to_torch_state_dict(net).values()} == {getattr(torch, dtype)}


def test_a_net_keeps_its_parameters_when_the_module_learns() -> None:
    module = module_of("LSTM")
    net = from_torch(module)
    before = {name: np.array(value) for name, value in net.params.items()}
    found = to_torch_state_dict(net)
    randomised(module, seed=1)
    for value in found.values():
        value.zero_()
    assert_same_bits(net.params, before)


NETS: dict[str, Callable[[], Any]] = {
    "a cell's": lambda: rnnc.LSTM(3, 5),
    "a chain's": lambda: rnnc.Chain(rnnc.LSTM(3, 5), rnnc.LSTM(5, 5)),
    "a stack's": lambda: rnnc.Stack([rnnc.LSTMCell(3, 5), rnnc.LSTM(5, 5)]),
    "a stack's of names": lambda: rnnc.Stack({"low": rnnc.LSTMCell(3, 5), "high": rnnc.LSTM(5, 5)}),
    "a chain's links": lambda: rnnc.Stack(rnnc.Chain(rnnc.LSTM(3, 5), rnnc.LSTM(5, 5))),
    "a stack of one": lambda: rnnc.Stack([rnnc.LSTMCell(3, 5)]),
    "a stack of chains": lambda: rnnc.Stack([rnnc.Chain(rnnc.LSTM(3, 5), rnnc.LSTM(5, 5))]),
    "both directions'": lambda: rnnc.Bidirectional(rnnc.LSTMCell(3, 5), rnnc.LSTMCell(3, 5)),
}


@pytest.mark.parametrize("name", NETS)
def test_nets_made_in_any_way_take_a_state_dict(name: str) -> None:
    net = NETS[name]()
    count = len({path.rpartition(".")[0] for path in net.params})
    both = isinstance(net, rnnc.Bidirectional)
    module = module_of("LSTM", 1 if both else count, both).float()
    state = {f"encoder.{n}": value for n, value in module.state_dict().items()}
    load_torch_state_dict(net, {**state, "decoder.weight": None}, "encoder.")
    assert_same_bits(
        to_torch_state_dict(net, "encoder."), to_torch_state_dict(from_torch(module), "encoder.")
    )


def test_arrays_and_lists_do_as_well_as_tensors() -> None:
    net, module = rnnc.GRU(INPUTS, HIDDEN), module_of("GRU")
    state = {name: numpy_of(value) for name, value in module.state_dict().items()}
    load_torch_state_dict(net, {**state, "bias_hh_l0": state["bias_hh_l0"].tolist()})
    assert_same_bits(net.params, from_torch(module, dtype="float32").params)


def test_a_loaded_net_goes_on_from_its_state() -> None:
    net, module = rnnc.LSTM(INPUTS, HIDDEN, dtype="float64"), module_of("LSTM")
    net.scan(random(STEPS, INPUTS))
    before = {name: np.array(value) for name, value in net.state.items()}
    load_torch_state_dict(net, module.state_dict())
    assert_same_bits(net.state, before)
    assert net.recorded == STEPS


def test_importing_draws_nothing_from_torch() -> None:
    import torch

    net, module = rnnc.LSTM(INPUTS, HIDDEN), module_of("LSTM")
    before = torch.get_rng_state()
    from_torch(module)
    load_torch_state_dict(net, module.state_dict())
    assert torch.equal(torch.get_rng_state(), before)
