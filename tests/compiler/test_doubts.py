"""Warnings of what is probably not meant."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.doubts import doubts
from rnnc.compiler.library import std
from rnnc.compiler.ops import OPS
from tests.compiler.elaborate.sources import body


def codes(equations: str, signature: str = "cell T(n): (h[n], x[n]) -> (h', y)") -> list[str]:
    return [problem.code for problem in doubts(body(equations, signature))]


@pytest.mark.parametrize("name", [n for n, op in OPS.items() if op.results or op.defined_from])
def test_intervals_of_records_are_those_of_their_meanings(name: str) -> None:
    op = OPS[name]
    points = np.array([-np.inf, -1e300, -50.0, -1.5, -1e-9, 0.0, 1e-9, 0.3, 2.0, 50.0, np.inf])
    with np.errstate(all="ignore"):
        values = op.reference(None, points)
    low, high = op.results or (-np.inf, np.inf)
    known = values[~np.isnan(values)]
    assert low <= known.min() and known.max() <= high
    if op.defined_from is not None:
        assert np.array_equal(np.isnan(values), points < op.defined_from)


@pytest.mark.parametrize(
    ("expression", "is_doubtful"),
    [
        ("log(x)", True),
        ("log(-exp(x))", True),
        ("sqrt(x - x)", True),  # nobody looks that closely
        ("log(maximum(x, 1e-6))", False),
        ("log(minimum(exp(x), sigmoid(x)))", False),
        ("sqrt(1 - sigmoid(x))", False),
        ("sqrt(-expm1(-softplus(x)))", False),
        ("sqrt(1 - exp(-relu(x)))", False),
        ("sqrt(-expm1(x))", True),
        ("sqrt(2 - tanh(x) * tanh(h))", False),
        ("log(where(x > 0, softplus(x), 1))", False),
        ("log(concat(exp(x), relu(h))[0:n])", False),
        ("log(exp(x) / (1 + abs(h)))", False),
        ("log(exp(x) / (h + x))", True),
        ("log1p(expm1(x))", False),
        ("log(sum(exp(x)))", False),
    ],
)
def test_a_logarithm_of_what_may_be_negative(expression: str, is_doubtful: bool) -> None:
    assert codes(f"h' = h\ny = {expression} + x") == ["outside-domain"] * is_doubtful


@pytest.mark.parametrize(
    ("update", "is_doubtful"),
    [
        ("h' = 0.9 * h + exp(x)", False),
        ("h' = maximum(h, x)", False),  # from 0 upwards
        ("h' = h + 1", False),
        ("h' = h + x", True),
        ("h' = h - 1", True),
    ],
)
def test_states_are_what_their_equations_make_of_them(update: str, is_doubtful: bool) -> None:
    assert codes(f"{update}\ny = log(h + 0.5) + x") == ["outside-domain"] * is_doubtful


@pytest.mark.parametrize(
    ("expression", "is_doubtful"),
    [
        ("floor(h)", True),
        ("sign(x) * h", True),
        ("stop_gradient(round(h))", False),
        ("h + stop_gradient(sign(h) - h)", False),  # straight through
        ("where(floor(x) > 1, h, x)", False),
        ("floor(stop_gradient(h))", False),
    ],
)
def test_a_gradient_that_is_lost(expression: str, is_doubtful: bool) -> None:
    assert codes(f"h' = x\ny = {expression}") == ["lost-gradient"] * is_doubtful


def test_the_standard_cells_are_beyond_doubt() -> None:
    assert std().check() == ()
