"""What a picture shows: values by their names, where each is computed, what is saved."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler import library
from rnnc.compiler.drawing import graph_of
from rnnc.compiler.drawing.graph import Graph, Zone
from rnnc.compiler.pipeline import Goal
from tests.conftest import Golden

std = library.std()
CELLS = {
    "LSTM": std.LSTM(3, 4),
    "LSTMP": std.LSTMP(3, 4, 2),
    "GRU": std.GRU(3, 4),
    "MinGRU": std.MinGRU(3, 4),
    "SLSTM": std.SLSTM(3, 4, 2),
    "DeltaNet": std.DeltaNet(3, 4, 5),
    "Dense": std.Dense(3, 4),
    "Embedding": std.Embedding(5, 3),
    "Chain": rnnc.Chain(rnnc.LSTM(3, 4), rnnc.GRU(4, 4), rnnc.LSTM(4, 4)).cell.cell,
}
SIDES = [(name, backward) for name in CELLS for backward in (False, True)]


def lines(graph: Graph) -> str:
    """A graph as text, a box a line."""
    found = [f"{graph.title}; {graph.sizes}"]
    for at, box in enumerate(graph.boxes):
        reads = " ".join(str(a) for a, b in graph.edges if b == at)
        flags = [name for name in ("saved", "output", "total") if getattr(box, f"is_{name}")]
        place = box.zone.name if box.zone is not None else "-"
        found.append(f"{at:>2} {box.kind:<6} {place:<6} {box.line} {box.shape} <- {reads or '-'}"
                     + "".join(f", {flag}" for flag in flags))  # fmt: skip
    return "\n".join(found)


@pytest.mark.parametrize("name", ["LSTM", "MinGRU"])
def test_boxes(name: str, golden: Golden) -> None:
    golden("\n\n".join(lines(graph_of(CELLS[name], backward=side)) for side in (False, True)))


def test_gates_are_one_box_and_what_backward_reads_is_one_each() -> None:
    graph = graph_of(CELLS["LSTM"])
    boxes = {box.line: box for box in graph.boxes if box.kind == "value"}
    assert boxes["b + W @ x"].zone is Zone.BEFORE
    assert boxes["i, f, g, o = U @ h + b + W @ x"].zone is Zone.STEP
    saved = {line for line, box in boxes.items() if box.is_saved}
    assert saved == {"sigmoid(i)", "sigmoid(f)", "sigmoid(o)", "tanh(g)", "tanh(c')"}
    assert boxes["h' = sigmoid(o) * tanh(c')"].is_output


def test_backward_calls_what_was_saved_as_forward_did() -> None:
    graph = graph_of(CELLS["LSTM"], backward=True)
    saved = [box.name for box in graph.boxes if box.kind == "saved"]
    gates = {"sigmoid(f)", "sigmoid(i)", "sigmoid(o)"}
    assert sorted(saved) == sorted({"c", "h", "tanh(c')", "tanh(g)"} | gates)
    totals = {box.name for box in graph.boxes if box.is_total}
    assert totals == {"ct.W", "ct.U", "ct.b"}


def test_what_reads_parameters_alone_is_computed_once() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', h') { param a[n]\n r = sigmoid(a)\n h' = r * h + x }"
    graph = graph_of(library.loads(text).C(4))
    assert [box.zone for box in graph.boxes if box.name == "r"] == [Zone.ONCE]


def test_an_output_that_is_a_state_under_another_name_has_a_box() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', y) { h' = tanh(h + x)\n y = h }"
    graph = graph_of(library.loads(text).C(4))
    (output,) = graph.of("output")
    assert graph.boxes[output].name == "y"
    assert [a for a, b in graph.edges if b == output] == graph.of("carry")


def test_an_output_that_has_several_names_has_them_all() -> None:
    text = "cell C(n): (h[n], x[n]) -> (h', (h', y)) { h' = tanh(h + x)\n y = h' }"
    graph = graph_of(library.loads(text).C(4))
    shown = [box.name for box in graph.boxes if box.is_output or box.kind == "output"]
    assert shown == ["h'", "y"]


def test_members_of_a_chain_have_their_paths() -> None:
    names = {box.name for box in graph_of(CELLS["Chain"]).boxes}
    assert {"0.c'", "1.z", "2.W"} <= names


@pytest.mark.parametrize("backend", ["numpy", "triton"])
def test_a_picture_is_of_what_the_backend_does(backend: str) -> None:
    graph = graph_of(CELLS["MinGRU"], Goal(backend=backend))
    steps = [box for box in graph.boxes if box.kind == "value" and box.zone is Zone.STEP]
    assert len(steps) == (1 if backend == "numpy" else 2)  # elementwise work joins the step


@pytest.mark.parametrize(("name", "backward"), SIDES)
def test_every_value_is_read_and_every_read_value_is_there(name: str, backward: bool) -> None:
    graph = graph_of(CELLS[name], backward=backward)
    starts = {a for a, _ in graph.edges}
    for at, box in enumerate(graph.boxes):
        is_end = box.kind in ("next", "output") or box.is_output or box.is_saved
        assert is_end or at in starts, box
    values = graph.of("value")
    assert all(a < b for a, b in graph.edges if a in values and b in values)
    assert len(graph.of("carry")) == len(graph.of("next")) == len(CELLS[name].states)
