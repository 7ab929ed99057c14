"""What an entry's equations say, in 64-bit NumPy: one batch row, one step after another.

The equations are Python once `h'` is respelled, so Python itself reads them; the functions they
name are defined here. Nothing of the compiler takes part.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from types import CodeType
from typing import Any

import numpy as np
import numpy.typing as npt

from tests.catalogue.entry import Entry
from tests.exponential import exponential

Array = npt.NDArray[Any]

_NEXT = "__next"  # h' is h__next


def _sigmoid(v: Array) -> Any:
    return 1.0 / (1.0 + np.exp(-v))


def _layer_norm(v: Array, gain: Array, bias: Array | float = 0.0) -> Any:
    centred = v - v.mean()
    return gain * centred / np.sqrt(np.mean(centred * centred) + 1e-5) + bias


def _batch_norm(v: Array, mean: Array, variance: Array, gain: Array, bias: Array) -> Any:
    return gain * (v - mean) / np.sqrt(variance + 1e-5) + bias


def _skew_minus_identity(m: Array, decay: float) -> Array:
    return m - m.T - decay * np.eye(len(m))


def _structured(m: Array, skew: float, decay: float) -> Array:
    return skew * (m - m.T) + (1.0 - skew) * (m + m.T) - decay * np.eye(len(m))


def _step(v: Any) -> Any:
    """A step; an imaginary part meets the slope of SuperSpike, 1 / (1 + 25 |v|)^2."""
    fired = np.where(np.real(v) > 0.0, 1.0, 0.0)
    slope = 1.0 / (1.0 + 25.0 * np.abs(np.real(v))) ** 2
    return fired + 1j * slope * np.imag(v) if np.iscomplexobj(v) else fired


def _round_straight_through(v: Any) -> Any:
    return np.rint(np.real(v)) + 1j * np.imag(v) if np.iscomplexobj(v) else np.rint(v)


def _convolution(kernel: Array, image: Array) -> Array:
    """Place by place: the sum of the kernel times what lies around, with zeros beyond the edges."""
    k = kernel.shape[-1] // 2
    wide = np.pad(image, ((0, 0), (k, k), (k, k)))
    _, height, width = image.shape
    found = np.zeros((len(kernel), height, width))
    for row in range(height):
        for column in range(width):
            around = wide[:, row : row + 2 * k + 1, column : column + 2 * k + 1]
            found[:, row, column] = np.sum(kernel * around, axis=(1, 2, 3))
    return found


def _split(v: Array, parts: int) -> Sequence[Array]:
    return np.split(v, parts)


_FUNCTIONS: Mapping[str, Callable[..., Any]] = {
    "BN": _batch_norm,
    "LN": _layer_norm,
    "absv": np.abs,
    "antiW": _skew_minus_identity,
    "conv": _convolution,
    "conj": np.conj,
    "cos": np.cos,
    "cplx": lambda a, b: a + 1j * b,
    "ifft": np.fft.ifft,
    "imag": np.imag,
    "perm": np.flip,
    "real": np.real,
    "cat": lambda *parts: np.concatenate(parts),
    "dot": lambda a, b: np.sum(a * b),
    "exp": np.exp,
    "expm_skew": lambda m: exponential(np.triu(m, 1) - np.triu(m, 1).T),
    "eye": np.eye,
    "fft": np.fft.fft,
    "hsig": lambda v: np.clip(v / 6.0 + 0.5, 0.0, 1.0),
    "mask": np.multiply,
    "logsig": lambda v: -np.log1p(np.exp(-v)),
    "maxi": np.maximum,
    "mini": np.minimum,
    "modrelu": lambda v, b: v / np.abs(v) * np.maximum(np.abs(v) + b, 0.0),
    "norm": lambda v: np.sqrt(np.sum(v * v)),
    "offdiag": lambda m: np.where(np.eye(len(m), dtype=bool), 0.0, m),
    "outer": np.outer,
    "range": range,
    "relu": lambda v: np.where(v > 0.0, v, 0.0),
    "roll": np.roll,
    "roundste": _round_straight_through,
    "row": lambda v: v.reshape(1, -1),
    "rsum_last": lambda v: np.sum(v, axis=-1),
    "sig": _sigmoid,
    "silu": lambda v: v * _sigmoid(v),
    "sin": np.sin,
    "solve": np.linalg.solve,
    "softplus": lambda v: np.log1p(np.exp(v)),
    "split": _split,
    "sqrt": np.sqrt,
    "step": _step,
    "structW": _structured,
    "tanh": np.tanh,
    "transp": np.transpose,
    "triu": np.triu,
    "where": np.where,
}


@cache
def _code(equations: str) -> CodeType:
    text = re.sub(r"(\w+)'", rf"\1{_NEXT}", equations)
    return compile(re.sub(r"\.eq\((\w+)\)", r" == \1", text), "<catalogue>", "exec")


def evaluate(
    entry: Entry,
    sizes: Mapping[str, int],
    tensors: Mapping[str, Array],
    carry: Mapping[str, Array],
    xs: Sequence[Array],
) -> tuple[dict[str, Array], Array]:
    """Run an entry over a sequence.

    Complex numbers go through every entry whose derivative is not the slope of its values: what
    a small imaginary part becomes is its derivative, times that part.

    Args:
        entry: free of random draws.
        sizes: a number for every name in `entry.sizes`.
        tensors: parameters and constant tensors by name.
        carry: the initial state by name, f64[...].
        xs: one f64[T, ...] per input.
    Returns:
        The last state by name, and the outputs f64[T, ...].
    """
    state, ys = dict(carry), []
    for t, inputs in enumerate(zip(*xs, strict=True)):
        names: dict[str, Any] = {**_FUNCTIONS, **sizes, **entry.options, **tensors, **state, "t": t}
        names.update(zip((tensor.name for tensor in entry.inputs), inputs, strict=True))
        exec(_code(entry.equations), names)
        state = {tensor.name: np.asarray(names[tensor.name + _NEXT]) for tensor in entry.states}
        ys.append(names["y"])
    return state, np.stack(ys)
