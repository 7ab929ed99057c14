"""What torch's weights cannot go into, or come from, is a coded error that changes nothing."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.interop import from_torch, load_torch_state_dict, to_torch_state_dict
from rnnc.runtime.interop import torch_modules, torch_weights
from rnnc.runtime.interop.layers import Place
from rnnc.runtime.interop.layout import GATES, Layout
from tests.runtime.interop.test_torch import assert_same_bits, module_of
from tests.runtime.models import numpy_of

Change = Callable[[dict[str, Any]], Any]


def net_of() -> Any:
    return rnnc.Stack([rnnc.LSTMCell(3, 5), rnnc.LSTMCell(5, 5)])


def state_of() -> dict[str, Any]:
    """A state dict for it, of NumPy's arrays: it takes no torch."""
    state = to_torch_state_dict(net_of())
    return {name: numpy_of(value) + 1 for name, value in state.items()}


def without(*names: str) -> Change:
    return lambda state: {n: value for n, value in state.items() if n not in names}


def having(**values: Any) -> Change:
    return lambda state: state | values


SPOILT: dict[str, tuple[Change, str, str]] = {
    "no dict": (lambda state: list(state.items()), "array-dtype", "a state dict is a dict"),
    "a name missing": (without("bias_hh_l1"), "unknown-names", "also needs bias_hh_l1; its names"),
    "names missing": (without("weight_hh_l0", "bias_ih_l0"), "unknown-names",
                      "needs weight_hh_l0, bias_ih_l0"),
    "a name too many": (having(weight_ih_l2=0), "unknown-names", "has no weight_ih_l2"),
    "another direction": (having(weight_ih_l0_reverse=0), "unknown-names",
                          "LSTM of 2 layers has no weight_ih_l0_reverse"),
    "a cell's names": (lambda state: {n[:-3]: v for n, v in state.items()}, "unknown-names",
                       "has no weight_ih, weight_hh"),
    "a name that is none": (lambda state: {**state, 3: 0}, "unknown-names", "has no 3"),
    "more inputs": (having(weight_ih_l0=np.ones((20, 4))), "array-shape",
                    "weight_ih_l0 is [20, 3], got [20, 4]"),
    "more units": (having(bias_hh_l1=np.ones(24)), "array-shape", "bias_hh_l1 is [20], got [24]"),
    "transposed": (having(weight_ih_l0=np.ones((3, 20))), "array-shape",
                   "weight_ih_l0 is [20, 3], got [3, 20]"),
    "integers": (having(bias_ih_l0=np.ones(20, int)), "array-dtype", "bias_ih_l0 holds int64"),
    "complex numbers": (having(bias_ih_l0=np.ones(20) * 1j), "array-dtype", "bias_ih_l0"),
    "nothing": (having(bias_ih_l1=None), "array-dtype", "bias_ih_l1"),
    "words": (having(bias_ih_l1=["a"] * 20), "array-dtype", "bias_ih_l1"),
    "a masked array": (having(bias_ih_l1=np.ma.ones(20)), "array-dtype", "bias_ih_l1"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_a_spoilt_state_dict_is_told_by_its_names_and_nothing_is_loaded(name: str) -> None:
    change, code, words = SPOILT[name]
    net = net_of()
    before = {name: np.array(value) for name, value in net.params.items()}
    with pytest.raises(rnnc.Error) as caught:
        load_torch_state_dict(net, change(state_of()))
    assert caught.value.code == code and words in str(caught.value)
    assert_same_bits(net.params, before)


@pytest.mark.torch
@pytest.mark.parametrize(("spoil", "told"), [
    ("meta", "is on the device meta"), ("sparse", r"pass bias_ih_l1\.to_dense\(\)"),
    ("half a byte", "is a tensor that cannot be read"),
    ("integers", r"pass bias_ih_l1\.to\(torch\.float64\)"),
])  # fmt: skip
def test_a_tensor_that_has_no_numbers_to_read_is_told_by_its_name(spoil: str, told: str) -> None:
    import torch

    value = torch.ones(20)
    value = {
        "meta": value.to("meta"), "sparse": value.to_sparse(),
        "half a byte": value.to(torch.float8_e4m3fn), "integers": value.long(),
    }[spoil]  # fmt: skip
    with pytest.raises(rnnc.Error, match=f"bias_ih_l1.*{told}") as caught:
        load_torch_state_dict(net_of(), {**state_of(), "bias_ih_l1": value})
    assert caught.value.code == "array-dtype"


OWN = "cell LSTM(n): ((h[n], c[n]), x[n]) -> ((h', c'), h') { c' = c + x; h' = c' * h }"
LSTM, GRU = rnnc.LSTMCell(3, 3), rnnc.GRUCell(3, 3)
UNLIKE: dict[str, tuple[Callable[[], Any], str]] = {
    "no net": (lambda: rnnc.LSTMCell(3, 4), "standard cells is wanted, not LSTMCell(3, 4)"),
    "nothing": (lambda: None, "a net of standard cells is wanted, not None"),
    "another cell": (lambda: rnnc.Dense(3, 4), "its cells are not RNN, LSTM, LSTMP, GRU"),
    "a user's cell": (lambda: rnnc.Recur(rnnc.loads(OWN).LSTM(3)), "LSTM is not a standard cell"),
    "a user's function": (lambda: rnnc.Recur(lambda h, x: (h, x), 0.0), "a net of standard cells"),
    "an ensemble": (lambda: rnnc.Recur(rnnc.ensemble(LSTM, 2)), "is not a standard cell"),
    "an activation": (lambda: rnnc.RNN(3, 4, act="sigmoid"), "computes tanh or relu, not sigmoid"),
    "an early reset": (lambda: rnnc.GRU(3, 4, reset_after=False), "reset gate before the product"),
    "other layers": (lambda: rnnc.Stack([LSTM, GRU]), "layer 1 is GRU(inputs=3, hidden=3"),
    "other sizes": (lambda: rnnc.Stack([LSTM, rnnc.LSTMCell(3, 4)]), "hidden=4"),
    "a head": (lambda: rnnc.Chain(rnnc.LSTM(3, 4), rnnc.Dense(4, 2)), "layer 1 is Dense"),
    "a layer that is residual": (lambda: rnnc.Stack([LSTM, LSTM], residual=[1]), "residual"),
    "a sum": (lambda: rnnc.Bidirectional(GRU, GRU, merge="sum"), "merges its directions by sum"),
    "two kinds": (lambda: rnnc.Bidirectional(LSTM, GRU), "layer 0, backward is GRU"),
    "a direction of two": (
        lambda: rnnc.Bidirectional(rnnc.Chain(rnnc.GRU(3, 3), rnnc.GRU(3, 3)), GRU), "is a chain"),
    "some of both": (lambda: rnnc.Stack([rnnc.Bidirectional(GRU, GRU), rnnc.GRUCell(6, 3)]),
                     "some of its layers have one direction, some two"),
}  # fmt: skip


@pytest.mark.parametrize("name", UNLIKE)
def test_a_net_that_torch_has_not_is_told_why(name: str) -> None:
    make, words = UNLIKE[name]
    for call in (to_torch_state_dict, lambda net: load_torch_state_dict(net, {})):
        with pytest.raises(rnnc.Error) as caught:
            call(make())
        assert caught.value.code == "bad-setting" and words in str(caught.value)


@pytest.mark.parametrize(
    ("keywords", "words"),
    [
        ({"prefix": None}, "prefix is a text"),
        ({"cell": "yes"}, "cell is True or False"),
        ({"cell": True}, "cell=True is for nets of one RNN, LSTM or GRU cell"),
    ],
)
def test_a_wrong_argument_is_named(keywords: Any, words: str) -> None:
    with pytest.raises(rnnc.Error, match=words) as caught:
        to_torch_state_dict(net_of(), **keywords)
    assert caught.value.code == "bad-setting"


def test_a_prefix_that_no_name_has_misses_all() -> None:
    with pytest.raises(rnnc.Error, match=r"needs lstm\.weight_ih_l0, lstm\.weight_hh_l0"):
        load_torch_state_dict(net_of(), state_of(), "lstm.")


@pytest.mark.torch
def test_other_modules_than_torchs_own_are_refused() -> None:
    import torch

    class Mine(torch.nn.LSTM):
        pass

    others: list[tuple[Any, str]] = [
        (torch.nn.Linear(3, 4), r"not torch\.nn\.modules\.linear\.Linear; a state dict"),
        (Mine(3, 4), r"not .*\.Mine, a subclass, which may compute something else; a state dict"),
        (torch.nn.LSTM, r"not the class torch\.nn\.modules\.rnn\.LSTM: make a module of it first"),
        (rnnc.GRU(3, 4), r"not Recur\(GRUCell\(3, 4\)\)$"),
        (None, "not None$"),
        ({}, "not {}$"),
    ]
    for module, words in others:
        with pytest.raises(
            rnnc.Error, match=r"takes a torch\.nn\.RNN, LSTM, GRU.*" + words
        ) as caught:
            from_torch(module)
        assert caught.value.code == "bad-setting"


@pytest.mark.torch
def test_a_module_in_place_of_a_net_is_told_from_one() -> None:
    import torch

    import rnnc.torch

    for module in (torch.nn.LSTM(3, 4), rnnc.torch.Recur(rnnc.LSTMCell(3, 4))):
        with pytest.raises(rnnc.Error, match="which is a module of torch: it has") as caught:
            to_torch_state_dict(module)
        assert caught.value.code == "bad-setting"


@pytest.mark.torch
def test_a_module_with_other_parameters_or_settings_is_refused() -> None:
    import torch

    more = module_of("LSTM")
    more.register_parameter("scale", torch.nn.Parameter(torch.ones(1)))
    with pytest.raises(rnnc.Error, match="has no scale"):
        from_torch(more)
    with pytest.raises(rnnc.Error, match="dropout is a rate"):
        from_torch(module_of("LSTM", 2, dropout=1.0))
    with pytest.raises(rnnc.Error, match="dtype='bfloat16' takes backend='triton'"):
        from_torch(module_of("LSTM").bfloat16(), backend="numpy")
    with pytest.raises(rnnc.Error, match="weight_ih_l0 is on the device meta"):
        from_torch(module_of("LSTM").to("meta"))


# -- the self-test ---------------------------------------------------------------------------------


@pytest.mark.torch
def test_a_wrong_table_is_noticed_and_nothing_is_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    net, module = rnnc.LSTM(3, 5), module_of("LSTM")
    before = {name: np.array(value) for name, value in net.params.items()}
    monkeypatch.setattr(torch_weights, "TORCH", Layout({**GATES, "LSTM": "figo"}))
    words = "does not compute what it does: layer 0 is the first that differs, by"
    with pytest.raises(rnnc.Error, match=words) as caught:
        load_torch_state_dict(net, module.state_dict())
    assert caught.value.code == "import-mismatch"
    assert_same_bits(net.params, before)


@pytest.mark.torch
@pytest.mark.parametrize("kind", ["LSTM", "GRU", "RNN"])
def test_the_layer_that_differs_and_by_how_much_is_told(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    at = Place(1, backward=True)

    def spoilt(*given: Any) -> Mapping[Place, Any]:
        found = torch_weights.values_of(*given)
        return found | {at: {**found[at], "U": found[at]["U"] + 0.01}}

    monkeypatch.setattr(torch_modules, "values_of", spoilt)
    words = "layer 1, backward is the first that differs, by"
    with pytest.raises(rnnc.Error, match=words) as caught:
        from_torch(module_of(kind, 3, both=True))
    assert caught.value.code == "import-mismatch"


@pytest.mark.torch
@pytest.mark.parametrize("factor", [1e-30, 1e30, np.inf, np.nan])
def test_weights_of_any_size_are_imported(factor: float) -> None:
    import torch

    module = module_of("RNN-relu")
    with torch.no_grad():
        module.weight_ih_l0.mul_(factor)
    found = from_torch(module).params["W"]
    np.testing.assert_array_equal(found, module.weight_ih_l0.detach().numpy())


# -- without torch ---------------------------------------------------------------------------------


def test_arrays_take_no_torch() -> None:
    program = """
import sys
import numpy as np
import rnnc
net = rnnc.LSTM(3, 4)
state = rnnc.interop.to_torch_state_dict(net)
assert all(type(value) is np.ndarray for value in state.values())
rnnc.interop.load_torch_state_dict(net, state)
for call in (rnnc.interop.from_torch, rnnc.interop.from_keras, rnnc.interop.from_equinox):
    try:
        call(None)
    except rnnc.Error as error:
        assert error.code == "bad-setting", error
assert not {"torch", "keras", "jax", "equinox"} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True)
    assert not done.returncode, done.stderr
