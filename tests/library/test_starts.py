"""Standard cells start as their papers say, and can be trained from there."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np
import pytest

import rnnc
from rnnc.compiler.modifiers.products import weights_of
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime.params import initialise
from tests.library.subject import SUBJECTS, Array, Subject
from tests.pace import within

OF_MATRICES = {"glorot_uniform", "glorot_normal", "lecun_normal", "he_normal", "orthogonal"}
# What is not drawn: a parameter or const, and what it is by its paper.
STARTS: Mapping[tuple[str, str], Callable[[Mapping[str, Array]], Array]] = {
    ("FastRNN", "alpha"): lambda _: np.array(-3.0),
    ("FastRNN", "beta"): lambda _: np.array(3.0),
    ("FastGRNN", "nu"): lambda _: np.array(-4.0),
    ("RHN", "bt"): lambda p: np.full_like(p["bt"], -2.0),
    ("FastWeightsRNN", "U"): lambda p: 0.05 * np.eye(len(p["U"])),
    ("HyperLSTM", "Dh"): lambda p: np.full_like(p["Dh"], 0.1 / p["Dh"].shape[-1]),
    ("Mamba", "A"): lambda p: np.log(1.0 + np.arange(p["A"].shape[1])) + 0 * p["A"],
    ("LMU", "A"): lambda p: np.eye(len(p["A"])) + _legendre(len(p["A"]))[0] / 100,
    ("LMU", "B"): lambda p: _legendre(len(p["B"]))[1] / 100,
    # The radii are such that as many lie in every ring of one area; what is scaled with them is
    # sqrt(1 - |eigenvalue|^2).
    ("LRU", "nu"): lambda p: np.log(-0.5 * np.log((np.arange(len(p["nu"])) + 0.5) / len(p["nu"]))),
    ("LRU", "gamma"): lambda p: 0.5 * np.log(1 - np.exp(-2 * np.exp(p["nu"]))),
    ("S4D", "rate"): lambda p: np.full_like(p["rate"], np.log(0.5)),
    ("S4D", "turn"): lambda p: np.pi * np.arange(len(p["turn"])),
    ("S4D", "B.re"): lambda p: np.ones_like(p["B.re"]),
    ("S4D", "B.im"): lambda p: np.zeros_like(p["B.im"]),
    ("ClockworkRNN", "period"): lambda p: 2.0 ** np.arange(len(p["period"])),  # of as many modules
    ("SuRNN", "omega"): lambda p: np.pi * _places(p["omega"]) / len(p["omega"]),
    ("ExpRNN", "A"): lambda p: _in_pairs(np.pi * (2 * (0.618034 * _places(p["A"]) % 1) - 1)),
    ("BatchNormLSTM", "gain"): lambda p: np.full_like(p["gain"], 0.1),
    ("BRC", "u"): lambda p: np.ones_like(p["u"]),
    ("SkipLSTM", "b"): lambda _: np.array(1.0),
    ("S4", "A"): lambda p: -np.tril(np.outer(_roots(p), _roots(p)), -1) - np.diag(_places(p["A"])),
    ("S4", "B"): lambda p: _roots(p),
}

# What is drawn evenly: between the negative of this and itself, by its paper or its code.
EVENLY: Mapping[tuple[str, str], Callable[[Mapping[str, Array]], float]] = {
    ("LIF", "W"): lambda p: p["W"].shape[1] ** -0.5,
    ("LIF", "b"): lambda p: p["W"].shape[1] ** -0.5,
    ("LMU", "ex"): lambda p: math.sqrt(3 / len(p["ex"])),
    ("LMU", "eh"): lambda p: math.sqrt(3 / len(p["eh"])),
    ("SRU", "v"): lambda _: math.sqrt(1.5),
}


def _places(array: Array) -> Array:
    return np.arange(len(array)) + 1.0


def _roots(params: Mapping[str, Array]) -> Array:
    return np.asarray(np.sqrt(2 * _places(params["B"]) - 1))


def _in_pairs(angles: Array) -> Array:
    """What turns units 0 and 1 by the second angle, 2 and 3 by the fourth, and so on."""
    return np.diag(np.where(np.arange(len(angles) - 1) % 2 == 0, angles[1:], 0), 1)


def _legendre(n: int) -> tuple[Array, Array]:
    """The matrices of Voelker et al. 2019, entry by entry."""
    A, B = np.zeros((n, n)), np.zeros(n)
    for i in range(n):
        B[i] = (2 * i + 1) * (-1) ** i
        for j in range(n):
            A[i, j] = (2 * i + 1) * (-1 if i < j else (-1) ** (i - j + 1))
    return A, B


@pytest.mark.parametrize(("cell", "name"), STARTS)
def test_a_parameter_starts_as_its_paper_says(cell: str, name: str) -> None:
    subject = next(each for each in SUBJECTS if each.row.cell == cell)
    params = initialise(subject.cell, 0, np.dtype("float64"))
    np.testing.assert_allclose(params[name], STARTS[cell, name](params), rtol=1e-14)


@pytest.mark.parametrize(("cell", "name"), EVENLY)
def test_a_parameter_is_drawn_as_widely_as_its_paper_says(cell: str, name: str) -> None:
    wide = rnnc.cells[cell].template
    sizes = [500 for setting in wide.settings if setting.default is None]
    params = initialise(wide(*sizes), 0, np.dtype("float64"))
    bound = EVENLY[cell, name](params)
    assert 0.97 * bound < np.abs(params[name]).max() <= bound


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_only_what_a_product_reads_is_drawn_as_a_matrix(subject: Subject) -> None:
    """Biases and peepholes of several gates are vectors, though they stand in a stack."""
    drawn = {p.name for p in subject.cell.params if p.init.name in OF_MATRICES}
    assert drawn <= weights_of(subject.cell)


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_values_and_gradients_are_finite_from_the_start(subject: Subject) -> None:
    """From initial parameters and the initial state, in float32."""
    net = rnnc.Recur(subject.cell, backend="numpy", seed=1)
    n = subject.numbers()
    xs = tuple(n.xs.values()) if len(n.xs) > 1 else next(iter(n.xs.values()))
    d_ys = tuple(n.d_ys.values()) if len(n.d_ys) > 1 else next(iter(n.d_ys.values()))
    ys = net.scan(xs)
    grads = net.backward(d_ys)
    inputs = grads.inputs if isinstance(grads.inputs, tuple) else (grads.inputs,)
    outputs = ys if isinstance(ys, tuple) else (ys,)
    for array in (*outputs, *inputs, *grads.params.values(), *net.state.values()):
        assert np.isfinite(array).all()
    trained = {param.name for param in subject.cell.params if param.trained}
    assert grads.params.keys() == trained
    assert not trained or any(np.any(array) for array in grads.params.values())


def test_the_library_compiles_for_numpy_within_a_minute() -> None:
    with within(60):
        for name in rnnc.cells:
            template = rnnc.cells[name].template
            sizes = [8 for setting in template.settings if setting.default is None]
            assert compile_cell(rnnc.cells[name](*sizes).cell, Goal()).backward
