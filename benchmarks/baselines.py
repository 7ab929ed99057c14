"""LSTM and GRU as a good engineer writes them by hand in NumPy: what the compiler must beat.

In: arrays in the layout of `.rnn` parameters (`W[gates, hidden, inputs]`), sequences time-major
(`[T, B, inputs]`).
Out: the same triples as a compiled program, `(carry, ys, tape)` and `(d_params, d_carry, d_xs)`.

The input product is hoisted out of the loop (one GEMM over T*B), the gates are stacked into one
product per step, weight gradients are one GEMM over T*B after the backward loop. Beyond that these
are plain expressions, which make fresh arrays at every step. Every function works in the dtype of
its arguments.

Source: Hochreiter & Schmidhuber 1997; Cho et al. 2014 in the cuDNN form (reset after the product).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
Arrays = Mapping[str, Array]


def sigmoid(x: Array) -> Array:
    """The logistic function, by way of tanh: no overflow at either end."""
    return 0.5 * np.tanh(0.5 * x) + 0.5


@dataclass(frozen=True)
class LstmTape:
    """What the backward pass of the LSTM reads, stacked in time."""

    xs: Array  # [T, B, I]
    hs: Array  # [T + 1, B, H], the initial state first
    cs: Array  # [T + 1, B, H]
    gates: list[tuple[Array, Array, Array, Array]]  # T times i, f, g, o after their nonlinearity
    tanh_cs: list[Array]  # T times [B, H]


def lstm_forward(
    params: Arrays, carry: Arrays, xs: Array, record: bool = True
) -> tuple[dict[str, Array], Array, LstmTape | None]:
    """Run an LSTM over a sequence.

    Args:
        params: `W[4, H, I]`, `U[4, H, H]`, `b[4, H]`, gates in the order i, f, g, o.
        carry: `h[B, H]` and `c[B, H]`.
        xs: `[T, B, I]`.
        record: whether to keep what `lstm_backward` needs.
    Returns:
        The last carry, `ys[T, B, H]`, and the tape (None when not recorded).
    """
    steps, rows, inputs = xs.shape
    hidden = params["b"].shape[1]
    input_weights = params["W"].reshape(4 * hidden, inputs)
    state_weights = params["U"].reshape(4 * hidden, hidden).T
    pre = (xs.reshape(steps * rows, inputs) @ input_weights.T + params["b"].reshape(-1)).reshape(
        steps, rows, 4 * hidden
    )

    h, c = carry["h"], carry["c"]
    hs, cs, gates, tanh_cs = [h], [c], [], []
    for t in range(steps):
        a = pre[t] + h @ state_weights
        i_f = sigmoid(a[:, : 2 * hidden])
        i, f = i_f[:, :hidden], i_f[:, hidden:]
        g = np.tanh(a[:, 2 * hidden : 3 * hidden])
        o = sigmoid(a[:, 3 * hidden :])
        c = f * c + i * g
        tanh_c = np.tanh(c)
        h = o * tanh_c
        hs.append(h)
        if record:
            cs.append(c)
            gates.append((i, f, g, o))
            tanh_cs.append(tanh_c)

    stacked = np.stack(hs)
    tape = LstmTape(xs, stacked, np.stack(cs), gates, tanh_cs) if record else None
    return {"h": h, "c": c}, stacked[1:], tape


def lstm_backward(
    params: Arrays, tape: LstmTape, d_ys: Array, d_carry: Arrays
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Run the recorded LSTM backwards.

    Args:
        params: as given to `lstm_forward`.
        tape: what it returned.
        d_ys: cotangent of the outputs, `[T, B, H]`.
        d_carry: cotangent of the last carry, `h[B, H]` and `c[B, H]`.
    Returns:
        Gradients by parameter, of the initial carry, and of `xs`.
    """
    steps, rows, inputs = tape.xs.shape
    hidden = d_ys.shape[2]
    input_weights = params["W"].reshape(4 * hidden, inputs)
    state_weights = params["U"].reshape(4 * hidden, hidden)
    d_pre = np.empty((steps, rows, 4 * hidden), d_ys.dtype)

    d_h, d_c = d_carry["h"], d_carry["c"]
    for t in reversed(range(steps)):
        i, f, g, o = tape.gates[t]
        tanh_c = tape.tanh_cs[t]
        d_h = d_h + d_ys[t]
        d_c = d_c + d_h * o * (1 - tanh_c * tanh_c)
        d_pre[t, :, :hidden] = d_c * g * i * (1 - i)
        d_pre[t, :, hidden : 2 * hidden] = d_c * tape.cs[t] * f * (1 - f)
        d_pre[t, :, 2 * hidden : 3 * hidden] = d_c * i * (1 - g * g)
        d_pre[t, :, 3 * hidden :] = d_h * tanh_c * o * (1 - o)
        d_c = d_c * f
        d_h = d_pre[t] @ state_weights

    flat = d_pre.reshape(steps * rows, 4 * hidden)
    d_params = {
        "W": (flat.T @ tape.xs.reshape(steps * rows, inputs)).reshape(4, hidden, inputs),
        "U": (flat.T @ tape.hs[:-1].reshape(steps * rows, hidden)).reshape(4, hidden, hidden),
        "b": flat.sum(axis=0).reshape(4, hidden),
    }
    d_xs = (flat @ input_weights).reshape(steps, rows, inputs)
    return d_params, {"h": d_h, "c": d_c}, d_xs


