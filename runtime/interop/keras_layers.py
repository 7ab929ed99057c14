"""Recurrent layers of Keras as nets.

In: a built `SimpleRNN`, `LSTM` or `GRU` layer, or a `Bidirectional` of one; or what `get_weights()`
of it returns. Out: a net that computes the same over whole sequences, batch first, as Keras does.

Matrices are transposed, [inputs, gates * hidden]; a GRU's gates stand in the order z, r, h, and its
two biases are the rows of one.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Final

from ..arrays import Array
from ..checks import check_dtype, describe
from ..errors import NamesError, SettingError, ShapeError
from .layers import AnyNet, Layers, Place, Values
from .layout import KERAS, has_two_biases
from .reading import dtype_of, numbers
from .self_test import ROWS, STEPS, Original, States, check, jax_in_float64

CELLS: Final = {"SimpleRNN": "RNN", "LSTM": "LSTM", "GRU": "GRU"}
ACTS: Final = {"tanh": "tanh", "relu": "relu", "sigmoid": "sigmoid", "linear": "identity"}
NAMES: Final = {"W": "kernel", "U": "recurrent_kernel", "b": "bias"}
GATED: Final = {"activation": "tanh", "recurrent_activation": "sigmoid"}
# What a layer must be set to, where it has such a setting: ours are that.
NEEDED: Final[Mapping[str, Mapping[str, Any]]] = {
    "SimpleRNN": {},
    "LSTM": GATED,
    "GRU": {**GATED, "reset_after": True},
}
NEEDED_OF_ALL: Final = {"dropout": 0, "recurrent_dropout": 0}


def from_keras(
    given: Any, kind: str | None = None, *, activation: str = "tanh", backend: str = "auto",
    dtype: Any = None,
) -> AnyNet:  # fmt: skip
    """A net that computes what a recurrent layer of Keras computes over a sequence.

    Args:
        given: a built layer; or its weights, arrays in the order of `layer.get_weights()`: kernel,
            recurrent kernel and, with `use_bias`, bias; of both directions the forward ones first.
        kind: of weights, what they are of: "SimpleRNN", "LSTM" or "GRU".
        activation: of the weights of a SimpleRNN: "tanh", "relu", "sigmoid" or "linear".
        backend: as `Recur` takes it.
        dtype: the weights' by default.
    Returns:
        A `Recur`, or of both directions a `Bidirectional`, with `batch_first=True`.
    Raises:
        SettingError: the layer is another one, or has a setting that ours have not: another
        activation, `reset_after=False`, dropout, a `merge_mode`. NamesError: it has another number
        of weights. ShapeError, DTypeError: naming one. ImportMismatchError: Keras is imported, and
        the net computes something else than the layer. BackendError.
    """
    layer = None
    weights = given
    if not isinstance(given, list | tuple):
        if kind is not None:
            raise SettingError("kind is for weights: a layer says what it is")
        layer, kind, activation = given, *_settings(given)
        weights = layer.get_weights()
        if not weights:
            raise SettingError(f"{type(layer).__name__} has no weights yet: build it first")
    elif kind not in tuple(CELLS):
        raise SettingError(f"the kind of weights is {', '.join(CELLS)}, got {kind!r}")
    layers, values = _read(weights, f"{kind}", activation)
    if layer is None and "keras" in sys.modules:
        layer = _layer_of(layers, f"{kind}", activation)
    if layer is not None:
        check(layers, values, _original(layer, layers, weights), f"a {kind} layer of Keras")
    return layers.net(
        values,
        dtype=check_dtype(dtype_of(weights[0]) if dtype is None else dtype),
        backend=backend,
        batch_first=True,
    )


def _settings(layer: Any) -> tuple[str, str]:
    """Kind and activation of a layer; or a `SettingError`."""
    name = type(layer).__name__
    inner = {"": layer}
    if name == "Bidirectional":
        if layer.merge_mode != "concat":
            mode = layer.merge_mode
            raise SettingError(
                f"{layer.name} cannot be imported with merge_mode={mode!r}, only with 'concat'"
            )
        inner = {"forward": layer.forward_layer, "backward": layer.backward_layer}
    kinds = [type(each).__name__ for each in inner.values()]
    if not all(kind in CELLS for kind in kinds) or not hasattr(layer, "get_weights"):
        raise SettingError(
            f"from_keras takes a layer {', '.join(CELLS)} or Bidirectional, or a list of weights, "
            f"not {name}{f' of {kinds[0]}' * (name == 'Bidirectional')}"
        )
    acts = set()
    for (way, each), kind in zip(inner.items(), kinds, strict=True):
        config = each.get_config()
        needed = NEEDED_OF_ALL | {**NEEDED[kind], "go_backwards": way == "backward"}
        for setting, value in needed.items():
            if config.get(setting, value) != value:
                way_out = "; its weights alone can be" if setting in NEEDED_OF_ALL else ""
                raise SettingError(
                    f"{each.name} cannot be imported with {setting}={config[setting]!r}, only with "
                    f"{value!r}{way_out}"
                )
        acts.add(f"{config['activation']}")  # of a user's own, a dict
    if len({*kinds}) > 1 or len(acts) > 1:
        raise SettingError(f"{layer.name} cannot be imported: its two directions differ")
    return kinds[0], acts.pop()


def _read(weights: Sequence[Any], kind: str, activation: str) -> tuple[Layers, dict[Place, Values]]:
    """What weights are of, and what the standard cells have of them."""
    if activation not in tuple(ACTS) or (kind != "SimpleRNN" and activation != "tanh"):
        known = ", ".join(ACTS) if kind == "SimpleRNN" else "tanh"
        raise SettingError(f"the activation of {kind} is {known}, got {activation!r}")
    if len(weights) not in (2, 3, 4, 6):
        raise NamesError(
            f"{kind} has 2 weights, or 3 with a bias, and twice as many in both directions; "
            f"got {len(weights)}"
        )
    both, bias = len(weights) > 3, len(weights) % 3 == 0
    names = list(NAMES)[: 2 + bias]
    first = {name: numbers(each, NAMES[name]) for name, each in zip(names, weights, strict=False)}
    if first["W"].ndim != 2 or first["U"].ndim != 2:
        raise ShapeError(
            "kernel is [inputs, gates * hidden] and recurrent_kernel [hidden, gates * hidden], got "
            f"{describe(first['W'].shape)} and {describe(first['U'].shape)}"
        )
    inputs, hidden = len(first["W"]), len(first["U"])
    options = {"bias": bias} | ({"act": ACTS[activation]} if kind == "SimpleRNN" else {})
    layers = Layers(CELLS[kind], inputs, hidden, hidden, both=both, options=options)
    values: dict[Place, Values] = {}
    for place, at in zip(layers.places, (0, len(names)), strict=False):
        shapes = {name: shape[::-1] for name, shape in layers.matrices(place).items()}
        if bias and has_two_biases(layers.cell):
            shapes["b"] = (2, *shapes["b"])
        way = ("backward " if place.backward else "forward ") if both else ""
        read = {
            name: numbers(weights[at + i], way + NAMES[name], shapes[name])
            for i, name in enumerate(names)
        }
        if bias and has_two_biases(layers.cell):
            read["b"], read["d"] = read["b"]
        values[place] = {name: KERAS.ours(layers.cell, name, a) for name, a in read.items()}
    return layers, values


# -- the original ----------------------------------------------------------------------------------


def _layer_of(layers: Layers, kind: str, activation: str) -> Any:
    """Keras' layer of such weights."""
    keras = sys.modules["keras"]
    layer = getattr(keras.layers, kind)(
        layers.hidden, activation=activation, use_bias=bool(layers.options["bias"]), name="twin"
    )
    return keras.layers.Bidirectional(layer) if layers.both else layer


