"""Discrete Fourier transforms along the last axis, as products with a matrix.

In: operands. Out: complex values. Every backend has products, which for the sizes of states are as
fast as a recursion; the matrix is made once a call.
"""

from __future__ import annotations

from math import pi

from ...grammar.problems_of_values import RankMismatch
from ..ir import Node, apply
from ..rewrite import canonical
from .tensors import Site, constant, tensor
from .values import Complex, Operand, Value, describe

LETTERS = "cdefghijkl"


def fft(site: Site, value: Operand) -> Value:
    """X_k = sum over j of x_j e^(-2 pi i j k / n).

    Raises:
        RankMismatch: there is no axis to transform.
    Cost: n^2 products for each transform.
    """
    return _transform(site, value, backwards=False)


def ifft(site: Site, value: Operand) -> Value:
    """x_j = sum over k of X_k e^(2 pi i j k / n), over n: the inverse of `fft`.

    Raises:
        RankMismatch: there is no axis to transform.
    """
    found = _transform(site, value, backwards=True)
    parts = (site.apply("mul", part, constant(1 / part.type.shape[-1], part.type.shape))
             for part in (found.re, found.im))  # fmt: skip
    return Complex(*parts)


def _transform(site: Site, value: Operand, *, backwards: bool) -> Complex:
    given = tensor(site, value)
    rank = given.type.rank
    if not rank:
        raise RankMismatch(
            f"'{site.name}' needs at least one axis", value.span, f"this is {describe(given)}"
        )
    n = given.type.shape[-1]
    letters = LETTERS[: rank - 1]
    spec = f"ab,{letters}b->{letters}a"

    def by(part: Node, function: str) -> Node:
        waves = site.run.adopt(_waves(n, function), site.span)
        return site.apply("einsum", waves, part, attr=(canonical(spec), ""))

    re, im = (given.re, given.im) if isinstance(given, Complex) else (given, None)
    if im is None:
        turned = by(re, "sin")
        return Complex(by(re, "cos"), turned if backwards else site.apply("neg", turned))
    signs = ("sub", "add") if backwards else ("add", "sub")
    return Complex(
        site.apply(signs[0], by(re, "cos"), by(im, "sin")),
        site.apply(signs[1], by(im, "cos"), by(re, "sin")),
    )


def _waves(n: int, function: str) -> Node:
    """cos or sin of 2 pi j k / n; of j k modulo n, which is exact, so that the angle is small."""
    j, k = (apply("iota", attr=((n, n), axis)) for axis in (0, 1))
    return ((j * k).then("mod", float(n)) * (2 * pi / n)).then(function)