@dataclass(frozen=True)
class GruTape:
    """What the backward pass of the GRU reads, stacked in time."""

    xs: Array  # [T, B, I]
    hs: Array  # [T + 1, B, H], the initial state first
    gates: list[tuple[Array, Array, Array, Array]]  # T times r, z, n, and the state's part of n


def gru_forward(
    params: Arrays, carry: Arrays, xs: Array, record: bool = True
) -> tuple[dict[str, Array], Array, GruTape | None]:
    """Run a GRU over a sequence.

    Args:
        params: `W[3, H, I]`, `U[3, H, H]`, `b[3, H]`, `d[3, H]`, gates in the order r, z, n.
        carry: `h[B, H]`.
        xs: `[T, B, I]`.
        record: whether to keep what `gru_backward` needs.
    Returns:
        The last carry, `ys[T, B, H]`, and the tape (None when not recorded).
    """
    steps, rows, inputs = xs.shape
    hidden = params["b"].shape[1]
    input_weights = params["W"].reshape(3 * hidden, inputs)
    state_weights = params["U"].reshape(3 * hidden, hidden).T
    state_bias = params["d"].reshape(-1)
    pre = (xs.reshape(steps * rows, inputs) @ input_weights.T + params["b"].reshape(-1)).reshape(
        steps, rows, 3 * hidden
    )

    h = carry["h"]
    hs, gates = [h], []
    for t in range(steps):
        u = h @ state_weights + state_bias
        r_z = sigmoid(pre[t, :, : 2 * hidden] + u[:, : 2 * hidden])
        r, z = r_z[:, :hidden], r_z[:, hidden:]
        un = u[:, 2 * hidden :]
        n = np.tanh(pre[t, :, 2 * hidden :] + r * un)
        h = (1 - z) * n + z * h
        hs.append(h)
        if record:
            gates.append((r, z, n, un))

    stacked = np.stack(hs)
    return {"h": h}, stacked[1:], GruTape(xs, stacked, gates) if record else None


