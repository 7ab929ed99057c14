"""Ops whose derivative is not that of their value: what it is instead."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from rnnc.compiler.derive import followed, jvp, vjp
from rnnc.compiler.ir import Node, apply, leaf
from rnnc.compiler.ops.gradient import SLOPES
from rnnc.compiler.shapes import Type
from tests.compiler.interpret_scan import evaluate
from tests.compiler.ops.cases import Array


def leaves(*names: str) -> list[Node]:
    return [leaf("input", name, Type((4,))) for name in names]


def test_a_weight_scales_the_derivative_and_cuts_it_where_it_is_0() -> None:
    a, b, ct = (leaf("input", name, Type((4,))) for name in ("a", "b", "ct"))
    node = apply("scale_gradient", a, b)
    cotangents = vjp({node: ct}, [a, b])
    assert b not in cotangents
    values = {b: np.array([0.0, 0.0, 1.0, 1.25]), ct: np.array([np.inf, np.nan, 3.0, 2.0])}
    found = evaluate([cotangents[a]], values)[cotangents[a]]
    np.testing.assert_array_equal(found, [0.0, 0.0, 3.0, 2.5])


def test_a_cotangent_is_clipped_and_a_tangent_is_not() -> None:
    a, low, high, ct, moving = leaves("a", "low", "high", "ct", "moving")
    node = apply("clip_gradient", a, low, high)
    cotangents = vjp({node: ct}, [a, low, high])
    assert cotangents.keys() == {a}
    values = {
        low: np.full(4, -1.0), high: np.array([1.0, 1.0, 0.5, np.inf]),
        ct: np.array([-3.0, 0.25, 2.0, np.inf]),
    }  # fmt: skip
    found = evaluate([cotangents[a]], values)[cotangents[a]]
    np.testing.assert_array_equal(found, [-1.0, 0.25, 0.5, np.inf])
    assert jvp({a: moving}, [node]) == {node: moving}
    assert jvp({low: moving}, [node]) == {}


def test_the_derivative_of_another_value_takes_the_place_of_ones_own() -> None:
    a, b, ct, moving = leaves("a", "b", "ct", "moving")
    node = apply("straight_through", a, b)
    assert vjp({node: ct}, [a, b]) == {b: ct}
    assert jvp({a: moving}, [node]) == {}
    assert jvp({b: moving}, [node])[node] is moving
    assert followed(node) == [b]


# Formulas of the papers that the records name.
AT = np.array([-2.0, -0.5, -0.04, 0.0, 0.04, 0.5, 1.0, 2.0, np.inf])
FORMULAS: dict[str, Any] = {
    "fast_sigmoid": lambda x: (1 + 25 * np.abs(x)) ** -2.0,
    "arctan": lambda x: 1 / (1 + (np.pi * x) ** 2),
    "triangle": lambda x: np.where(np.abs(x) < 1, 0.3 * (1 - np.abs(x)), 0.0),
    "straight_through": np.ones_like,
}


def slope_of_a_step(name: str, at: Array, order: int = 1) -> Array:
    """The derivative of a step, or that of its slope."""
    a = leaf("input", "a", Type(at.shape))
    ct = leaf("input", "ct", Type(at.shape))
    node = apply("step", a, attr=name)
    for _ in range(order):
        node = vjp({node: ct}, [a])[a]
    return evaluate([node], {a: at, ct: np.ones_like(at)})[node]


def test_every_surrogate_has_a_formula() -> None:
    assert FORMULAS.keys() == SLOPES.keys()


@pytest.mark.parametrize("name", SLOPES)
def test_a_step_has_the_slope_of_its_surrogate(name: str) -> None:
    np.testing.assert_allclose(slope_of_a_step(name, AT), FORMULAS[name](AT), rtol=1e-15)


@pytest.mark.parametrize("name", ["fast_sigmoid", "arctan", "triangle"])
def test_the_slope_of_a_step_has_a_slope(name: str) -> None:
    at, nudge = np.array([-1.7, -0.3, 0.2, 0.9]), 1e-6
    wanted = (FORMULAS[name](at + nudge) - FORMULAS[name](at - nudge)) / (2 * nudge)
    np.testing.assert_allclose(slope_of_a_step(name, at, order=2), wanted, rtol=1e-7, atol=1e-9)


def test_a_step_is_1_above_0_and_nowhere_else() -> None:
    a = leaf("input", "a", Type((5,)))
    node = apply("step", a, attr="arctan")
    at = np.array([-1.0, -0.0, 0.0, 5e-324, np.nan])
    np.testing.assert_array_equal(evaluate([node], {a: at})[node], [0, 0, 0, 1, np.nan])
