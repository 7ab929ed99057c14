"""Sizes and options: their kinds, their defaults, what Python may give for them."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.elaborate.hints import closest
from rnnc.compiler.library import CallError
from rnnc.grammar.problems import Problems
from tests.compiler.elaborate.sources import cell, codes

TEXT = """
fn twice(a) = 2 * a

# What it does.
cell Test(n, depth = 2, alpha = 0.9, flag = true, act = tanh, eps: float = 1,
          wide: size = 2 * n, low = -1.5, half = n / 2,
          rate: float = alpha, same = n, root = sqrt(n), power = n ^ 2): ((), x[n]) -> ((), y) {
    y = act(x)
}
"""


def test_kinds_follow_from_annotations_and_defaults() -> None:
    settings = library.loads(TEXT).Test.settings
    assert [(setting.name, setting.kind, setting.default) for setting in settings] == [
        ("n", "size", None), ("depth", "size", "2"), ("alpha", "float", "0.9"),
        ("flag", "bool", "true"), ("act", "function", "tanh"), ("eps", "float", "1"),
        ("wide", "size", "2 * n"), ("low", "float", "-1.5"), ("half", "size", "n / 2"),
        ("rate", "float", "alpha"), ("same", "size", "n"), ("root", "float", "sqrt(n)"),
        ("power", "float", "n ^ 2"),
    ]  # fmt: skip


def test_a_cell_remembers_what_was_bound() -> None:
    made = library.loads(TEXT).Test(6, alpha=0.5)
    assert made.settings == {
        "n": 6, "depth": 2, "alpha": 0.5, "flag": True, "act": "tanh", "eps": 1.0, "wide": 12,
        "low": -1.5, "half": 3, "rate": 0.5, "same": 6, "root": 6**0.5, "power": 36.0,
    }  # fmt: skip
    assert isinstance(made.settings["eps"], float) and made.documentation == "What it does."


def test_python_gives_integers_floats_truths_and_names_of_functions() -> None:
    template = library.loads(TEXT).Test
    made = template(np.int64(4), 3, np.float32(0.5), np.bool_(False), "twice", 1)
    assert list(made.settings.values())[:6] == [4, 3, 0.5, False, "twice", 1.0]
    assert type(made.settings["alpha"]) is float and type(made.settings["flag"]) is bool


@pytest.mark.parametrize(
    ("sizes", "settings", "message"),
    [
        ((), {}, "needs a value for 'n'"),
        ((4.0,), {}, "'n' is a size, a positive integer: this is the number 4.0"),
        ((0,), {}, "'n' must be at least 1: this is 0"),
        ((-3,), {}, "'n' must be at least 1: this is -3"),
        ((2**31,), {}, "'n' must be at most 2147483647: this is 2147483648"),
        ((True,), {}, "'n' is a size, a positive integer: this is true"),
        (("4",), {}, "'n' is a size, a positive integer: this is the string '4'"),
        ((None,), {}, "'n' cannot be a NoneType: this is None"),
        (([4],), {}, "'n' cannot be a list: this is [4]"),
        ((4,), {"alpha": "tanh"}, "'alpha' is a number: this is the string 'tanh'"),
        ((4,), {"alpha": True}, "'alpha' is a number: this is true"),
        ((4,), {"flag": 1}, "'flag' is true or false: this is the number 1"),
        ((4,), {"act": "tahn"}, "there is no function 'tahn'"),
        ((4,), {"act": "x" * 99}, "there is no function 'xxx"),
        (("x" * 99,), {}, "'n' is a size, a positive integer: this is a string"),
        ((4,), {"act": np.tanh}, "'act' cannot be a ufunc"),
        ((4,), {"apha": 1.0}, "has no size or option 'apha'"),
        ((4,), {"n": 4}, "'n' is given twice"),
        ((4,) * 14, {}, "takes 13 sizes and options, not 14"),
        ((3,), {}, "'n / 2' does not come out even: this is 3 / 2"),
    ],
)
def test_a_wrong_call_names_the_signature_and_the_mistake(
    sizes: tuple[object, ...], settings: dict[str, object], message: str
) -> None:
    template = library.loads(TEXT).Test
    with pytest.raises(CallError) as caught:
        template(*sizes, **settings)
    assert isinstance(caught.value, TypeError)
    assert str(caught.value).startswith("Test(n, depth = 2, alpha = 0.9,")
    assert message in str(caught.value)


def test_every_mistake_of_a_call_is_told_at_once() -> None:
    with pytest.raises(CallError) as caught:
        library.std().Dense(0, akt="relu")
    message = str(caught.value)
    assert "'inputs' must be at least 1" in message and "needs a value for 'outputs'" in message
    assert "did you mean 'act'?" in message


@pytest.mark.parametrize(
    ("header", "code"),
    [
        ("n, n", "duplicate-name"),
        ("n, x", "duplicate-name"),
        ("n, k = 0", "bad-size"),
        ("n, k: size = 1.5", "bad-size"),
        ("n, k: flot = 1.5", "bad-argument"),
        ("n, k: bool = 1", "bad-argument"),
        ("n, k: float = tanh", "bad-argument"),
        ("n, k: function = 2", "bad-argument"),
        ("n, k = m, m = 2", "unknown-name"),
        ("n, k = tahn", "unknown-name"),
    ],
)
def test_a_header_that_breaks_a_rule_is_refused(header: str, code: str) -> None:
    assert codes(f"cell Test({header}): ((), x[n]) -> ((), y) {{\ny = 2 * x\n}}", 3) == [code]


def test_what_does_not_come_out_even_is_told_once() -> None:
    text = """cell Test(n): (h[n], x[n]) -> (h', h') {
        param U[n / 2, n / 2], V[n / 2], W[n / 3]
        h' = h + x
    }"""
    with pytest.raises(Problems) as found:
        cell(text, 5)
    assert [each.headline for each in found.value.problems] == [
        "'n / 2' does not come out even", "'n / 3' does not come out even"
    ]  # fmt: skip


def test_a_word_is_no_default_and_a_name_that_is_far_is_not_meant() -> None:
    with pytest.raises(Problems) as found:
        cell("cell Test(n, per = sequence): ((), x[n]) -> ((), y) {\ny = x\n}", 3)
    (problem,) = found.value.problems
    assert problem.label == "this is the string 'sequence'"
    assert "truth value" in problem.hints[0]
    assert closest("foo", ["floor", "relu"]) is None
    assert closest("flor", ["floor", "relu"]) == "floor"
