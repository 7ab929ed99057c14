"""Large graphs made small enough to be looked at.

In: a `Graph`. Out: one in which what is given alike is one box, and, where there are too many
values, those of a sub-cell are one box, or as many as it takes that follow each other. A note says
so. Only neighbours in the order of computation are put together, so no edge ever turns back.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from .graph import Box, Graph, Kind
from .svg import shortened

MOST = 36  # values drawn one by one
MOST_GIVEN = 6  # names in the box of what is given
MOST_NAMES = 6  # of values that are one box
MOST_SIGNS = 60
PATH = re.compile(r"(?<![\w.])(\w+)\.(?=[^\W\d])")  # `1` in `sigmoid(1.f)`


def collapsed(graph: Graph) -> Graph:
    """The graph with at most about `MOST` values."""
    values = sorted(graph.of("value"), key=lambda at: (graph.boxes[at].zone, at))
    if len(values) <= MOST:
        return graph
    groups = _runs(graph, values)
    if len(groups) > MOST:
        groups = _chunks(graph, groups)
    note = f"{len(values)} values are drawn as {len(groups)} boxes: rnnc show lists them all"
    return replace(_merged(graph, groups, _paths(graph)), notes=(*graph.notes, note))


def with_leaves_joined(graph: Graph) -> Graph:
    """The graph with one box for the parameters that the same boxes read, and the like."""
    return _merged(graph, _alike(graph), [""] * len(graph.boxes))


def _runs(graph: Graph, values: Sequence[int]) -> list[list[int]]:
    """Neighbours of one sub-cell, computed at the same time."""
    groups: list[list[int]] = []
    keys: list[tuple[object, str]] = []
    paths = _paths(graph)
    for at in values:
        key = graph.boxes[at].zone, paths[at]
        if keys and keys[-1] == key and key[1]:
            groups[-1].append(at)
        else:
            groups.append([at])
            keys.append(key)
    return groups


def _paths(graph: Graph) -> list[str]:
    """The sub-cell that each box belongs to: the one it speaks of most, or else its operands do."""
    given: dict[int, list[int]] = {at: [] for at in range(len(graph.boxes))}
    for start, stop in graph.edges:
        given[stop].append(start)
    paths: list[str] = []
    for at, box in enumerate(graph.boxes):
        words = " ".join((*box.names, box.text)).replace("ct.", "")
        found = Counter(PATH.findall(words)) or Counter(paths[a] for a in given[at] if a < at)
        paths.append(max(sorted(found), key=found.__getitem__, default=""))
    return paths


def _chunks(graph: Graph, groups: Sequence[list[int]]) -> list[list[int]]:
    """So many neighbours together, computed at the same time, that few groups are left."""
    most = ceil(len(groups) / (MOST / 2))
    found: list[list[int]] = []
    count, zone = 0, None
    for group in groups:
        here = graph.boxes[group[0]].zone
        if found and here == zone and count < most:
            found[-1] += group
            count += 1
        else:
            found.append(list(group))
            count, zone = 1, here
    return found


def _alike(graph: Graph) -> list[list[int]]:
    """Parameters that the same boxes read, and likewise what forward saved."""
    found: dict[object, list[int]] = {}
    kinds: tuple[Kind, ...] = ("param", "saved")
    for kind in kinds:
        for at in graph.of(kind):
            found.setdefault((kind, tuple(graph.readers(at))), []).append(at)
    return list(found.values())


def _merged(graph: Graph, groups: Sequence[list[int]], paths: Sequence[str]) -> Graph:
    """The graph with the boxes of each group as one, where the first of them stood."""
    leader = {at: group[0] for group in groups for at in group}
    size = {group[0]: group for group in groups if len(group) > 1}
    places: dict[int, int] = {}
    boxes: list[Box] = []
    for at, box in enumerate(graph.boxes):
        if leader.get(at, at) == at:
            places[at] = len(boxes)
            group = size.get(at, [at])
            path = paths[at] if len({paths[i] for i in group}) == 1 else ""
            boxes.append(_together([graph.boxes[i] for i in group], path) if at in size else box)
    ends = [(places[leader.get(a, a)], places[leader.get(b, b)]) for a, b in graph.edges]
    edges = tuple(sorted({(a, b) for a, b in ends if a != b}))
    return replace(graph, boxes=tuple(boxes), edges=edges)


def _together(boxes: Sequence[Box], path: str) -> Box:
    """Several boxes, of one sub-cell perhaps, as one that says what is in it."""
    first = boxes[0]
    if first.kind != "value":
        names = [f"{box.name} {box.shape}".rstrip() for box in boxes]
        return replace(first, names=tuple(_cut(names, MOST_GIVEN)), shape="")
    named = [name for box in boxes for name in box.names if not name.startswith("%")]
    names = _cut(named, MOST_NAMES)
    count = f"{len(boxes)} values"
    text = shortened(", ".join(names), MOST_SIGNS) or (f"{count} of {path}" if path else count)
    return replace(
        first,
        names=(),
        text=text,
        shape=count if names else "",
        is_saved=any(box.is_saved for box in boxes),
        is_output=any(box.is_output for box in boxes),
    )


def _cut(names: Sequence[str], most: int) -> list[str]:
    if len(names) <= most:
        return list(names)
    return [*names[: most - 1], f"{len(names) - most + 1} more"]
