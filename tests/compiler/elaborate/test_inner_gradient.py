"""`grad(expression, name)`: the gradient that differences of the expression show, anywhere."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.tangent import tangent
from rnnc.runtime.program import Program
from tests.compiler.elaborate.sources import body, codes_of_body, run, value
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import SIZES, cell_of, names_of, path_of
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

INNER = names_of("inner_gradients")
NUDGE = 1e-6
BOUND = Bound(1e-12, 1e-11)


def by_differences(expression: str, name: str, arrays: dict[str, Array]) -> Array:
    """The gradient of an expression by central differences, an element at a time."""
    found = np.zeros_like(arrays[name])
    for at in np.ndindex(found.shape):
        above, below = ({**arrays, name: arrays[name].copy()} for _ in range(2))
        above[name][at] += NUDGE
        below[name][at] -= NUDGE
        found[at] = (value(expression, above) - value(expression, below)) / (2 * NUDGE)
    return found


DRAWS = np.random.default_rng(0)
ARRAYS = {"v": DRAWS.normal(0, 1, 4), "w": DRAWS.normal(0, 1, 4), "m": DRAWS.normal(0, 1, (3, 4))}


@pytest.mark.parametrize("name", ["v", "w", "m"])
@pytest.mark.parametrize(
    "expression",
    [
        "sum(m @ (v * w))",
        "logsumexp(m @ v) + w @ v",
        "(v @ w) ^ 2 + sum(sum(tanh(m) * v - w))",
        "norm(m @ v + sum(sin(w))) + max(v * w)",
        "sum(softmax(m @ v + norm(w)) * (m @ w))",
        "sum(layer_norm(w) * cumsum(v)) / (1 + sum(sum(square(m))))",
    ],
)
def test_it_is_what_differences_show(expression: str, name: str) -> None:
    found = value(f"grad({expression}, {name})", ARRAYS)
    assert found.shape == ARRAYS[name].shape
    np.testing.assert_allclose(found, by_differences(expression, name, ARRAYS), atol=1e-8)


def test_it_is_with_respect_to_any_name_of_a_body() -> None:
    """A state, an input, a parameter, a value, a new state, a loop's value, an argument."""
    found = run(
        body(
            "param p[n]\n"
            "q  = 2 * x\n"
            "h' = h * q\n"
            "a  = q\n"
            "for i in 0..3 {\na = a * h\n}\n"
            "y  = grad(sum(h * x), h) + 10 * grad(sum(h * x), x) + 100 * grad(sum(p * h), p)\n"
            "z  = grad(sum(q * q), q) + 100 * grad(sum(h' * x), h') + 1000 * slope(h, x)\n"
            "u  = grad(sum(a * h), a)",
            "fn slope(b, c) { loss = sum(b * b * c); return grad(loss, b) }\n"
            "cell Test(n): (h[n], x[n]) -> (h', (y, z, u))",
        ),
        h=np.array([1.0, 2.0, 3.0]), x=np.array([0.5, 0.25, 2.0]), p=np.ones(3),
    )  # fmt: skip
    h, x = np.array([1.0, 2.0, 3.0]), np.array([0.5, 0.25, 2.0])
    np.testing.assert_array_equal(found["y"], x + 10 * h + 100 * h)
    np.testing.assert_array_equal(found["z"], 4 * x + 100 * x + 2000 * h * x)
    np.testing.assert_array_equal(found["u"], h)


def test_it_obeys_what_the_expression_says_of_derivatives() -> None:
    v = np.array([-1.0, 0.1, 2.0])
    for expression, wanted in {
        "sum(stop_gradient(v) * v)": v,
        "sum(step(v, surrogate=triangle))": 0.3 * np.maximum(0, 1 - np.abs(v)),
        "sum(5 * clip_gradient(v, -1, 1))": np.ones(3),
        "sum(straight_through(round(v), v * v))": 2 * v,
    }.items():
        np.testing.assert_allclose(value(f"grad({expression}, v)", {"v": v}), wanted, rtol=1e-15)


