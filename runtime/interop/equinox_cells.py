"""Recurrent cells of Equinox as nets.

In: an `eqx.nn.LSTMCell` or `eqx.nn.GRUCell`, or its arrays by name. Out: a net that computes the
same. Gates stand as in torch; of a GRU's second bias there is the part of the n gate alone, as the
others are only ever added to the first.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, Final

import numpy as np

from ..arrays import Array
from ..checks import check_dtype, check_names, describe
from ..errors import SettingError, ShapeError
from .layers import AnyNet, Layers, Place, Values
from .layout import EQUINOX, GATES
from .reading import dtype_of, numbers
from .self_test import Original, States, check, jax_in_float64

NAMES: Final = {"W": "weight_ih", "U": "weight_hh", "b": "bias", "d": "bias_n"}
CELLS: Final = ("LSTM", "GRU")


def from_equinox(tree: Any, *, backend: str = "auto", dtype: Any = None) -> AnyNet:
    """A `Recur` that computes what a recurrent cell of Equinox computes at each step.

    Args:
        tree: the cell; or arrays by the names of its fields, `weight_ih`, `weight_hh`, and with
            biases `bias` and, of a GRU, `bias_n`. Which cell it is, their shapes say.
        backend: as `Recur` takes it.
        dtype: the arrays' by default.
    Raises:
        SettingError: it is another module. NamesError: arrays are missing or too many. ShapeError,
        DTypeError: naming one. ImportMismatchError: a cell was given, and the net computes
        something else. BackendError.
    """
    given, is_module = _fields(tree)
    layers, values = _read(given)
    if is_module:
        check(layers, values, _original(tree, layers), f"an Equinox {type(tree).__name__}")
    chosen = check_dtype(dtype_of(given["weight_ih"]) if dtype is None else dtype)
    return layers.net(values, dtype=chosen, backend=backend)


def _fields(tree: Any) -> tuple[dict[str, Any], bool]:
    """Arrays by name, and whether it is a cell of Equinox that has them."""
    if isinstance(tree, Mapping):
        return {name: value for name, value in tree.items() if value is not None}, False
    equinox = sys.modules.get("equinox")
    kinds = () if equinox is None else tuple(getattr(equinox.nn, f"{n}Cell") for n in CELLS)
    if type(tree) not in kinds:
        raise SettingError(
            "from_equinox takes an equinox.nn.LSTMCell or GRUCell, or a dict of its arrays, not "
            f"{type(tree).__name__}"
        )
    found = {name: getattr(tree, name, None) for name in NAMES.values()}
    return {name: value for name, value in found.items() if value is not None}, True


def _read(given: Mapping[str, Any]) -> tuple[Layers, dict[Place, Values]]:
    """What arrays are of, and what the standard cell has of them."""
    needed = [NAMES["W"], NAMES["U"], *(NAMES[n] for n in "bd" if NAMES[n] in given)]
    check_names(given, needed, "a cell of Equinox", all_needed=True)
    w, u = (numbers(given[NAMES[name]], NAMES[name]) for name in "WU")
    gates = {len(GATES[cell]): cell for cell in CELLS}
    count = u.shape[0] // max(1, u.shape[-1]) if u.ndim == 2 else 0
    cell = gates.get(count)
    if cell is None or w.ndim != 2:
        shapes = describe(w.shape), describe(u.shape)
        raise ShapeError(
            f"weight_ih is [gates * hidden, inputs] and weight_hh [gates * hidden, hidden] with "
            f"{' or '.join(map(str, gates))} gates, got {shapes[0]} and {shapes[1]}"
        )
    hidden, biased = u.shape[1], "bias" in given
    names = ["W", "U", *(["b"] if biased else []), *(["d"] if biased and cell == "GRU" else [])]
    check_names(given, [NAMES[n] for n in names], f"a {cell}Cell of Equinox", all_needed=True)
    layers = Layers(cell, w.shape[1], hidden, hidden, options={"bias": biased})
    (place,) = layers.places
    shapes_of = layers.matrices(place) | {"d": (hidden,)}
    read = {n: numbers(given[NAMES[n]], NAMES[n], shapes_of[n]) for n in names}
    if "d" in read:
        read["d"] = np.concatenate([np.zeros(2 * hidden), read["d"]])
    return layers, {place: {n: EQUINOX.ours(cell, n, array) for n, array in read.items()}}


def _original(tree: Any, layers: Layers) -> Original:
    """What a cell computes in float64, row by row and step by step."""
    jax = sys.modules["jax"]
    names = ("h", "c") if layers.cell == "LSTM" else ("h",)

    def run(xs: Array) -> tuple[Array, States]:
        with jax_in_float64():
            cell = jax.tree_util.tree_map(lambda a: jax.numpy.asarray(numbers(a, "array")), tree)
            step, first = jax.vmap(cell), jax.numpy.zeros((xs.shape[1], layers.hidden))
            state: Any = (first,) * len(names) if len(names) > 1 else first
            ys = []
            for x in xs:
                state = step(jax.numpy.asarray(x), state)
                ys.append(np.asarray(state[0] if len(names) > 1 else state))
            last = state if len(names) > 1 else (state,)
            found = {name: np.asarray(value) for name, value in zip(names, last, strict=True)}
        return np.stack(ys), {place: found for place in layers.places}

    return run
