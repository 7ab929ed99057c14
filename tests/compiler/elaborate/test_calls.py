"""`fn`: inlined, of any shape, in a scope of its own; functions as options."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.grammar.problems import Problems
from tests.compiler.elaborate.sources import body, cell, codes, run, value

X = np.array([1.0, -2.0, 3.0])


def test_a_function_takes_any_shape_and_numbers() -> None:
    twice = "fn twice(a) = a + a"
    np.testing.assert_array_equal(value("twice(x) * twice(2)", {"x": X}, twice), 8 * X)
    np.testing.assert_array_equal(
        value("twice(m)", {"m": np.outer(X, X)}, twice), 2 * np.outer(X, X)
    )


def test_a_function_may_have_bindings_loops_and_choices() -> None:
    functions = """
    fn power(a, k) {
        result = 1
        for i in 0..k {
            result = result * a
        }
        if k > 2 {
            scale = 10
        } else {
            scale = 1
        }
        return scale * result
    }
    """
    np.testing.assert_allclose(value("power(x, 3)", {"x": X}, functions), 10 * X**3)
    np.testing.assert_allclose(value("power(x, 2)", {"x": X}, functions), X**2)


def test_a_function_sees_its_arguments_and_its_file_only() -> None:
    functions = "fn helper(a) = 10 * a\nfn outer_one(b) = helper(b) + x"
    found = codes(f"{functions}\ncell Test(): ((), x[3]) -> ((), y) {{\ny = outer_one(x)\n}}")
    assert found == ["unknown-name"]
    functions = "fn scaled(a) {\ns = 10 * a\nreturn s\n}"
    made = cell(f"{functions}\ncell Test(): ((), x[3]) -> ((), y) {{\ns = 1\ny = scaled(x) + s\n}}")
    np.testing.assert_array_equal(run(made, x=X)["y"], 10 * X + 1)


def test_arguments_may_be_named() -> None:
    functions = "fn affine(a, scale, shift) = scale * a + shift"
    found = value("affine(x, shift=1, scale=2)", {"x": X}, functions)
    np.testing.assert_array_equal(found, 2 * X + 1)


def test_a_function_may_take_a_function() -> None:
    functions = "fn both(f, g, a) = f(a) + g(a)\nfn twice(a) = 2 * a"
    found = value("both(twice, abs, x)", {"x": X}, functions)
    np.testing.assert_array_equal(found, 2 * X + np.abs(X))


def test_a_function_of_ones_own_hides_a_built_in_one_everywhere_but_there() -> None:
    functions = "fn square(a) = a + 1"
    np.testing.assert_array_equal(value("square(x)", {"x": X}, functions), X + 1)
    np.testing.assert_allclose(value("norm(x)", {"x": X}, functions), np.linalg.norm(X))


OPTION = """
fn twice(a) = 2 * a
cell Test(n, act = tanh): ((), x[n]) -> ((), y) {
    y = act(x)
}
cell Outer(n): ((), x[n]) -> ((), y) {
    use inner = Test(n, act = twice)
    use other = Test(n, relu)
    y = inner(x) + other(x)
}
"""


def test_an_option_may_be_a_function() -> None:
    cells = library.loads(OPTION)
    np.testing.assert_allclose(run(cells.Test(3), x=X)["y"], np.tanh(X))
    np.testing.assert_array_equal(run(cells.Test(3, "relu"), x=X)["y"], np.maximum(X, 0))
    np.testing.assert_array_equal(run(cells.Test(3, act="twice"), x=X)["y"], 2 * X)
    np.testing.assert_array_equal(run(cells.Outer(3), x=X)["y"], 2 * X + np.maximum(X, 0))
    assert cells.Test(3, act="twice").settings == {"n": 3, "act": "twice"}


@pytest.mark.parametrize(
    ("functions", "expression", "code"),
    [
        ("fn f(a) = f(a)", "f(x)", "recursive-function"),
        ("fn f(a) = g(a)\nfn g(a) = f(a)", "g(x)", "recursive-function"),
        ("fn w(f, a) = f(f, a)", "w(w, x)", "recursive-function"),
        ("fn f(a, b) = a + b", "f(x)", "wrong-argument-count"),
        ("fn f(a, b) = a + b", "f(x, x, x)", "wrong-argument-count"),
        ("fn f(a, b) = a + b", "f(x, c=x)", "unknown-option"),
        ("fn f(a, b) = a + b", "f(x, a=x)", "wrong-argument-count"),
        ("fn f(a, a) = a", "f(x, x)", "duplicate-name"),
        ("fn f(a) = a'", "f(x)", "not-a-state"),
        ("fn f(a) = a", "f(f)", "bad-argument"),
        ("fn f(a) = a\nfn f(b) = b", "f(x)", "duplicate-name"),
        ("fn unused(a) = a + z", "x + 0", "unknown-name"),
    ],
)
def test_what_breaks_a_rule_is_refused_once(functions: str, expression: str, code: str) -> None:
    text = f"{functions}\ncell Test(): ((), x[3]) -> ((), y) {{\ny = {expression}\n}}"
    assert codes(text) == [code]


def test_a_problem_within_a_function_tells_who_called_it() -> None:
    text = "fn add(a, b) = a + b\ncell Test(n): (h[n], x[n]) -> (h', y) {\nh' = h\ny = {}\n}"
    with pytest.raises(Problems) as caught:
        cell(text.replace("{}", "add(x, h[1:])"), 3)
    message = str(caught.value)
    assert "in this call of 'add'" in message and "fn add(a, b) = a + b" in message


def test_the_source_of_a_built_in_function_is_never_shown() -> None:
    with pytest.raises(Problems) as caught:
        body("h' = h\ny = clamp(x, 0, h[1:])")
    (problem,) = caught.value.problems
    assert problem.code == "shape-mismatch" and problem.span.text == "clamp(x, 0, h[1:])"
    assert "prelude" not in str(problem)
