"""Keras' weights become nets that compute what Keras documents, and what it computes where it is.

Without Keras its layers are stood in for by objects that have the attributes which are read.
"""

from __future__ import annotations

import sys
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.interop import from_keras
from rnnc.runtime.arrays import Array
from rnnc.runtime.interop import keras_layers
from rnnc.runtime.interop.layout import GATES, Layout
from tests.runtime.interop.equations import KERAS
from tests.runtime.models import close, random

STEPS, BATCH, INPUTS, HIDDEN = 4, 2, 3, 5
TOLERANCE = 1e-12
COUNTS = {"SimpleRNN": 1, "LSTM": 4, "GRU": 3}
KINDS = [
    ("SimpleRNN", "tanh"), ("SimpleRNN", "relu"), ("SimpleRNN", "sigmoid"), ("SimpleRNN", "linear"),
    ("LSTM", "tanh"), ("GRU", "tanh"),
]  # fmt: skip


def weights_of(kind: str, *, bias: bool = True, both: bool = False, seed: int = 0) -> list[Array]:
    """As `layer.get_weights()` returns them."""
    wide = COUNTS[kind] * HIDDEN
    shapes: list[tuple[int, ...]] = [(INPUTS, wide), (HIDDEN, wide)]
    shapes += [(2, wide) if kind == "GRU" else (wide,)] * bias
    found = [0.5 * random(*shape, seed=seed + at) for at, shape in enumerate(shapes)]
    return found + (weights_of(kind, bias=bias, seed=seed + 9) if both else [])


@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kind", "act"), KINDS)
def test_weights_become_a_net_that_computes_what_keras_documents(
    kind: str, act: str, bias: bool, both: bool
) -> None:
    weights, xs = weights_of(kind, bias=bias, both=both), random(STEPS, BATCH, INPUTS)
    net = from_keras(weights, kind, activation=act)
    half = len(weights) // (1 + both)
    wanted, last = KERAS[kind](weights[:half], xs, act)
    ways = {"forward." if both else "": last}
    if both:
        behind, ways["backward."] = KERAS[kind](weights[half:], xs[::-1], act)
        wanted = np.concatenate([wanted, behind[::-1]], axis=-1)
    close(net.scan(xs.transpose(1, 0, 2)), wanted.transpose(1, 0, 2), TOLERANCE)
    for way, states in ways.items():
        close({n: net.state[way + n] for n in "hc"[: len(states)]},
              dict(zip("hc", states, strict=False)), TOLERANCE)  # fmt: skip


def test_a_net_has_the_dtype_of_the_weights_or_the_one_that_is_said() -> None:
    weights = weights_of("GRU")
    assert from_keras(weights, "GRU").params["W"].dtype == np.float64
    assert from_keras([w.astype("float32") for w in weights], "GRU").params["W"].dtype == np.float32
    assert from_keras(weights, "GRU", dtype="float32").params["W"].dtype == np.float32


SPOILT: dict[str, tuple[Any, str, str]] = {
    "another kind": ((weights_of("LSTM"), "ConvLSTM1D"), "bad-setting", "SimpleRNN, LSTM, GRU"),
    "a list for a kind": ((weights_of("LSTM"), ["LSTM"]), "bad-setting", "SimpleRNN, LSTM, GRU"),
    "no kind": ((weights_of("LSTM"), None), "bad-setting", "the kind of weights"),
    "a kind of a layer": ((3, "LSTM"), "bad-setting", "a layer says what it is"),
    "no layer": ((3,), "bad-setting", "not int"),
    "one weight": ((weights_of("LSTM")[:1], "LSTM"), "unknown-names", "got 1"),
    "five": ((weights_of("LSTM", both=True)[:5], "LSTM"), "unknown-names", "got 5"),
    "no matrix": (([np.ones(3), np.ones((5, 20))], "LSTM"), "array-shape", "got [3] and [5, 20]"),
    "another's gates": ((weights_of("GRU"), "LSTM"), "array-shape", "is [3, 20], got [3, 15]"),
    "one bias of two": (([*weights_of("GRU")[:2], np.ones(15)], "GRU"), "array-shape",
                        "bias is [2, 15], got [15]"),
    "the second one": ((weights_of("LSTM") + weights_of("GRU"), "LSTM"), "array-shape",
                       "backward kernel is [3, 20], got [3, 15]"),
    "integers": (([np.ones((3, 20), int), *weights_of("LSTM")[1:]], "LSTM"), "array-dtype",
                 "kernel holds int64"),
}  # fmt: skip


