"""Reports: numbers that can be counted by hand, names of the source, and harmless HTML."""

from __future__ import annotations

import re
from dataclasses import replace
from xml.etree import ElementTree

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.mapping import Extent
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.compiler.report import COLUMNS, Report, report
from tests.compiler.hand_built import elman

std = library.std()
EXTENT = Extent(steps=10, rows=2)


def report_on(cell: Cell, goal: Goal, programs: Programs | None = None) -> Report:
    compiled = programs or compile_cell(cell, goal)
    return report(cell, compiled, goal, title=cell.name, dtype="float32", extent=EXTENT)


def rows(found: Report, section: str) -> dict[str, str]:
    return dict(dict(found.sections)[section])


def test_costs_are_those_counted_by_hand() -> None:
    inputs, hidden = 3, 5
    found = report_on(std.RNN(inputs, hidden), Goal())
    forward = rows(found, "forward")
    flops = 2 * hidden * inputs + 2 * hidden * hidden + 3 * hidden  # two sums, one tanh
    assert forward["FLOPs"] == f"{flops} a step and row; {20 * flops:,} for 10 steps of 2 rows"
    each = 4 * (inputs + 3 * hidden)  # x; h', and what is saved: h and the tanh
    fixed = 4 * (hidden * inputs + hidden * hidden + hidden)
    total = 20 * each + fixed + 2 * 2 * 4 * hidden
    assert forward["bytes"].startswith(f"{each} in and out a step and row; {total:,} for")
    assert rows(found, "")["parameters"].startswith("45 numbers, 180 bytes: W[hidden,inputs]")


def test_it_says_what_is_hoisted_saved_computed_again_and_sunk() -> None:
    found = report_on(std.GRU(3, 4), Goal())
    forward, backward = rows(found, "forward"), rows(found, "backward")
    assert forward["hoisted"] == "wr, wz, wn = b + W @ x"
    assert forward["saved"].startswith("h; ur, uz, un; z")
    assert backward["recomputed"] == "1 - z"
    assert "ct.W = sum over t, b of outer" in backward["sunk"]
    assert rows(report_on(std.LSTM(3, 4), Goal()), "backward")["recomputed"] == "nothing"
    # Beside memory traffic, arithmetic is free: what reads no carry is not saved.
    on_triton = report_on(std.MinGRU(3, 4), Goal(backend="triton"))
    assert rows(on_triton, "backward")["recomputed"] == "z; 1 - z"


def test_a_mapping_and_those_not_taken_come_with_what_the_model_says() -> None:
    cell, goal = std.LSTM(3, 16), Goal(backend="triton")
    programs = compile_cell(cell, goal)
    forward = rows(report_on(cell, goal, programs), "forward")
    options = programs.choices[0]
    assert forward["mapping"] == str(options[0])
    assert forward["why"] == f"the fastest by the cost model, of {len(options)} mappings"
    assert forward["not taken"].split("; ")[0] == str(options[1])
    assert forward["kernels"] == "loop (4 warps)"
    other = programs.mapped(options[1].mapping, programs.mappings[1])
    forward = rows(report_on(cell, goal, other), "forward")
    assert forward["mapping"] == str(options[1])
    assert "do not fit" in forward["why"]


def test_a_nonlinear_cell_that_is_scanned_says_why_it_may_be() -> None:
    found = report_on(std.RWKV4(8), Goal(backend="triton"))
    assert rows(found, "forward")["mapping"].startswith("scan (")
    words = rows(found, "")["recurrence"]
    assert "may be scanned one after the other: m (a running maximum), a, b" in words


def test_numpy_has_a_loop_or_none() -> None:
    assert "one loop" in rows(report_on(std.GRU(3, 4), Goal()), "forward")["mapping"]
    found = report_on(std.Dense(3, 4), Goal())
    assert "no loop" in rows(found, "forward")["mapping"]
    assert rows(found, "forward")["at once"] == "y = b + W @ x"


def test_precision_and_options_are_named() -> None:
    cell = std.GRU(3, 4)
    assert "exact" in rows(report_on(cell, Goal(exact=True)), "")["numbers"]
    assert "TF32" in rows(report_on(cell, Goal(backend="triton", fast=True)), "")["numbers"]


@pytest.mark.parametrize("record", [False, True])
def test_text_fits_a_terminal_and_html_holds_no_markup_of_others(record: bool) -> None:
    hostile = "<script>alert(1)</script>\x1b[31m & co"
    found = report_on(replace(elman(), name=hostile), Goal(record=record))
    text, html = str(found), found._repr_html_()
    assert all(len(line) <= COLUMNS for line in text.splitlines()[1:])
    assert "\x1b" not in text + html and "<script" not in html
    assert "<script>" in "".join(ElementTree.fromstring(html).itertext())
    assert ("backward" in dict(found.sections)) == record


def test_a_long_list_is_cut() -> None:
    body = "s = x\n for l in 0..99 { s = sin(s) + s }\n h' = s + h"
    text = f"cell C(n): (h[n], x[n]) -> (h', h') {{ {body} }}"
    forward = rows(report_on(library.loads(text).C(3), Goal()), "forward")
    assert re.search(r"; and \d+ more$", forward["hoisted"])
    assert len(forward["hoisted"]) < 5000
