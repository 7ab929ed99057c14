"""The cells that are measured on a GPU: as equations for rnnc, and as a step for array libraries.

In: a name and sizes. Out: a bound cell; and its step, written once for torch and jax alike, with
the products with inputs taken out of it, as a careful user would.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

import rnnc
from benchmarks.gpu_model import Loop
from rnnc.runtime.cell import BoundCell

Arrays: TypeAlias = Mapping[str, Any]
Functions: TypeAlias = Any  # sigmoid, tanh, exp, maximum, log_sigmoid, einsum of a library

SOURCE: Final = """
# The linear recurrence itself: three passes over memory.
cell Decay(hidden): (h[hidden], (a[hidden], x[hidden])) -> (h', h') {
    h' = a * h + x
}

# Diagonal and not linear.
cell IndRNN(hidden): (h[hidden], x[hidden]) -> (h', h') {
    param u[hidden] = uniform(-1, 1)
    h' = tanh(u * h + x)
}
"""


@dataclass(frozen=True)
class Size:
    """How large a cell is."""

    hidden: int
    inputs: int
    heads: int = 1


@dataclass(frozen=True)
class GpuCell:
    """A cell in both forms.

    `hoist(f, params, xs)` gives arrays [T, B, ...], a step of which `step(f, params, state, now)`
    takes; that gives the next state, as `state` in the cell's order, and the output.
    """

    name: str
    sizes: Callable[[Size], tuple[int, ...]]
    hoist: Callable[[Functions, Arrays, tuple[Any, ...]], tuple[Any, ...]]
    step: Callable[[Functions, Arrays, tuple[Any, ...], tuple[Any, ...]], tuple[Any, Any]]
    loop: Callable[[Size, int, int, int], Loop]  # size, steps, rows, itemsize

    def bound(self, size: Size) -> BoundCell:
        """rnnc's cell of this size."""
        cells = rnnc.loads(SOURCE) if self.name in ("Decay", "IndRNN") else rnnc.cells
        found: BoundCell = cells[self.name](*self.sizes(size))
        return found


def _flat(weight: Any) -> Any:
    """All gates as the rows of one matrix."""
    return weight.reshape(-1, weight.shape[-1])


def _parts(array: Any, count: int) -> list[Any]:
    """Equal parts of the last axis."""
    width = array.shape[-1] // count
    return [array[..., at * width : (at + 1) * width] for at in range(count)]


# -- LSTM, GRU -----------------------------------------------------------------------------------


def _project(f: Functions, p: Arrays, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    return (xs[0] @ _flat(p["W"]).T + p["b"].reshape(-1),)


def _lstm(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    h, c = state
    i, g, u, o = _parts(now[0] + h @ _flat(p["U"]).T, 4)
    c = f.sigmoid(g) * c + f.sigmoid(i) * f.tanh(u)
    h = f.sigmoid(o) * f.tanh(c)
    return (h, c), h


def _gru(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    (h,) = state
    wr, wz, wn = _parts(now[0], 3)
    ur, uz, un = _parts(h @ _flat(p["U"]).T + p["d"].reshape(-1), 3)
    z = f.sigmoid(wz + uz)
    h = (1 - z) * f.tanh(wn + f.sigmoid(wr + ur) * un) + z * h
    return (h,), h


# -- sLSTM ---------------------------------------------------------------------------------------


def _slstm(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    h, c, n, m = state
    weight = p["R"]
    _, heads, _, width = weight.shape
    read = f.einsum("gkij,bkj->bgki", weight, h.reshape(h.shape[0], heads, width))
    z, i, g, o = _parts(now[0] + read.reshape(now[0].shape), 4)
    kept = f.log_sigmoid(g) + m
    m = f.maximum(kept, i)
    keep, take = f.exp(kept - m), f.exp(i - m)
    c = keep * c + take * f.tanh(z)
    n = keep * n + take
    h = f.sigmoid(o) * c / n
    return (h, c, n, m), h


# -- diagonal ------------------------------------------------------------------------------------


def _gates(f: Functions, p: Arrays, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    return f.sigmoid(xs[0] @ p["Wz"].T), xs[0] @ p["Wh"].T


def _mingru(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    h = (1 - now[0]) * state[0] + now[0] * now[1]
    return (h,), h


def _given(f: Functions, p: Arrays, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    return xs


def _decay(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    h = now[0] * state[0] + now[1]
    return (h,), h


def _indrnn(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    h = f.tanh(p["u"] * state[0] + now[0])
    return (h,), h


# -- matrix states -------------------------------------------------------------------------------


def _keys(f: Functions, p: Arrays, xs: tuple[Any, ...]) -> tuple[Any, ...]:
    x = xs[0]
    k = x @ p["Wk"].T
    k = k * f.sigmoid(k)
    k = k / (k * k).sum(-1)[..., None] ** 0.5
    return k, x @ p["Wv"].T, x @ p["Wq"].T, f.sigmoid(x @ p["wb"])


def _delta(f: Functions, p: Arrays, state: tuple[Any, ...], now: tuple[Any, ...]) -> Any:
    (S,), (k, v, q, rate) = state, now
    change = rate[:, None] * (v - f.einsum("bvk,bk->bv", S, k))
    S = S + change[:, :, None] * k[:, None, :]
    return (S,), f.einsum("bvk,bk->bv", S, q)


def _dense(gates: int, special: int) -> Callable[[Size, int, int, int], Loop]:
    """Cells whose every gate reads the state and the inputs."""

    def loop(size: Size, steps: int, rows: int, itemsize: int) -> Loop:
        return Loop(
            steps, rows, size.inputs, size.hidden, gates, gates, size.heads, special,
            itemsize=itemsize,
        )  # fmt: skip

    return loop


def _elementwise(
    streams: int, *, special: int = 0, input_gates: int = 0
) -> Callable[[Size, int, int, int], Loop]:
    """Cells of which a unit reads nothing but itself."""

    def loop(size: Size, steps: int, rows: int, itemsize: int) -> Loop:
        return Loop(
            steps, rows, size.inputs, size.hidden, input_gates=input_gates, special=special,
            streams=streams, itemsize=itemsize,
        )  # fmt: skip

    return loop


def _matrix(size: Size, steps: int, rows: int, itemsize: int) -> Loop:
    return Loop(
        steps, rows, size.inputs, size.hidden, input_gates=3, matrix=size.hidden, itemsize=itemsize
    )


def _usual(size: Size) -> tuple[int, ...]:
    return size.inputs, size.hidden


# The special-function unit gives 5 results for a unit of an LSTM where tanh is one of them.
CELLS: Final[Mapping[str, GpuCell]] = {
    cell.name: cell
    for cell in (
        GpuCell("LSTM", _usual, _project, _lstm, _dense(4, 5)),
        GpuCell("GRU", _usual, _project, _gru, _dense(3, 3)),
        GpuCell("SLSTM", lambda s: (s.inputs, s.hidden, s.heads), _project, _slstm, _dense(4, 7)),
        GpuCell("MinGRU", _usual, _gates, _mingru, _elementwise(1, input_gates=2)),
        GpuCell("Decay", lambda s: (s.hidden,), _given, _decay, _elementwise(3)),
        GpuCell("IndRNN", lambda s: (s.hidden,), _given, _indrnn, _elementwise(2, special=1)),
        GpuCell("DeltaNet", lambda s: (s.inputs, s.hidden, s.hidden), _keys, _delta, _matrix),
    )
}
