"""Sizes that are made of sizes have their names, in the sub-cell and in the cell around."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.compiler.dims import minus, over, plus, times
from rnnc.compiler.ir import toposort
from rnnc.compiler.library import loads
from rnnc.compiler.shapes import Dim
from rnnc.grammar.limits import LONGEST_SIZE

H, X, HEADS = Dim(12, "hidden"), Dim(5, "inputs"), Dim(4, "heads")
GATES, WIDE, MADE = Dim(36, "3 * hidden"), Dim(17, "hidden + inputs"), Dim(48, "heads*hidden")


@pytest.mark.parametrize(
    ("made", "value", "text"),
    [
        (times(H, X), 60, "hidden*inputs"),
        (times(3, H, 2), 72, "6*hidden"),
        (times(WIDE, 2), 34, "2*(hidden+inputs)"),
        (times(3, 2), 6, "6"),
        (times(), 1, "1"),
        (plus(H, H), 24, "2*hidden"),
        (plus(1, H, X), 18, "hidden+inputs+1"),
        (plus(2, 3), 5, "5"),
        (minus(GATES, H), 24, "2*hidden"),
        (minus(GATES, Dim(24, "2*hidden")), 12, "hidden"),
        (minus(H, 0), 12, "hidden"),
        (minus(H, 1), 11, "hidden-1"),
        (minus(GATES, WIDE), 19, "3*hidden-(hidden+inputs)"),
        (minus(7, 3), 4, "4"),
        (minus(H, H), 0, "0"),
        (over(GATES, 3), 12, "hidden"),
        (over(H, 2), 6, "hidden/2"),
        (over(H, HEADS), 3, "hidden/heads"),
        (over(MADE, HEADS), 12, "hidden"),
        (over(WIDE, 1), 17, "hidden+inputs"),
        (over(Dim(18, "hidden+6"), 2), 9, "(hidden+6)/2"),
        (over(8, 2), 4, "4"),
    ],
)
def test_sizes_of_sizes_have_names(made: Dim, value: int, text: str) -> None:
    assert (made, made.text) == (value, text)
    assert made.is_named == any(sign.isalpha() for sign in text)


def test_what_a_sub_cell_makes_of_a_size_the_cell_around_made_too() -> None:
    size = Dim(24, "n", Dim(24, "2*hidden"))
    made = over(times(size, 3), 2)
    assert (made, made.text) == (36, "3*n/2")
    assert made.outer is not None and made.outer.text == "3*hidden"


@pytest.mark.parametrize("grown", [lambda a: minus(a, 1), lambda a: plus(minus(a, 1), minus(a, 2))])
def test_a_size_that_is_made_of_ever_more_is_a_number_in_the_end(
    grown: Callable[[Dim], Dim],
) -> None:
    """Or a loop of slices and `concat` in a source makes texts of any length."""
    value = made = Dim(10**6, "n", Dim(10**6, "inputs"))
    for _ in range(40):
        made = over(plus(grown(made), X), 2)
        value = Dim((grown(value) + X) // 2)
        assert made == value
        assert made.outer is not None
        assert len(made.text) <= LONGEST_SIZE and len(made.outer.text) <= LONGEST_SIZE


def test_no_cell_shows_the_names_of_another() -> None:
    """Though they share nodes, and sizes of one value are equal."""
    source = "cell C(%s): (h[%s], x[%s]) -> (h', h') { h' = eye(%s) @ h + x }"
    cells = [loads(source.replace("%s", name)).C(5) for name in ("hidden", "n")]
    for cell, name in zip(cells, ("hidden", "n"), strict=True):
        dims = [dim for node in toposort([cell.states[0].new]) for dim in node.type.shape]
        assert {dim.text for dim in dims if isinstance(dim, Dim) and dim.is_named} == {name}
