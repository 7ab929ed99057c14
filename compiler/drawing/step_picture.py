"""The picture of one step: what is computed when, from what.

In: a `Graph`. Out: SVG.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from . import svg
from .graph import Box, Graph, Zone
from .layers import Rectangle, layered

MARGIN = 14.0
HEAD = 46.0  # for the title
MOST_SIGNS, MOST_LINES = 38, 4  # of a formula
PAD = 9.0

ZONE_NAMES = {Zone.ONCE: "once", Zone.BEFORE: "before", Zone.STEP: "step", Zone.AFTER: "after"}


def draw_step(graph: Graph) -> str:
    """The picture as text."""
    sizes = [size_of(lines_of(graph, box)) for box in graph.boxes]
    layout = layered(graph, sizes)
    legend = list(legend_of(graph))
    wide = max(layout.width, svg.width(graph.title) + 2 * PAD, legend_width(legend),
               *(svg.width(line) for line in (graph.sizes, *graph.notes)))  # fmt: skip
    shift = (wide - layout.width) / 2
    parts = list(heading(graph, MARGIN, MARGIN))
    top = MARGIN + HEAD
    for _, band in layout.bands:
        parts.append(svg.rect("band", MARGIN, top + band.y, wide, band.height))
    left = MARGIN + shift
    for points in layout.curves:
        parts.append(svg.curve([(x + left, y + top) for x, y in points]))
    for zone, band in layout.bands:  # over edges that pass
        words, y = band_words(graph, zone), top + band.y
        parts.append(svg.rect("band", MARGIN, y + 5, 0.92 * svg.width(words) + PAD, svg.LINE))
        parts.append(svg.text(words, MARGIN + PAD, y + 17, kind="quiet", small=True))
    for box, place in zip(graph.boxes, layout.boxes, strict=True):
        moved = Rectangle(place.x + left, place.y + top, place.width, place.height)
        parts += box_parts(box, moved, lines_of(graph, box))
    y = top + layout.height + 12
    parts += legend_parts(legend, MARGIN, y)
    for note in graph.notes:
        y += svg.LINE
        parts.append(svg.text(note, MARGIN, y + 26, kind="quiet", small=True))
    return svg.document(graph.title, wide + 2 * MARGIN, y + 26 + MARGIN, parts)


def heading(graph: Graph, x: float, y: float) -> Iterator[str]:
    """The title, and the sizes beneath it."""
    yield svg.text(graph.title, x, y + 14, bold=True)
    yield svg.text(graph.sizes, x, y + 32, kind="quiet", small=True)


def band_words(graph: Graph, zone: Zone) -> str:
    """What a band is called."""
    if zone is Zone.STEP:
        order = "from the last to the first" if graph.is_backward else "one after the other"
        return f"in the loop: steps {order}"
    side = "before" if zone is Zone.BEFORE else "after"
    if Zone.STEP not in graph.zones():
        return "no loop: all steps at once"
    return f"{side} the loop: all steps at once"


# -- boxes ---------------------------------------------------------------------------------------


def lines_of(graph: Graph, box: Box) -> list[tuple[str, str]]:
    """What stands in a box: lines, each with the kind of its text."""
    before, behind = ("t + 1", "t - 1") if graph.is_backward else ("t - 1", "t + 1")
    shape = f"{box.shape}, an output" if box.is_output else box.shape
    match box.kind:
        case "value":
            shown = svg.wrapped(box.line, MOST_SIGNS, MOST_LINES)
            return [*((line, "ink") for line in shown), *([(shape, "quiet")] if shape else [])]
        case "carry":
            return [(f"{box.name} {box.shape}", "ink"), (f"from step {before}", "quiet")]
        case "next":
            return [(box.name, "ink"), (f"to step {behind}", "quiet")]
        case "output":
            return [(svg.shortened(box.line, MOST_SIGNS), "ink"), (f"{shape}, an output", "quiet")]
    names = [(svg.shortened(name, MOST_SIGNS), "ink") for name in box.names]
    return [*names, (shape, "quiet")] if shape else names


def size_of(lines: Sequence[tuple[str, str]]) -> tuple[float, float]:
    """How large a box with these lines is, in px."""
    wide = max(svg.width(words) for words, _ in lines)
    return max(wide, 28) + 2 * PAD, len(lines) * svg.LINE + PAD


def box_parts(box: Box, place: Rectangle, lines: Sequence[tuple[str, str]]) -> Iterator[str]:
    """A box where it stands: its colour says when it is computed, its mark that it is saved."""
    kind = ZONE_NAMES[box.zone] if box.kind == "value" and box.zone is not None else box.kind
    shape = {"next": "carry", "output": "input"}.get(kind, kind)
    radius = svg.ROUND if box.kind == "value" else min(place.height / 2, 14)
    yield svg.rect(shape, place.x, place.y, place.width, place.height, radius=radius)
    middle, y = place.x + place.width / 2, place.y + PAD / 2 + 12
    for words, ink in lines:
        yield svg.text(words, middle, y, kind=ink, middle=True, small=ink == "quiet")
        y += svg.LINE
    if box.is_saved and box.kind != "saved":
        yield svg.rect("saved", place.x + place.width - 9, place.y - 5, 14, 10)


# -- legend --------------------------------------------------------------------------------------


def legend_of(graph: Graph) -> Iterator[tuple[str, str]]:
    """The colours of a picture of a step, and what they mean."""
    yield from legend_of_values(graph)
    if graph.of("carry"):
        yield "carry", "carry"
    if graph.of("param"):
        yield "param", "parameter"
    if graph.of("input") or any(box.is_output for box in graph.boxes):
        yield "input", "input, output"


def legend_of_values(graph: Graph) -> Iterator[tuple[str, str]]:
    """The colours of what is computed."""
    loop = Zone.STEP in graph.zones()
    words = {
        Zone.ONCE: "once a call",
        Zone.BEFORE: "hoisted: before the loop" if loop else "all steps at once",
        Zone.STEP: "stepped: in the loop",
        Zone.AFTER: "sunk: after the loop",
    }
    present = {box.zone for box in graph.boxes if box.kind == "value"}
    for zone in Zone:
        if zone in present:
            yield ZONE_NAMES[zone], words[zone]
    if any(box.is_saved for box in graph.boxes):
        yield "saved", "saved by forward" if graph.is_backward else "saved for backward"


def legend_parts(legend: Sequence[tuple[str, str]], x: float, y: float) -> Iterator[str]:
    """The legend in a row."""
    for kind, words in legend:
        yield svg.rect(kind, x, y + 2, 14, 10, radius=3)
        yield svg.text(words, x + 20, y + 11, kind="quiet", small=True)
        x += 36 + svg.width(words) * 0.92  # small text


def legend_width(legend: Sequence[tuple[str, str]]) -> float:
    """px."""
    return sum(38 + svg.width(words) for _, words in legend)
