"""Sizes that are made of sizes: products, sums, parts; so that what is said of them has names.

In: sizes, named or mere numbers. Out: a `Dim` whose text is what it was made of: `height*width`,
`2*hidden`, `hidden/heads`.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from math import prod

from ..grammar.limits import LONGEST_SIZE
from .shapes import Dim

_PRODUCT = re.compile(r"[\w*]+")


def times(*dims: int) -> Dim:
    """Their product."""
    number, names = 1, list[str]()
    for dim in dims:
        count, factors = _factors(dim)
        number *= count
        names += factors
    return _made(times, prod(map(int, dims)), _spelled(number, names), dims)


def plus(*dims: int) -> Dim:
    """Their sum."""
    terms: Counter[tuple[str, ...]] = Counter()
    for dim in dims:
        count, factors = _factors(dim)
        terms[tuple(factors)] += count
    # What is a number stands last.
    ranked = sorted(terms.items(), key=lambda term: not term[0])
    text = "+".join(_spelled(count, names) for names, count in ranked if count)
    return _made(plus, sum(map(int, dims)), text, dims)


def minus(dim: int, other: int) -> Dim:
    """Their difference."""
    (count, factors), (less, others) = _factors(dim), _factors(other)
    if not other:
        text = _spelled(count, factors)
    elif sorted(factors) == sorted(others):
        text = _spelled(count - less, factors)
    else:
        text = f"{_text(dim)}-{_within(_text(other), '+-')}"
    return _made(minus, dim - other, text, (dim, other))


def over(dim: int, parts: int) -> Dim:
    """One of `parts` equal ones."""
    (count, factors), (divisor, others) = _factors(dim), _factors(parts)
    left = Counter(factors)
    left.subtract(others)
    if count % divisor == 0 and min(left.values(), default=0) >= 0:
        text = _spelled(count // divisor, [*left.elements()])
    else:
        text = f"{_within(_text(dim), '+-')}/{_within(_text(parts), '+-*/')}"
    return _made(over, dim // parts, text, (dim, parts))


def _made(how: Callable[..., Dim], value: int, text: str, dims: tuple[int, ...]) -> Dim:
    """As the sub-cell names it, and as the cell around does; a number where that is too long."""
    text = text if len(text) <= LONGEST_SIZE else ""
    outers = [dim.outer if isinstance(dim, Dim) else None for dim in dims]
    if not any(outers):
        return Dim(value, text)
    around = (outer or dim for outer, dim in zip(outers, dims, strict=True))
    return Dim(value, text, how(*around))


def _text(dim: int) -> str:
    return "".join(dim.text.split()) if isinstance(dim, Dim) else str(dim)


def _factors(dim: int) -> tuple[int, list[str]]:
    """A number, and the names it is multiplied with."""
    if not isinstance(dim, Dim):
        return dim, []
    text = _text(dim)
    if not _PRODUCT.fullmatch(text):
        return 1, [f"({text})"]
    parts = text.split("*")
    return prod(int(p) for p in parts if p.isdigit()), [p for p in parts if not p.isdigit()]


def _spelled(number: int, names: list[str] | tuple[str, ...]) -> str:
    """`2*hidden`, `hidden`, `6`."""
    if not number:
        return "0"
    if number == 1 and len(names) == 1:
        return names[0].removeprefix("(").removesuffix(")")
    return "*".join([*([str(number)] if number != 1 or not names else []), *names])


def _within(text: str, looser: str) -> str:
    """In parentheses, if an operator in it binds as loosely as one of these."""
    return f"({text})" if any(sign in text for sign in looser) else text
