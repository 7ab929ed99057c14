"""The picture of three steps: what they hand to each other, and what is done for all of them.

In: a `Graph`. Out: SVG. Time runs to the right, forward and backward: what backward hands on goes
to the left. What is hoisted or sunk is a bar across all steps.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

from . import svg
from .graph import Box, Graph, Kind, Zone
from .step_picture import (
    HEAD,
    MARGIN,
    MOST_LINES,
    MOST_SIGNS,
    PAD,
    ZONE_NAMES,
    heading,
    legend_of_values,
    legend_parts,
    legend_width,
)

STEPS = ("t - 1", "t", "t + 1")
MOST_EQUATIONS = 14  # written in the box of a step
MOST_NAME = 24  # signs of what is handed on
SPACE = 30.0  # between rows
SIDE = 12.0  # beside a block, and for an arrow that passes it
SHAFT = 22.0  # of the arrows between steps, beside their words
CARRY = 24.0  # from one of these arrows to the next


@dataclass(frozen=True, slots=True)
class _Row:
    """A bar across all steps, the boxes of the steps, or what enters or leaves these.

    `blocks` are (kind, lines for each step); those beside each other stand side by side.
    """

    role: Literal["bar", "step", "enters", "leaves"]
    blocks: tuple[tuple[str, tuple[tuple[str, ...], ...]], ...]

    @property
    def is_main(self) -> bool:
        return self.role in ("bar", "step")

    def height(self, carries: int) -> float:
        lines = max(len(lines) for _, each in self.blocks for lines in each)
        least = carries * CARRY + PAD if self.role == "step" else 0.0
        return max(lines * svg.LINE + PAD, least)

    def width(self, step: int) -> float:
        """Of what stands at one step; room for an arrow that passes included."""
        widths = [_width(each[step]) for _, each in self.blocks]
        return sum(widths) + SIDE * len(widths) + (0.0 if self.is_main else SIDE)


def draw_unrolled(graph: Graph) -> str:
    """The picture as text."""
    rows = list(_rows(graph))
    carries = [svg.shortened(graph.boxes[at].name, MOST_NAME) for at in graph.of("carry")]
    legend = [*legend_of_values(graph), ("input", "input, output")]
    gap = max([svg.width(name) + 6 for name in carries], default=0) + SHAFT + 2 * PAD
    grid = _Grid.of(rows, gap, max(*map(svg.width, (graph.title, graph.sizes, *graph.notes)),
                                   legend_width(legend)), len(carries))  # fmt: skip
    parts = list(heading(graph, MARGIN, MARGIN))
    for word, (left, width) in zip(STEPS, grid.places, strict=True):
        middle = left + width / 2
        parts.append(svg.text(word, middle, MARGIN + HEAD + 12, kind="quiet", middle=True))
    for at, row in enumerate(rows):
        parts += _main(grid, at) if row.is_main else _side(grid, at)
        if row.role == "step":
            parts += _carries(graph, carries, grid, at)
    y = grid.feet[-1] + 16
    parts += legend_parts(legend, MARGIN, y)
    for note in graph.notes:
        y += svg.LINE
        parts.append(svg.text(note, MARGIN, y + 14, kind="quiet", small=True))
    return svg.document(graph.title, grid.wide + 2 * MARGIN, y + 14 + MARGIN, parts)


@dataclass(frozen=True, slots=True)
class _Grid:
    """Where rows and steps stand."""

    rows: Sequence[_Row]
    places: Sequence[tuple[float, float]]  # of each step: its left, its width
    tops: Sequence[float]
    feet: Sequence[float]
    wide: float
    gap: float

    @classmethod
    def of(cls, rows: Sequence[_Row], gap: float, least: float, carries: int) -> _Grid:
        """Rows beneath each other, at least so wide, with gaps for the names of carries."""
        steps = range(len(STEPS))
        widths = [max([r.width(at) for r in rows if r.role != "bar"], default=60.0) for at in steps]
        bars = [_width(row.blocks[0][1][0]) + gap for row in rows if row.role == "bar"]
        taken = sum(widths) + (len(STEPS) + 1) * gap
        wide = max(taken, least, *bars)
        spare = (wide - taken) / len(STEPS)
        lefts = [MARGIN + gap + at * (gap + spare) + sum(widths[:at]) + spare / 2 for at in steps]
        tops, y = [], MARGIN + HEAD + 24
        for row in rows:
            tops.append(y)
            y += row.height(carries) + SPACE
        feet = [top + row.height(carries) for top, row in zip(tops, rows, strict=True)]
        return cls(rows, tuple(zip(lefts, widths, strict=True)), tops, feet, wide, gap)

    def above(self, at: int) -> int | None:
        """The bar or the steps above a row."""
        return max((i for i in range(at) if self.rows[i].is_main), default=None)

    def below(self, at: int) -> int | None:
        """The bar or the steps below a row."""
        return min((i for i in range(at + 1, len(self.rows)) if self.rows[i].is_main), default=None)


def _main(grid: _Grid, at: int) -> Iterator[str]:
    """A bar, or the boxes of the steps, and what comes to it from right above."""
    row, top, foot = grid.rows[at], grid.tops[at], grid.feet[at]
    kind, each = row.blocks[0]
    if row.role == "bar":
        left = MARGIN + grid.gap / 2
        yield from _block(kind, left, top, grid.wide - grid.gap, foot - top, each[0])
    for step, (left, width) in enumerate(grid.places):
        if row.role == "step":
            yield from _block(kind, left, top, width, foot - top, each[step])
        if grid.above(at) == at - 1 and at:
            yield _fall(left + width / 2, grid.feet[at - 1], top)


def _side(grid: _Grid, at: int) -> Iterator[str]:
    """What enters the row below or leaves the one above, beside an arrow between these two."""
    row, above, below = grid.rows[at], grid.above(at), grid.below(at)
    for step, (left, width) in enumerate(grid.places):
        x, right = left, left + width
        if above is not None and below is not None:
            yield _fall(x + SIDE, grid.feet[above], grid.tops[below])
            x += SIDE
        free = right - x - sum(_width(each[step]) for _, each in row.blocks)
        for kind, each in row.blocks:
            own, high = _width(each[step]), len(each[step]) * svg.LINE + PAD
            x += free / (len(row.blocks) + 1)
            top = grid.tops[at] if row.role == "leaves" else grid.feet[at] - high
            yield from _block(kind, x, top, own, high, each[step])
            if row.role == "enters" and below is not None:
                yield _fall(x + own / 2, grid.feet[at], grid.tops[below])
            elif above is not None:
                yield _fall(x + own / 2, grid.feet[above], grid.tops[at])
            x += own


def _rows(graph: Graph) -> Iterator[_Row]:
    """From top to bottom."""
    boxes = graph.boxes
    yield from _given(graph, {Zone.ONCE, Zone.BEFORE})
    for zone in (Zone.ONCE, Zone.BEFORE):
        yield from _bar(graph, zone)
    yield from _given(graph, {Zone.STEP})
    if Zone.STEP in graph.zones():
        values = [boxes[at] for at in graph.of("value", Zone.STEP)]
        short = tuple(svg.shortened(name, 18) for name in _cut([b.name or b.text for b in values]))
        lines = _equations(values)
        yield _Row("step", (("step", (short or ("",), lines or ("",), short or ("",))),))
    yield from _left(graph, graph.zones()[:-1] if Zone.AFTER in graph.zones() else graph.zones())
    yield from _bar(graph, Zone.AFTER)
    if Zone.AFTER in graph.zones():
        yield from _left(graph, [Zone.AFTER])


def _given(graph: Graph, zones: set[Zone]) -> Iterator[_Row]:
    """Inputs, and what forward saved, that something in these zones reads."""
    blocks = []
    kinds: tuple[Kind, ...] = ("saved", "input")
    for kind in kinds:
        names = [
            graph.boxes[at].name
            for at in graph.of(kind)
            if any(graph.boxes[reader].zone in zones for reader in graph.readers(at))
        ]
        blocks += _each(kind, names)
    if blocks:
        yield _Row("enters", tuple(blocks))


def _left(graph: Graph, zones: Sequence[Zone]) -> Iterator[_Row]:
    """Outputs, and what is saved, of these zones."""
    boxes = [box for box in graph.boxes if box.zone in zones and not box.is_total]
    outputs = [box.name for box in boxes if box.is_output or box.kind == "output"]
    saved = [box.name or box.text for box in boxes if box.is_saved]
    blocks = [*_each("input", outputs), *_each("saved", saved)]
    if blocks:
        yield _Row("leaves", tuple(blocks))


def _each(kind: str, names: Sequence[str]) -> list[tuple[str, tuple[tuple[str, ...], ...]]]:
    """A block of names for each step, `x[t - 1]`, `x[t]`, `x[t + 1]`."""
    shown = [svg.shortened(name, MOST_NAME) for name in _cut(names)]
    marks = [f"[{step}]" if kind == "input" else "" for step in STEPS]
    return [(kind, tuple(tuple(f"{n}{mark}" for n in shown) for mark in marks))] if shown else []


def _bar(graph: Graph, zone: Zone) -> Iterator[_Row]:
    boxes = [graph.boxes[at] for at in graph.of("value", zone)]
    if boxes:
        yield _Row("bar", ((ZONE_NAMES[zone], (_equations(boxes),)),))


def _equations(boxes: Sequence[Box]) -> tuple[str, ...]:
    lines = [svg.wrapped(box.line, 2 * MOST_SIGNS, MOST_LINES) for box in boxes]
    return tuple(_cut([line for shown in lines for line in shown]))


def _cut(lines: Sequence[str]) -> list[str]:
    if len(lines) <= MOST_EQUATIONS:
        return list(lines)
    kept = MOST_EQUATIONS - 1
    return [*lines[:kept], f"and {len(lines) - kept} more"]


def _width(lines: Sequence[str]) -> float:
    return max(map(svg.width, lines)) + 2 * PAD


def _block(
    kind: str, x: float, y: float, wide: float, high: float, lines: Sequence[str]
) -> Iterator[str]:
    """A rectangle with lines in its middle."""
    radius = svg.ROUND if kind in ZONE_NAMES.values() else 12
    yield svg.rect(kind, x, y, wide, high, radius=radius)
    top = y + (high - len(lines) * svg.LINE) / 2 + 12
    for at, line in enumerate(lines):
        yield svg.text(line, x + wide / 2, top + at * svg.LINE, middle=True)


def _fall(x: float, start: float, stop: float) -> str:
    return svg.curve([(x, start), (x, stop)])


def _carries(graph: Graph, names: Sequence[str], grid: _Grid, at: int) -> Iterator[str]:
    """What steps hand to each other: an arrow a carry, into the first and out of the last one."""
    ends = [MARGIN, *(left + width for left, width in grid.places)]
    starts = [*(left for left, _ in grid.places), MARGIN + grid.wide]
    first = (grid.tops[at] + grid.feet[at]) / 2 - (len(names) - 1) * CARRY / 2
    for number, name in enumerate(names):
        y = first + number * CARRY + 4
        for end, start in zip(ends, starts, strict=True):
            tail, head = end + 2, start - 2
            yield svg.arrow(head, y, tail) if graph.is_backward else svg.arrow(tail, y, head)
            yield svg.text(name, (tail + head) / 2, y - 5, kind="quiet", middle=True, small=True)
