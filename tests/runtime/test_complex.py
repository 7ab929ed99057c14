"""Nets of complex cells: values by NumPy's complex128, gradients by PyTorch's complex autograd.

Parameters, states, inputs and outputs that are complex are known by their parts: `L.re`, `L.im`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.complex_parts import whole
from tests.runtime.models import close, numpy_of, random

SOURCE = """
# The linear recurrent unit. Orvieto et al. 2023, arXiv:2303.06349.
cell LRU(inputs, hidden): (s[hidden]: complex, x[inputs]) -> (s', y) {
    param nu[hidden] = uniform(-2, 0), theta[hidden] = uniform(-2, 1), gamma[hidden]
    param B[hidden, inputs]: complex, C[inputs, hidden]: complex = normal(0.5), D[inputs]
    L  = exp(-exp(nu)) * complex(cos(exp(theta)), sin(exp(theta)))
    s' = L * s + exp(gamma) * (B @ x)
    y  = real(C @ s') + D * x
}

# S4D, zero-order hold. Gu et al. 2022, arXiv:2206.11893.
cell S4D(hidden): (s[hidden]: complex, x[]) -> (s', y) {
    param rate[hidden], turn[hidden] = uniform(0, 6)
    param B[hidden]: complex = ones, C[hidden]: complex = normal(0.5), step[] = constant(-1)
    L  = complex(-exp(rate), turn)
    a  = exp(exp(step) * L)
    s' = a * s + (a - 1) / L * B * x
    y  = 2 * real(C @ s')
}

# A unitary step, with no Fourier transforms, and modReLU. Arjovsky et al. 2016, arXiv:1511.06464.
cell Unitary(inputs, hidden): (h[hidden]: complex = h0, x[inputs]) -> (h', y) {
    param W[hidden, inputs]: complex, d[hidden] = uniform(-3, 3), r[hidden]: complex = normal(1)
    param b[hidden] = uniform(-0.1, 0.1), h0[hidden]: complex = normal(0.5)
    u  = complex(cos(d), sin(d)) * h
    v  = flip(u - 2 * r * (conj(r) @ u) / real(conj(r) @ r)) + W @ x
    h' = v / abs(v) * relu(abs(v) + b)
    y  = concat(real(h'), imag(h'))
}

# A complex matrix on the state; complex inputs and outputs.
cell Dense(n): (s[n]: complex, x[n]: complex) -> (s', y: complex) {
    param A[n, n]: complex = normal(0.3)
    s' = A @ s + x
    y  = s' * conj(x)
}
"""


def lru(lib: Any, p: Any, s: Any, x: Any) -> Any:
    s = lib.exp(-lib.exp(p["nu"]) + 1j * lib.exp(p["theta"])) * s
    s = s + lib.exp(p["gamma"]) * (p["B"] @ (x + 0j))
    return s, (p["C"] @ s).real + p["D"] * x


def s4d(lib: Any, p: Any, s: Any, x: Any) -> Any:
    L = -lib.exp(p["rate"]) + 1j * p["turn"]
    a = lib.exp(lib.exp(p["step"]) * L)
    s = a * s + (a - 1) / L * p["B"] * x
    return s, 2 * (p["C"] @ s).real


def unitary(lib: Any, p: Any, h: Any, x: Any) -> Any:
    u, r = lib.exp(1j * p["d"]) * h, p["r"]
    u = u - 2 * r * (r.conj() @ u) / (r.conj() @ r).real
    v = lib.flip(u, (0,)) + p["W"] @ (x + 0j)
    size = lib.abs(v) + p["b"]
    h = v / lib.abs(v) * lib.where(size > 0, size, 0 * size)
    return h, lib.concatenate([h.real, h.imag])


def dense(lib: Any, p: Any, s: Any, x: Any) -> Any:
    s = p["A"] @ s + x
    return s, s * x.conj()


STEPS: dict[str, Callable[..., Any]] = {"LRU": lru, "S4D": s4d, "Unitary": unitary, "Dense": dense}
SIZES = {"LRU": (3, 4), "S4D": (4,), "Unitary": (3, 4), "Dense": (3,)}
SHAPES = {"LRU": (3,), "S4D": (), "Unitary": (3,), "Dense": (3,)}  # of an input


@cache
def bound(name: str) -> Any:
    return getattr(rnnc.loads(SOURCE), name)(*SIZES[name])


def net_of(name: str, **keywords: Any) -> Recur:
    """Every parameter random, those that start as zeros too."""
    net = Recur(bound(name), **{"dtype": "float64", **keywords})
    draws = np.random.default_rng(3)
    moved = {n: numpy_of(p) + draws.normal(0, 0.2, p.shape) for n, p in net.params.items()}
    net.load_params(moved)
    return net


def together(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Parts as complex arrays."""
    return whole(numpy_of(dict(arrays)))


@dataclass(frozen=True)
class ByTorch:
    """A cell over [T, B, ...], row by row and step by step, in torch's complex128."""

    name: str
    params: Mapping[str, Any]
    xs: Any
    starts: Any = None
    lengths: Any = None

    def run(self, lib: Any) -> tuple[Any, Any]:
        """The last state and the outputs, by NumPy or by torch."""
        steps, rows = self.xs.shape[:2]
        starts = np.zeros((steps, rows), bool) if self.starts is None else self.starts
        lengths = np.full(rows, steps) if self.lengths is None else self.lengths
        last, outs = [], []
        for row in range(rows):
            first = self.params.get("h0", lib.zeros(SIZES[self.name][-1], dtype=lib.complex128))
            state, ys = first, []
            for t in range(steps):
                if t < lengths[row]:
                    state = first if starts[t, row] else state
                    state, y = STEPS[self.name](lib, self.params, state, self.xs[t, row])
                else:
                    _, y = STEPS[self.name](lib, self.params, first, self.xs[t, row])
                    y = 0 * y
                ys.append(y)
            last.append(state)
            outs.append(lib.stack(ys))
        return lib.stack(last), lib.stack(outs, 1)


def drawn(name: str, steps: int = 7, rows: int = 3) -> Any:
    real, imaginary = (random(steps, rows, *SHAPES[name], seed=seed) for seed in (5, 6))
    return real + 1j * imaginary if name == "Dense" else real


def given(xs: Any) -> Any:
    """Inputs as nets take them."""
    return (xs.real, xs.imag) if np.iscomplexobj(xs) else xs


MASKS: dict[str, dict[str, Any]] = {
    "": {},
    "starts": {"starts": np.random.default_rng(1).random((7, 3)) < 0.3},
    "lengths": {"lengths": np.array([7, 3, 0])},
}
MASKS["both"] = MASKS["starts"] | MASKS["lengths"]
BACKENDS = ["numpy", pytest.param("triton", marks=pytest.mark.torch)]


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", STEPS)
def test_a_net_computes_what_numpy_does(name: str, masks: str, backend: str) -> None:
    net, xs = net_of(name, backend=backend), drawn(name)
    ys = net.scan(given(xs), **MASKS[masks])
    ys = ys[0] + 1j * ys[1] if isinstance(ys, tuple) else ys
    state, wanted = ByTorch(name, together(net.params), xs, **MASKS[masks]).run(np)
    close(ys, wanted)
    (found,) = together(net.state).values()
    close(found, state)


@pytest.mark.torch
@pytest.mark.parametrize("backend", ["numpy", "triton"])
@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize("name", STEPS)
def test_gradients_are_those_of_torchs_complex_autograd(
    name: str, masks: str, backend: str
) -> None:
    import torch

    net, xs = net_of(name, backend=backend), drawn(name)
    leaves = {n: torch.tensor(p, requires_grad=True) for n, p in together(net.params).items()}
    inputs = torch.tensor(xs, requires_grad=True)
    state, ys = ByTorch(name, leaves, inputs, **MASKS[masks]).run(torch)
    d_ys: Any = random(*ys.shape, seed=7)
    if ys.is_complex():
        d_ys = d_ys + 1j * random(*ys.shape, seed=8)
    d_state = random(*state.shape, seed=9) + 1j * random(*state.shape, seed=10)
    parts = ((ys, d_ys), (state, d_state))
    sum((value * torch.tensor(d).conj()).real.sum() for value, d in parts).backward()

    net.scan(given(xs), **MASKS[masks])
    (at,) = together(net.state)
    grads = net.backward(given(d_ys), {f"{at}.re": d_state.real, f"{at}.im": d_state.imag})
    found = together(grads.params)
    assert set(found) == set(leaves)
    for n, leaf in leaves.items():
        close(found[n], np.zeros(leaf.shape) if leaf.grad is None else leaf.grad, 1e-11)
    d_xs = grads.inputs
    d_xs = numpy_of(d_xs[0]) + 1j * numpy_of(d_xs[1]) if isinstance(d_xs, tuple) else d_xs
    close(d_xs, inputs.grad, 1e-11)


def test_descent_along_minus_the_gradient_of_a_complex_parameter_goes_down() -> None:
    net, xs = net_of("LRU"), drawn("LRU", 5, 2)
    target = random(5, 2, 3, seed=11)
    losses = []
    for _ in range(20):
        net.reset()
        loss, d_ys = rnnc.squared_error(net.scan(xs), target)
        grads = net.backward(d_ys).params
        net.load_params({n: p - 0.05 * grads[n] for n, p in net.params.items()})
        losses.append(loss)
    assert losses == sorted(losses, reverse=True)


def test_recurrences_are_classified_as_their_equations_say() -> None:
    kinds = {name: rnnc.compile(bound(name)).recurrence.kind for name in STEPS}
    assert kinds == {
        "LRU": "LIN-DIAG",
        "S4D": "LIN-DIAG",
        "Unitary": "NL-STRUCT",
        "Dense": "LIN-DENSE",
    }


def test_the_net_shows_parts_by_their_paths(tmp_path: Path) -> None:
    net = net_of("Dense")
    assert list(net.params) == ["A.re", "A.im"]
    assert list(net.state) == ["s.re", "s.im"]
    net.state = {"s.re": np.ones(3), "s.im": np.zeros(3)}
    y = net((np.zeros(3), np.ones(3)))
    assert [part.shape for part in y] == [(3,), (3,)]
    with pytest.raises(rnnc.Error, match=r"takes 2 inputs, a tuple \(x\.re, x\.im\)"):
        net(np.ones(3) * 1j)
    net.save(tmp_path / "net.rnnc")
    again = rnnc.load_net(tmp_path / "net.rnnc")
    close(again.params, dict(net.params), 0)
    close(again.state, dict(net.state), 0)


def test_a_complex_value_is_delayed_as_a_whole() -> None:
    text = "cell T(n): ((), x[n]) -> ((), y) {\nparam L[n]: complex\ny = delay(L * x, 2)\n}"
    net = Recur(rnnc.loads(text).T(3), dtype="float64")
    net.load_params({"L.re": random(3, seed=1), "L.im": random(3, seed=2)})
    xs = random(5, 3)
    re, im = net.scan(xs)
    close(re + 1j * im, np.concatenate([np.zeros((2, 3)), together(net.params)["L"] * xs[:3]]))


@pytest.mark.parametrize(
    ("start", "re", "im"),
    [
        ("ones", (1, 1), (0, 0)),
        ("constant(2)", (2, 2), (0, 0)),
        ("0.5", (0.5, 0.5), (0, 0)),
        ("complex(1, -2)", (1, 1), (-2, -2)),
        ("exp(complex(0, pi / 2))", (0, 0), (1, 1)),
        ("complex(uniform(1, 2), linspace(3, 4))", (1, 2), (3, 4)),
        ("uniform(1, 2)", (1, 2), (1, 2)),
        ("complex(ones, normal(0)) ", (1, 1), (0, 0)),
    ],
)  # fmt: skip
def test_complex_parameters_start_part_by_part(start: str, re: Any, im: Any) -> None:
    text = f"cell T(n): ((), x[n]) -> ((), y) {{\nparam L[n]: complex = {start}\ny = abs(L * x)\n}}"
    params = Recur(rnnc.loads(text).T(400), dtype="float64").params
    for part, (low, high) in (("L.re", re), ("L.im", im)):
        assert np.all((low - 1e-15 <= params[part]) & (params[part] <= high + 1e-15))
        if low < high:
            assert params[part].min() < low + 0.05 < high - 0.05 < params[part].max()
    if start == "uniform(1, 2)":
        assert abs(np.corrcoef(params["L.re"], params["L.im"])[0, 1]) < 0.2
