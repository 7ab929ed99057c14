"""Cells are checked at sizes that hide no accidental equality, and that divide where they must."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.elaborate.witnesses import elaborate_at_witnesses
from rnnc.grammar.problems import Collector, Problems


def sizes(text: str, **given: int) -> list[dict[str, object]]:
    cells = library.loads(text)
    problems = Collector()
    made = elaborate_at_witnesses(cells[list(cells)[-1]].definition, given, problems)
    problems.raise_errors()
    return [dict(cell.settings) for cell in made]


def test_all_sizes_differ_within_and_between_the_two_elaborations() -> None:
    text = "cell T(a, b, c): ((), (x[a], y[b], z[c])) -> ((), s) {\ns = sum(x) * sum(y) * sum(z)\n}"
    first, second = sizes(text)
    values = [*first.values(), *second.values()]
    assert len(set(values)) == 6


def test_sizes_that_divide_each_other_are_found() -> None:
    text = "cell T(n, heads): ((), x[n]) -> ((), y) {\ny = reshape(x, [heads, n / heads])\n}"
    chain = f"{text}\ncell Chain(width, parts) = T(2 * width, parts)"
    for found in (*sizes(text), *sizes(chain)):
        values = [value for value in found.values() if isinstance(value, int)]
        assert values[0] % values[1] == 0 and values[0] != values[1]


def test_a_shape_that_fits_by_accident_is_found() -> None:
    accident = "cell T(n, m): ((), (x[n], y[m])) -> ((), z) {\nz = x + y[0:5]\n}"
    with pytest.raises(Problems) as caught:
        library.loads(accident).check()
    assert [problem.code for problem in caught.value.problems] == ["shape-mismatch"]


def test_sizes_may_be_given() -> None:
    text = "cell T(n, k = 3): ((), x[n]) -> ((), y) {\ny = reshape(x, [k, n / k])\n}"
    assert sizes(text, n=6) == [{"n": 6, "k": 3}]
    assert [found["k"] for found in sizes(text)] == [3, 3]
    with pytest.raises(Problems):
        library.loads(text).check({"n": 7})


def test_sizes_that_never_divide_are_a_problem_of_the_source() -> None:
    text = "cell T(n): ((), x[n]) -> ((), y) {\ny = reshape(x, [(2 * n + 1) / 2, 2])\n}"
    with pytest.raises(Problems) as caught:
        library.loads(text).check()
    assert [problem.code for problem in caught.value.problems] == ["bad-size"]
