"""Functions that make complex values and take them apart: complex, real, imag, conj; and `^`.

In: operands. Out: values. A real value has no imaginary part, and is its own conjugate.
"""

from __future__ import annotations

from ...grammar.problems_of_values import BadArgument
from ..ir import Node
from . import pairs
from .tensors import Site, constant, fit, joint_shape, need_kind
from .values import Complex, Operand, Value, describe, is_known, parts_of, shape_of


def complex_of(site: Site, re: Operand, im: Operand) -> Value:
    """`re + i im`, of real parts that broadcast."""
    shape = joint_shape(site, (re, im))
    parts: list[Node] = []
    for part in (re, im):
        need_kind(site, part, "real")
        parts += parts_of(fit(site, part.value, shape))
    return Complex(*parts)


def real(site: Site, value: Operand) -> Value:
    """The real part."""
    need_kind(site, value, "number")
    return value.value.re if isinstance(value.value, Complex) else value.value


def imag(site: Site, value: Operand) -> Value:
    """The imaginary part."""
    need_kind(site, value, "number")
    if isinstance(value.value, Complex):
        return value.value.im
    return 0 if is_known(value.value) else constant(0.0, shape_of(value.value))


def conj(site: Site, value: Operand) -> Value:
    """The complex conjugate."""
    need_kind(site, value, "number")
    if isinstance(value.value, Complex):
        return pairs.conjugate(site.apply, value.value)
    return value.value


def power(site: Site, base: Operand, exponent: Operand) -> Value:
    """`base ^ exponent`, one of which is complex.

    Raises:
        BadArgument: the exponent is no integer that is known while compiling.
    """
    n = exponent.value
    if isinstance(base.value, Complex) and is_known(n) and n == n // 1 and abs(n) < 2**53:
        return pairs.power(site.apply, base.value, int(n))
    raise BadArgument(
        "a complex number is raised to integers only",
        exponent.span,
        f"this is {describe(n)}",
        notes=["other powers have many values"],
        hints=["'exp(a * w)' is one of those of 'z ^ a', with w a logarithm of z"],
    )
