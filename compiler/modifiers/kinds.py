"""What a modifier takes for an argument: numbers, counts, words, paths of parameters.

In: a value as Python or the language has it. Out: the same as plain data, or None.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable
from dataclasses import dataclass
from numbers import Real
from typing import Any

from ..origin import Given


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of argument. `accept` returns None for what is of another."""

    noun: str
    accept: Callable[[Any], Given | None]
    is_named: bool = False  # its values are names: of parameters, or words
    is_size: bool = False


def _number(value: Any) -> float | None:
    is_number = isinstance(value, Real) and not isinstance(value, bool)
    return float(value) if is_number and math.isfinite(value) else None


def _between(low: float, high: float) -> Callable[[Any], float | None]:
    """Finite numbers above `low`, and up to `high`."""

    def accept(value: Any) -> float | None:
        number = _number(value)
        return number if number is not None and low < number <= high else None

    return accept


def _probability(value: Any) -> float | None:
    number = _number(value)
    return number if number is not None and 0 <= number <= 1 else None


def _count(value: Any) -> int | None:
    try:
        count = operator.index(value)
    except TypeError:
        return None
    return int(count) if count >= 1 and not isinstance(value, bool) else None


def _paths(value: Any) -> tuple[str, ...] | None:
    paths = (value,) if isinstance(value, str) else value
    if not isinstance(paths, list | tuple) or not paths:
        return None
    return tuple(map(str, paths)) if all(isinstance(path, str) for path in paths) else None


def one_of(*words: str) -> Kind:
    """One of some words."""
    return Kind(" or ".join(words), lambda value: value if value in words else None, is_named=True)


NUMBER = Kind("a finite number", _number)
BOUND = Kind("a positive number", _between(0, math.inf))
PROBABILITY = Kind("a number from 0 to 1", _probability)
COUNT = Kind("a positive integer", _count, is_size=True)
PATHS = Kind("the path of a parameter, or a list of paths", _paths, is_named=True)
