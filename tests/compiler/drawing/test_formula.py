"""IR as formulas: as few brackets as the language needs, and never too long."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.drawing.formula import LONGEST, Formulas
from rnnc.compiler.ir import toposort


def formula(expression: str) -> str:
    head = "cell C(): ((), (a[3], b[3], x[3])) -> ((), y)"
    cell = library.loads(f"{head} {{ param W[3, 3], V[2, 3, 3]\n y = {expression} }}").C()
    (y,) = cell.outputs
    formulas = Formulas()
    for node in toposort([y.node]):
        found = formulas.of(node)
    return found.text


@pytest.mark.parametrize(
    "text",
    [
        "a + b * x", "(a + b) * x", "a - (b - x)", "a - b - x", "a / (b * x)", "W @ x + b",
        "W @ (a + b)", "a * W @ x", "(a + b) ^ x", "-a * b", "tanh(a + b)", "where(a > b, a, x)",
        "maximum(a, b)", "x @ W", "a * 0.5", "a + -1", "1 - a",
    ],
)  # fmt: skip
def test_what_the_language_says_comes_out_as_it_went_in(text: str) -> None:
    assert formula(text) == text


@pytest.mark.parametrize(
    ("text", "shown"),
    [("a * a", "a^2"), ("-(a + b)", "-(a + b)"), ("(V @ x)[1]", "(V @ x)[1]"),
     ("sum(a * b)", "sum(a * b)"), ("reshape(a, [3, 1])", "a")],
)  # fmt: skip
def test_what_only_makes_shapes_fit_is_left_out(text: str, shown: str) -> None:
    head = "cell C(): ((), (a[3], b[3], x[3])) -> ((), y)"
    cell = library.loads(f"{head} {{ param V[2, 3, 3]\n y = {text} }}").C()
    formulas = Formulas()
    for node in toposort([cell.outputs[0].node]):
        found = formulas.of(node)
    assert found.text == shown


def test_a_long_formula_is_cut() -> None:
    assert (
        formula("tanh(concat(" + ", ".join(["a * b"] * 40) + ")[:3])") == "tanh(concat(...)[0:3])"
    )
    assert len(formula(" + ".join(["a * x"] * 3000))) <= LONGEST
