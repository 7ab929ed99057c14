"""A few rows of a product of choices in which every pair of values occurs: all-pairs testing.

In: factors by name, which values go together, what a row costs. Out: rows, the same every time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import combinations, product
from random import Random
from typing import Any, TypeAlias

Row: TypeAlias = dict[str, Any]
Pair: TypeAlias = tuple[str, Any, str, Any]
TRIES = 40  # rows from which each next one is chosen


def pairwise(
    factors: Mapping[str, Sequence[Any]],
    legal: Callable[[Row], bool] = lambda row: True,
    cost: Callable[[Row], float] = lambda row: 1.0,
) -> list[Row]:
    """Rows in which every legal pair of values of two factors occurs.

    Args:
        factors: the values of each, which can be hashed.
        legal: whether the values of a row, or of a part of one, go together. A part that is
            legal can be completed, one factor after the other.
        cost: of a row; of two that serve as well the cheaper one is taken.
    Source: greedy, as in AETG; Cohen et al. 1997, doi:10.1109/32.605761.
    """
    missing = dict.fromkeys(p for p in _all_pairs(factors) if legal({p[0]: p[1], p[2]: p[3]}))
    draws, rows = Random(0), list[Row]()
    while missing:
        a, x, b, y = next(iter(missing))
        tried = [_completed({a: x, b: y}, factors, legal, draws) for _ in range(TRIES)]
        best = max(tried, key=lambda row: sum(p in missing for p in pairs_of(row)) / cost(row))
        for pair in pairs_of(best):
            missing.pop(pair, None)
        rows.append(best)
    return rows


def pairs_of(row: Row) -> list[Pair]:
    """The pairs that occur in a row."""
    return [(a, x, b, y) for (a, x), (b, y) in combinations(row.items(), 2)]


def _all_pairs(factors: Mapping[str, Sequence[Any]]) -> Iterable[Pair]:
    for a, b in combinations(factors, 2):
        for x, y in product(factors[a], factors[b]):
            yield a, x, b, y


def _completed(
    part: Row, factors: Mapping[str, Sequence[Any]], legal: Callable[[Row], bool], draws: Random
) -> Row:
    """A row with these values, and with others that go with them."""
    found = dict(part)
    for name in draws.sample(list(factors), len(factors)):
        if name not in found:
            values = [v for v in factors[name] if legal({**found, name: v})]
            found[name] = draws.choice(values)
    return {name: found[name] for name in factors}
