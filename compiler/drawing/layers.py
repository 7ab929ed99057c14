"""Where the boxes of a graph stand: in layers from top to bottom, every edge downwards.

In: a `Graph`, and how large each of its boxes is. Out: `Layout`, rectangles, curves and bands.
A layer is the longest path from the top (Sugiyama, Tagawa, Toda 1981); within one, boxes are
ordered by the barycentres of what they are joined with, and set by least squares.
"""

from __future__ import annotations

from bisect import bisect_right, insort
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import count, pairwise

from .graph import Graph, Zone

GAP = 18.0  # between boxes side by side
RISE = 34.0  # between layers, where edges turn
BAND = 26.0  # above the first layer of a band, for what it is called
WIDEST = 1200.0  # of the values in a layer, if it can be helped
ROOM = 400.0  # beside them, for what is given
SWEEPS = 12
THREAD = 10.0  # width that an edge takes where it passes a layer
STIFF = 8.0  # how much more it matters that a thread is straight than that a box is near others

Point = tuple[float, float]
# Both parts of what comes before the loop stand in one band.
BANDS = {Zone.ONCE: Zone.BEFORE, Zone.BEFORE: Zone.BEFORE, Zone.STEP: Zone.STEP,
         Zone.AFTER: Zone.AFTER}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Rectangle:
    """By its upper left corner."""

    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Layout:
    """The boxes by index, a curve for each edge (points it passes upright), and the bands."""

    boxes: tuple[Rectangle, ...]
    curves: tuple[tuple[Point, ...], ...]
    bands: tuple[tuple[Zone, Rectangle], ...]
    width: float
    height: float


@dataclass(slots=True)
class _Item:
    """What stands in a layer: a box, or the thread of an edge that passes it."""

    width: float
    layer: int
    box: int | None = None
    above: list[_Item] = field(default_factory=list)
    below: list[_Item] = field(default_factory=list)
    thread: list[_Item] = field(default_factory=list)  # all of it, which is to be straight
    x: float = 0.0  # of its middle
    rank: int = 0  # within its layer


def layered(graph: Graph, sizes: Sequence[Point]) -> Layout:
    """Set the boxes of a graph, each as large as `sizes` says."""
    layers, bands = _layers(graph, sizes)
    items = [_Item(sizes[at][0], layers[at], at) for at in range(len(graph.boxes))]
    rows: list[list[_Item]] = [[] for _ in range(max(layers, default=0) + 1)]
    for item in items:
        rows[item.layer].append(item)
    threads = [_thread(items[a], items[b], rows) for a, b in graph.edges]
    _order(rows)
    _place(rows)
    return _drawn(graph, sizes, rows, bands, items, threads)


# -- layers --------------------------------------------------------------------------------------


def _layers(graph: Graph, sizes: Sequence[Point]) -> tuple[list[int], list[tuple[Zone, int, int]]]:
    """The layer of each box; the bands, each with its first layer and the one behind its last.

    A layer that is full passes what comes next on to the one below (Coffman, Graham 1972).
    """
    given: dict[int, list[int]] = {at: [] for at in range(len(graph.boxes))}
    for start, stop in graph.edges:
        given[stop].append(start)
    levels: dict[int, tuple[Zone, int]] = {}
    taken: dict[tuple[Zone, int], float] = defaultdict(float)

    def put(at: int, band: Zone, candidates: Iterable[int], most: float) -> None:
        """Set a box in the first of some levels that has room for it, or else in the emptiest."""
        tried = []
        for level in candidates:
            tried.append((taken[band, level], level))
            if not tried[-1][0] or tried[-1][0] + sizes[at][0] + GAP <= most:
                break
        else:
            level = min(tried)[1]
        levels[at] = band, level
        taken[band, level] += sizes[at][0] + GAP

    def band_of(at: int) -> Zone:
        return BANDS[_zone(graph, at)]

    for at in sorted(graph.of("value"), key=lambda at: (band_of(at), at)):
        before = [levels[a][1] for a in given[at] if a in levels and levels[a][0] == band_of(at)]
        put(at, band_of(at), count(max(before, default=0) + 1), WIDEST)
    last = {band: max(n for z, n in levels.values() if z == band) for band, _ in levels.values()}
    for at in (*graph.of("next"), *graph.of("output")):
        put(at, band_of(at), count(last.get(band_of(at), 0) + 1), WIDEST)
    for at, box in enumerate(graph.boxes):
        if box.kind == "carry":
            put(at, Zone.STEP, (0,), WIDEST)
        elif at not in levels:
            readers = [levels[r] for r in graph.readers(at) if r in levels]
            band, level = min(readers, default=(Zone.STEP, 1))
            put(at, band, range(level - 1, -1, -1), WIDEST + ROOM)
    inside = sorted(set(levels.values()))
    row = {level: at for at, level in enumerate(inside)}
    bands = []
    for band in dict.fromkeys(band for band, _ in inside):
        own = [row[level] for level in inside if level[0] == band]
        bands.append((band, own[0], own[-1] + 1))
    return [row[levels[at]] for at in range(len(graph.boxes))], bands


def _zone(graph: Graph, at: int) -> Zone:
    zone = graph.boxes[at].zone
    assert zone is not None, "only what is given has no zone"
    return zone


def _thread(start: _Item, stop: _Item, rows: list[list[_Item]]) -> list[_Item]:
    """An edge as items from layer to layer, its ends included."""
    path = [start]
    for layer in range(start.layer + 1, stop.layer):
        path.append(_Item(THREAD, layer))
        rows[layer].append(path[-1])
    for item in path[1:]:
        item.thread = path[1:]
    path.append(stop)
    for upper, lower in pairwise(path):
        upper.below.append(lower)
        lower.above.append(upper)
    return path


