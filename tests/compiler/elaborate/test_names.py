"""What is found without any size: warnings, words that are refused, and every branch."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.grammar.problems import Problems
from tests.compiler.elaborate.sources import codes, codes_of_body


def warnings(text: str) -> list[tuple[str, str]]:
    return [(found.code, found.span.text) for found in library.loads(text).warnings]


def test_a_name_that_hides_a_built_in_one_is_warned_of() -> None:
    text = (
        "fn norm(a) = abs(a)\ncell T(n): (t[n], x[n]) -> (t', y) {\nparam pi[n]\n"
        "step = pi * x + t\nt' = step\ny = norm(step)\n}"
    )
    assert warnings(text) == [("hides-builtin", name) for name in ("norm", "t", "pi", "step")]


def test_a_name_that_is_never_read_is_warned_of() -> None:
    text = (
        "import Dense from std\ncell T(n, k = 2, _spare = 3): (h[n], (x[n], z[])) -> (h', y) {\n"
        "param W[n], b[n]\nconst c[n] = ones\nuse layer = Dense(n, n)\na = W\n"
        "for l in 0..2 {\nd = x\n}\nh' = x\ny = 2 * x\n}"
    )
    unread = ["k", "z", "b", "c", "layer", "a", "d"]
    assert warnings(text) == [("unused-name", name) for name in unread]


def test_what_is_right_gets_no_warning() -> None:
    assert not library.std().warnings
    assert not library.std().check()


def test_branches_that_are_not_taken_are_checked_too() -> None:
    assert codes_of_body("if n > 9 {\na = tahn(x)\nh' = q\n} else {\nh' = h\n}\ny = 2 * x") == [
        "unknown-function", "unknown-name",
    ]  # fmt: skip


def test_a_word_of_steps_may_be_a_name_of_ones_own() -> None:
    text = (
        "fn delay(a, k) = k * a\ncell T(n): ((), (x[n], t[])) -> ((), y) {\n"
        "param solve[n]\ny = delay(solve * x, t)\n}"
    )
    assert not codes(text, 3)


@pytest.mark.parametrize(
    ("word", "hint"),
    [
        ("tahn(x)", "did you mean 'tanh'?"),
        ("TANH(x)", "did you mean 'tanh'?"),
        ("weigth * x", "did you mean 'weight'?"),
        ("h_new", "the new value of state 'h' is h'"),
        ("dot(x, h)", "write 'a @ b'"),
        ("zeros", "write the number 0: it fills any shape"),
        ("LSTM(x)", "'LSTM' is a standard cell"),
        ("batch * x", "batch and time are never written"),
    ],
)
def test_a_slip_gets_a_hint(word: str, hint: str) -> None:
    with pytest.raises(Problems) as caught:
        library.loads(
            f"cell T(n): (h[n], x[n]) -> (h', y) {{\nparam weight[n]\nh' = h + weight\n"
            f"y = {word}\n}}"
        )
    assert hint in str(caught.value)


@pytest.mark.parametrize(
    ("equation", "hint"),
    [
        ("V @ h", "did you mean 'V.T @ h'?"),
        ("V.T @ x", "did you mean 'V @ x'?"),
        ("x @ U", "did you mean 'x @ W'?"),
        ("R @ k", "did you mean 'einsum(\"abc,ac->ab\", R, k)'?"),
        ("tanh(W @ x + x)", "did you mean 'W @ x'?"),
        ("tanh(x + h)", None),
        ("max(x, h)", "'maximum(a, b)' compares two values"),
    ],
)
def test_a_product_that_would_fit_is_suggested(equation: str, hint: str | None) -> None:
    text = (
        "cell T(m, n): (h[n], x[m]) -> (h', y) {\n"
        "param W[n, m], U[n, n], V[n, m], R[2, n, n], k[2, n]\n"
        f"h' = W @ x + V @ x + U @ h + (R @ h)[0] + k[0]\ny = {equation}\n}}"
    )
    with pytest.raises(Problems) as caught:
        library.loads(text).T(3, 4)
    found = [text for problem in caught.value.problems for text in problem.hints]
    assert found == ([hint] if hint else ["did you mean 'W @ x'?"])
