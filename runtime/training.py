"""What NumPy users need to train: losses with their cotangents, clipping, two optimisers.

In: outputs and targets, or parameters and gradients by name. Out: a loss and the cotangent that
`net.backward` takes, or new parameters: arrays are replaced, never written into.

    ys = net.scan(xs)
    loss, d_ys = rnnc.cross_entropy(ys, targets)
    grads = net.backward(d_ys)
    net.load_params(optimiser.step(net.params, rnnc.clip_by_norm(grads.params, 1.0)))
    net.truncate()
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from numbers import Real
from typing import Any

import numpy as np

from .arrays import Array, as_array, as_indices, check_real, describe
from .errors import DTypeError, NamesError, SettingError, ShapeError


def cross_entropy(ys: Any, targets: Any, mask: Any = None) -> tuple[float, Array]:
    """The mean of -log softmax(ys)[target], in nats, and its cotangent.

    Args:
        ys: scores before any softmax, real[..., classes].
        targets: int[...], the right class of each.
        mask: bool[...], which of them count; all if None. The rest gets cotangent 0.
    Returns:
        The loss and d_ys, shaped like `ys`. Without a single target that counts both are 0.
    Raises:
        ShapeError, DTypeError, RangeError: naming the argument.
    """
    scores = _real(ys, "ys")
    if scores.ndim == 0:
        raise ShapeError("ys has the classes on its last axis, got a number")
    chosen = as_array(targets, "targets")
    if chosen.shape != scores.shape[:-1]:
        raise ShapeError(
            f"targets is int{describe(scores.shape[:-1])}, one for each score vector of ys "
            f"{describe(scores.shape)}, got {describe(chosen.shape)}"
        )
    weights, count = _weights(mask, chosen.shape, scores.dtype)
    chosen = as_indices(np.where(weights != 0, chosen, 0), scores.shape[-1], "targets")[..., None]
    if count == 0:
        return 0.0, np.zeros_like(scores)
    with np.errstate(all="ignore"):
        shifted = scores - scores.max(axis=-1, keepdims=True)
        d_ys = np.exp(shifted)
        total = d_ys.sum(axis=-1, keepdims=True)
        losses = np.log(total) - np.take_along_axis(shifted, chosen, axis=-1)
        d_ys /= total
        picked = np.take_along_axis(d_ys, chosen, axis=-1) - 1
        np.put_along_axis(d_ys, chosen, picked, axis=-1)
        return _mean(losses[..., 0], weights, count), _weighted(d_ys, weights[..., None], count)


def squared_error(ys: Any, targets: Any, mask: Any = None) -> tuple[float, Array]:
    """The mean of (ys - targets)^2 over all elements, and its cotangent.

    Args:
        ys: real[...].
        targets: real, shaped like `ys`.
        mask: truth values that broadcast to `ys` from the left, such as bool[T] or bool[T,B]: which
            elements count; all if None.
    Returns:
        The loss and d_ys, shaped like `ys`. Without a single element that counts both are 0.
    Raises:
        ShapeError, DTypeError: naming the argument.
    """
    values, wanted = _real(ys, "ys"), _real(targets, "targets")
    if values.shape != wanted.shape:
        raise ShapeError(
            f"targets is shaped like ys, {describe(values.shape)}, got {describe(wanted.shape)}"
        )
    weights, count = _weights(mask, values.shape, values.dtype)
    if count == 0:
        return 0.0, np.zeros_like(values)
    with np.errstate(all="ignore"):
        error = values - wanted.astype(values.dtype, copy=False)
        return _mean(error * error, weights, count), _weighted(2 * error, weights, count)


def _real(given: Any, name: str) -> Array:
    array = as_array(given, name)
    dtype = array.dtype if array.dtype in (np.float32, np.float64) else np.dtype(np.float32)
    check_real(array, dtype, name)
    with np.errstate(over="ignore"):
        return array.astype(dtype, copy=False)


def _weights(mask: Any, shape: tuple[int, ...], dtype: np.dtype[Any]) -> tuple[Array, int]:
    """1 where an element counts and 0 elsewhere, and how many count."""
    if mask is None:
        return np.ones(shape, dtype), math.prod(shape)
    flags = as_array(mask, "mask") != 0
    if flags.shape != shape[: flags.ndim]:
        raise ShapeError(f"mask is bool{describe(shape)}, got {describe(flags.shape)}")
    flags = flags.reshape(*flags.shape, *[1] * (len(shape) - flags.ndim))
    wide = np.broadcast_to(flags, shape)
    return wide.astype(dtype), int(wide.sum())


def _mean(losses: Array, weights: Array, count: int) -> float:
    return float(np.sum(losses, where=weights != 0, dtype=np.float64) / count)


def _weighted(cotangent: Array, weights: Array, count: int) -> Array:
    """0 where an element does not count, even where the cotangent is NaN."""
    scaled: Array = np.where(weights != 0, cotangent, 0) / cotangent.dtype.type(count)
    return scaled


def clip_by_norm(d_params: Mapping[str, Array], most: float) -> dict[str, Array]:
    """Gradients scaled down together so that their norm is at most `most`.

    g -> g * min(1, most / norm), with norm the root of the sum of all squares. Where the norm is
    not finite there is no direction to keep: all gradients become NaN.

    Source: Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063.
    """
    if not (_is_number(most) and most > 0):
        raise SettingError(f"most is a positive norm, got {most!r}")
    _check_arrays(d_params, "d_params")
    with np.errstate(all="ignore"):
        squares = (float(np.sum(np.square(g, dtype=np.float64))) for g in d_params.values())
        norm = math.sqrt(sum(squares))
        scale = min(1.0, most / norm) if norm > 0 else 1.0
        if not math.isfinite(norm):
            scale = math.nan
        return {name: g * g.dtype.type(scale) for name, g in d_params.items()}


@dataclass(slots=True)
class SGD:
    """Stochastic gradient descent: v = momentum * v + g, p = p - rate * v."""

    rate: float
    momentum: float = 0.0
    velocity: dict[str, Array] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.rate, "rate")
        _check_finite(self.momentum, "momentum")

    def step(self, params: Mapping[str, Array], d_params: Mapping[str, Array]) -> dict[str, Array]:
        """New values of the parameters that have a gradient."""
        _check_pairs(params, d_params)
        with np.errstate(all="ignore"):
            velocity = {
                name: self.momentum * self.velocity[name] + g if name in self.velocity else g
                for name, g in d_params.items()
            }
            found = {name: _minus(params[name], self.rate * v) for name, v in velocity.items()}
        if self.momentum:
            # A first velocity is the caller's gradient, which may change before the next step.
            self.velocity = {name: np.array(v) for name, v in velocity.items()}
        return found


@dataclass(slots=True)
class Adam:
    """Steps of about `rate`, whatever the size of a gradient.

    m = b1 m + (1 - b1) g, v = b2 v + (1 - b2) g^2, p = p - rate * m^ / (sqrt(v^) + epsilon), where
    m^ and v^ are m and v without their bias towards 0. Kingma & Ba 2015, arXiv:1412.6980.
    """

    rate: float = 1e-3
    decay: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    steps: int = 0
    moments: dict[str, tuple[Array, Array]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.rate, "rate")
        _check_finite(self.epsilon, "epsilon")
        decay: Any = self.decay
        pair = isinstance(decay, tuple | list) and len(decay) == 2
        if not (pair and all(_is_number(b) and 0 <= b < 1 for b in decay)):
            raise SettingError(f"decay is two numbers, at least 0 and below 1, got {decay!r}")

    def step(self, params: Mapping[str, Array], d_params: Mapping[str, Array]) -> dict[str, Array]:
        """New values of the parameters that have a gradient."""
        _check_pairs(params, d_params)
        (b1, b2), steps = self.decay, self.steps + 1
        scale = self.rate * math.sqrt(1 - b2**steps) / (1 - b1**steps)
        epsilon = self.epsilon * math.sqrt(1 - b2**steps)
        found, moments = {}, {}
        with np.errstate(all="ignore"):
            for name, g in d_params.items():
                first, second = self.moments.get(name) or (np.zeros_like(g), np.zeros_like(g))
                first = b1 * first + (1 - b1) * g
                second = b2 * second + (1 - b2) * np.square(g)
                moments[name] = first, second
                found[name] = _minus(params[name], scale * first / (np.sqrt(second) + epsilon))
        self.moments, self.steps = moments, steps
        return found


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_finite(value: Any, name: str) -> None:
    if not (_is_number(value) and 0 <= value < math.inf):
        raise SettingError(f"{name} is a finite number, at least 0, got {value!r}")


def _check_arrays(given: Any, what: str) -> None:
    if not isinstance(given, Mapping):
        raise DTypeError(f"{what} takes a dict of arrays by name, not {type(given).__name__}")
    for name, value in given.items():
        if not isinstance(value, np.ndarray | np.generic):
            raise DTypeError(f"{what}[{name!r}] is an array, not {type(value).__name__}")
        check_real(np.asarray(value), np.dtype(np.float32), f"{what}[{name!r}]")


def _check_pairs(params: Mapping[str, Array], d_params: Mapping[str, Array]) -> None:
    _check_arrays(params, "params")
    _check_arrays(d_params, "d_params")
    unknown = [name for name in d_params if name not in params]
    if unknown:
        raise NamesError(f"gradients for {', '.join(unknown)}, which are no parameters")
    for name, g in d_params.items():
        if np.shape(g) != params[name].shape:
            wanted = describe(params[name].shape)
            raise ShapeError(f"the gradient of {name} is {wanted}, got {describe(np.shape(g))}")


def _minus(param: Array, change: Array) -> Array:
    new: Array = param - change.astype(param.dtype, copy=False)
    return new
