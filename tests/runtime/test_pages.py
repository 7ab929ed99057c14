"""What a notebook shows of cells and nets: all of it, and nothing that could do harm."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

import rnnc
from rnnc.compiler.ir import Value
from tests.compiler.hand_built import elman

ROOT = Path(rnnc.__file__).parents[1]
SVG = "{http://www.w3.org/2000/svg}"
HOSTILE = "<script>alert(1)</script>"
DOCUMENTED = f"""
# Leaks. {HOSTILE} & <b>bold</b> $$x$$
cell Leaky(n, act = tanh, bias = true): (h[n] = h0, x[n]) -> (h', h') {{
    param h0[n], rate[n] = uniform(-2, 2)
    const shift[n] = 0.5
    h' = rate * h + act(x + shift)
}}
"""


def tree(html: str) -> ElementTree.Element:
    return ElementTree.fromstring(html)


def table(html: str) -> list[list[str]]:
    root = tree(html).find(".//table")
    assert root is not None
    return [["".join(cell.itertext()) for cell in row] for row in root]


def mathematics(thing: Any) -> str:
    found: str = thing._repr_latex_()
    return found


def test_a_page_has_equations_a_table_and_two_pictures() -> None:
    net = rnnc.LSTM(3, 4)
    net.scan(np.ones((5, 3)))
    html = net._repr_html_()
    text = "".join(tree(html).itertext())
    assert "Recur(LSTMCell(3, 4))" in text
    assert "numpy, float32; 128 parameters; 5 steps recorded" in text
    assert "Hochreiter" in text
    assert mathematics(net) in text
    assert "h_{t} &= \\sigma(o_{t}) \\odot \\tanh(c_{t})" in mathematics(net)
    assert ["state", "c", "[hidden]", "[4]", "0"] in table(html)
    assert ["parameter", "W", "[4,hidden,inputs]", "[4, 4, 3]", "glorot_uniform"] in table(html)
    summaries = [summary.text for summary in tree(html).iter("summary")]
    assert summaries == ["source", "one step", "unrolled"]
    assert "i, f, g, o = W @ x + U @ h + b\n" in text
    assert "script" not in html


def test_open_sizes_are_names() -> None:
    cells = rnnc.loads(DOCUMENTED)
    html = cells.Leaky._repr_html_()
    assert ["state", "h", "[n]", "h0"] in table(html)
    assert ["constant", "shift", "[n]", "constant(0.5)"] in table(html)
    assert "\\operatorname{act}(" in mathematics(cells.Leaky)
    bound = cells.Leaky(3, act="sigmoid")
    assert "\\sigma(x_{t} + \\mathrm{shift})" in mathematics(bound)
    assert "n =" not in "".join(tree(cells.Leaky._repr_svg_() or "").itertext())
    assert "n = 3" in "".join(tree(bound._repr_svg_()).itertext())


def test_a_chain_has_the_equations_of_its_members_once_each() -> None:
    net = rnnc.Chain(rnnc.LSTM(3, 4), rnnc.LSTM(4, 4), rnnc.Dense(4, 2))
    latex = mathematics(net)
    assert latex.count("\\mathrm{LSTM}\\colon") == latex.count("\\mathrm{Dense}\\colon") == 1
    text = "import LSTM, Dense from std\n"
    text += "cell N(n) = LSTM(n, n) >> repeat(2, LSTM(n, n)) >> Dense(n, n)"
    latex = mathematics(rnnc.loads(text).N(3))
    assert latex.count("\\mathrm{LSTM}\\colon") == 1
    assert "\\mathrm{N} &= \\mathrm{LSTM}(n, n) \\gg" in latex


def test_a_cell_without_a_source_has_no_equations() -> None:
    net = rnnc.Recur(elman())
    assert net._repr_latex_() is None
    assert ["state", "h", "[4]", "[4]", "h0"] in table(net._repr_html_())


def every_view(thing: Any) -> str:
    return "".join(filter(None, (thing._repr_html_(), thing._repr_svg_(), thing._repr_latex_())))


@pytest.mark.parametrize("where", ["documentation", "name", "label"])
def test_no_text_of_a_cell_is_markup(where: str) -> None:
    cells = rnnc.loads(DOCUMENTED)
    if where == "documentation":
        found = every_view(cells.Leaky) + every_view(rnnc.Recur(cells.Leaky(3)))
        found += cells.Leaky(3)._repr_html_()
    elif where == "name":
        cell = replace(elman(), name=HOSTILE, documentation=f"\x1b[31m{HOSTILE}")
        cell = replace(cell, outputs=(Value(HOSTILE, cell.outputs[0].node),))
        found = every_view(rnnc.Recur(cell)) + rnnc.Recur(cell).report()._repr_html_()
    else:
        bound = rnnc.cells.GRU(3, 4)
        bound.label = HOSTILE
        found = every_view(bound) + every_view(rnnc.Recur(bound))
        found += rnnc.Recur(bound).report()._repr_html_()
    assert "<script" not in found and "<b>" not in found and "\x1b" not in found


def test_only_the_equations_are_mathematics() -> None:
    page = tree(rnnc.loads(DOCUMENTED).Leaky._repr_html_())
    assert page.attrib["class"] == "tex2jax_ignore"
    (shown,) = page.findall(".//div[@class='tex2jax_process']")
    assert (shown.text or "").count("$$") == 2 and "$$x$$" not in (shown.text or "")


def test_pages_are_made_when_they_are_asked_for() -> None:
    program = (
        "import sys, rnnc; rnnc.LSTM(3, 4); print(*[m for m in sys.modules if 'drawing' in m])"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "\n"


# -- nets of nets --------------------------------------------------------------------------------


def layers() -> rnnc.Stack:
    both = rnnc.Bidirectional(rnnc.LSTMCell(3, 4), rnnc.LSTMCell(3, 4), merge="mean")
    return rnnc.Stack([both, rnnc.GRUCell(4, 4), rnnc.LSTMCell(4, 2)], dropout=0.2, residual=[1])


def test_a_stack_shows_its_layers_and_the_page_of_each_cell() -> None:
    net = layers()
    net.scan(np.ones((5, 3)))
    root = tree(net._repr_html_())
    text = "".join(root.itertext())
    count = sum(value.size for value in net.params.values())
    assert text.startswith(f"{net}numpy, float32; {count} parameters; 5 steps recorded")
    assert [summary.text for summary in root.findall("details/summary")] == [
        "0.forward: LSTMCell(3, 4)", "0.backward: LSTMCell(3, 4)", "1: GRUCell(4, 4)",
        "2: LSTMCell(4, 2)",
    ]  # fmt: skip
    assert text.count("Hochreiter") == 3 and len(root.findall("details//table")) == 4
    latex = mathematics(net)
    assert latex.count("\\mathrm{LSTM}\\colon") == latex.count("\\mathrm{GRU}\\colon") == 1


def test_the_picture_of_a_stack_says_what_goes_through_it() -> None:
    words = [text.text for text in tree(layers()._repr_svg_()).iter(f"{SVG}text")]
    order = ["x [3]", "0.forward: LSTMCell(3, 4)", "0.backward: LSTMCell(3, 4)", "mean",
             "dropout 0.2", "+", "1: GRUCell(4, 4)", "2: LSTMCell(4, 2)", "y [2]"]  # fmt: skip
    assert sorted(order, key=words.index) == order
    assert "[3] to [4]; state h[4], c[4]" in words and words.count("dropout 0.2") == 2
    both = rnnc.Bidirectional(rnnc.Dense(3, 2), rnnc.Dense(3, 2))
    words = [text.text for text in tree(both._repr_svg_()).iter(f"{SVG}text")]
    assert "forward: Dense(3, 2)" in words and "from the last to the first" in words
    assert "[3] to [2]; state none" in words and "concat" in words
    tokens = rnnc.Stack([rnnc.Embedding(5, 3)])
    assert "token []: int" in [t.text for t in tree(tokens._repr_svg_()).iter(f"{SVG}text")]


def test_all_of_a_picture_lies_within_it() -> None:
    wide = rnnc.Bidirectional(rnnc.LSTMCell(3, 2), rnnc.LSTMCell(3, 1))
    for net in (layers(), rnnc.Stack([rnnc.GRUCell(3, 3)] * 9, residual=True), wide):
        root = tree(net._repr_svg_())
        width, height = (float(root.attrib[name]) for name in ("width", "height"))
        boxes = [box for box in root.iter(f"{SVG}rect") if box.attrib["class"] != "rnnc-page"]
        for box in boxes:
            x, y, w, h = (float(box.attrib[name]) for name in ("x", "y", "width", "height"))
            assert 0 < x < x + w < width and 0 < y < y + h < height
        spans = sorted((float(b.attrib["y"]), float(b.attrib["height"])) for b in boxes)
        for (y, h), (below, _) in pairwise(spans):
            assert below == y or below > y + h
        for line in root.iter(f"{SVG}path"):
            points = [float(number) for number in re.findall(r"-?[\d.]+", line.attrib["d"])]
            assert all(-8 < number < max(width, height) for number in points)


def test_no_text_of_a_layer_is_markup() -> None:
    cell = replace(elman(), name=HOSTILE, documentation=f"\x1b[31m{HOSTILE}")
    for net in (rnnc.Stack([cell]), rnnc.Bidirectional(cell, cell)):
        found = every_view(net) + net.report()._repr_html_()
        assert "<script" not in found and "<b>" not in found and "\x1b" not in found


@pytest.mark.torch
@pytest.mark.usefixtures("stand_in")
def test_nets_of_tensors_have_pages() -> None:
    for net in (rnnc.LSTM(3, 4), layers()):
        assert "triton, float32" in net._repr_html_()