@pytest.mark.parametrize("name", SPOILT)
def test_wrong_weights_are_told_by_their_names(name: str) -> None:
    given, code, words = SPOILT[name]
    with pytest.raises(rnnc.Error) as caught:
        from_keras(*given)
    assert caught.value.code == code and words in str(caught.value)


def test_only_a_simple_rnn_has_another_activation() -> None:
    with pytest.raises(rnnc.Error, match="the activation of SimpleRNN is tanh, relu"):
        from_keras(weights_of("SimpleRNN"), "SimpleRNN", activation="gelu")
    with pytest.raises(rnnc.Error, match="activation of LSTM is tanh, got 'relu'"):
        from_keras(weights_of("LSTM"), "LSTM", activation="relu")


# -- layers ----------------------------------------------------------------------------------------


def stand_in(kind: str, **settings: Any) -> Any:
    config = {"activation": "tanh", "dropout": 0.0, "go_backwards": False, **settings}
    made = type(kind, (SimpleNamespace,), {})
    weights = settings.pop("weights", weights_of(kind) if kind in COUNTS else [])
    return made(name="it", get_config=lambda: config, get_weights=lambda: weights)


def both_of(first: Any, second: Any, merge_mode: Any = "concat") -> Any:
    made = type("Bidirectional", (SimpleNamespace,), {})
    return made(
        name="both", forward_layer=first, backward_layer=second, merge_mode=merge_mode,
        get_weights=lambda: first.get_weights() + second.get_weights(),
    )  # fmt: skip


GRU, BACK = stand_in("GRU"), stand_in("GRU", go_backwards=True)
REFUSED: dict[str, tuple[Any, str]] = {
    "an activation": (stand_in("LSTM", activation="relu"), "activation='relu', only with 'tanh'"),
    "a gate's": (stand_in("GRU", recurrent_activation="hard_sigmoid"), "only with 'sigmoid'"),
    "a SimpleRNN's": (stand_in("SimpleRNN", activation="gelu"), "got 'gelu'"),
    "a user's": (stand_in("SimpleRNN", activation={"class_name": "f"}), "got \"{'class_name'"),
    "reset before": (stand_in("GRU", reset_after=False), "reset_after=False, only with True"),
    "dropout": (stand_in("LSTM", dropout=0.5), "dropout=0.5, only with 0; its weights alone can"),
    "backwards": (stand_in("LSTM", go_backwards=True), "go_backwards=True, only with False"),
    "twice forwards": (both_of(GRU, GRU), "go_backwards=False, only with True"),
    "a sum": (both_of(GRU, BACK, "sum"), "merge_mode='sum', only with 'concat'"),
    "two kinds": (both_of(GRU, stand_in("LSTM", go_backwards=True)), "its two directions differ"),
    "another layer": (stand_in("Dense"), "takes a layer SimpleRNN, LSTM, GRU or Bidirectional"),
    "both of others": (both_of(stand_in("Dense"), BACK), "not Bidirectional of Dense"),
    "not built": (stand_in("LSTM", weights=[]), "has no weights yet: build it first"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_layer_that_ours_are_not_is_refused_by_its_setting(name: str) -> None:
    layer, words = REFUSED[name]
    with pytest.raises(rnnc.Error) as caught:
        from_keras(layer)
    assert caught.value.code == "bad-setting" and words in str(caught.value)


of_keras = pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its own, beside NumPy 2


@pytest.fixture
def keras() -> Any:
    return pytest.importorskip("keras", reason="Keras is not installed")


@of_keras
@pytest.mark.parametrize("both", [False, True])
@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize(("kind", "act"), KINDS)
def test_a_layer_of_keras_itself(keras: Any, kind: str, act: str, bias: bool, both: bool) -> None:
    layer = getattr(keras.layers, kind)(HIDDEN, activation=act, use_bias=bias)
    layer = keras.layers.Bidirectional(layer) if both else layer
    layer.build((None, None, INPUTS))
    layer.set_weights(weights_of(kind, bias=bias, both=both))
    net, found = from_keras(layer), from_keras(layer.get_weights(), kind, activation=act)
    for name, value in net.params.items():
        np.testing.assert_array_equal(found.params[name], value)


@of_keras
def test_a_wrong_table_is_noticed(keras: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keras_layers, "KERAS", Layout(GATES, transposed=True))
    with pytest.raises(rnnc.Error, match="layer 0 is the first that differs") as caught:
        from_keras(weights_of("GRU"), "GRU")
    assert caught.value.code == "import-mismatch" and "keras" in sys.modules
