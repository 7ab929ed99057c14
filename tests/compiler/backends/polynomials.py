"""Polynomials in sizes that are at least 1: enough arithmetic to compare what depends on them."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

Monomial = tuple[str, ...]  # names of sizes, sorted; () is 1


@dataclass(frozen=True)
class Polynomial:
    """A sum of products of sizes, each with a whole coefficient other than 0."""

    terms: Mapping[Monomial, int]

    @staticmethod
    def of(number: int) -> Polynomial:
        return Polynomial({(): number} if number else {})

    @staticmethod
    def read(text: str) -> Polynomial:
        """`64*T*B`; what is in brackets, `cdiv(B, 16)`, is a size of its own."""
        factors = re.findall(r"[^*()]+(?:\([^()]*\))?", text)
        names = tuple(sorted(f for f in factors if not f.isdigit()))
        number = 1
        for factor in factors:
            number *= int(factor) if factor.isdigit() else 1
        return Polynomial({names: number} if number else {})

    def __add__(self, other: Polynomial) -> Polynomial:
        total: Counter[Monomial] = Counter(self.terms)
        for names, number in other.terms.items():
            total[names] += number
        return Polynomial({names: number for names, number in total.items() if number})

    def __neg__(self) -> Polynomial:
        return Polynomial({names: -number for names, number in self.terms.items()})

    def __sub__(self, other: Polynomial) -> Polynomial:
        return self + -other

    def __mul__(self, other: Polynomial) -> Polynomial:
        found = Polynomial({})
        for names, number in self.terms.items():
            for others, factor in other.terms.items():
                found += Polynomial({tuple(sorted((*names, *others))): number * factor})
        return found

    def over(self, other: Polynomial) -> Polynomial | None:
        """The quotient, where `other` is one product that divides every term."""
        if len(other.terms) != 1:
            return None
        ((names, number),) = other.terms.items()
        found = {}
        for mine, factor in self.terms.items():
            rest = Counter(mine)
            rest.subtract(names)
            if factor % number or min(rest.values(), default=0) < 0:
                return None
            found[tuple(sorted(rest.elements()))] = factor // number
        return Polynomial(found)

    @property
    def number(self) -> int | None:
        """Its value, if it depends on no size."""
        return self.terms.get((), 0) if set(self.terms) <= {()} else None

    def is_never_negative(self) -> bool:
        """Whether it is proven: in sizes counted from 1, no coefficient is negative."""
        shifted = Polynomial({})
        for names, number in self.terms.items():
            product = Polynomial.of(number)
            for name in names:
                product *= Polynomial({(): 1, (name,): 1})
            shifted += product
        return all(number >= 0 for number in shifted.terms.values())

    def __str__(self) -> str:
        texts = ["*".join(map(str, (n, *names))) for names, n in sorted(self.terms.items())]
        return " + ".join(texts) or "0"


ZERO, ONE = Polynomial.of(0), Polynomial.of(1)
