"""What users need to train beside a loss: clipping, two optimisers.

In: parameters and gradients by name, arrays of NumPy or tensors. Out: new parameters, of the kind
that the old ones are: arrays are replaced, never written into.

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

from .arrays import AnyArray, copied, dtype_name, is_tensor, kind, namespace, on_host, widened
from .checks import check_names, describe
from .conversion import passing
from .errors import DTypeError, NamesError, SettingError, ShapeError
from .numpy_arrays import check_real


def clip_by_norm(d_params: Mapping[str, AnyArray], most: float) -> dict[str, AnyArray]:
    """Gradients scaled down together so that their norm is at most `most`.

    g -> g * min(1, most / norm), with norm the root of the sum of all squares. Where the norm is
    not finite there is no direction to keep: all gradients become NaN.

    Source: Pascanu, Mikolov, Bengio 2013, arXiv:1211.5063.
    """
    if not (_is_number(most) and most > 0):
        raise SettingError(f"most is a positive norm, got {most!r}")
    _check_arrays(d_params, "d_params")
    with np.errstate(all="ignore"):
        scale = _scale(sum(_squares(g) for g in d_params.values()) ** 0.5, most)
        return {name: g * scale for name, g in d_params.items()}


def _squares(g: AnyArray) -> Any:
    """The sum of all squares in float64: a float, or a tensor without axes."""
    if is_tensor(g):
        torch = namespace(g)
        return torch.linalg.vector_norm(g, dtype=torch.float64).square()
    return float(np.sum(np.square(g, dtype=np.float64)))


def _scale(norm: Any, most: float) -> Any:
    if is_tensor(norm):
        return (most / norm).clamp(max=1.0).where(norm.isfinite(), math.nan)
    if not math.isfinite(norm):
        return math.nan
    return min(1.0, most / norm) if norm > 0 else 1.0


@dataclass(slots=True)
class SGD:
    """Stochastic gradient descent: v = momentum * v + g, p = p - rate * v."""

    rate: float
    momentum: float = 0.0
    velocity: dict[str, AnyArray] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.rate, "rate")
        _check_finite(self.momentum, "momentum")

    def step(
        self, params: Mapping[str, AnyArray], d_params: Mapping[str, AnyArray]
    ) -> dict[str, AnyArray]:
        """New values of the parameters; those without a gradient stay as they are."""
        params, d_params = _pairs(params, d_params)
        with np.errstate(all="ignore"):
            velocity = {
                name: self.momentum * _beside(g, self.velocity[name]) + g
                if name in self.velocity
                else g
                for name, g in d_params.items()
            }
            found = {name: _minus(params[name], self.rate * v) for name, v in velocity.items()}
        if self.momentum:
            # A first velocity is the caller's gradient, which may change before the next step.
            self.velocity |= {name: copied(v) for name, v in velocity.items()}
        return {**params, **found}

    @property
    def state(self) -> dict[str, Any]:
        """What it remembers between steps, for `net.save(path, extra=...)`; set it to go on."""
        return {"velocity": dict(self.velocity)}

    @state.setter
    def state(self, given: Mapping[str, Any]) -> None:
        check_names(given, ("velocity",), "the state of SGD", all_needed=True)
        _check_arrays(given["velocity"], "velocity")
        self.velocity = {name: copied(v) for name, v in given["velocity"].items()}


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
    moments: dict[str, tuple[AnyArray, AnyArray]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _check_finite(self.rate, "rate")
        _check_finite(self.epsilon, "epsilon")
        decay: Any = self.decay
        pair = isinstance(decay, tuple | list) and len(decay) == 2
        if not (pair and all(_is_number(b) and 0 <= b < 1 for b in decay)):
            raise SettingError(f"decay is two numbers, at least 0 and below 1, got {decay!r}")

    def step(
        self, params: Mapping[str, AnyArray], d_params: Mapping[str, AnyArray]
    ) -> dict[str, AnyArray]:
        """New values of the parameters; those without a gradient stay as they are."""
        params, d_params = _pairs(params, d_params)
        (b1, b2), steps = self.decay, self.steps + 1
        scale = self.rate * math.sqrt(1 - b2**steps) / (1 - b1**steps)
        epsilon = self.epsilon * math.sqrt(1 - b2**steps)
        found, moments = {}, {}
        with np.errstate(all="ignore"):
            for name, g in d_params.items():
                xp = namespace(g)
                kept = self.moments.get(name) or (xp.zeros_like(g), xp.zeros_like(g))
                first, second = (_beside(g, moment) for moment in kept)  # of a file: NumPy's
                first = b1 * first + (1 - b1) * g
                second = b2 * second + (1 - b2) * xp.square(g)
                moments[name] = first, second
                found[name] = _minus(params[name], scale * first / (xp.sqrt(second) + epsilon))
        self.moments, self.steps = {**self.moments, **moments}, steps
        return {**params, **found}

    @property
    def state(self) -> dict[str, Any]:
        """What it remembers between steps, for `net.save(path, extra=...)`; set it to go on."""
        first, second = ({name: m[at] for name, m in self.moments.items()} for at in (0, 1))
        return {"steps": self.steps, "first": first, "second": second}

    @state.setter
    def state(self, given: Mapping[str, Any]) -> None:
        check_names(given, ("steps", "first", "second"), "the state of Adam", all_needed=True)
        first, second, steps = given["first"], given["second"], given["steps"]
        _check_arrays(first, "first")
        _check_arrays(second, "second")
        check_names(second, first, "second", all_needed=True)
        if np.ndim(steps) != 0 or np.asarray(steps).dtype.kind not in "iu" or steps < 0:
            raise SettingError(f"steps is how many steps were taken, got {steps!r}")
        for name in first:
            if first[name].shape != second[name].shape:
                raise ShapeError(
                    f"first[{name!r}] is {describe(first[name].shape)}, "
                    f"second[{name!r}] {describe(second[name].shape)}"
                )
        self.moments = {name: (copied(first[name]), copied(second[name])) for name in first}
        self.steps = int(steps)


def _is_number(value: Any) -> bool:
    return isinstance(value, Real) and not isinstance(value, bool)


def _check_finite(value: Any, name: str) -> None:
    if not (_is_number(value) and 0 <= value < math.inf):
        raise SettingError(f"{name} is a finite number, at least 0, got {value!r}")


def _check_arrays(given: Any, what: str) -> None:
    if not isinstance(given, Mapping):
        raise DTypeError(f"{what} takes a dict of arrays by name, not {type(given).__name__}")
    for name, value in given.items():
        shown = f"{what}[{name!r}]"
        if is_tensor(value):
            if kind(value) != "f" or value.requires_grad:
                way = f"{shown}.detach()" if value.requires_grad else f"{shown}.float()"
                way = "" if value.is_complex() else way
                held = dtype_name(value.dtype)
                raise DTypeError(
                    f"{shown} is a detached tensor of reals, not of {held}{passing(way)}"
                )
        elif isinstance(value, np.ndarray | np.generic):
            check_real(np.asarray(value), "float32", shown, "an update")
        else:
            raise DTypeError(f"{shown} is an array, not {type(value).__name__}")


def _pairs(
    params: Mapping[str, AnyArray], d_params: Mapping[str, AnyArray]
) -> tuple[Mapping[str, AnyArray], Mapping[str, AnyArray]]:
    """Parameters, and the gradients of some: of the parameters' library, and at least float32."""
    # Once for all: what a net shows of its parameters are copies, if they are tensors.
    params = dict(params) if isinstance(params, Mapping) else params
    _check_arrays(params, "params")
    _check_arrays(d_params, "d_params")
    if params and not d_params:
        raise NamesError("there is no gradient: d_params is empty, and nothing would be trained")
    unknown = [name for name in d_params if name not in params]
    if unknown:
        raise NamesError(f"gradients for {', '.join(unknown)}, which are no parameters")
    for name, g in d_params.items():
        if tuple(g.shape) != tuple(params[name].shape):
            wanted = describe(params[name].shape)
            raise ShapeError(f"the gradient of {name} is {wanted}, got {describe(g.shape)}")
    return params, {name: widened(_beside(params[name], g)) for name, g in d_params.items()}


def _beside(like: AnyArray, array: AnyArray) -> AnyArray:
    """An array, such as a parameter's gradient, in the library of another, where that is."""
    if is_tensor(like):
        return array if is_tensor(array) else namespace(like).tensor(array, device=like.device)
    return on_host(array) if is_tensor(array) else array


def _minus(param: AnyArray, change: AnyArray) -> AnyArray:
    if is_tensor(param):
        return (widened(param) - change).to(param.dtype)
    return param - change.astype(param.dtype, copy=False)
