"""Gradient control in whole cells: programs against derivatives that are worked out apart."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.library import loads
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.tangent import tangent
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import LIBRARIES, cell_of, names_of, path_of
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

BOUND = Bound(1e-13, 1e-12)
STEPS, ROWS = 6, 3
GRADIENTS = LIBRARIES["gradients"]

# Slope of each surrogate, as the documentation has it.
SLOPES: dict[str, Any] = {
    "fast_sigmoid": lambda v: 1 / (1 + 25 * np.abs(v)) ** 2,
    "arctan": lambda v: 1 / (1 + (np.pi * v) ** 2),
    "triangle": lambda v: 0.3 * np.maximum(0, 1 - np.abs(v)),
    "straight_through": lambda v: np.ones_like(v),
}


def spiking_by_hand(n: Numbers, slope: Any) -> tuple[Array, Array]:
    """Backpropagation through time: the cotangents of W and of the first state."""
    W, xs, v = n.params["W"], n.xs["x"], n.carry["v"]
    before = []
    for x in xs:
        before.append(v)
        v = 0.9 * v + x @ W.T - 0.3 * (v > 0.3)
    d_v, d_W = n.d_carry["v"], np.zeros_like(W)
    for v, x, d_s in zip(before[::-1], xs[::-1], n.d_ys["s"][::-1], strict=True):
        d_W += d_v.T @ x
        d_v = 0.9 * d_v + (d_s - 0.3 * d_v) * slope(v - 0.3)
    return d_W, d_v


@pytest.mark.parametrize("surrogate", SLOPES)
def test_a_spiking_cell_is_trained_through_its_surrogate(surrogate: str) -> None:
    cell = GRADIENTS.Spiking(4, surrogate=surrogate)
    n = Numbers.draw(cell, STEPS, ROWS)
    found = by_program(Program(cell, "float64"), n)
    d_W, d_v = spiking_by_hand(n, SLOPES[surrogate])
    np.testing.assert_allclose(found.d_params["W"], d_W, rtol=1e-12)
    np.testing.assert_allclose(found.d_carry["v"], d_v, rtol=1e-12)
    assert_within(found, by_oracle(cell, n), BOUND)


def test_a_clipped_cotangent_is_clipped_at_every_step_and_row() -> None:
    cell = GRADIENTS.Clipped(4)
    n = Numbers.draw(cell, STEPS, ROWS)
    U, h, after = n.params["U"], n.carry["h"], []
    for x in n.xs["x"]:
        h = np.tanh(h @ U.T + x)
        after.append(h)
    d_h, d_xs = n.d_carry["h"], []
    for h, d_y in zip(after[::-1], n.d_ys["h'"][::-1], strict=True):
        d_xs.append((d_h + d_y) * (1 - h * h))
        d_h = np.clip(d_xs[-1] @ U, -0.1, 0.2)
    found = by_program(Program(cell, "float64"), n)
    np.testing.assert_allclose(found.d_xs["x"], d_xs[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.d_carry["h"], d_h, rtol=1e-12)
    assert_within(found, by_oracle(cell, n), BOUND)


def test_bounds_known_when_it_runs_have_0_between_them() -> None:
    """A bound on the wrong side of 0 counts as 0; where nothing comes back, nothing is made."""
    cell = GRADIENTS.Bounded(4)
    n = Numbers.draw(cell, STEPS, ROWS)
    U, h, after = n.params["U"], n.carry["h"], []
    for x in n.xs["x"]:
        h = np.tanh(h @ U.T + x)
        after.append(h)
    low, high = 0.1 * n.xs["low"], 0.1 * n.xs["high"]
    for crossed in (low > 0, high < 0, low > high):
        assert crossed.any()
    d_h, d_xs = n.d_carry["h"], []
    for t in reversed(range(STEPS)):
        d_xs.append((d_h + n.d_ys["h'"][t]) * (1 - after[t] ** 2))
        d_h = np.clip(d_xs[-1] @ U, np.minimum(low[t], 0), np.maximum(high[t], 0))
    found = by_program(Program(cell, "float64"), n)
    np.testing.assert_allclose(found.d_xs["x"], d_xs[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.d_carry["h"], d_h, rtol=1e-12)
    assert_within(found, by_oracle(cell, n), BOUND)
    n = replace(n, d_ys={"h'": 0 * n.d_ys["h'"]}, d_carry={"h": 0 * n.d_carry["h"]})
    assert not any(d.any() for d in by_program(Program(cell, "float64"), n).d_xs.values())


def test_cutting_a_sequence_into_calls_clips_the_same() -> None:
    net = rnnc.Recur(rnnc.load(path_of("gradients")).Clipped(4), dtype="float64", seed=1)
    draws = np.random.default_rng(0)
    xs, d_ys = draws.standard_normal((2, 6, 2, 4))
    net.scan(xs)
    whole = net.backward(d_ys).inputs
    net.reset()
    for x in xs:
        net(x)
    np.testing.assert_allclose(net.backward(d_ys).inputs, whole, rtol=1e-12)


def test_the_value_goes_forward_and_the_derivative_back() -> None:
    cell = GRADIENTS.Quantised(4)
    n = Numbers.draw(cell, STEPS, ROWS)
    U, h, slopes = n.params["U"], n.carry["h"], []
    ys = []
    for x in n.xs["x"]:
        a = np.tanh(h @ U.T + x)
        slopes.append(1 - a * a)
        h = np.rint(3 * a) / 3
        ys.append(h)
    d_h, d_xs = n.d_carry["h"], []
    for x, slope, d_y in zip(n.xs["x"][::-1], slopes[::-1], n.d_ys["y"][::-1], strict=True):
        d_xs.append(d_h * slope + d_y * np.cos(x))
        d_h = (d_h * slope) @ U
    found = by_program(Program(cell, "float64"), n)
    np.testing.assert_array_equal(found.ys["y"], ys)  # not one bit of it is lost
    np.testing.assert_allclose(found.d_xs["x"], d_xs[::-1], rtol=1e-12)
    np.testing.assert_allclose(found.d_carry["h"], d_h, rtol=1e-12)


@pytest.mark.parametrize("name", names_of("gradients"))
def test_programs_of_tangents_and_second_derivatives_are_the_oracles(name: str) -> None:
    whole = tangent(cell_of(name))
    n = Numbers.draw(whole, STEPS, ROWS)
    assert_within(by_program(Program(whole, "float64"), n), by_oracle(whole, n), BOUND)


def test_a_tangent_is_not_clipped() -> None:
    cell = GRADIENTS.Clipped(3)
    plain = (
        path_of("gradients").read_text(encoding="utf-8").replace("clip_gradient(h, -0.1, 0.2)", "h")
    )
    whole, wanted = tangent(cell), tangent(loads(plain).Clipped(3))
    n = Numbers.draw(whole, STEPS, ROWS)
    for found, expected in zip(
        oracle.run(whole, n.params, n.carry, n.xs),
        oracle.run(wanted, n.params, n.carry, n.xs),
        strict=True,
    ):
        for key, value in expected.items():
            np.testing.assert_array_equal(found[key], value)


def test_what_only_a_derivative_reads_costs_no_program_anything() -> None:
    """The stand-in of a value that is rounded is never computed on the way forward."""
    source = "cell C(n): (h[n], x[n]) -> (h', h') { h' = straight_through(round(h + x), sin(h)) }"
    forward = compile_cell(loads(source).C(3), Goal(record=False)).forward.source
    assert "sin" not in forward
    assert "positive" not in forward
