"""What Keras and Equinox document that their layers compute, in NumPy, by their own layout.

In: weights as the framework keeps them, and xs [T,B,I]. Out: ys [T,B,H] and the last state. Nothing
here is shared with the importers.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from rnnc.runtime.arrays import Array

ACTS: dict[str, Callable[[Array], Array]] = {
    "tanh": np.tanh,
    "relu": lambda a: np.maximum(a, 0),
    "sigmoid": lambda a: 1 / (1 + np.exp(-a)),
    "linear": lambda a: a,
}
sigmoid = ACTS["sigmoid"]


def keras_rnn(weights: list[Array], xs: Array, act: str = "tanh") -> tuple[Array, Any]:
    kernel, recurrent, *bias = weights
    h, ys = np.zeros((xs.shape[1], len(recurrent))), []
    for x in xs:
        h = ACTS[act](x @ kernel + sum(bias) + h @ recurrent)
        ys.append(h)
    return np.array(ys), (h,)


def keras_lstm(weights: list[Array], xs: Array, act: str = "tanh") -> tuple[Array, Any]:
    kernel, recurrent, *bias = weights
    h = c = np.zeros((xs.shape[1], len(recurrent)))
    ys = []
    for x in xs:
        z0, z1, z2, z3 = np.split(x @ kernel + h @ recurrent + sum(bias), 4, axis=1)
        c = sigmoid(z1) * c + sigmoid(z0) * np.tanh(z2)
        h = sigmoid(z3) * np.tanh(c)
        ys.append(h)
    return np.array(ys), (h, c)


def keras_gru(weights: list[Array], xs: Array, act: str = "tanh") -> tuple[Array, Any]:
    """With reset_after=True."""
    kernel, recurrent, *bias = weights
    of_input, of_state = bias[0] if bias else (0.0, 0.0)
    h, ys = np.zeros((xs.shape[1], len(recurrent))), []
    for x in xs:
        x_z, x_r, x_h = np.split(x @ kernel + of_input, 3, axis=1)
        z_z, z_r, z_h = np.split(h @ recurrent + of_state, 3, axis=1)
        z, r = sigmoid(x_z + z_z), sigmoid(x_r + z_r)
        h = z * h + (1 - z) * np.tanh(x_h + r * z_h)
        ys.append(h)
    return np.array(ys), (h,)


KERAS = {"SimpleRNN": keras_rnn, "LSTM": keras_lstm, "GRU": keras_gru}


def equinox_lstm(tree: dict[str, Array], xs: Array) -> tuple[Array, Any]:
    h = c = np.zeros((xs.shape[1], tree["weight_hh"].shape[1]))
    ys = []
    for x in xs:
        lin = x @ tree["weight_ih"].T + h @ tree["weight_hh"].T + tree.get("bias", 0.0)
        i, f, g, o = np.split(lin, 4, axis=1)
        c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
        h = sigmoid(o) * np.tanh(c)
        ys.append(h)
    return np.array(ys), (h, c)


def equinox_gru(tree: dict[str, Array], xs: Array) -> tuple[Array, Any]:
    h, ys = np.zeros((xs.shape[1], tree["weight_hh"].shape[1])), []
    for x in xs:
        igates = np.split(x @ tree["weight_ih"].T + tree.get("bias", 0.0), 3, axis=1)
        hgates = np.split(h @ tree["weight_hh"].T, 3, axis=1)
        reset, inp = sigmoid(igates[0] + hgates[0]), sigmoid(igates[1] + hgates[1])
        new = np.tanh(igates[2] + reset * (hgates[2] + tree.get("bias_n", 0.0)))
        h = new + inp * (h - new)
        ys.append(h)
    return np.array(ys), (h,)
