"""Pictures: nothing lies on anything else, nothing sticks out, and no text can do harm."""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from xml.etree import ElementTree

import pytest

import rnnc
from rnnc.cli.parser import PICTURES
from rnnc.compiler import library
from rnnc.compiler.drawing import FORMS, draw, graph_of, svg
from rnnc.compiler.drawing.collapse import MOST, collapsed, with_leaves_joined
from rnnc.compiler.drawing.layers import WIDEST, Rectangle, layered
from rnnc.compiler.drawing.step_picture import lines_of, size_of
from rnnc.compiler.ir import Value
from tests.compiler.drawing.test_dataflow import CELLS, SIDES
from tests.compiler.hand_built import elman

SVG = "{http://www.w3.org/2000/svg}"
ROOT = Path(rnnc.__file__).parents[1]
LOOP = """
cell Long(n, depth): (h[n], x[n]) -> (h', h') {
    param W[depth, n, n]
    s = x
    for l in 0..depth { s = tanh(W[l] @ s + s * s + h) }
    h' = s
}
"""


def overlap(a: Rectangle, b: Rectangle) -> bool:
    beside = a.x + a.width <= b.x or b.x + b.width <= a.x
    return not (beside or a.y + a.height <= b.y or b.y + b.height <= a.y)


@pytest.mark.parametrize(("name", "backward"), SIDES)
def test_boxes_lie_apart_in_their_bands_and_edges_go_down(name: str, backward: bool) -> None:
    graph = with_leaves_joined(collapsed(graph_of(CELLS[name], backward=backward)))
    layout = layered(graph, [size_of(lines_of(graph, box)) for box in graph.boxes])
    for at, box in enumerate(layout.boxes):
        assert not any(overlap(box, other) for other in layout.boxes[at + 1 :])
        assert box.x >= 0 and box.x + box.width <= layout.width
        around = [band for _, band in layout.bands if band.y <= box.y < band.y + band.height]
        assert len(around) == 1 and box.y + box.height <= around[0].y + around[0].height
    for (start, stop), points in zip(graph.edges, layout.curves, strict=True):
        assert [y for _, y in points] == sorted(y for _, y in points)
        for at, (x, y) in ((start, points[0]), (stop, points[-1])):
            box = layout.boxes[at]
            assert box.x <= x <= box.x + box.width
            assert y in (box.y, box.y + box.height)


@pytest.mark.parametrize("unrolled", [False, True])
@pytest.mark.parametrize(("name", "backward"), SIDES)
def test_a_picture_is_whole(name: str, backward: bool, unrolled: bool) -> None:
    root = ElementTree.fromstring(draw(CELLS[name], backward=backward, unrolled=unrolled))
    width, height = float(root.attrib["width"]), float(root.attrib["height"])
    rects = [
        Rectangle(*(float(rect.attrib[key]) for key in ("x", "y", "width", "height")))
        for rect in root.iter(f"{SVG}rect")
    ]
    assert all(r.x >= 0 and r.x + r.width <= width + 0.1 for r in rects)
    assert all(r.y >= 0 and r.y + r.height <= height + 0.1 for r in rects)
    for text in root.iter(f"{SVG}text"):
        half = svg.width(text.text or "") * (0.92 if "small" in text.attrib["class"] else 1.0)
        x = float(text.attrib["x"])
        left, right = (
            (x - half / 2, x + half / 2) if "text-anchor" in text.attrib else (x, x + half)
        )
        assert left >= 0 and right <= width, text.text
    styles = re.findall(r"\.([\w-]+)\{", "".join(s.text or "" for s in root.iter(f"{SVG}style")))
    assert styles and all(name.startswith("rnnc-") for name in styles)


def test_what_has_many_values_is_drawn_with_fewer_and_says_so() -> None:
    long = library.loads(LOOP).Long(4, 60)
    for cell, backward in ((CELLS["Chain"], True), (long, False), (long, True)):
        whole = graph_of(cell, backward=backward)
        graph = collapsed(whole)
        assert len(whole.of("value")) > MOST >= len(graph.of("value"))
        note = f"{len(whole.of('value'))} values are drawn as {len(graph.of('value'))} boxes"
        assert note in draw(cell, backward=backward)


def test_few_values_are_drawn_as_they_are() -> None:
    graph = graph_of(CELLS["SLSTM"])
    assert collapsed(graph) is graph


@pytest.mark.parametrize("form", FORMS)
def test_text_of_a_cell_cannot_be_markup(form: str) -> None:
    hostile = '"]<script>alert(1)</script>\x1b[31m&amp; end'
    cell = replace(elman(), name=hostile)
    cell = replace(cell, outputs=(Value(hostile, cell.outputs[0].node),))
    for unrolled in (False, True):
        text = draw(cell, form=form, unrolled=unrolled)
        assert "<script" not in text and "\x1b" not in text
        if form == "svg":
            shown = "".join(t.text or "" for t in ElementTree.fromstring(text).iter(f"{SVG}text"))
            assert "<script>" in shown
        else:
            labels = re.findall(r'\["(.*?)"\]', text)
            assert all(
                re.fullmatch(r"[\w .,'()\[\]=+\-/#;]*", x.replace("<br>", "")) for x in labels
            )


def test_a_picture_is_the_same_each_time_in_each_process() -> None:
    program = "import rnnc.compiler.library as l, rnnc.compiler.drawing as d\n"
    program += "print(d.draw(l.std().SLSTM(3, 4, 2), backward=True), end='')"
    for seed in ("1", "2"):
        done = subprocess.run(
            [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True,
            env={"PYTHONHASHSEED": seed},
        )  # fmt: skip
        assert done.stdout == draw(CELLS["SLSTM"], backward=True)


def test_mermaid_has_an_edge_for_each_carry_between_steps() -> None:
    text = draw(CELLS["LSTM"], form="mermaid", unrolled=True)
    assert text.splitlines()[1] == "flowchart TB"
    assert len(re.findall(r'-->\|"h"\|', text)) == 2
    assert "subgraph step2" in text


def test_the_command_line_knows_the_forms() -> None:
    assert PICTURES == FORMS


def test_wide_and_combining_signs_are_counted_as_they_are_shown() -> None:
    assert svg.width("x̂") == svg.SIGN
    assert svg.width("状態") == 4 * svg.SIGN


def test_a_full_layer_passes_boxes_on_to_the_next() -> None:
    names = [f"value{at}" for at in range(24)]
    body = "\n".join(f"{name} = sigmoid(x * {at}.5)" for at, name in enumerate(names))
    text = f"cell C(n): ((), x[n]) -> ((), y) {{ {body}\n y = {' + '.join(names)} }}"
    graph = graph_of(library.loads(text).C(4))
    layout = layered(graph, [size_of(lines_of(graph, box)) for box in graph.boxes])
    tops = {box.y for at, box in enumerate(layout.boxes) if graph.boxes[at].name in names}
    assert len(tops) > 2
    assert layout.width < 1.5 * WIDEST
