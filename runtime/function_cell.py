"""A plain Python function `(h, x) -> (h, y)` as a stateful net: eager, no compiler, no gradient.

In: a function and an initial state of any kind. Out: what `Recur(f, h0)` returns. The function gets
a copy of the state, so a call that fails halfway leaves the state as it was.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, NoReturn

import numpy as np

from .attributes import Fixed
from .errors import CheckpointError, NoGradientError, SettingError, ShapeError

Function = Callable[[Any, Any], tuple[Any, Any]]


class FunctionRecur(Fixed):
    """A stateful net around a Python function."""

    def __init__(self, function: Function, initial: Any = ...) -> None:
        """Start at `initial`, which is copied; or a `SettingError`, where there is none."""
        if initial is ...:
            raise SettingError(
                f"a Python function starts from a state, Recur(function, initial); {function!r} is "
                "taken for one"
            )
        self._function = function
        self._initial = copy.deepcopy(initial)
        self._state = copy.deepcopy(initial)

    def __call__(self, x: Any) -> Any:
        """One step."""
        returned = self._function(copy.deepcopy(self._state), x)
        if not isinstance(returned, tuple) or len(returned) != 2:
            raise SettingError(f"{self} takes a function that returns (state, output)")
        state, y = returned
        self._state = copy.deepcopy(state)
        return y

    def scan(self, xs: Any) -> Any:
        """Every step of a sequence in turn; outputs that are arrays of one shape are stacked."""
        before = self._state
        try:
            ys = [self(x) for x in xs]
        except BaseException:
            self._state = before
            raise
        try:
            return np.stack([np.asarray(y) for y in ys])
        except ValueError:
            raise ShapeError(
                "the outputs of the steps have different shapes, or there is none"
            ) from None

    def backward(self, d_ys: Any, d_state: Any = None) -> NoReturn:
        """There is no derivative of a Python function."""
        raise NoGradientError(
            f"{self} runs a Python function, which has no derivative here: write it as a .rnn cell"
        )

    def trace(self, xs: Any) -> NoReturn:
        """There are no names in a Python function that could be looked up."""
        raise SettingError(f"{self} runs a Python function, whose values have no names here")

    def report(self) -> NoReturn:
        """Nothing is compiled."""
        raise SettingError(f"{self} runs a Python function as it is: there is nothing to report")

    @property
    def state(self) -> Any:
        """A copy of the state; set it to replace it."""
        return copy.deepcopy(self._state)

    @state.setter
    def state(self, state: Any) -> None:
        self._state = copy.deepcopy(state)

    @property
    def params(self) -> Mapping[str, Any]:
        """None: what the function closes over is its own."""
        return MappingProxyType({})

    def save(self, path: Any, *, extra: Any = None) -> NoReturn:
        """There is no source of a Python function to save."""
        raise CheckpointError(f"{self} runs a Python function, which is not saved: keep net.state")

    def reset(self) -> None:
        """Back to the initial state."""
        self._state = copy.deepcopy(self._initial)

    def truncate(self) -> None:
        """Nothing is recorded, so there is nothing to forget."""

    def train(self) -> FunctionRecur:
        """Nothing is ever recorded."""
        return self

    def eval(self) -> FunctionRecur:
        """Nothing is ever recorded."""
        return self

    def __repr__(self) -> str:
        return f"Recur({getattr(self._function, '__name__', self._function)})"
