"""Arithmetic on numbers that are known while compiling: sizes, options, loop variables.

In: Python numbers. Out: Python numbers, integers as long as they can be exact.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import numpy as np

from ..ops import OPS
from .values import Known

LARGEST_EXACT = 2**53  # an integer beyond this goes on as a float: integers must not grow unbounded

# These keep integers integers, so that a result can be a size.
_INTEGER_RESULT = frozenset({"floor", "round", "abs", "sign", "maximum", "minimum"})


class NotANumber(ArithmeticError):
    """The result of known numbers is none: 1 / 0, log(-1)."""


def arithmetic(sign: str, a: float, b: float) -> Known:
    """`a sign b` for `+ - * / % ^`.

    Raises:
        NotANumber: division by zero, or a negative number to a broken power.
    """
    try:
        return _checked(ARITHMETIC[sign](a, b), a, b)
    except ZeroDivisionError:
        raise NotANumber("division by zero") from None


def compare(sign: str, a: Known, b: Known) -> bool:
    """`a sign b` for the six comparisons."""
    return _COMPARISONS[sign](a, b)


def function(op: str, numbers: tuple[float, ...]) -> Known:
    """The pointwise op applied to numbers, by its meaning in float64."""
    with np.errstate(all="ignore"):
        value = float(OPS[op].reference(None, *(np.float64(number) for number in numbers)))
    value = _checked(value, *numbers)
    keeps = op in _INTEGER_RESULT and (
        op in ("floor", "round") or all(isinstance(number, int) for number in numbers)
    )
    if keeps and abs(value) < LARGEST_EXACT:
        return int(value)
    return value


def _checked(value: float, *operands: float) -> float:
    if isinstance(value, int):
        return int(value) if abs(value) <= LARGEST_EXACT else float(value)
    if math.isnan(value) and not any(math.isnan(operand) for operand in operands):
        raise NotANumber("the result is not a number")
    return value


def _divide(a: float, b: float) -> float:
    if isinstance(a, int) and isinstance(b, int) and a % b == 0:
        return a // b
    return a / b


def _power(a: float, b: float) -> float:
    if isinstance(a, int) and isinstance(b, int) and b >= 0:
        if abs(a) <= 1 or b * math.log2(abs(a)) <= 53:
            return int(math.pow(a, b))  # exact below 2^53
    try:
        return math.pow(a, b)
    except OverflowError:
        return -math.inf if a < 0 and b % 2 == 1 else math.inf
    except ValueError:
        if a == 0:
            raise NotANumber("division by zero") from None
        raise NotANumber("the result is not a number") from None


ARITHMETIC: Mapping[str, Callable[[float, float], float]] = {
    "+": lambda a, b: a + b,
    "-": lambda a, b: a - b,
    "*": lambda a, b: a * b,
    "/": _divide,
    "%": lambda a, b: a % b,
    "^": _power,
}
_COMPARISONS: Mapping[str, Callable[[Known, Known], bool]] = {
    "<": lambda a, b: a < b,
    "<=": lambda a, b: a <= b,
    ">": lambda a, b: a > b,
    ">=": lambda a, b: a >= b,
    "==": lambda a, b: a == b,
    "!=": lambda a, b: a != b,
}