# -- order ---------------------------------------------------------------------------------------


def _order(rows: list[list[_Item]]) -> None:
    """Sort every layer so that few edges cross."""
    _rank(rows)
    best, kept = _crossings(rows), [list(row) for row in rows]
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for row in rows if down else reversed(rows):
            row.sort(key=lambda item: _barycentre(item.above if down else item.below, item.rank))
            _rank([row])
        found = _crossings(rows)
        if found < best:
            best, kept = found, [list(row) for row in rows]
    rows[:] = kept
    _rank(rows)


def _rank(rows: Sequence[list[_Item]]) -> None:
    for row in rows:
        for rank, item in enumerate(row):
            item.rank = rank


def _barycentre(others: Sequence[_Item], own: int) -> float:
    return sum(o.rank for o in others) / len(others) if others else own


def _crossings(rows: Sequence[list[_Item]]) -> int:
    total = 0
    for row in rows:
        ends: list[int] = []
        for item in row:
            for rank in sorted(below.rank for below in item.below):
                total += len(ends) - bisect_right(ends, rank)
            for below in item.below:
                insort(ends, below.rank)
    return total


# -- places --------------------------------------------------------------------------------------


def _place(rows: Sequence[list[_Item]]) -> None:
    """Set every item near what it is joined with, and none on another."""
    for row in rows:
        edge = 0.0
        for item in row:
            item.x = edge + item.width / 2
            edge += item.width + GAP
    for sweep in range(4 * SWEEPS):
        for row in rows if sweep % 2 == 0 else reversed(rows):
            wanted = []
            for item in row:
                near = item.thread or [*item.above, *item.below]
                middle = sum(other.x for other in near) / len(near) if near else item.x
                wanted.append((middle, STIFF if item.thread else 1.0))
            _settle(row, wanted)


def _settle(row: Sequence[_Item], wanted: Sequence[tuple[float, float]]) -> None:
    """The least squares places with the order kept and gaps between: pool adjacent violators.

    Args:
        wanted: where the middle of each item would best be, and how much that matters.
    """
    offsets, edge = [], 0.0
    for item in row:
        offsets.append(edge + item.width / 2)
        edge += item.width + GAP
    pools: list[tuple[float, float, int]] = []  # where the row begins for these, weight, count
    for (want, weight), offset in zip(wanted, offsets, strict=True):
        pools.append((want - offset, weight, 1))
        while len(pools) > 1 and pools[-2][0] > pools[-1][0]:
            (a, v, m), (b, w, n) = pools[-2:]
            pools[-2:] = [((a * v + b * w) / (v + w), v + w, m + n)]
    starts = [start for start, _, count in pools for _ in range(count)]
    for item, start, offset in zip(row, starts, offsets, strict=True):
        item.x = start + offset


# -- drawing -------------------------------------------------------------------------------------


def _drawn(
    graph: Graph, sizes: Sequence[Point], rows: Sequence[list[_Item]],
    bands: Sequence[tuple[Zone, int, int]], items: Sequence[_Item],
    threads: Sequence[list[_Item]],
) -> Layout:  # fmt: skip
    """Coordinates from the upper left corner."""
    left = min((i.x - i.width / 2 for row in rows for i in row), default=0.0) - GAP
    for row in rows:
        for item in row:
            item.x -= left
    width = max((i.x + i.width / 2 for row in rows for i in row), default=0.0) + GAP
    heights = [
        max((sizes[i.box][1] for i in row if i.box is not None), default=0.0) for row in rows
    ]
    tops, shown, y = [0.0] * len(rows), [], 0.0
    for band, first, behind in bands:
        top = y
        y += BAND
        for layer in range(first, behind):
            tops[layer] = y
            y += heights[layer] + RISE
        y -= RISE / 2
        shown.append((band, Rectangle(0.0, top, width, y - top)))
        y += RISE / 2
    boxes = []
    for at, item in enumerate(items):
        wide, high = sizes[at]
        top = tops[item.layer] + (heights[item.layer] - high) / 2
        boxes.append(Rectangle(item.x - wide / 2, top, wide, high))
    curves = [_curve(graph, edge, path, boxes, tops, heights) for edge, path in
              zip(graph.edges, threads, strict=True)]  # fmt: skip
    return Layout(tuple(boxes), tuple(curves), tuple(shown), width, y - RISE / 2)


def _curve(
    graph: Graph, edge: tuple[int, int], path: Sequence[_Item], boxes: Sequence[Rectangle],
    tops: Sequence[float], heights: Sequence[float],
) -> tuple[Point, ...]:  # fmt: skip
    """From the foot of one box to the top of another, down through its threads."""
    start, stop = boxes[edge[0]], boxes[edge[1]]
    down = [b for a, b in graph.edges if a == edge[0]]
    up = [a for a, b in graph.edges if b == edge[1]]
    points = [(_port(start, edge[1], down, boxes), start.y + start.height)]
    for item in path[1:-1]:
        points += [(item.x, tops[item.layer]), (item.x, tops[item.layer] + heights[item.layer])]
    return (*points, (_port(stop, edge[0], up, boxes), stop.y))


def _port(box: Rectangle, other: int, others: Sequence[int], boxes: Sequence[Rectangle]) -> float:
    """Where along a box an edge ends: the ends stand in the order of the other ends."""
    order = sorted(others, key=lambda o: boxes[o].x + boxes[o].width / 2)
    share = (order.index(other) + 1) / (len(order) + 1)
    return box.x + box.width * (0.2 + 0.6 * share)
