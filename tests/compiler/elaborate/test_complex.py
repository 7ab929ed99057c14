"""Complex values: what each form means, by NumPy's complex128; what is refused, and how."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.library import CallError
from rnnc.grammar.problems import Problems
from tests.compiler.elaborate.sources import body, cell, codes, run, value
from tests.complex_parts import apart, whole

DRAWS = np.random.default_rng(29)


def draw(*shape: int) -> Any:
    return DRAWS.normal(0, 1.2, shape) + 1j * DRAWS.normal(0, 1.2, shape)


ARRAYS: dict[str, Any] = {
    "z": draw(4),
    "w": draw(4),
    "m": draw(3, 4),
    "q": draw(3, 3),
    "c": draw(2, 3, 4),
    "v": DRAWS.normal(0, 1.5, 4),
    "r": DRAWS.normal(0, 1.5, (3, 4)),
}

OPERATORS: dict[str, Callable[..., Any]] = {
    "z + w": lambda z, w, **_: z + w,
    "v + z": lambda z, v, **_: v + z,
    "z - v": lambda z, v, **_: z - v,
    "v - z": lambda z, v, **_: v - z,
    "z - 2": lambda z, **_: z - 2,
    "-z": lambda z, **_: -z,
    "z * m": lambda z, m, **_: z * m,
    "v * z": lambda z, v, **_: v * z,
    "0.5 * z": lambda z, **_: 0.5 * z,
    "z / w": lambda z, w, **_: z / w,
    "v / z": lambda z, v, **_: v / z,
    "z / v": lambda z, v, **_: z / v,
    "1 / m": lambda m, **_: 1 / m,
    "z ^ 0": lambda z, **_: z**0,
    "z ^ 1": lambda z, **_: z,
    "z ^ 2": lambda z, **_: z**2,
    "z ^ 13": lambda z, **_: z**13,
    "z ^ -3": lambda z, **_: z**-3,
    "m @ z": lambda m, z, **_: m @ z,
    "r @ z": lambda r, z, **_: r @ z,
    "m @ v": lambda m, v, **_: m @ v,
    "z @ w": lambda z, w, **_: z @ w,
    "v @ m.T": lambda v, m, **_: v @ m.T,
    "q @ m": lambda q, m, **_: q @ m,
    "z[1]": lambda z, **_: z[1],
    "c[:, 1:, -1]": lambda c, **_: c[:, 1:, -1],
    "z[:, None] * v": lambda z, v, **_: z[:, None] * v,
}
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "complex(v, r)": lambda v, r, **_: v + 1j * r,
    "complex(0, 1) * z": lambda z, **_: 1j * z,
    "real(z)": lambda z, **_: z.real,
    "imag(z)": lambda z, **_: z.imag,
    "conj(c)": lambda c, **_: c.conj(),
    "abs(m)": lambda m, **_: np.abs(m),
    "exp(z)": lambda z, **_: np.exp(z),
    "sqrt(c)": lambda c, **_: np.sqrt(c),
    "rsqrt(z)": lambda z, **_: 1 / np.sqrt(z),
    "square(z)": lambda z, **_: z * z,
    "identity(z)": lambda z, **_: z,
    "where(v > 0, z, w)": lambda v, z, w, **_: np.where(v > 0, z, w),
    "where(v > 0, 1, m)": lambda v, m, **_: np.where(v > 0, 1, m),
    "stop_gradient(z)": lambda z, **_: z,
    "sum(c, axis=1)": lambda c, **_: c.sum(1),
    "mean(m, keepdims=true)": lambda m, **_: m.mean(-1, keepdims=True),
    "cumsum(m, axis=0)": lambda m, **_: m.cumsum(0),
    "cumprod(m)": lambda m, **_: m.cumprod(-1),
    "concat(z, v)": lambda z, v, **_: np.concatenate([z, v]),
    "split(z, 2)": lambda z, **_: z.reshape(2, 2),
    "reshape(c, [4, 6])": lambda c, **_: c.reshape(4, 6),
    "broadcast(z, [2, 4])": lambda z, **_: np.broadcast_to(z, (2, 4)),
    "roll(z, 1)": lambda z, **_: np.roll(z, 1),
    "flip(m, axis=1)": lambda m, **_: np.flip(m, 1),
    "outer(z, v)": lambda z, v, **_: np.outer(z, v),
    "outer(z, w)": lambda z, w, **_: np.outer(z, w),
    'einsum("kij,ij,j->ki", c, m, v)': lambda c, m, v, **_: np.einsum("kij,ij,j->ki", c, m, v),
    'einsum("ii->i", q)': lambda q, **_: np.diagonal(q),
    "diag(z)": lambda z, **_: np.diag(z),
    "diagonal(q)": lambda q, **_: np.diagonal(q),
    "tril(c)": lambda c, **_: np.tril(c),
    "triu(m)": lambda m, **_: np.triu(m),
    "fft(m)": lambda m, **_: np.fft.fft(m),
    "fft(v)": lambda v, **_: np.fft.fft(v),
    "ifft(c)": lambda c, **_: np.fft.ifft(c),
}


@pytest.mark.parametrize("expression", [*OPERATORS, *FUNCTIONS])
def test_a_form_is_what_numpy_makes_of_it(expression: str) -> None:
    signs = "".join(sign if sign.isalnum() else " " for sign in expression)
    used = {name: array for name, array in ARRAYS.items() if name in signs.split()}
    expected = (OPERATORS | FUNCTIONS)[expression](**ARRAYS)
    found = value(expression, used)
    assert found.shape == expected.shape
    assert np.iscomplexobj(found) == np.iscomplexobj(expected)
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-13)


def test_absolute_values_and_quotients_survive_squares_that_do_not() -> None:
    z = np.array([3e200 + 4e200j, 3e-200 - 4e-200j, 0j, 5j])
    np.testing.assert_allclose(value("abs(z)", {"z": z}), [5e200, 5e-200, 0, 5], rtol=1e-15)
    np.testing.assert_allclose(value("z / z", {"z": z[:2]}), [1, 1], rtol=1e-15)
    assert value("abs(z)", {"z": np.array([complex(np.inf, 1)])}) == np.inf
    assert np.isnan(value("abs(z)", {"z": np.array([complex(0, np.nan)])}))


def test_a_negative_power_that_is_too_small_is_0() -> None:
    z = np.array([1e200 + 1e200j, -1e200j, 2j])
    np.testing.assert_allclose(value("z ^ -3", {"z": z}), [0, 0, 0.125j], rtol=1e-15)
    assert value("z ^ -60", {"z": np.array([1e6 + 1e6j])}) == 0


def test_roots_are_cut_along_the_negative_numbers() -> None:
    z = np.array([-4 + 0j, -4 - 1e-30j, 0j, 4, 2j, -2j])
    np.testing.assert_allclose(value("sqrt(z)", {"z": z}), np.sqrt(z), rtol=1e-15)


def test_functions_branches_and_loops_pass_complex_values_on() -> None:
    made = cell(
        "fn turned(a, angle) = a * complex(cos(angle), sin(angle))\n"
        "cell Test(n): ((s[n]: complex, h[n]), x[n]) -> ((s', h'), y) {\n"
        "a, b = concat(s[None, :], x[None, :])\n"
        "for l in 0..2 {\na = turned(a, l + 1)\n}\n"
        "s' = a + b\nh' = abs(s')\ny = imag(s')\n}",
        3,
    )
    s, x, h = draw(3), DRAWS.normal(size=3), np.zeros(3)
    found = whole(run(made, **apart({"s": s, "x": x, "h": h})))
    expected = s * np.exp(3j) + x
    np.testing.assert_allclose(found["s'"], expected, rtol=1e-14)
    np.testing.assert_allclose(found["h'"], np.abs(expected), rtol=1e-14)
    np.testing.assert_allclose(found["y"], expected.imag, rtol=1e-14)


def test_sub_cells_and_chains_pass_complex_values_on() -> None:
    source = """
    cell Turn(n): (s[n]: complex, x[n]: complex) -> (s', s') {
        param L[n]: complex = complex(0.5, 1)
        s' = L * s + x
    }
    cell Twice(n): ((s[n]: complex, r[n]: complex), x[n]) -> ((s', r'), y) {
        use a = Turn(n)
        (s', z) = a(s, x)
        (r', y) = a(r, z)
    }
    cell Chained(n) = Turn(n) >> Turn(n)
    """
    x, s, r, w = draw(4, 2)
    twice = cell(source[: source.index("    cell Chained")], 2)
    assert [param.name for param in twice.params] == ["a.L.re", "a.L.im"]
    found = whole(run(twice, **apart({"s": s, "r": r, "x": x.real, "a.L": w})))
    np.testing.assert_allclose(found["y"], w * r + (w * s + x.real), rtol=1e-14)

    chained = cell(source, 2)
    assert [state.name for state in chained.states] == ["0.s.re", "0.s.im", "1.s.re", "1.s.im"]
    given = {"0.s": s, "1.s": r, "x": x, "0.L": w, "1.L": 2 * w}
    found = whole(run(chained, **apart(given)))
    np.testing.assert_allclose(found["s'"], 2 * w * r + (w * s + x), rtol=1e-14)


def test_a_name_with_a_part_is_no_name_of_a_source() -> None:
    """`L.re` is the path of a part; a cell called L has a parameter `re` only in another scope."""
    text = "cell R(n): ((), x[n]) -> ((), y) {\nparam re[n]\ny = re * x\n}\n"
    text += "cell T(n): ((), x[n]) -> ((), y) {\nuse L = R(n)\nparam L[n]: complex\ny = abs(L)\n}"
    assert codes(text, 3) == ["duplicate-name"]


@pytest.mark.parametrize(
    ("equations", "code", "words"),
    [
        ("y = tanh(z)", "kind-mismatch", "'tanh' needs real numbers"),
        ("y = norm(z)", "kind-mismatch", "'real(z)', 'imag(z)' or 'abs(z)'"),
        ("y = maximum(x, z)", "kind-mismatch", "'maximum' needs real numbers"),
        ("y = max(z)", "kind-mismatch", "'max' needs real numbers"),
        ("y = where(z < x, 1, 0)", "kind-mismatch", "'<' needs real numbers"),
        ("y = where(z == x, 1, 0)", "kind-mismatch", "'==' needs real numbers"),
        ("y = where(z, x, x)", "kind-mismatch", "'where' needs truth values"),
        ("y = where(x > 0, z, x > 1)", "kind-mismatch", "two values of one kind"),
        ("y = z % 2", "kind-mismatch", "'%' needs real numbers"),
        ("y = complex(z, x)", "kind-mismatch", "'complex' needs real numbers"),
        ("y = z ^ 0.5", "bad-argument", "raised to integers only"),
        ("y = z ^ x", "bad-argument", "raised to integers only"),
        ("y = 2 ^ z", "bad-argument", "raised to integers only"),
        ("y = x[z[0]]", "kind-mismatch", "an index must be an integer"),
        ("y = roll(x, z)", "bad-size", "this is complex[B,n]"),
        ("param a[n] = complex(1, 2)\ny = a * x", "kind-mismatch", "'a' holds real numbers"),
        ("param a[2]: complex = complex(complex(1, 2), 3)\ny = abs(a)", "kind-mismatch",
         "'complex' needs real numbers"),
        ("param a[2]: complex = complex(0, ones) * 2\ny = a", "unknown-name", "ones"),
        ("y = broadcast(z, [2])", "shape-mismatch", "this is complex[B,n]"),
        ("a = x\nfor i in 0..z {\na = a + x\n}\ny = 2 * a", "bad-size", "a loop's bound must be"),
        ("if z {\ny = x\n}", "not-constant", "this is complex[B,n]"),
    ],
)  # fmt: skip
def test_what_has_no_meaning_for_complex_values_says_so(
    equations: str, code: str, words: str
) -> None:
    with pytest.raises(Problems) as caught:
        body(equations, "cell Test(n): ((), (x[n], z[n]: complex)) -> ((), y)")
    assert caught.value.problems[0].code == code
    assert words in str(caught.value)


@pytest.mark.parametrize(
    ("text", "code", "words"),
    [
        ("(h[n], x[n]: complex) -> (h', h') {\nh' = x\n}", "kind-mismatch", "'h[...]: complex' in"),
        ("(h[n] = complex(0, 1), x[n]) -> (h', h') {\nh' = x\n}", "kind-mismatch", "holds real"),
        ("((), x[n]) -> ((), y: complex) {\ny = 2 * x\n}", "output-mismatch", "y is real"),
        ("((), x[n]) -> ((), y) {\nuse a = In(n)\ny = a(complex(x, x))\n}", "kind-mismatch",
         "'x' of 'a' holds other values"),
        ("((), x[n]) -> ((), y) {\nuse a = In(n, scale = complex(0, 1))\ny = a(x)\n}",
         "bad-argument", "'scale' is a number"),
        ("((), x[n]) -> ((), y) {\nuse a = In(complex(n, 1))\ny = a(x)\n}", "bad-size",
         "this is complex[]"),
        ("(h[n]: real, x[n]) -> (h', h') {\nh' = x\n}", "kind-mismatch", "'complex' or, without"),
        ("(h[n]: int, x[n]) -> (h', h') {\nh' = x\n}", "kind-mismatch", "not integers"),
    ],
)  # fmt: skip
def test_headers_and_settings_say_what_is_complex(text: str, code: str, words: str) -> None:
    inner = "cell In(n, scale = 1.5): ((), x[n]) -> ((), y) {\ny = scale * x\n}\n"
    with pytest.raises(Problems) as caught:
        cell(f"{inner}cell Test(n): {text}", 3)
    assert caught.value.problems[0].code == code
    assert words in str(caught.value)


def test_an_option_from_python_is_real() -> None:
    with pytest.raises(CallError, match="cannot be a complex"):
        cell("cell In(n, scale = 1.5): ((), x[n]) -> ((), y) {\ny = scale * x\n}", 3, scale=1j)


def test_a_real_value_fills_what_is_complex() -> None:
    made = cell(
        "cell T(n): (s[n]: complex = s0, x[n]) -> (s', z: complex) {\n"
        "param s0[n]\ns' = x\nz = complex(0, 1) * s + 1\n}",
        2,
    )
    assert [state.name for state in made.states] == ["s.re", "s.im"]
    assert [output.name for output in made.outputs] == ["z.re", "z.im"]
    s, x = draw(2), DRAWS.normal(size=2)
    found = whole(run(made, **apart({"s": s, "x": x, "s0": x})))
    np.testing.assert_array_equal(found["s'"], x + 0j)
    np.testing.assert_allclose(found["z"], 1j * s + 1, rtol=1e-15)