def test_it_is_differentiated_again() -> None:
    v, w = np.array([0.3, -1.2]), np.array([2.0, 0.5])
    found = value("grad(sum(w * grad(sum(v ^ 3) * sum(v), v)), v)", {"v": v, "w": w})
    hessian = np.diag(6 * v * v.sum()) + np.add.outer(3 * v**2, 3 * v**2)
    np.testing.assert_allclose(found, hessian @ w, rtol=1e-14)


@pytest.mark.parametrize("name", INNER)
def test_programs_give_what_the_oracle_gives(name: str) -> None:
    """Values, and gradients of gradients, of which central differences are the measure below."""
    cell = cell_of(name)
    n = Numbers.draw(cell, steps=4, rows=3)
    assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), BOUND)


@pytest.mark.parametrize("name", INNER)
def test_gradients_of_cells_are_central_differences(name: str) -> None:
    cell = cell_of(name)
    n, program = Numbers.draw(cell, steps=3, rows=2), Program(cell, "float64")
    found, draws = by_program(program, n), np.random.default_rng(1)
    slope, moved = 0.0, []
    along = {
        group: {key: draws.standard_normal(array.shape) for key, array in arrays.items()}
        for group, arrays in (("params", n.params), ("carry", n.carry), ("xs", n.xs))
    }
    for group, d in (("params", found.d_params), ("carry", found.d_carry), ("xs", found.d_xs)):
        slope += sum(float(np.sum(d[key] * way)) for key, way in along[group].items())
    for step in (NUDGE, -NUDGE):
        given = {
            group: {key: v + step * along[group][key] for key, v in getattr(n, group).items()}
            for group in along
        }
        there = by_program(program, replace(n, **given))
        moved.append(
            sum(float(np.sum(there.ys[key] * d)) for key, d in n.d_ys.items())
            + sum(float(np.sum(there.carry[key] * d)) for key, d in n.d_carry.items())
        )
    assert slope == pytest.approx((moved[0] - moved[1]) / (2 * NUDGE), rel=1e-6)


@pytest.mark.parametrize("name", INNER)
def test_tangents_of_it_are_the_oracles_too(name: str) -> None:
    cell = tangent(cell_of(name))
    n = Numbers.draw(cell, steps=3, rows=2)
    assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), BOUND)


EXPLICIT = {
    "TTTLinear": ("grad(loss, S)", "outer(S @ k - Wv @ x, k)"),
    "Titans": ("grad(loss, S)", "outer(k, S.T @ k - Wv @ x)"),
    "ByParameter": (
        "grad(energy, W)",
        "outer(2 * (tanh(W @ h) - x) * (1 - square(tanh(W @ h))), h)",
    ),
    "Flow": ("grad(along, h)", "3 * square(h) * x + (J + J.T) @ x"),
}


@pytest.mark.parametrize("name", EXPLICIT)
def test_it_equals_the_gradient_written_out(name: str) -> None:
    source = path_of("inner_gradients").read_text(encoding="utf-8")
    assert source.count(EXPLICIT[name][0]) >= 1
    cell, written = cell_of(name), loads(source.replace(*EXPLICIT[name]))[name]
    n = Numbers.draw(cell, steps=4, rows=3)
    wanted = by_oracle(written(*SIZES.get(name, (4,))), n)
    assert_within(by_program(Program(cell, "float64"), n), wanted, BOUND)


def test_a_memory_that_learns_by_gradient_is_linear_in_what_it_holds() -> None:
    """The class is read off the derivative as off any other equation."""
    assert str(Program(cell_of("Titans"), "float64").recurrence) == "LIN-STRUCT, 0 serial products"


def test_gradients_of_gradients_are_counted() -> None:
    deep = "a = sum(h * h * h * h)\nfor i in 0..12 {\na = sum(grad(a, h) * tanh(a * h))\n}\n"
    assert codes_of_body(deep + "h' = h + a\ny = x") == ["unrolled-too-large"]
