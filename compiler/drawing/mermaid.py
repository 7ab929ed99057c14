"""Graphs as text for Mermaid, which many pages of Markdown draw.

In: a `Graph`, of one step or unrolled. Out: a flowchart.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from ...grammar.source import visible
from . import svg
from .graph import Box, Graph, Zone
from .step_picture import ZONE_NAMES, band_words, lines_of

STEPS = ("t - 1", "t", "t + 1")
SHAPES = {"value": ('["', '"]')}  # others have round ends
BANDS = ((Zone.ONCE, Zone.BEFORE), (Zone.STEP,), (Zone.AFTER,))


def write_mermaid(graph: Graph, *, unrolled: bool = False) -> str:
    """The flowchart as text."""
    lines = [f"%% {_escaped(graph.title)}", "flowchart TB"]
    lines += _unrolled(graph) if unrolled else _step(graph)
    for name, (light, _) in svg.COLOURS.items():
        fill, line = light
        lines.append(f"  classDef {name} fill:{fill},stroke:{line},color:{svg.PLAIN['ink'][0]}")
    lines += [f"%% {_escaped(note)}" for note in graph.notes]
    return "\n".join(lines) + "\n"


def _step(graph: Graph) -> Iterator[str]:
    inside = {at for band in BANDS for zone in band for at in _of(graph, zone)}
    for at in range(len(graph.boxes)):
        if at not in inside:
            yield f"  {_node(graph, at)}"
    for number, band in enumerate(BANDS):
        members = [at for zone in band for at in _of(graph, zone)]
        if members:
            yield f'  subgraph band{number}["{_escaped(band_words(graph, band[-1]))}"]'
            yield from (f"    {_node(graph, at)}" for at in members)
            yield "  end"
    yield from (f"  n{a} --> n{b}" for a, b in graph.edges)


def _unrolled(graph: Graph) -> Iterator[str]:
    """The values of the loop three times; a carry is an edge from one step to the next."""
    carries, nexts = graph.of("carry"), graph.of("next")
    loop = graph.of("value", Zone.STEP)
    each = {*graph.of("input"), *graph.of("output"), *loop}
    once = [at for at in range(len(graph.boxes)) if at not in {*each, *carries, *nexts}]
    yield from (f"  {_node(graph, at)}" for at in once)
    for step, word in enumerate(STEPS):
        yield f'  subgraph step{step}["{word}"]'
        yield from (f"    {_node(graph, at, f's{step}')}" for at in sorted(each))
        yield "  end"

    def name(at: int, step: int) -> str:
        return f"s{step}n{at}" if at in each else f"n{at}"

    for a, b in graph.edges:
        if not {a, b} & {*carries, *nexts}:
            pairs = (f"  {name(a, step)} --> {name(b, step)}" for step in range(len(STEPS)))
            yield from dict.fromkeys(pairs)
    order = range(len(STEPS))[::-1] if graph.is_backward else range(len(STEPS))
    for before, behind in pairwise(order):
        for carry, after in zip(carries, nexts, strict=True):
            label = _escaped(graph.boxes[carry].name)
            for source in (a for a, b in graph.edges if b == after and a in loop):
                for reader in graph.readers(carry):
                    if reader in loop:
                        yield f'  s{before}n{source} -->|"{label}"| s{behind}n{reader}'


def _of(graph: Graph, zone: Zone) -> list[int]:
    return [at for at, box in enumerate(graph.boxes) if box.zone == zone]


def _node(graph: Graph, at: int, prefix: str = "") -> str:
    box = graph.boxes[at]
    words = "<br>".join(_escaped(words) for words, _ in lines_of(graph, box))
    if box.is_saved and box.kind != "saved":
        words += "<br>saved"
    left, right = SHAPES.get(box.kind, ('(["', '"])'))
    return f"{prefix}n{at}{left}{words}{right}:::{_class(box)}"


def _class(box: Box) -> str:
    if box.kind == "value" and box.zone is not None:
        return ZONE_NAMES[box.zone]
    return {"next": "carry", "output": "input"}.get(box.kind, box.kind)


def _escaped(text: str) -> str:
    """Any text within quotes: Mermaid reads `#NUMBER;` as a sign, and takes Markdown and HTML."""
    return "".join(
        sign if sign.isalnum() or sign in " .,'()[]=+-/_" else f"#{ord(sign)};"
        for sign in visible(text)
    )
