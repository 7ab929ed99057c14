"""Cells the runtime's tests run, and one of them by hand: a plain loop with a plain backward."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

import rnnc
from rnnc.compiler.knobs import current
from rnnc.runtime.arrays import Array, is_tensor, on_host
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.recur import Recur

ELMAN = """
cell Elman(inputs, hidden): (h[hidden] = h0, x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden] = orthogonal
    param b[hidden]  = normal(0.1)
    param h0[hidden] = normal(0.5)
    h' = tanh(W @ x + U @ h + b)
}
"""

LEAKY = """
# Two states, two inputs, two outputs.
cell Leaky(inputs, hidden): ((h[hidden], mass[]), (x[inputs], dt[]))
                         -> ((h', mass'), (y[hidden], mass')) {
    param W[hidden, inputs], U[hidden, hidden]
    h'    = h + dt * (tanh(W @ x + U @ h) - h)
    mass' = mass + dt * sum(h')
    y     = h' * mass'
}
"""

REST = """
cell Dense(inputs, outputs): ((), x[inputs]) -> ((), y[outputs]) {
    param W[outputs, inputs]
    param b[outputs] = normal(0.1)
    y = W @ x + b
}

cell Embedding(vocab, features): ((), token[]: int) -> ((), y[features]) {
    param E[vocab, features] = normal(1)
    y = E[token]
}
"""

SOURCE = ELMAN + LEAKY + REST


def fresh() -> Any:
    """A cell that nothing is compiled for yet."""
    return rnnc.loads("cell C(n): (h[n], x[n]) -> (h', h') { h' = tanh(0.5 * h + x) }").C(3)


@cache
def library() -> Any:
    return rnnc.loads(SOURCE)


def bound(name: str, *sizes: int) -> BoundCell:
    """Shared by all tests on one backend, so that each cell is compiled once."""
    return _bound(name, sizes, current().backend)


@cache
def _bound(name: str, sizes: tuple[int, ...], _backend: str) -> BoundCell:
    cell: BoundCell = getattr(library(), name)(*sizes)
    return cell


def elman(inputs: int = 3, hidden: int = 4, **keywords: Any) -> Recur:
    return Recur(bound("Elman", inputs, hidden), **{"dtype": "float64", **keywords})


def leaky(**keywords: Any) -> Recur:
    return Recur(bound("Leaky", 3, 2), **{"dtype": "float64", **keywords})


def dense(inputs: int = 4, outputs: int = 2, **keywords: Any) -> Recur:
    return Recur(bound("Dense", inputs, outputs), **{"dtype": "float64", **keywords})


def random(*shape: int, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal(shape)


def numpy_of(given: Any) -> Any:
    """Tensors, also those of a dict, as arrays of NumPy; everything else as it is."""
    if isinstance(given, Mapping):
        return {name: numpy_of(value) for name, value in given.items()}
    return on_host(given) if is_tensor(given) else given


def close(found: Any, wanted: Any, tolerance: float = 1e-12) -> None:
    """Equal to rounding: arrays of whatever library, or dicts of them with the same names."""
    __tracebackhide__ = True
    found, wanted = numpy_of(found), numpy_of(wanted)
    if isinstance(wanted, dict):
        assert set(found) == set(wanted)
        for name in wanted:
            np.testing.assert_allclose(
                found[name], wanted[name], tolerance, tolerance, err_msg=name
            )
    else:
        np.testing.assert_allclose(found, wanted, tolerance, tolerance)


@dataclass
class ByHand:
    """What `elman` computes over [T, B, I], row by row and step by step."""

    params: Any
    xs: Array
    starts: Array | None = None
    boundaries: Array | None = None
    lengths: Array | None = None
    first: Array | None = None  # the state before the first step, [B, H]; the learned one if None

    def __post_init__(self) -> None:
        steps, batch = self.xs.shape[:2]
        self.params, self.first = numpy_of(self.params), numpy_of(self.first)
        no = np.zeros((steps, batch), bool)
        self.starts = no if self.starts is None else self.starts
        self.boundaries = no if self.boundaries is None else self.boundaries
        full = np.full(batch, steps)
        self.valid = np.arange(steps)[:, None] < (full if self.lengths is None else self.lengths)
        p = self.params
        h = np.tile(p["h0"], (batch, 1)) if self.first is None else self.first.copy()
        self.before = np.zeros((steps, batch, len(p["h0"])))
        self.after, self.ys = self.before.copy(), self.before.copy()
        for t in range(steps):
            for b in range(batch):
                if self.valid[t, b]:
                    self.before[t, b] = p["h0"] if self.starts[t, b] else h[b]
                    h[b] = np.tanh(p["W"] @ self.xs[t, b] + p["U"] @ self.before[t, b] + p["b"])
                    self.after[t, b] = self.ys[t, b] = h[b]
        self.state = h

    def backward(self, d_ys: Array, d_state: Array | None = None) -> tuple[Any, Array, Array]:
        """Gradients of params, inputs and first state."""
        assert self.starts is not None and self.boundaries is not None
        p = self.params
        d_params = {name: np.zeros(array.shape) for name, array in p.items()}
        d_xs = np.zeros(self.xs.shape)
        ct = np.zeros(self.state.shape) if d_state is None else d_state.copy()
        for t in reversed(range(len(self.xs))):
            for b in range(self.xs.shape[1]):
                if not self.valid[t, b]:
                    continue
                pre = (ct[b] + d_ys[t, b]) * (1 - self.after[t, b] ** 2)
                d_params["W"] += np.outer(pre, self.xs[t, b])
                d_params["U"] += np.outer(pre, self.before[t, b])
                d_params["b"] += pre
                d_xs[t, b] = p["W"].T @ pre
                ct[b] = p["U"].T @ pre
                if self.starts[t, b]:
                    d_params["h0"] += ct[b]
                if self.starts[t, b] or self.boundaries[t, b]:
                    ct[b] = 0
        if self.first is None:
            d_params["h0"] += ct.sum(axis=0)
        return d_params, d_xs, ct
