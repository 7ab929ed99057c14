"""The IR as text: readable, and read back the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from rnnc.compiler.ir import Cell, Init, Node, Scan, Scans, State, Value, apply, const, leaf
from rnnc.compiler.passes.hoist import hoist
from rnnc.compiler.passes.sink import sink
from rnnc.compiler.shapes import Dim, Type
from rnnc.compiler.text import excerpt, read, same, show
from rnnc.compiler.text_reader import TextProblem
from rnnc.grammar.source import Source, Span
from tests.compiler.hand_built import CELLS, elman, lstm
from tests.compiler.run_scans import each, scans_of

TB = frozenset("TB")
MASKS = ("starts", "boundaries", "valid")


def assert_reads_back(stage: Cell | Scan | Scans) -> None:
    text = show(stage)
    again = read(text)
    assert show(again) == text
    assert same(again, stage) and same(stage, again)


def probe(node: Node, *inputs: Node) -> Scan:
    return Scan("Probe", (), inputs, (), (Value("y", node),))


@pytest.mark.parametrize("name", CELLS)
def test_every_stage_reads_back(name: str) -> None:
    cell = CELLS[name]()
    assert_reads_back(cell)
    scans = scans_of(cell, MASKS)
    assert_reads_back(scans.forward)
    assert_reads_back(scans)
    assert_reads_back(each(sink)(each(hoist)(scans)))


def test_a_cell_as_text() -> None:
    inputs, hidden = Dim(3, "inputs"), Dim(4, "hidden")
    cell = replace(elman(inputs, hidden), settings={"inputs": inputs, "rate": 0.5, "act": "tanh"})
    assert show(cell) == ELMAN
    assert_reads_back(cell)


ELMAN = """\
cell Elman: x -> h
with inputs = 3, rate = 0.5, act = 'tanh'
sizes hidden = 4, inputs = 3
param W: real[hidden,inputs] = normal(0.5)
param U: real[hidden,hidden] = normal(0.5)
param b: real[hidden] = normal(0.5)
param h0: real[hidden] = normal(0.5)
state h: real[B,hidden]
input x: real[B,inputs]
step
  %0 : real[B,hidden] = W @ x
  %1 : real[B,hidden] = U @ h
  %2 : real[B,hidden] = %0 + %1
  %3 : real[B,hidden] = %2 + b
  h' : real[B,hidden] = tanh %3
  initial h = h0
  state h = h'
  output h = h'
