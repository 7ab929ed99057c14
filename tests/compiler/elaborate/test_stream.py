"""The number of a step is a value like others, and picks rows where it cannot leave the table."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler.ir import HIDDEN, Cell
from rnnc.grammar.problems import Problems


def cell_of(body: str, *sizes: int, header: str = "(h[n], x[n]) -> (h', h')") -> Cell:
    text = f"cell C(n): {header} {{\n{body}\n}}"
    return rnnc.loads(text).C(*(sizes or (3,))).cell


def problem_of(body: str) -> str:
    with pytest.raises(Problems) as found:
        cell_of(body)
    (problem,) = found.value.problems
    return f"{problem.code}: {problem.headline}"


def test_one_counter_counts_for_all_that_read_it() -> None:
    cell = cell_of("h' = t * h + sin(t) * x")
    assert [state.name for state in cell.states] == ["h", "t@0"]
    assert [state.hidden for state in cell.states] == [False, True]


def test_a_cell_that_does_not_count_has_no_counter() -> None:
    assert not any(HIDDEN in state.name for state in cell_of("h' = h + x").states)


def test_each_member_of_a_chain_counts_for_itself() -> None:
    text = (
        "cell A(n): (h[n], x[n]) -> (h', h') {\nh' = h + t * x\n}\n"
        "cell B(n) = A(n) >> last: A(n)\n"
        "cell C(n): (h[n], x[n]) -> (h', h') {\nuse a = A(n)\n(h', y) = a(h, x)\n}\n"
    )
    cells = rnnc.loads(text.replace("(h', y) =", "(h', _) ="))
    assert [s.name for s in cells.B(2).cell.states] == ["0.h", "last.h", "0.t@0", "last.t@0"]
    assert [s.name for s in cells.C(2).cell.states] == ["h", "a.t@0"]


@pytest.mark.parametrize(
    ("words", "index"),
    [
        ("the same rows again and again", "t % 3"),
        ("from the end", "2 - t % 3"),
        ("every other row", "2 * (t % 2)"),
        ("slower", "floor(t / 2) % 3"),
        ("and then the last", "minimum(t, 2)"),
        ("after a while", "maximum(minimum(t, 4) - 2, 0)"),
        ("by a condition", "where(t < 5, 0, 2)"),
    ],
)
def test_a_computed_index_that_stays_in_the_table_picks_a_row(words: str, index: str) -> None:
    cell_of(f"param W[3, n]\nh' = h + W[{index}] * x")


@pytest.mark.parametrize(
    ("index", "least"),
    [("t", "0 or more"), ("t % 4", "between 0 and 3"), ("t % 3 - 1", "between -1 and 1"),
     ("floor(t / 2)", "-inf or more"), ("minimum(t, 3)", "between 0 and 3")],
)  # fmt: skip
def test_one_that_may_leave_it_is_refused(index: str, least: str) -> None:
    with pytest.raises(Problems) as found:
        cell_of(f"param W[3, n]\nh' = h + W[{index}] * x")
    (problem,) = found.value.problems
    assert problem.code == "bad-index"
    assert problem.label == f"it is {least}, and there are 3 places"


@pytest.mark.parametrize("index", ["t / 2", "x[0]", "h[0] % 3", "t % 1.5", "0.5 * t"])
def test_a_number_that_need_not_be_whole_is_no_index(index: str) -> None:
    body = f"param W[3, n]\nh' = h + W[{index}] * x"
    assert problem_of(body) == "kind-mismatch: an index must be an integer"


@pytest.mark.parametrize(
    "source",
    [
        "fn f(w) = sin(w * t)\ncell C(n): ((), x[n]) -> ((), y) {\ny = f(x)\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nparam w[t]\ny = x + w\n}",
        "cell C(n): (h[n] = t, x[n]) -> (h', h') {\nh' = h + x\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nconst w[n] = t\ny = x + w\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nparam w[n] = uniform(0, t)\ny = x + w\n}",
        "cell C(n, a = t): ((), x[n]) -> ((), y) {\ny = a * x\n}",
        "cell C(n): ((), x[n]) -> ((), y) {\nif t == 0 {\ny = x\n} else {\ny = -x\n}\n}",
        "cell D(n): ((), x[n]) -> ((), y) {\ny = 2 * x\n}\ncell C(n) = D(t)",
    ],
    ids=["function", "shape", "initial", "const", "initialiser", "option", "condition", "argument"],
)
def test_where_there_is_no_step_there_is_no_number_of_one(source: str) -> None:
    with pytest.raises(Problems) as found:
        rnnc.loads(source)
    assert "outside-step" in [problem.code for problem in found.value.problems]


def test_a_name_of_ones_own_hides_it() -> None:
    text = "fn f(t) = 2 * t\ncell C(n): ((), (x[n], t[])) -> ((), y) {\ny = t * f(x)\n}"
    assert not rnnc.loads(text).C(3).cell.states