def gru_backward(
    params: Arrays, tape: GruTape, d_ys: Array, d_carry: Arrays
) -> tuple[dict[str, Array], dict[str, Array], Array]:
    """Run the recorded GRU backwards.

    Args:
        params: as given to `gru_forward`.
        tape: what it returned.
        d_ys: cotangent of the outputs, `[T, B, H]`.
        d_carry: cotangent of the last carry, `h[B, H]`.
    Returns:
        Gradients by parameter, of the initial carry, and of `xs`.
    """
    steps, rows, inputs = tape.xs.shape
    hidden = d_ys.shape[2]
    input_weights = params["W"].reshape(3 * hidden, inputs)
    state_weights = params["U"].reshape(3 * hidden, hidden)
    d_pre = np.empty((steps, rows, 3 * hidden), d_ys.dtype)  # cotangent of W @ x + b
    d_state = np.empty_like(d_pre)  # cotangent of U @ h + d: differs in the third gate alone

    d_h = d_carry["h"]
    for t in reversed(range(steps)):
        r, z, n, un = tape.gates[t]
        d_h = d_h + d_ys[t]
        d_n = d_h * (1 - z) * (1 - n * n)
        d_r = d_n * un * r * (1 - r)
        d_z = d_h * (tape.hs[t] - n) * z * (1 - z)
        d_pre[t, :, :hidden] = d_r
        d_pre[t, :, hidden : 2 * hidden] = d_z
        d_pre[t, :, 2 * hidden :] = d_n
        d_state[t, :, : 2 * hidden] = d_pre[t, :, : 2 * hidden]
        d_state[t, :, 2 * hidden :] = d_n * r
        d_h = d_h * z + d_state[t] @ state_weights

    flat = d_pre.reshape(steps * rows, 3 * hidden)
    flat_state = d_state.reshape(steps * rows, 3 * hidden)
    d_params = {
        "W": (flat.T @ tape.xs.reshape(steps * rows, inputs)).reshape(3, hidden, inputs),
        "U": (flat_state.T @ tape.hs[:-1].reshape(steps * rows, hidden)).reshape(3, hidden, hidden),
        "b": flat.sum(axis=0).reshape(3, hidden),
        "d": flat_state.sum(axis=0).reshape(3, hidden),
    }
    d_xs = (flat @ input_weights).reshape(steps, rows, inputs)
    return d_params, {"h": d_h}, d_xs


@dataclass(frozen=True)
class Baseline:
    """A hand-written cell: its shapes and its two passes."""

    name: str
    parameters: Mapping[str, tuple[str, ...]]  # name -> axes: "gates", "hidden" or "inputs"
    gates: int
    states: tuple[str, ...]
    forward: Callable[..., tuple[dict[str, Array], Array, Any]]
    backward: Callable[..., tuple[dict[str, Array], dict[str, Array], Array]]


BASELINES = {
    "LSTM": Baseline(
        "LSTM",
        {
            "W": ("gates", "hidden", "inputs"),
            "U": ("gates", "hidden", "hidden"),
            "b": ("gates", "hidden"),
        },
        4,
        ("h", "c"),
        lstm_forward,
        lstm_backward,
    ),
    "GRU": Baseline(
        "GRU",
        {
            "W": ("gates", "hidden", "inputs"),
            "U": ("gates", "hidden", "hidden"),
            "b": ("gates", "hidden"),
            "d": ("gates", "hidden"),
        },
        3,
        ("h",),
        gru_forward,
        gru_backward,
    ),
}


@dataclass(frozen=True)
class Work:
    """One benchmark's arrays: parameters, initial carry, inputs and the cotangents fed back."""

    params: dict[str, Array]
    carry: dict[str, Array]
    xs: Array
    d_ys: Array
    d_carry: dict[str, Array]


def make_work(
    baseline: Baseline,
    steps: int,
    rows: int,
    inputs: int,
    hidden: int,
    dtype: str = "float32",
    seed: int = 0,
) -> Work:
    """Draw one problem, its weights scaled by 1/sqrt(hidden): the recurrence must not explode."""
    generator = np.random.default_rng(seed)
    sizes = {"gates": baseline.gates, "hidden": hidden, "inputs": inputs}
    scale = 1 / np.sqrt(hidden)

    def draw(*shape: int) -> Array:
        return generator.standard_normal(shape).astype(dtype)

    return Work(
        params={
            name: (draw(*(sizes[axis] for axis in axes)) * scale).astype(dtype)
            for name, axes in baseline.parameters.items()
        },
        carry={name: draw(rows, hidden) for name in baseline.states},
        xs=draw(steps, rows, inputs),
        d_ys=draw(steps, rows, hidden),
        d_carry={name: draw(rows, hidden) for name in baseline.states},
    )
