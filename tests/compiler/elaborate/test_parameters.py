"""`param`, `const` and initial states: how tensors start."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.oracle import evaluate
from tests.compiler.elaborate.sources import body, cell, codes_of_body


def test_a_parameter_starts_as_its_rank_says_unless_told() -> None:
    made = body(
        "param W[n, n], U[2, n, n] = orthogonal\nparam b[n], s[]\nh' = W @ x + U[0] @ h + b + s\n"
        "y = 2 * h"
    )
    assert [(param.name, param.init.name, param.trained) for param in made.params] == [
        ("W", "glorot_uniform", True),
        ("U", "orthogonal", True),
        ("b", "zeros", True),
        ("s", "zeros", True),
    ]
    assert all(not param.node.type.axes for param in made.params)


INITIALISERS = {
    "zeros": (), "ones": (), "constant(0.5)": (0.5,), "uniform(-1 / n, 1 / n)": (-1 / 3, 1 / 3),
    "normal(1 / sqrt(n))": (3**-0.5,), "glorot_uniform": (), "glorot_normal": (),
    "lecun_normal": (), "he_normal": (), "orthogonal": (), "identity": (), "block_identity": (),
    "torch_default": (), "hippo_legs": (), "log_range(0.001, 0.1)": (0.001, 0.1),
    "linspace(1, n)": (1.0, 3.0),
}  # fmt: skip


@pytest.mark.parametrize("initial", INITIALISERS)
def test_every_initialiser_is_kept_by_name_with_its_numbers(initial: str) -> None:
    made = body(f"param W[n, n] = {initial}\nh' = W @ x + h\ny = 2 * h")
    init = made.params[0].init
    assert init.name == initial.partition("(")[0]
    assert init.args == pytest.approx(INITIALISERS[initial]) and init.value is None


def test_a_parameter_may_start_as_an_expression_of_sizes_and_options() -> None:
    made = cell(
        "cell Test(n, rate = 0.5): (h[n], x[n]) -> (h', y) {\n"
        "param A[n, n] = rate * eye(n) - tril(broadcast(1, [n, n]))\n"
        "param b[2, n] = 1 / n\nconst c[n, n] = eye(n)[0]\n"
        "h' = A @ h + b[0] + c @ x\ny = 2 * h\n}",
        3,
    )
    A, b, c = made.params
    assert A.init.name == c.init.name == "expr"
    assert A.init.value is not None and c.init.value is not None
    found = evaluate([A.init.value, c.init.value], {})
    np.testing.assert_array_equal(found[A.init.value], 0.5 * np.eye(3) - np.tril(np.ones((3, 3))))
    np.testing.assert_array_equal(found[c.init.value], np.tile([1.0, 0, 0], (3, 1)))
    assert (b.init.name, b.init.args) == ("constant", (1 / 3,))
    assert [param.trained for param in made.params] == [True, True, False]


def test_a_state_starts_as_zeros_unless_told() -> None:
    made = cell(
        "cell Test(n, low = -2.5): ((a[n], b[n] = b0, c[n] = low, d[n] = -inf, "
        "e[2, n] = exp(b0) * k), x[n]) -> ((a', b', c', d', e'), x2) {\n"
        "param b0[n]\nconst k[] = 3\n"
        "a' = a; b' = b; c' = c; d' = d; e' = e\nx2 = 2 * x\n}",
        3,
    )
    values = {param.node: np.arange(3.0) if param.name == "b0" else np.array(3.0)
              for param in made.params}  # fmt: skip
    initial = {state.name: state.initial for state in made.states}
    found = evaluate(list(initial.values()), values)
    expected = {
        "a": np.zeros(3),
        "b": np.arange(3.0),
        "c": np.full(3, -2.5),
        "d": np.full(3, -np.inf),
        "e": np.tile(3 * np.exp(np.arange(3.0)), (2, 1)),
    }
    for name, value in expected.items():
        np.testing.assert_allclose(found[initial[name]], value, err_msg=name)
        assert not initial[name].type.axes


@pytest.mark.parametrize(
    "declaration",
    [
        "param W[n, n] = gaussian", "param W[n, n] = normal", "param W[n, n] = normal(1, 2)",
        "param W[n, n] = zeros(1)", "param W[n] = orthogonal", "param W[1, n] = hippo_legs",
        "param W[n] = tanh", "param W[n, n] = eye(n) > 0",
        "param W[n] = normal(std=1)", "param W[n] = uniform(2, -2)", "param W[n] = normal(-1)",
        "param W[n] = log_range(0, 1)", "param W[n] = log_range(1, -1)",
        "param W[n] = normal(inf)", "param W[n] = linspace(0, inf)",
    ],
)  # fmt: skip
def test_an_initialiser_that_fits_not_is_refused(declaration: str) -> None:
    equations = f"{declaration}\nh' = h + sum(W, axis=0, keepdims=true)[0]\ny = 2 * x"
    assert codes_of_body(equations) == ["bad-initialiser"]


@pytest.mark.parametrize(
    ("declaration", "code"),
    [
        ("param W[n] = x", "not-constant"),
        ("param a[n]\nparam W[n] = a", "not-constant"),
        ("param W[n] = uniform(0, sum(x))", "not-constant"),
        ("param W[n] = eye(n)", "shape-mismatch"),
        ("param W[sum(x)]", "not-constant"),
        ("param W[0.5]", "bad-size"),
        ("param W[n - 3]", "bad-size"),
        ("param W[100000, 100000]", "bad-size"),
    ],
)
def test_a_declaration_that_fits_not_is_refused(declaration: str, code: str) -> None:
    equations = f"{declaration}\nh' = h + norm(norm(W, axis=0, keepdims=true))\ny = 2 * x"
    assert codes_of_body(equations) == [code]


@pytest.mark.parametrize(
    ("initial", "code"),
    [
        ("x", "bad-initialiser"), ("2 * h", "bad-initialiser"), ("zeros", "bad-initialiser"),
        ("W", "shape-mismatch"), ("missing", "unknown-name"), ("1 > 0", "kind-mismatch"),
    ],
)  # fmt: skip
def test_an_initial_state_that_fits_not_is_refused(initial: str, code: str) -> None:
    signature = f"cell Test(n): (h[n] = {initial}, x[n]) -> (h', y)"
    assert codes_of_body("param W[n, n]\nh' = W @ h\ny = 2 * x", signature) == [code]