"""


def test_a_scan_is_shown_in_the_order_of_its_run() -> None:
    scans = each(sink)(each(hoist)(scans_of(elman())))
    heads = [line for line in show(scans.forward).splitlines() if not line.startswith(" ")]
    assert heads[-3:] == ["before", "step t carry h", "after"]
    assert scans.backward is not None
    assert "\nstep t backwards carry ct.state.h\n" in show(scans.backward)


def test_numbers_keep_their_bits() -> None:
    x = leaf("input", "x", Type((2,), axes=TB))
    numbers = (0.1, 1e-300, 1e16, -0.0, np.pi, np.inf, -np.inf, np.nan, 3.0)
    node = x
    for number in numbers:
        node = node * number
    scan = probe(apply("concat", node, const(-0.0, (3,)), attr=0), x)
    text = show(scan)
    for word in ("0.1", "1e-300", "1e+16", "-0.0", repr(np.pi), ".inf", "-.inf", ".nan", "3.0"):
        assert f" * {word}\n" in text
    assert " -0.0[3]\n" in text
    assert_reads_back(scan)


def test_constants_of_every_kind_read_back() -> None:
    x = leaf("input", "x", Type((), "int", TB))
    test = leaf("input", "test", Type((), "bool", TB))
    node = apply("where", test, x, const(7, (), "int"))
    flag = apply("and", test, const(1, (), "bool"))
    scan = replace(probe(node, x, test), outs=(Value("y", node), Value("z", flag)))
    assert "where test x 7\n" in show(scan) and "test and true\n" in show(scan)
    assert_reads_back(scan)


def test_an_operand_named_like_a_number_is_itself() -> None:
    """`inf` and the member `0.e5` of a chain are names that people may write."""
    infinite, member = (leaf("input", n, Type((2,), axes=TB)) for n in ("inf", "0.e5"))
    assert_reads_back(probe(infinite * member * np.inf, infinite, member))


def test_names_are_the_sources_and_made_unique() -> None:
    x = leaf("input", "x", Type((2,), axes=TB))
    first = apply("tanh", x, label="r")
    second = apply("tanh", first, label="r")
    third = apply("tanh", second, label="x")
    fourth = apply("tanh", third, label="not")  # a word of the text
    fifth = apply("tanh", fourth, label="ω.h'")
    scan = probe(fifth, x)
    names = [line.split()[0] for line in show(scan).splitlines() if " = tanh" in line]
    assert names == ["r", "r.2", "x.2", "%0", "ω.h'"]
    assert_reads_back(scan)


def test_a_size_with_two_values_has_two_names() -> None:
    """Two cells of a chain may both call a size `hidden`."""
    x = leaf("input", "x", Type((Dim(3, "hidden"), Dim(2, "2 * k")), axes=TB))
    y = leaf("input", "y", Type((Dim(4, "hidden"), Dim(2, "B")), axes=TB))
    both = probe(apply("sum", x, attr=0), x, y)
    assert "sizes hidden = 3, 2*k = 2, hidden.2 = 4, B.2 = 2\n" in show(both)
    assert "input x: real[T,B,hidden,2*k]\n" in show(both)
    assert "input y: real[T,B,hidden.2,B.2]\n" in show(both)
    assert_reads_back(both)


def test_places_in_the_source_are_comments() -> None:
    source = Source("cell.rnn", "cell\n  y = tanh(x)\n")
    x = leaf("input", "x", Type((2,), axes=TB))
    scan = probe(apply("tanh", x, span=Span(source, 11, 18)), x)
    assert show(scan).splitlines()[3].endswith("# 2:7")
    assert "#" not in show(scan, comments=False)
    assert same(read(show(scan)), scan)


def test_initial_values_of_parameters_read_back() -> None:
    cell = lstm()
    b, value = cell.params[2], const(0.5, (4, 4)) + 0.25
    params = (*cell.params[:2], replace(b, init=Init("expr", (), value), trained=False))
    cell = replace(cell, params=params)
    assert "const b: real[4,4] = expr\n" in show(cell) and "  init b = %" in show(cell)
    assert_reads_back(cell)


def test_scans_share_their_parameters_after_reading() -> None:
    scans = read(show(scans_of(elman())))
    assert isinstance(scans, Scans) and scans.backward is not None
    assert scans.forward.params == scans.backward.params


def test_same_sees_what_differs() -> None:
    cell = elman()
    (state,) = cell.states
    others = (
        replace(cell, name="Other"),
        replace(cell, output_is_tuple=True),
        replace(cell, params=cell.params[::-1]),
        replace(cell, outputs=(Value("y", state.new),)),
        replace(cell, outputs=(Value("h", -state.new),)),
        replace(cell, states=(State("h", state.node, state.new, const(0.0, (4,))),)),
        elman(hidden=5),
        lstm(),
    )
    assert same(cell, elman())
    assert not any(same(cell, other) for other in others)
    x = leaf("input", "x", Type((2,), axes=TB))
    assert not same(probe(x * 0.0, x), probe(x * -0.0, x))
    y = leaf("input", "y", Type((2,), axes=TB))
    assert not same(probe(x - y, x, y), probe(y - x, x, y))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: this is neither a cell nor a scan"),
        ("kernel k", "line 1: this is neither a cell nor a scan"),
        ("scan s\ninput x: real[T,B,3]\n  y : real[T,B,4] = tanh x", "line 3: .*real.T,B,3."),
        ("scan s\nbefore\n  y : real[3] = tanh x", "line 3: .*no value is named x|line 3"),
        ("scan s\ninput x: real[3]\n  y : real[3] = tan x", "line 3: .*tan"),
        ("scan s\ninput x: real[n]", "line 2: .*'n'"),
        ("scan s\nwhat is this", "line 2: .*no line of the IR's text"),
    ],
)  # fmt: skip
def test_what_is_no_such_text_is_refused_by_its_line(text: str, message: str) -> None:
    with pytest.raises(TextProblem, match=message):
        read(text)


def test_an_excerpt_shows_a_node_and_what_it_is_made_of() -> None:
    x = leaf("input", "x", Type((2,)))
    node = apply("exp", apply("tanh", apply("neg", apply("sin", x)), label="z") * 2.0)
    assert excerpt(node) == (
        "  z  : real[2] = tanh <neg: real[2]>\n"
        "  %0 : real[2] = z * 2.0\n"
        "> %1 : real[2] = exp %0"
    )  # fmt: skip


def test_deep_graphs_are_no_problem() -> None:
    node = x = leaf("input", "x", Type((2,), axes=TB))
    for _ in range(3000):
        node = apply("tanh", node)
    assert_reads_back(probe(node, x))
