"""Large sources compile fast; what would never end is refused."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.elaborate import links, run
from rnnc.compiler.ir import toposort
from rnnc.grammar.problems import Problems
from tests.compiler.elaborate.sources import body, cell, codes, codes_of_body
from tests.pace import within


def test_a_product_of_5000_factors() -> None:
    with within(10):
        made = body("y = " + " * ".join(["x"] * 5000) + "\nh' = h")
    assert len(toposort([made.outputs[0].node])) == 5000


def test_60_doublings_share_their_nodes() -> None:
    lets = "a0 = x\n" + "".join(f"a{i + 1} = a{i} + a{i}\n" for i in range(60))
    with within(2):
        made = body(f"{lets}h' = h\ny = a60")
    assert len(toposort([made.outputs[0].node])) == 61


def test_10000_draws_have_names_of_their_own() -> None:
    with within(8):
        made = body("y = x\nfor k in 0..10000 {\ny = y + normal([n])\n}\nh' = h")
    assert [b.name for b in made.beside if b.source == "normal"][-1] == "normal@9999"


def test_nesting_of_200_brackets_calls_and_blocks() -> None:
    brackets = "(" * 195 + "x" + ")" * 195
    calls = "tanh(" * 195 + "x" + ")" * 195
    blocks = "if n > 1 {\n" * 150 + "b = x\n" + "}\n" * 150
    made = body(f"a = {brackets} + {calls}\n{blocks}h' = h\ny = a + b")
    assert len(toposort([made.outputs[0].node])) > 195


def test_3000_functions_that_call_each_other() -> None:
    functions = "fn f0(a) = a + 1\n" + "".join(f"fn f{i + 1}(a) = f{i}(a)\n" for i in range(3000))
    with within(20):
        cell(f"{functions}cell T(n): ((), x[n]) -> ((), y) {{\ny = f3000(x)\n}}", 3)


def test_90_cells_within_each_other() -> None:
    cells = "".join(f"cell C{i}(n) = C{i + 1}(n) >> End(n)\n" for i in range(90))
    end = "cell {}(n): (h[n], x[n]) -> (h', h') {{\nh' = h + x\n}}\n"
    text = end.format("C90") + end.format("End") + "".join(reversed(cells.splitlines(True)))
    made = cell(text, 3)
    assert len(made.states) == 91 and made.states[0].name == "0." * 90 + "h"


def test_as_many_operations_as_allowed_and_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_NODES", 100)
    loop = "s = x\nfor l in 0..{} {{\ns = s + h\n}}\nh' = h\ny = s"
    assert not codes_of_body(loop.format(100))
    assert codes_of_body(loop.format(101)) == ["unrolled-too-large"]


def test_as_many_equations_as_allowed_and_one_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_STEPS", 100)
    loop = "for l in 0..{} {{\na = l\n}}\nh' = h\ny = x"  # the loop and two equations beside
    assert not codes_of_body(loop.format(97))
    assert codes_of_body(loop.format(98)) == ["unrolled-too-large"]


def test_a_tensor_of_as_many_numbers_as_allowed_and_one_more() -> None:
    for size, wanted in ((2**31 - 1, []), (2**31, ["bad-size"]), (10**18, ["bad-size"])):
        signature = f"cell T(n): (h[{size}], x[n]) -> (h', y)"
        assert codes_of_body("h' = h\ny = x", signature) == wanted, size
    for rows, wanted in ((46_340, []), (46_341, ["bad-size"])):
        assert codes_of_body(f"param W[{rows}, {rows}]\nh' = h\ny = x * W[0, 0]") == wanted


@pytest.mark.parametrize(
    "text",
    [
        # loops that make nothing
        "cell T(n): ((), x[n]) -> ((), y) {\nfor i in 0..1000000 {\nfor j in 0..1000000 {\n"
        "a = i\n}\n}\ny = x\n}",
        # functions that call the one before twice
        "fn f0(a) = a\n" + "".join(f"fn f{i + 1}(a) = f{i}(f{i}(a))\n" for i in range(60))
        + "cell T(n): ((), x[n]) -> ((), y) {\ny = f60(x)\n}",
        # cells that hold the one before twice
        "cell C0(n): ((), x[n]) -> ((), y) {\ny = x\n}\n"
        + "".join(f"cell C{i + 1}(n) = C{i}(n) >> C{i}(n)\n" for i in range(60)),
        "import Dense from std\ncell T(n) = repeat(1000000000, Dense(n, n))",
        # an array that is too long to be written out
        "cell T(n): ((), x[n]) -> ((), y) {\ny = cumprod(broadcast(1, [1000000]))[0] * x\n}",
    ],
)  # fmt: skip
def test_a_bomb_is_refused(text: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_NODES", 2_000)
    monkeypatch.setattr(run, "MOST_STEPS", 2_000)
    assert codes(text, 3) == ["unrolled-too-large"]


@pytest.mark.parametrize(
    "equations",
    [
        "param W[n, 1000000, 1000000]\nh' = h\ny = 2 * x",
        "h' = h\ny = broadcast(x, [1000000, 1000000, n])",
        "h' = h\ny = sum(eye(1000000)) + x[0]",
    ],
)
def test_a_tensor_that_no_machine_holds_is_refused(equations: str) -> None:
    assert codes_of_body(equations) == ["bad-size"]
    signature = "cell T(n): (h[n, 100000, 100000], x[n]) -> (h', y)"
    assert codes_of_body("h' = h\ny = 2 * x", signature) == ["bad-size"]


def test_cells_nest_so_deep_and_no_deeper(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(links, "DEEPEST_CELL", 3)
    end = "cell End(n): ((), x[n]) -> ((), y) {\ny = x\n}\n"
    chain = [f"cell C{i}(n) = {f'C{i - 1}' if i else 'End'}(n) >> End(n)\n" for i in range(5)]
    assert not codes(end + "".join(chain[:3]), 3)
    assert set(codes(end + "".join(chain[:4]), 3)) == {"unrolled-too-large"}


def many(form: str, count: int = 3_000) -> str:
    return "".join(form.format(at, at + 1) for at in range(count))


CHECKED = "cell T(n): (h[n], x[n]) -> (h', x) {{\nh' = x\n{}\n}}\n"


@pytest.mark.parametrize(
    "text",
    [
        # names, and branches that leave them as they are
        CHECKED.format(many("a{0} = x\n") + "if n > 0 { }\n" * 3_000),
        # names that nothing defines, beside as many that are close
        CHECKED.format(many("abc{0} = x\n") + many("d{0} = abd{0}\n")),
        many("fn f{0}(a) = g{0}(a)\n") + many("fn h{0}(a) = a\n"),
        many("cell Abc{0}(n) = Abd{0}(n)\n"),
        CHECKED.format(many("param abc{0}[n] = abd{0}\n")),
        many("abc{0}, ").join(["cell T(n): ((), x[n]) -> ((), (", "y)) {\n"])
        + many("abd{0} = x\n")
        + "}",
        # circles within circles
        many("fn f{0}(a) = f{1}(a) + f0(a)\n") + "fn f3000(a) = a\n",
        # one problem in many places
        CHECKED.format(f"y = x{' + t' * 20_000}"),
        many("fn f{1}(a) = f{0}(a)\n") + "fn f0(a) = a + t\n",
    ],
    ids=[
        "branches",
        "names",
        "functions",
        "cells",
        "initialisers",
        "outputs",
        "circles",
        "refused",
        "calls",
    ],
)
def test_many_names_take_no_longer_for_each(text: str) -> None:
    """Each of these once compared, copied or told all of the names for each of them."""
    with within(10), pytest.raises(Problems) as caught:
        library.loads(text)
    assert len(str(caught.value)) < 20_000


def test_a_problem_deep_in_calls_shows_some_of_them() -> None:
    calls = "fn f0(a) = a @ a @ a\n" + many("fn f{1}(a) = f{0}(a)\n")
    text = f"{calls}{CHECKED.format('y = f3000(x)')}".replace("(h', x)", "(h', y)")
    with pytest.raises(Problems) as caught:
        library.loads(text).T(3)
    assert str(caught.value).count("in this call of") == 4
    assert "in this call of 'f3000'" in str(caught.value)


def test_a_check_ends_at_the_first_cell_that_is_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "MOST_STEPS", 2_000)
    cells = "cell C0(n): (h[n], x[n]) -> (h', h') { h' = h + x }\n"
    text = cells + many("cell C{1}(n) = C{0}(n) >> C{0}(n)\n", 30)
    with pytest.raises(Problems) as caught:
        library.loads(text).check()
    assert [problem.code for problem in caught.value.problems] == ["unrolled-too-large"]
