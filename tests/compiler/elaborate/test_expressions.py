"""Operators, products, indexing: their values, their shapes, and how tightly they bind."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.ir import toposort
from tests.compiler.elaborate.sources import body, cell, codes_of_body, run, value

DRAWS = np.random.default_rng(1)
A: dict[str, Any] = {
    "v": DRAWS.uniform(0.5, 2.0, 4),
    "u": DRAWS.normal(size=3),
    "m": DRAWS.normal(size=(3, 4)),
    "k": DRAWS.normal(size=(4, 2)),
    "q": DRAWS.normal(size=(3, 3)),
    "c": DRAWS.normal(size=(2, 3, 4)),
    "d": DRAWS.normal(size=(2, 4, 5)),
    "e": DRAWS.normal(size=(2, 2, 3)),
    "s": np.array(1.7),
    "i": np.array(2),
}

CASES: dict[str, Callable[..., Any]] = {
    # how tightly operators bind
    "s * m @ v": lambda s, m, v, **_: s * (m @ v),
    "u * m @ v": lambda u, m, v, **_: u * (m @ v),
    "-m @ -v": lambda m, v, **_: m @ v,
    "-v ^ 2": lambda v, **_: -(v**2),
    "v ^ -1": lambda v, **_: 1 / v,
    "v ^ 2 ^ 0.5": lambda v, **_: v ** (2**0.5),
    "v - v - 1": lambda v, **_: np.full(4, -1.0),
    "v / 2 / s * 3": lambda v, s, **_: v / 2 / s * 3,
    "7 - 2 * v % 3": lambda v, **_: 7 - (2 * v) % 3,
    "where(v > 1 and not v > s or v < 0.1, 1, 2)": lambda v, s, **_: np.where(
        (v > 1) & ~(v > s), 1.0, 2.0
    ),
    "where(v == v and v != s and v >= v and v <= v, v, 0)": lambda v, **_: v,
    # broadcasting
    "m + v": lambda m, v, **_: m + v,
    "m * u[:, None]": lambda m, u, **_: m * u[:, None],
    "u[:, None] + v": lambda u, v, **_: u[:, None] + v,
    "c - m": lambda c, m, **_: c - m,
    "s + c": lambda s, c, **_: s + c,
    # products
    "m @ v": lambda m, v, **_: m @ v,
    "u @ m": lambda u, m, **_: u @ m,
    "v @ v": lambda v, **_: v @ v,
    "m @ k": lambda m, k, **_: m @ k,
    "c @ v": lambda c, v, **_: c @ v,
    "u @ c": lambda u, c, **_: u @ c,
    "c @ k": lambda c, k, **_: c @ k,
    "c @ d": lambda c, d, **_: c @ d,
    "q.T @ m @ v": lambda q, m, v, **_: q.T @ m @ v,
    "c.T": lambda c, **_: np.swapaxes(c, -1, -2),
    # einsum
    'einsum("ij,j->i", m, v)': lambda m, v, **_: m @ v,
    'einsum("zij , zj -> zi", c, d[:, :, 0])': lambda c, d, **_: np.einsum(
        "zij,zj->zi", c, d[:, :, 0]
    ),
    'einsum("ij->ji", m)': lambda m, **_: m.T,
    'einsum("ij->", m)': lambda m, **_: m.sum(),
    'einsum("ij->j", m)': lambda m, **_: m.sum(0),
    'einsum("ii->i", q)': lambda q, **_: np.diagonal(q),
    'einsum("ii->", q)': lambda q, **_: np.trace(q),
    'einsum("aab->ab", e)': lambda e, **_: np.einsum("aab->ab", e),
    'einsum("aab->b", e)': lambda e, **_: np.einsum("aab->b", e),
    'einsum("baa->ab", e.T.T[:, :, 0:2])': lambda e, **_: np.einsum("baa->ab", e[:, :, 0:2]),
    'einsum("ij,k->j", m, u)': lambda m, u, **_: np.einsum("ij,k->j", m, u),
    'einsum("ij,ij->", m, m)': lambda m, **_: (m * m).sum(),
    'einsum("i,i,i->i", v, v, v)': lambda v, **_: v**3,
    'einsum("i,ij,j->", u, m, v)': lambda u, m, v, **_: u @ m @ v,
    'einsum("aij,jk,l->lka", c, k, u)': lambda c, k, u, **_: np.einsum("aij,jk,l->lka", c, k, u),
    'einsum("ii,ii->i", q, q)': lambda q, **_: np.diagonal(q) ** 2,
    'einsum(",i->i", s, v)': lambda s, v, **_: s * v,
    'einsum("i,j->ji", u, v)': lambda u, v, **_: np.outer(v, u),
    # indexing
    "m[1]": lambda m, **_: m[1],
    "m[-1, -2]": lambda m, **_: m[-1, -2],
    "m[1:]": lambda m, **_: m[1:],
    "m[:, 1:3]": lambda m, **_: m[:, 1:3],
    "m[:-1, None, 2]": lambda m, **_: m[:-1, None, 2],
    "c[0][1:, 0]": lambda c, **_: c[0][1:, 0],
    "c[:, 1]": lambda c, **_: c[:, 1],
    "s[None, None]": lambda s, **_: s[None, None],
    "v[4:]": lambda v, **_: v[4:],
    "c[1:2, None, :, 3]": lambda c, **_: c[1:2, None, :, 3],
    "m[i]": lambda m, i, **_: m[i],
    "m[:, i]": lambda m, i, **_: m[:, i],
    "c[1, i, 1:]": lambda c, i, **_: c[1, i, 1:],
    "c[:, i, None, -1]": lambda c, i, **_: c[:, i, None, -1],
}


@pytest.mark.parametrize("expression", CASES)
def test_an_expression_is_what_numpy_makes_of_it(expression: str) -> None:
    words = set("".join(sign if sign.isalnum() else " " for sign in expression).split())
    expected = np.asarray(CASES[expression](**A), float)
    found = value(expression, {name: array for name, array in A.items() if name in words})
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-13)


def test_einsum_letters_are_named_in_order_of_appearance() -> None:
    made = cell(
        "cell Test(n): (h[n], x[n]) -> (h', y) {\n"
        'param W[n, n]\nh\' = einsum("zx,x->z", W, h)\ny = W @ h\n}',
        3,
    )
    assert made.states[0].new is made.outputs[0].node
    assert made.states[0].new.attr == ("ab,b->a", "")


def test_sizes_and_options_stay_numbers_until_they_meet_a_tensor() -> None:
    text = (
        "cell Test(n, k = 2, rate = 0.5, deep = true): ((), x[n]) -> ((), (a, b, c)) {\n"
        "half = n / k\n"
        "broken = n / (k + 2)\n"
        "a = reshape(x, [k, half]) * rate\n"
        "b = broken * x\n"
        "c = where(deep != false and half == 3, x, 0)\n}"
    )
    made = cell(text, 6)
    found = run(made, x=np.arange(6.0))
    np.testing.assert_array_equal(found["a"], np.arange(6.0).reshape(2, 3) / 2)
    np.testing.assert_array_equal(found["b"], 1.5 * np.arange(6.0))
    np.testing.assert_array_equal(found["c"], np.arange(6.0))
    ops = {node.op.name for output in made.outputs for node in toposort([output.node])}
    assert not ops & {"div", "add", "eq"}


def test_integers_stay_exact_and_never_grow_without_bound() -> None:
    equations = "a0 = 3\n" + "".join(f"a{i + 1} = a{i} * a{i}\n" for i in range(60))
    made = body(f"{equations}h' = h\ny = x / a60 + 7 % 4 + 2 ^ 3 ^ 2 + x / 9 ^ 9 ^ 9 ^ 9")
    np.testing.assert_array_equal(run(made, x=np.ones(3), h=np.ones(3))["y"], np.full(3, 515.0))


def test_operands_of_one_shape_need_no_broadcast() -> None:
    made = body("h' = x + h\ny = 2 * x - h")
    ops = {node.op.name for node in toposort([made.states[0].new, made.outputs[0].node])}
    assert ops == {"input", "carry", "const", "add", "mul", "sub"}


def test_shapes_print_with_the_names_of_sizes() -> None:
    made = body("param W[2 * n, n]\nh' = (1 - h) * x\ny = tanh(W @ x)[None]")
    assert str(made.states[0].new.type) == "real[B,n]"
    assert str(made.outputs[0].node.type) == "real[B,1,2*n]"


@pytest.mark.parametrize(
    ("part", "size"),
    [("1:", "n-1"), (":-1", "n-1"), ("1:-1", "n-1-1"), ("-2:", "2"), ("-3:-1", "2"), ("n:", "0")],
)
def test_a_part_of_an_axis_is_named_by_how_it_was_taken(part: str, size: str) -> None:
    made = body(f"h' = h\ny = tanh(x[{part}])")
    assert str(made.outputs[0].node.type) == f"real[B,{size}]"


def test_nodes_carry_the_names_and_places_of_the_source() -> None:
    made = body("gate = sigmoid(x)\nh' = gate * h\ny = gate")
    gate = made.outputs[0].node
    assert gate.label == "gate" and made.states[0].new.label == "h'"
    assert gate.span is not None and gate.span.text == "sigmoid(x)"


def test_nodes_of_built_in_functions_stand_where_they_are_called() -> None:
    made = body("h' = h\ny = softmax(2 * x)")
    nodes = toposort([made.outputs[0].node])
    places = {node.span.text for node in nodes if node.span and node.args}
    assert places == {"2 * x", "softmax(2 * x)"}
    assert {node.label for node in nodes} == {"x", "y", None}


def test_what_other_cells_share_has_no_place_and_no_name() -> None:
    made = body("unit = eye(n)\nh' = unit @ h\ny = 2 * x")
    for node in toposort([made.states[0].new]):
        if not node.type.axes:
            assert node.span is None and node.label is None


@pytest.mark.parametrize(
    ("equation", "code"),
    [
        ("y = x + a", "unknown-name"),
        ("y = (x > 0) + x", "kind-mismatch"),
        ("y = x[3]", "index-out-of-range"),
        ("y = x[2:1]", "index-out-of-range"),
        ("y = x[0, 0]", "bad-index"),
        ("y = x @ n", "rank-mismatch"),
        ("y = x.T", "rank-mismatch"),
        ("y = x / (n - 3) + 1 / 0", "bad-argument"),
        ("y = tanh", "bad-argument"),
        ("y = sum(x, axis=1)", "bad-axis"),
        ("y = split(x, 2)", "shape-mismatch"),
        ("y = concat()", "bad-argument"),
        ("y = where(x > 0, tanh, 0)", "bad-argument"),
        ("y = tanh[0]", "bad-argument"),
        ("y = x * (0 - 1) ^ 0.5", "bad-argument"),
        ("y = x / 0 ^ -1", "bad-argument"),
        ("y = mean(x[3:])", "bad-size"),
        ("y = softmax(x[3:])[0] + x", "bad-size"),
        ("y = max(x, h, x, x)", "wrong-argument-count"),
    ],
)
def test_what_fits_not_is_refused(equation: str, code: str) -> None:
    found = codes_of_body(f"{equation}\nh' = h")
    assert code in found and set(found) == {code}


def test_one_run_tells_every_mistake_of_a_line_and_no_more() -> None:
    equations = "a = (x @ h[0:2]) + tanh(x, h) + x[7] * sum(x, axis=3)\nh' = a + h\ny = 2 * a"
    assert codes_of_body(equations) == [
        "shape-mismatch", "wrong-argument-count", "index-out-of-range", "bad-axis",
    ]  # fmt: skip
