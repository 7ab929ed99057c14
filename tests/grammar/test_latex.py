"""Equations as LaTeX: what each form of the language becomes, and that TeX's grammar takes it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from rnnc.grammar import parse, std, std_names, syntax
from rnnc.grammar.latex import aligned, equations
from rnnc.grammar.latex_names import escaped, number, symbol

BODY = "cell C(n, gain: float = 2.0, act = tanh, bias = true): ((h[n], s[n, n]), (x[n], dt[])) -> ((h', s'), h') {{ param W[n, n], b[n], scale[]\n {} }}"  # noqa: E501


def lines(body: str, settings: Mapping[str, Any] | None = None) -> list[str]:
    (declaration,) = parse(BODY.format(body)).declarations
    assert isinstance(declaration, syntax.CellDeclaration)
    return equations(declaration, settings)


def right(expression: str) -> str:
    (line,) = lines(f"y = {expression}")
    return line.removeprefix("y_{t} &= ")


@pytest.mark.parametrize(
    ("source", "shown"),
    [
        ("W @ x + b", "W\\, x_{t} + b"),
        ("W @ h", "W\\, h_{t-1}"),
        ("W @ h'", "W\\, h_{t}"),
        ("t * x", "t\\, x_{t}"),
        ("delay(x, 2)", "x_{t-2}"),
        ("where(training, x, h)", "\\begin{cases} x_{t} & \\text{if } \\mathrm{training} \\\\ "
         "h_{t-1} & \\text{else} \\end{cases}"),
        ("dropout(x, 0.5, per=sequence)", "\\operatorname{dropout}(x_{t}, 0.5, \\mathrm{per} = "
         "\\mathrm{sequence})"),
        ("delay(h, 2)", "h_{t-3}"),
        ("delay(h', 1)", "h_{t-1}"),
        ("delay(x + h, 1)", "\\operatorname{delay}(x_{t} + h_{t-1}, 1)"),
        ("h * x", "h_{t-1} \\odot x_{t}"),
        ("(1 - h) * x", "\\left(1 - h_{t-1}\\right) \\odot x_{t}"),
        ("0.5 * x", "0.5\\, x_{t}"),
        ("x * 2", "x_{t} \\cdot 2"),
        ("dt * x", "\\mathrm{dt}_{t}\\, x_{t}"),
        ("scale * x", "\\mathrm{scale}\\, x_{t}"),
        ("x / (1 + x)", "\\frac{x_{t}}{1 + x_{t}}"),
        ("x ^ 2 ^ x", "x_{t}^{2^{x_{t}}}"),
        ("(x + h) ^ 2", "\\left(x_{t} + h_{t-1}\\right)^{2}"),
        ("x - (h - x)", "x_{t} - \\left(h_{t-1} - x_{t}\\right)"),
        ("-x @ h", "-x_{t}\\, h_{t-1}"),
        ("sigmoid(x)", "\\sigma(x_{t})"),
        ("sqrt(abs(x))", "\\sqrt{\\left|x_{t}\\right|}"),
        ("outer(x, h)", "x_{t} \\otimes h_{t-1}"),
        ("real(conj(x) * s)", "\\operatorname{Re}(\\overline{x_{t}} \\odot s_{t-1})"),
        ("imag(x @ h)", "\\operatorname{Im}(x_{t}\\, h_{t-1})"),
        ("x * complex(h, x + 1)", "x_{t} \\odot \\left(h_{t-1} + \\mathrm{i}\\, "
         "\\left(x_{t} + 1\\right)\\right)"),
        ("reshape(x, [n, 1])", "x_{t}"),
        ("x - dt * grad(x @ s @ x + dt, s)",
         "x_{t} - \\mathrm{dt}_{t}\\, \\nabla_{s_{t-1}}\\, "
         "\\left(x_{t}\\, s_{t-1}\\, x_{t} + \\mathrm{dt}_{t}\\right)"),
        ("conv2d(s, x + h) + x", "s_{t-1} \\ast \\left(x_{t} + h_{t-1}\\right) + x_{t}"),
        ("matrix_exp(s - s.T) @ h", "e^{s_{t-1} - s_{t-1}^{\\top}}\\, h_{t-1}"),
        ("solve(s, x + h) * 2", "s_{t-1}^{-1}\\, \\left(x_{t} + h_{t-1}\\right) \\cdot 2"),
        ("solve(s.T, s @ h)",
         "\\left(s_{t-1}^{\\top}\\right)^{-1}\\, \\left(s_{t-1}\\, h_{t-1}\\right)"),
        ("step(x, surrogate=arctan)",
         "\\operatorname{step}(x_{t}, \\mathrm{surrogate} = \\mathrm{arctan})"),
        ("s.T @ x", "s_{t-1}^{\\top}\\, x_{t}"),
        ("s[0, 1:]", "s_{t-1}[0, 1{:}]"),
        ("sum(s, axis=0)", "\\operatorname{sum}(s_{t-1}, \\mathrm{axis} = 0)"),
        ("where(x > 0, x, inf)", "\\begin{cases} x_{t} & \\text{if } x_{t} > 0 \\\\ \\infty & "
         "\\text{else} \\end{cases}"),
        ('einsum("ij,j->i", s, x)', "\\operatorname{einsum}_{\\text{ij,j to i}}(s_{t-1}, x_{t})"),
    ],
)  # fmt: skip
def test_expressions(source: str, shown: str) -> None:
    assert right(source) == shown


def test_what_depends_on_parameters_alone_has_no_time() -> None:
    assert lines("a = sigmoid(b)\n y = a * x") == [
        "a &= \\sigma(b)", "y_{t} &= a \\odot x_{t}"
    ]  # fmt: skip


def test_options_stand_for_themselves_where_they_are_known() -> None:
    body = "if bias { y = act(x) } else { y = gain * act(x) }"
    assert lines(body) == [
        "y_{t} &= \\operatorname{act}(x_{t})\\quad \\text{if } \\mathrm{bias}",
        "y_{t} &= \\mathrm{gain}\\, \\operatorname{act}(x_{t})\\quad "
        "\\text{if not } \\mathrm{bias}",
    ]
    known = {"bias": True, "act": "sigmoid", "gain": 2.0}
    assert lines(body, known) == ["y_{t} &= \\sigma(x_{t})"]
    assert lines(body, known | {"act": "identity"}) == ["y_{t} &= x_{t}"]


def test_what_depends_on_time_in_one_branch_has_a_time_beneath() -> None:
    for first, second in (("x", "b"), ("b", "x")):
        found = lines(f"if bias {{ y = {first} }} else {{ y = {second} }}; z = y")
        assert found[-1] == "z_{t} &= y_{t}"
    assert lines("if bias { y = b } else { y = 2 * b }; z = y")[-1] == "z &= y"


def test_loops_patterns_and_sub_cells() -> None:
    found = lines(
        "use c = LSTM(n, n) >> out: residual(Dense(n, n) >> top: Dense(n, n))\n"
        " a, b2 = s\n ((h', _), y) = c((h, x), x)\n"
        " for l in 0..3 { a = W[l] @ a }"
    )
    assert found == [
        "\\mathrm{c} &= \\mathrm{LSTM}(n, n) \\gg \\mathrm{out}\\colon "
        "\\mathrm{residual}(\\mathrm{Dense}(n, n) \\gg \\mathrm{top}\\colon \\mathrm{Dense}(n, n))",
        "a_{t}, b_{2,t} &= s_{t-1}",
        "(h_{t}, \\_), y_{t} &= \\operatorname{c}((h_{t-1}, x_{t}), x_{t})",
        "a_{t} &= W[l]\\, a_{t}\\quad \\text{for } l = 0, \\dots, 2",
    ]


def test_a_name_of_ones_own_hides_a_function() -> None:
    (line, _) = lines("tanh = x + b\n y = tanh * x")
    assert line == "\\mathrm{tanh}_{t} &= x_{t} + b"


@pytest.mark.parametrize(
    ("name", "shown"),
    [("h", "h"), ("Wq", "W_{q}"), ("k1", "k_{1}"), ("h_in", "h_{\\mathrm{in}}"),
     ("dt", "\\mathrm{dt}"),
     ("alpha", "\\alpha"), ("β", "\\beta"), ("Σ", "\\Sigma"), ("lambda_0", "\\lambda_{0}"),
     ("x̂", "\\hat{x}"), ("ñ", "\\tilde{n}"), ("Alpha", "A"), ("_", "\\mathrm{\\_}")],
)  # fmt: skip
def test_names(name: str, shown: str) -> None:
    assert symbol(name) == shown


def test_numbers_and_other_texts() -> None:
    assert [number(text) for text in ("3", ".5", "1.", "1e-5", "2.5E3")] == [
        "3", "0.5", "1", "10^{-5}", "2.5 \\cdot 10^{3}"
    ]  # fmt: skip
    assert escaped("a_b{$%\\") == "a\\_b\\{\\$\\%\\backslash "


def test_a_sum_of_thousands_takes_no_recursion() -> None:
    assert right(" + ".join(["x"] * 5000)).count("x_{t}") == 5000


def test_every_standard_cell_is_mathematics_that_can_be_typeset() -> None:
    mathtext = pytest.importorskip("matplotlib.mathtext")
    parser = mathtext.MathTextParser("path")
    found = lines(
        "k_in = x > 0 and not (h < 1)\n y = act(x) % 2 + 1e-5 * norm(h) - s[0, None]\n"
        " q = s.T @ -x / pi\n"
        ' z = einsum("ij,j->i", s, x) + leaky_relu(x) + max(s, axis=1)\n'
        " for l in 0..n { z = W[l] @ z }"
    )
    for name in std_names():
        declaration = std(name).declarations[-1]
        assert isinstance(declaration, syntax.CellDeclaration)
        found += equations(declaration)
    assert len(found) > 20
    for line in found:
        line, *_ = line.split(r"\begin{cases}")  # which this parser has not
        assert line.count("&") == 1
        parser.parse(f"${line.replace('&', '')}$")


def test_lines_are_aligned_at_their_equals_sign() -> None:
    assert aligned(["a &= b", "c &= d"]) == (
        "\\begin{aligned}\na &= b \\\\\nc &= d\n\\end{aligned}"
    )


def test_no_two_names_of_a_cell_are_one_symbol() -> None:
    text = "cell A(n): (h[n], (x1[n], x_1[n], sigma[n], \N{GREEK SMALL LETTER SIGMA}[n])) -> (h', y) {\n    y = x1 * x_1 + sigma * \N{GREEK SMALL LETTER SIGMA}\n    h' = h\n}"  # noqa: E501
    (declaration,) = parse(text).declarations
    assert isinstance(declaration, syntax.CellDeclaration)
    first, second = (part.split(" \\odot ") for part in equations(declaration)[0].split(" + "))
    assert first == ["y_{t} &= \\mathrm{x1}_{t}", "\\mathrm{x\\_1}_{t}"]
    assert second == ["\\mathrm{sigma}_{t}", "\\mathrm{\N{GREEK SMALL LETTER SIGMA}}_{t}"]


def test_two_signs_never_stand_side_by_side() -> None:
    assert right("-(-x)") == "-\\left(-x_{t}\\right)"
    assert right("x - -h") == "x_{t} - \\left(-h_{t-1}\\right)"
