"""Every pair occurs, nothing illegal does, and the rows are few, cheap, and always the same."""

from __future__ import annotations

from itertools import combinations, product

from tests.pairwise import Row, pairs_of, pairwise

FACTORS = {"shape": "abcde", "size": (1, 2, 3), "dark": (False, True), "hot": (False, True)}


def fits(row: Row) -> bool:
    """Shape "a" comes in one size only."""
    return not ("shape" in row and "size" in row and row["shape"] == "a" and row["size"] > 1)


def test_every_legal_pair_occurs_and_no_other() -> None:
    found = {pair for row in pairwise(FACTORS, fits) for pair in pairs_of(row)}
    wanted = {
        (a, x, b, y)
        for a, b in combinations(FACTORS, 2)
        for x, y in product(FACTORS[a], FACTORS[b])
        if fits({a: x, b: y})
    }
    assert found == wanted


def test_there_are_not_many_rows() -> None:
    """At least the product of the two largest factors; here 15 of 60."""
    assert 15 <= len(pairwise(FACTORS)) <= 18


def test_rows_are_the_same_every_time() -> None:
    assert pairwise(FACTORS, fits) == pairwise(FACTORS, fits)


def test_dear_rows_are_rare() -> None:
    def dear(row: Row) -> bool:
        return bool(row["size"] == 3 and row["dark"])

    usual = sum(map(dear, pairwise(FACTORS)))
    assert sum(map(dear, pairwise(FACTORS, cost=lambda row: 50.0 if dear(row) else 1.0))) < usual
