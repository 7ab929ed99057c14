"""Pictures of cells: what is computed when, and from what.

In: a cell with its sizes bound. Out: SVG, or text for Mermaid. The picture is of the scan before
gates are put together (`REARRANGING`): these passes change which operations there are, but neither
what is in the loop nor what is saved, and their values have no names of the source.

    graph.py      boxes and edges            dataflow.py   from a scan
    collapse.py   fewer of them              formula.py    what is in a box
    layers.py     where they stand           svg.py        how they look
    step_picture.py, unrolled_picture.py, mermaid.py       what is written
"""

from __future__ import annotations

from dataclasses import replace

from ..ir import Cell, Scans
from ..pipeline import Goal, stages
from .collapse import collapsed, with_leaves_joined
from .dataflow import Dataflow
from .graph import Graph
from .mermaid import write_mermaid
from .step_picture import draw_step
from .unrolled_picture import draw_unrolled

NUMPY = Goal()
FORMS = ("svg", "mermaid")
REARRANGING = frozenset({"stack", "split", "merge", "gather", "schedule"})


def readable(cell: Cell, goal: Goal) -> Scans:
    """The scans of a cell as far as passes leave the source's names."""
    for stage in stages(cell, goal, without=REARRANGING):
        last = stage.value
    assert isinstance(last, Scans), "only schedule makes anything else"
    return last


def graph_of(
    cell: Cell, goal: Goal = NUMPY, *, backward: bool = False, sizes: bool = True
) -> Graph:
    """What the picture of a cell shows, all of it; with `sizes`, also how large these are."""
    scans = readable(cell, goal)
    flow = Dataflow(scans.forward, scans.saved)
    if backward:
        assert scans.backward is not None, "a goal that records has a backward scan"
        flow = Dataflow(scans.backward, scans.saved, flow)
    graph = flow.graph(f"{cell.name}, {'backward' if backward else 'forward'}")
    return graph if sizes else replace(graph, sizes="")


def draw(
    cell: Cell, goal: Goal = NUMPY, *, backward: bool = False, unrolled: bool = False,
    form: str = "svg",
) -> str:  # fmt: skip
    """The picture of a cell.

    Args:
        cell: its sizes bound; boxes have the shape of one row and step, `[hidden, inputs]`.
        goal: what it is compiled for; the backend decides what is saved and what is hoisted.
        backward: of the backward scan; the goal must record.
        unrolled: of three steps rather than one.
        form: one of `FORMS`.
    Returns:
        The text of one `<svg>` element, its coordinates in px, or of a Mermaid flowchart: the same
        each time. Whatever the source holds is escaped.
        A cell that was elaborated can be drawn: nothing is raised.
    """
    return write(graph_of(cell, goal, backward=backward), unrolled=unrolled, form=form)


def write(graph: Graph, *, unrolled: bool = False, form: str = "svg") -> str:
    """The picture of a graph."""
    if unrolled and form == "svg":
        return draw_unrolled(graph)  # which cuts its lists itself
    graph = collapsed(graph)
    if unrolled:
        return write_mermaid(graph, unrolled=True)
    graph = with_leaves_joined(graph)
    return write_mermaid(graph) if form == "mermaid" else draw_step(graph)
