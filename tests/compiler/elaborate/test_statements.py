"""Bindings, loops and choices mean what the language says."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.elaborate.sources import body, cell, codes, codes_of_body, run

X, H = np.array([1.0, -2.0, 3.0]), np.array([0.5, 0.25, -1.0])


def test_a_state_is_the_old_value_and_its_prime_the_new_one() -> None:
    found = run(body("h' = h + x\ny = h' - h"), h=H, x=X)
    np.testing.assert_array_equal(found["h'"], H + X)
    np.testing.assert_array_equal(found["y"], X)


def test_a_tensor_is_taken_apart_along_its_leading_axis() -> None:
    made = body(
        "a, (b), _ = concat(x[None], h[None], x[None])\n(c, h') = split(concat(a, b), 2)\ny = c"
    )
    found = run(made, h=H, x=X)
    np.testing.assert_array_equal(found["y"], X)
    np.testing.assert_array_equal(found["h'"], H)


def test_statements_may_share_a_line() -> None:
    found = run(body("a = x;  b = 2 * a;; h' = h\ny = b"), h=H, x=X)
    np.testing.assert_array_equal(found["y"], 2 * X)


def test_a_number_fills_a_state() -> None:
    found = run(body("h' = 2\ny = h' * x"), h=H, x=X)
    np.testing.assert_array_equal(found["h'"], np.full(3, 2.0))


def test_a_loop_carries_what_was_bound_before_it() -> None:
    equations = """
    s = x
    for l in 0..4 {
        before = s
        s = s + l * h
        kept = s - before
    }
    h' = h
    y = s
    """
    np.testing.assert_array_equal(run(body(equations), h=H, x=X)["y"], X + 6 * H)


def test_a_loop_in_a_loop_carries_through_both() -> None:
    equations = """
    s = x
    for i in 0..3 {
        for j in i..3 {
            s = s + (10 * i + j) * h
        }
    }
    h' = h
    y = s
    """
    total = sum(10 * i + j for i in range(3) for j in range(i, 3))
    np.testing.assert_allclose(run(body(equations), h=H, x=X)["y"], X + total * H)


def test_a_loop_without_statements_takes_no_time() -> None:
    assert not codes_of_body("for l in 0..1000000000 {\n}\nh' = h\ny = 2 * x")


def test_a_loop_without_iterations_does_nothing() -> None:
    found = run(body("s = x\nfor l in 2..2 {\ns = 0 * s\n}\nh' = h\ny = s"), h=H, x=X)
    np.testing.assert_array_equal(found["y"], X)


def test_two_loops_may_bind_the_same_names_within() -> None:
    loop = "for l in 0..2 {\nstep = l * x\ns = s + step\n}\n"
    equations = f"s = x\n{loop}{loop.replace('step', 'part')}h' = h\ny = s"
    np.testing.assert_array_equal(run(body(equations), h=H, x=X)["y"], 3 * X)


def test_a_loop_indexes_parameters_that_are_declared_outside() -> None:
    made = cell(
        "cell Deep(n, depth): ((), x[n]) -> ((), y) {\nparam W[depth, n, n]\ns = x\n"
        "for l in 0..depth {\ns = W[l] @ s\n}\ny = s\n}",
        3,
        2,
    )
    W = np.random.default_rng(0).normal(size=(2, 3, 3))
    np.testing.assert_allclose(run(made, W=W, x=X)["y"], W[1] @ W[0] @ X)


CHOICE = """
cell Test(n, depth = 1, gated = true): (h[n], x[n]) -> (h', y) {
    if depth > 2 and gated {
        param deep[n]
        a = deep * x
    } else if gated {
        param gate[n]
        a = gate * x
    } else {
        a = -x
    }
    h' = h
    y = a
}
"""


@pytest.mark.parametrize(
    ("depth", "gated", "declared"),
    [(3, True, ["deep"]), (1, True, ["gate"]), (3, False, [])],
)
def test_only_the_branch_that_is_taken_stands(depth: int, gated: bool, declared: list[str]) -> None:
    made = cell(CHOICE, 3, depth, gated=gated)
    assert [param.name for param in made.params] == declared
    found = run(made, h=H, x=X, **{name: np.full(3, 2.0) for name in declared})
    np.testing.assert_array_equal(found["y"], 2 * X if declared else -X)


def test_a_state_may_be_set_in_each_branch() -> None:
    text = "if n > 2 {\nh' = x\n} else {\nh' = h\n}\ny = h'"
    np.testing.assert_array_equal(run(body(text), h=H, x=X)["h'"], X)


def test_a_loop_may_hold_a_choice() -> None:
    equations = """
    s = x
    for l in 0..3 {
        if l == 1 {
            part = 10 * h
        } else {
            part = h
        }
        s = s + part
    }
    h' = h
    y = s
    """
    np.testing.assert_array_equal(run(body(equations), h=H, x=X)["y"], X + 12 * H)


@pytest.mark.parametrize(
    ("equations", "code"),
    [
        ("a = x\na = h\nh' = a\ny = a", "duplicate-name"),
        ("x = h\nh' = x\ny = h'", "duplicate-name"),
        ("h' = a\na = x\ny = a", "use-before-definition"),
        ("y = h'\nh' = x", "use-before-definition"),
        ("h' = x\nh' = h\ny = h'", "state-set-twice"),
        ("for l in 0..2 {\nh' = x\n}\ny = h'", "state-set-twice"),
        ("q' = x\nh' = h\ny = x", "not-a-state"),
        ("y = x", "state-not-set"),
        ("if n > 9 {\nh' = x\n}\ny = x", "state-not-set"),
        ("s = x\nfor l in 0..2 {\ns = s + 1\ns = 2 * s\n}\nh' = s\ny = s", "duplicate-name"),
        ("for l in 0..2 {\nx = 2 * x\n}\nh' = h\ny = 2 * x", "duplicate-name"),
        ("for l in 0..2 {\na = x\n}\nh' = a\ny = h'", "unknown-name"),
        ("for l in 0..2 {\nparam b[n]\n}\nh' = h\ny = 2 * x", "declared-in-loop"),
        ("if n > 9 {\na = x\n}\nh' = a\ny = 2 * x", "unknown-name"),
        ("if n > 2 {\na = x\n}\na = h\nh' = a\ny = a", "duplicate-name"),
        ("if n {\na = x\n}\nh' = h\ny = 2 * x", "kind-mismatch"),
        ("if x > 0 {\na = x\n}\nh' = h\ny = 2 * x", "not-constant"),
        ("for l in 0..x {\na = x\n}\nh' = h\ny = 2 * x", "not-constant"),
        ("for l in 0..n / 2 {\na = x\n}\nh' = h\ny = 2 * x", "bad-size"),
        ("a, b = x\nh' = h\ny = a", "tuple-mismatch"),
        ("a, (b, c) = concat(x[None], h[None])\nh' = h\ny = a", "tuple-mismatch"),
        ("h' = x[None]\ny = 2 * x", "shape-mismatch"),
        ("h' = x > 0\ny = 2 * x", "kind-mismatch"),
        ("a = x > 0\nh' = h\ny = a", "output-mismatch"),
        ("y = x + _\n_ = h\nh' = h", "unknown-name"),
        ("if n > 2 {\nh' = x\n}\nh' = h\ny = h'", "state-set-twice"),
        ("a, b = tanh\nh' = a\ny = b", "bad-argument"),
        ("h' = tanh\ny = 2 * x", "bad-argument"),
    ],
)
def test_what_breaks_a_rule_is_refused_once(equations: str, code: str) -> None:
    assert codes_of_body(equations) == [code]


def test_what_reads_a_bad_name_says_nothing() -> None:
    equations = (
        "a = x @ h[1:]\nb = a + 1\nfor l in 0..3 {\nb = b * a\n}\nc, d, e = b\nh' = c\ny = d"
    )
    assert codes_of_body(equations) == ["shape-mismatch"]


def test_a_bad_loop_or_choice_leaves_its_names_known() -> None:
    loop = "for l in 0..x {\nif l > 1 {\na = l\n}\ns = l * x\nh' = s\n}\ny = s"
    assert codes_of_body(f"s = x\n{loop}") == ["not-constant"]
    choice = "if x > 0 {\na, b = x\nh' = a\n} else {\na = x\nb = x\nh' = b\n}\ny = a + b"
    assert codes_of_body(choice) == ["not-constant"]
    declarations = "if x > 0 {\nparam b[n]\nfor k in 0..2 {\na = b\n}\n}\nh' = h\ny = x + b"
    assert codes_of_body(declarations) == ["not-constant"]


def test_mistakes_of_cells_are_told_together() -> None:
    one = "cell A(n): ((), x[n]) -> ((), y) {\ny = z\n}\n"
    assert codes(one + one.replace("A", "B").replace("z", "tahn(x)")) == [
        "unknown-name", "unknown-function",
    ]  # fmt: skip