def _original(layer: Any, layers: Layers, weights: Sequence[Any]) -> Original:
    """What a layer of the same settings and weights computes in float64."""
    names = ("h", "c") if layers.cell == "LSTM" else ("h",)

    def run(xs: Array) -> tuple[Array, States]:
        with jax_in_float64():
            twin = type(layer).from_config(_wide(layer.get_config()))
            _widen_tanh(twin)
            twin.build((ROWS, STEPS, layers.inputs))
            twin.set_weights([numbers(each, "weight") for each in weights])
            found = twin(xs.transpose(1, 0, 2), training=False)
            ys, *states = (numbers(each, "output") for each in found)
        each = iter(states)
        return ys.transpose(1, 0, 2), {
            place: {name: next(each) for name in names} for place in layers.places
        }

    return run


def _wide(config: Mapping[str, Any]) -> dict[str, Any]:
    """The same settings of a layer that computes in float64 and returns all it has."""
    found = {**config, "dtype": "float64"}
    for inner in ("layer", "backward_layer"):
        if inner in found:
            found[inner] = {**found[inner], "config": _wide(found[inner]["config"])}
    if "units" in found:
        found |= {"return_sequences": True, "return_state": True, "stateful": False}
    return found


def _widen_tanh(layer: Any) -> None:
    """Keras' own rounds to float32 where it does not run on TensorFlow; its sigmoid does not."""
    ops = getattr(sys.modules.get("keras"), "ops", None)
    for inner in (getattr(layer, f"{way}_layer", layer) for way in ("forward", "backward")):
        if ops is not None and getattr(inner.activation, "__name__", "") == "tanh":
            inner.cell.activation = lambda x: 2 * ops.sigmoid(2 * x) - 1
