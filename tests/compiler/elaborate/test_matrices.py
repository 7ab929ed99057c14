"""`solve` and `matrix_exp`: to full precision, differentiable, once a call where they can be."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.derive import jvp
from rnnc.compiler.ir import leaf
from rnnc.compiler.oracle import evaluate
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.shapes import Type
from rnnc.compiler.tangent import tangent
from rnnc.runtime.program import Program
from tests.compiler.backends.allowed_source import findings
from tests.compiler.elaborate.sources import value
from tests.compiler.hand_built import Array, Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import cell_of, names_of
from tests.exponential import exponential
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

MATRICES = names_of("matrices")
BOUND = Bound(1e-12, 1e-11)
NUDGE = 1e-6


def drawn(n: int, norm: float, seed: int, *, skew: bool = False) -> Array:
    """A matrix of a given 1-norm."""
    found: Array = np.random.default_rng(seed).standard_normal((n, n))
    found = found - found.T if skew else found
    return np.asarray(found * (norm / max(np.abs(found).sum(0).max(), 1e-300)))


@pytest.mark.parametrize("skew", [False, True], ids=["", "skew"])
@pytest.mark.parametrize("norm", [0, 1e-9, 0.1, 1, 5.3, 5.4, 10, 30, 100, 170])
@pytest.mark.parametrize("n", [1, 2, 7, 24])
def test_an_exponential_is_its_series(n: int, norm: float, skew: bool) -> None:
    a = drawn(n, norm, seed=n, skew=skew)
    wanted = exponential(a)
    found = value("matrix_exp(a)", {"a": a})
    assert np.max(np.abs(found - wanted)) <= 1e-12 * np.max(np.abs(wanted))


def test_exponentials_that_are_known() -> None:
    turn = np.array([[0, -2.5], [2.5, 0]])
    wanted = [[np.cos(2.5), -np.sin(2.5)], [np.sin(2.5), np.cos(2.5)]]
    np.testing.assert_allclose(value("matrix_exp(a)", {"a": turn}), wanted, rtol=1e-14)
    shift = np.diag(np.full(3, 2.0), 1)
    sums = np.array([[1, 2, 2, 8 / 6], [0, 1, 2, 2], [0, 0, 1, 2], [0, 0, 0, 1]])
    np.testing.assert_allclose(value("matrix_exp(a)", {"a": shift}), sums, rtol=1e-15, atol=1e-15)
    np.testing.assert_array_equal(value("matrix_exp(a)", {"a": np.zeros((3, 3))}), np.eye(3))


@pytest.mark.parametrize("norm", [0.0, 0.3, 4.0, 10.0, 60.0])
def test_the_derivative_of_an_exponential_is_that_of_a_larger_one(norm: float) -> None:
    """exp [[A, E], [0, A]] has the derivative along E beside exp A: Van Loan 1978."""
    n = 5
    a, along = drawn(n, norm, seed=1), drawn(n, 1.0, seed=2)
    text = "cell Test(n): ((), A[n, n]) -> ((), y) { y = matrix_exp(A) }"
    made = library.loads(text).Test(n)
    (given,), (out,) = made.inputs, made.outputs
    moving = leaf("input", "along", Type((n, n)))
    node = jvp({given.node: moving}, [out.node])[out.node]
    found = evaluate([node], {given.node: a, moving: along})[node]
    wanted = exponential(np.block([[a, along], [np.zeros((n, n)), a]]))[:n, n:]
    assert np.max(np.abs(found - wanted)) <= 1e-12 * np.max(np.abs(wanted))


@pytest.mark.parametrize("name", MATRICES)
def test_programs_are_the_oracles(name: str) -> None:
    for cell in (cell_of(name), tangent(cell_of(name))):
        n = Numbers.draw(cell, steps=4, rows=3)
        assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), BOUND)


def by_hand(name: str, params: dict[str, Array], h: Array, x: Array) -> Any:
    """A new state by NumPy, of one row."""
    eye = np.eye(len(x))
    match name:
        case "Rotation":
            A, W = params["A"], params["W"]
            return np.tanh(exponential(A - A.T) @ h + W @ x)
        case "Implicit":
            return np.linalg.solve(eye - 0.1 * params["A"], h + 0.1 * params["W"] @ x)
        case "ByInput":
            return np.tanh(np.linalg.solve(3 * eye + np.outer(x, x), h + params["W"] @ x))
        case "ByState":
            return np.tanh(np.linalg.solve(2 * eye + h @ h.T, 2 * h + x[:, None]))
    turn = np.outer(x, h) - np.outer(h, x)
    return exponential(turn) @ (params["k"] * h) + 0.1 * x


@pytest.mark.parametrize("name", MATRICES)
def test_values_and_gradients_are_those_of_numpy(name: str) -> None:
    cell = cell_of(name)
    n = Numbers.draw(cell, steps=3, rows=2)
    draws = np.random.default_rng(2)
    found = by_program(Program(cell, "float64"), n)
    d_last = n.d_carry["h"]

    def last(params: dict[str, Array], start: Array, xs: Array) -> Array:
        state = list(start)
        for x in xs:
            state = [by_hand(name, params, h, row) for h, row in zip(state, x, strict=True)]
        return np.stack(state)

    np.testing.assert_allclose(found.carry["h"], last(n.params, n.carry["h"], n.xs["x"]), 1e-12)
    silent = {key: np.zeros_like(d) for key, d in n.d_ys.items()}
    found = by_program(Program(cell, "float64"), replace(n, d_ys=silent))
    along: Any = (
        {key: draws.standard_normal(v.shape) for key, v in n.params.items()},
        draws.standard_normal(n.carry["h"].shape), draws.standard_normal(n.xs["x"].shape),
    )  # fmt: skip
    slope = sum(np.sum(found.d_params[key] * way) for key, way in along[0].items())
    slope += np.sum(found.d_carry["h"] * along[1]) + np.sum(found.d_xs["x"] * along[2])
    above, below = (
        last({k: v + step * along[0][k] for k, v in n.params.items()},
             n.carry["h"] + step * along[1], n.xs["x"] + step * along[2])
        for step in (NUDGE, -NUDGE)
    )  # fmt: skip
    assert slope == pytest.approx(np.sum(d_last * (above - below)) / (2 * NUDGE), rel=1e-7)


# Where the plan has their equations: once a call, for many steps before the loop, in every step.
PLACES = {
    "Rotation": {"once"},
    "Implicit": {"once"},
    "ByInput": {"block"},
    "ByState": {"step", "late"},  # no state waits for the output
    "Turning": {"step"},
}


@pytest.mark.parametrize("name", MATRICES)
def test_equations_are_solved_as_rarely_as_they_can_be(name: str) -> None:
    plan, _ = compile_cell(cell_of(name), Goal(record=False)).plans
    sections = ("once", "whole", "block", "step", "tail", "late")
    found = {s for s in sections if any(node.op.name == "solve" for node in getattr(plan, s))}
    assert found == PLACES[name]


@pytest.mark.parametrize("name", MATRICES)
def test_the_source_of_programs_is_made_of_known_parts(name: str) -> None:
    programs = compile_cell(cell_of(name), Goal())
    assert programs.backward is not None
    for module in (programs.forward, programs.backward):
        assert findings(module.source) == []


def test_a_singular_matrix_is_nan_in_its_own_row() -> None:
    text = "cell C(n): (h[n], A[n, n]) -> (h', h') { h' = solve(A, h) }"
    cell = library.loads(text).C(2)
    n = Numbers.draw(cell, steps=2, rows=3)
    n.xs["A"][:] = [[2.0, 0.0], [0.0, 4.0]]
    n.xs["A"][0, 1] = [[1.0, 2.0], [2.0, 4.0]]
    n.xs["A"][0, 2, 0, 0] = np.nan
    ys = by_program(Program(cell, "float64"), n).ys["h'"]
    np.testing.assert_array_equal(ys[0, 0], n.carry["h"][0] / [2.0, 4.0])
    np.testing.assert_array_equal(np.isnan(ys[:, :, 0]), [[False, True, True]] * 2)


def test_padding_has_an_inverse() -> None:
    """What a step is given past a row's length must not make its gradients NaN."""
    text = """
    cell C(n): (h[n], A[n, n]) -> (h', h') {
        param w[n]
        h' = solve(A, w * h + 1) + matrix_exp(A) @ w
    }
    """
    cell = library.loads(text).C(3)
    n, masks = Numbers.draw(cell, steps=4, rows=3), draw_masks(("valid",), 4, 3)
    assert_within(by_program(Program(cell, "float64"), n, masks), by_oracle(cell, n, masks), BOUND)
