"""Large sources compile fast; what would never end is refused."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from rnnc.compiler.elaborate import links, run
from rnnc.compiler.ir import toposort
from tests.compiler.elaborate.sources import body, cell, codes, codes_of_body


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Ten times what it takes on a slow machine: only a change of order fails."""
    start = time.perf_counter()
    yield
    assert time.perf_counter() - start < seconds


def test_a_product_of_5000_factors() -> None:
    with within(10):
        made = body("y = " + " * ".join(["x"] * 5000) + "\nh' = h")
    assert len(toposort([made.outputs[0].node])) == 5000


def test_60_doublings_share_their_nodes() -> None:
    lets = "a0 = x\n" + "".join(f"a{i + 1} = a{i} + a{i}\n" for i in range(60))
    with within(2):
        made = body(f"{lets}h' = h\ny = a60")
    assert len(toposort([made.outputs[0].node])) == 61


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
