"""Every built-in function is what its documentation says, by NumPy."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.elaborate.calls import parameters_of
from rnnc.compiler.elaborate.functions import FUNCTIONS, OF_STEP
from rnnc.compiler.elaborate.prelude import prelude
from rnnc.compiler.ops.gradient import SLOPES
from tests.compiler.elaborate.sources import value
from tests.compiler.elaborate.test_complex import FUNCTIONS as COMPLEX_CASES
from tests.exponential import exponential

DRAWS = np.random.default_rng(0)
ARRAYS: dict[str, Any] = {
    "v": DRAWS.normal(0, 1.5, 4),
    "w": DRAWS.normal(0, 1.5, 4),
    "p": DRAWS.uniform(0.1, 3.0, 4),
    "m": DRAWS.normal(0, 1.5, (3, 4)),
    "q": DRAWS.normal(0, 1.5, (3, 3)),
    "c": DRAWS.normal(0, 1.5, (2, 3, 4)),
    "s": np.array(0.7),
}


def _softmax(a: Any, axis: int = -1) -> Any:
    powers = np.exp(a - a.max(axis, keepdims=True))
    return powers / powers.sum(axis, keepdims=True)


def _layer_norm(a: Any, eps: float = 1e-5, axis: int = -1) -> Any:
    centred = a - a.mean(axis, keepdims=True)
    return centred / np.sqrt(a.var(axis, keepdims=True) + eps)


def _selu(a: Any) -> Any:
    return 1.0507009873554805 * np.where(a > 0, a, 1.6732632423543772 * np.expm1(a))


def convolution(kernel: Any, image: Any) -> Any:
    windows = np.lib.stride_tricks.sliding_window_view(np.pad(image, 1), kernel.shape)
    return np.einsum("ijkl,kl->ij", windows, kernel)


CASES: dict[str, Callable[..., Any]] = {
    "sigmoid(v)": lambda v, **_: 1 / (1 + np.exp(-v)),
    "tanh(m)": lambda m, **_: np.tanh(m),
    "relu(v)": lambda v, **_: np.maximum(v, 0),
    "softplus(v)": lambda v, **_: np.log1p(np.exp(v)),
    "exp(v)": lambda v, **_: np.exp(v),
    "expm1(v)": lambda v, **_: np.expm1(v),
    "log(p)": lambda p, **_: np.log(p),
    "log1p(p)": lambda p, **_: np.log1p(p),
    "sqrt(p)": lambda p, **_: np.sqrt(p),
    "rsqrt(p)": lambda p, **_: 1 / np.sqrt(p),
    "sin(v)": lambda v, **_: np.sin(v),
    "cos(v)": lambda v, **_: np.cos(v),
    "abs(v)": lambda v, **_: np.abs(v),
    "sign(v)": lambda v, **_: np.sign(v),
    "floor(v)": lambda v, **_: np.floor(v),
    "round(v)": lambda v, **_: np.rint(v),
    "identity(v)": lambda v, **_: v,
    "square(v)": lambda v, **_: v * v,
    "silu(v)": lambda v, **_: v / (1 + np.exp(-v)),
    "gelu(v)": lambda v, **_: (
        0.5 * v * (1 + np.tanh(np.sqrt(2 / np.pi) * (v + 0.044715 * v**3)))
    ),
    "log_sigmoid(v)": lambda v, **_: -np.log1p(np.exp(-v)),
    "hard_sigmoid(3 * v)": lambda v, **_: np.clip(v / 2 + 0.5, 0, 1),
    "hard_tanh(v)": lambda v, **_: np.clip(v, -1, 1),
    "leaky_relu(v)": lambda v, **_: np.where(v > 0, v, 0.01 * v),
    "elu(v)": lambda v, **_: np.where(v > 0, v, np.expm1(v)),
    "selu(v)": lambda v, **_: _selu(v),
    "softsign(v)": lambda v, **_: v / (1 + np.abs(v)),
    "maximum(v, w)": lambda v, w, **_: np.maximum(v, w),
    "minimum(m, v)": lambda m, v, **_: np.minimum(m, v),
    "clamp(v, -1, w)": lambda v, w, **_: np.minimum(np.maximum(v, -1), w),
    "where(v > w, m, 0)": lambda v, w, m, **_: np.where(v > w, m, 0.0),
    "stop_gradient(v)": lambda v, **_: v,
    "clip_gradient(v, -1, w)": lambda v, **_: v,
    "straight_through(round(v), m)": lambda v, **_: np.broadcast_to(np.rint(v), (3, 4)),
    "step(v)": lambda v, **_: np.where(v > 0, 1.0, 0.0),
    "step(m - s, surrogate=triangle)": lambda m, s, **_: np.where(m > s, 1.0, 0.0),
    "grad(sum(v * v * w), v)": lambda v, w, **_: 2 * v * w,
    "real(v)": lambda v, **_: v,
    "imag(v) + w": lambda w, **_: w,
    "conj(v)": lambda v, **_: v,
    "sum(c)": lambda c, **_: c.sum(-1),
    "sum(c, axis=0)": lambda c, **_: c.sum(0),
    "sum(c, 1, keepdims=true)": lambda c, **_: c.sum(1, keepdims=True),
    "mean(c, axis=-2)": lambda c, **_: c.mean(-2),
    "max(c)": lambda c, **_: c.max(-1),
    "max(c, axis=0, keepdims=true)": lambda c, **_: c.max(0, keepdims=True),
    "min(c, axis=1)": lambda c, **_: c.min(1),
    "norm(c)": lambda c, **_: np.linalg.norm(c, axis=-1),
    "norm(c, axis=1, keepdims=true)": lambda c, **_: np.linalg.norm(c, axis=1, keepdims=True),
    "softmax(c)": lambda c, **_: _softmax(c),
    "softmax(c, axis=1)": lambda c, **_: _softmax(c, 1),
    "softmax(500 * v)": lambda v, **_: _softmax(500 * v),
    "logsumexp(c)": lambda c, **_: np.log(np.exp(c).sum(-1)),
    "logsumexp(c, axis=0)": lambda c, **_: np.log(np.exp(c).sum(0)),
    "logsumexp(c, axis=1, keepdims=true)": lambda c, **_: np.log(np.exp(c).sum(1, keepdims=True)),
    "logsumexp(1000 + v)": lambda v, **_: 1000 + np.log(np.exp(v).sum()),
    "layer_norm(c)": lambda c, **_: _layer_norm(c),
    "layer_norm(c, eps=0.1, axis=0)": lambda c, **_: _layer_norm(c, 0.1, 0),
    "rms_norm(c)": lambda c, **_: c / np.sqrt(np.mean(c * c, -1, keepdims=True) + 1e-6),
    "rms_norm(c, 0.5, axis=1)": lambda c, **_: c / np.sqrt(np.mean(c * c, 1, keepdims=True) + 0.5),
    "cumsum(c)": lambda c, **_: c.cumsum(-1),
    "cumsum(c, axis=0)": lambda c, **_: c.cumsum(0),
    "cumprod(c)": lambda c, **_: c.cumprod(-1),
    "cumprod(c, axis=1)": lambda c, **_: c.cumprod(1),
    "concat(v, w)": lambda v, w, **_: np.concatenate([v, w]),
    "concat(q, m, q, axis=1)": lambda q, m, **_: np.concatenate([q, m, q], 1),
    "concat(v[0:0], w)": lambda w, **_: w,
    "split(v, 2)": lambda v, **_: v.reshape(2, 2),
    "split(c, 1)": lambda c, **_: c.reshape(1, 2, 3, 4),
    "reshape(c, [4, 6])": lambda c, **_: c.reshape(4, 6),
    "reshape(v[0:1], [])": lambda v, **_: v[0],
    "broadcast(v, [2, 3, 4])": lambda v, **_: np.broadcast_to(v, (2, 3, 4)),
    "broadcast(s, [2])": lambda s, **_: np.broadcast_to(s, (2,)),
    "broadcast(3, [2, 2])": lambda **_: np.full((2, 2), 3.0),
    "roll(v, 1)": lambda v, **_: np.roll(v, 1),
    "roll(v, -5)": lambda v, **_: np.roll(v, -5),
    "roll(v, 8)": lambda v, **_: v,
    "roll(c, 2, axis=1)": lambda c, **_: np.roll(c, 2, 1),
    "flip(c)": lambda c, **_: np.flip(c, 0),
    "flip(c, axis=-1)": lambda c, **_: np.flip(c, -1),
    "outer(v, w)": lambda v, w, **_: np.outer(v, w),
    "einsum(\"ij,j->i\", m, v)": lambda m, v, **_: m @ v,
    "diag(v)": lambda v, **_: np.diag(v),
    "diagonal(q)": lambda q, **_: np.diagonal(q),
    "diagonal(c[:, :, 0:3])": lambda c, **_: np.diagonal(c[:, :, 0:3], axis1=-2, axis2=-1),
    "conv2d(reshape(q, [1, 1, 3, 3]), c[0:1])": lambda q, c, **_: convolution(q, c[0])[None],
    "solve(q, m)": lambda q, m, **_: np.linalg.solve(q, m),
    "solve(q + q.T, q[0])": lambda q, **_: np.linalg.solve(q + q.T, q[0]),
    "matrix_exp(q)": lambda q, **_: exponential(q),
    "matrix_exp(20 * (q - q.T))": lambda q, **_: exponential(20 * (q - q.T)),
    "eye(3) + q": lambda q, **_: np.eye(3) + q,
    "tril(c)": lambda c, **_: np.tril(c),
    "triu(m)": lambda m, **_: np.triu(m),
}  # fmt: skip


@pytest.mark.parametrize("expression", CASES)
def test_a_function_is_what_numpy_makes_of_it(expression: str) -> None:
    used = {name: array for name, array in ARRAYS.items() if name in _words(expression)}
    expected = CASES[expression](**ARRAYS)
    found = value(expression, used or {"v": ARRAYS["v"]})
    assert found.shape == expected.shape
    np.testing.assert_allclose(found, expected, rtol=1e-13, atol=1e-14)


def _words(expression: str) -> set[str]:
    return set("".join(sign if sign.isalnum() else " " for sign in expression).split())


def test_every_function_has_a_case() -> None:
    surrogates = {name for name, function in FUNCTIONS.items() if function.is_surrogate}
    tried = {expression.partition("(")[0] for expression in [*CASES, *COMPLEX_CASES]}
    assert set(FUNCTIONS) - OF_STEP == tried | surrogates  # those of a step are tested along steps


def test_surrogates_are_what_step_takes() -> None:
    """`straight_through` is a function, too."""
    surrogates = {name for name, function in FUNCTIONS.items() if function.is_surrogate}
    assert surrogates == SLOPES.keys() - {"straight_through"}


def test_words_of_a_step_are_those_of_its_number_its_past_and_its_draws() -> None:
    assert OF_STEP == {"t", "training", "delay", "dropout", "bernoulli", "normal"}


def test_what_takes_complex_values_has_a_complex_case() -> None:
    takes_complex = {name for name, function in FUNCTIONS.items() if function.takes_complex}
    tried = {expression.partition("(")[0] for expression in COMPLEX_CASES}
    assert (takes_complex | {"complex"}) - OF_STEP == tried


def test_the_prelude_defines_what_the_table_leaves_to_it() -> None:
    left = {name for name, function in FUNCTIONS.items() if function.build is None}
    assert left == set(prelude())
    for name, definition in prelude().items():
        own = [parameter.name for parameter in parameters_of(definition)]
        table = [parameter.name for parameter in FUNCTIONS[name].parameters]
        assert own == table[: len(own)], definition.signature


@pytest.mark.parametrize("infinite", [-np.inf, np.inf])
def test_logsumexp_of_infinite_values_is_infinite(infinite: float) -> None:
    assert value("logsumexp(a)", {"a": np.array([infinite, infinite])}) == infinite
    assert value("logsumexp(a)", {"a": np.array([-np.inf, 1.0])}) == 1.0


def test_a_function_of_numbers_is_a_number() -> None:
    for expression, expected in {
        "sqrt(4) * v": 2.0, "exp(0) * v": 1.0, "maximum(2, 3) * v": 3.0, "square(3) * v": 9.0,
        "clamp(7, 0, 5) * v": 5.0, "silu(0) * v": 0.0, "where(2 > 1, 4, 5) * v": 4.0,
        "step(2) * v": 1.0, "straight_through(2, 3) * v": 2.0, "clip_gradient(4, 0, 1) * v": 4.0,
    }.items():  # fmt: skip
        found = value(expression, {"v": np.ones(2)})
        np.testing.assert_array_equal(found, np.full(2, expected), err_msg=expression)
