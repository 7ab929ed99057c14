"""The picture of a net of nets: which layers there are, and what goes through them.

In: a stack, or both directions. Out: SVG.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ..compiler.drawing import svg
from ..compiler.ir import Value
from .bidirectional import Bidirectional
from .checks import describe
from .layered import Layered
from .passing import step_of
from .recur import Recur
from .stack import Stack

MARGIN, PAD = 14.0, 9.0
GAP, BESIDE = 46.0, 16.0  # between layers, and between the directions of one
JOINED, MERGED, BRANCH, DROPPED = (
    4.0,
    17.0,
    22.0,
    35.0,
)  # places on the way from a layer to the next
HEAD, FOOT, SIDE = 34.0, 26.0, 48.0  # for the title, what is said beneath, and what is added
MOST_SIGNS = 46


@dataclass(frozen=True, slots=True)
class Box:
    """A line in ink, and quiet ones beneath it."""

    lines: tuple[str, ...]

    @property
    def size(self) -> tuple[float, float]:
        """In px."""
        wide = max(svg.width(svg.shortened(line, MOST_SIGNS)) for line in self.lines)
        return wide + 2 * PAD, len(self.lines) * svg.LINE + PAD


@dataclass(frozen=True, slots=True)
class Row:
    """A layer: one box, or one for each direction."""

    boxes: tuple[Box, ...]
    kind: str = "step"  # what it is coloured as
    before: str = ""  # what is done to what it reads
    after: str = ""  # what is done to what it returns
    adds: bool = False  # whether what it reads is added to that

    @property
    def size(self) -> tuple[float, float]:
        """In px."""
        sizes = [box.size for box in self.boxes]
        return sum(w for w, _ in sizes) + BESIDE * (len(sizes) - 1), max(h for _, h in sizes)

    def middles(self, x: float) -> list[float]:
        """Where the middles of its boxes are, if its own is at `x`."""
        found, left = [], x - self.size[0] / 2
        for wide, _ in (box.size for box in self.boxes):
            found.append(left + wide / 2)
            left += wide + BESIDE
        return found


def picture_of(net: Layered, facts: Mapping[str, str]) -> str:
    """The picture as text, whatever is in the names; `facts` stand beneath it."""
    first, last = net._cell.inputs[0], net._cell.outputs[0]
    rows = [
        Row((Box((f"{first.name} {_shape(first)}",)),), "input"),
        *_rows(net),
        Row((Box((f"{last.name} {_shape(last)}",)),), "input"),
    ]
    return draw(f"{net}", rows, [f"{name}: {text}" for name, text in facts.items()])


def _rows(net: Layered) -> list[Row]:
    if isinstance(net, Bidirectional):
        return [_row("", net)]
    assert isinstance(net, Stack), "there are no other nets of nets"
    dropped = f"dropout {net._dropout.rate:g}" if net._dropout else ""
    return [
        _row(path, layer, before=dropped if at else "", adds=at in net._residual)
        for at, (path, layer) in enumerate(net._layers.items())
    ]


def _row(path: str, layer: Recur | Bidirectional, *, before: str = "", adds: bool = False) -> Row:
    if isinstance(layer, Recur):
        return Row((_box(path, layer),), before=before, adds=adds)
    boxes = [
        _box(f"{path}.{way}".strip("."), net, order)
        for (way, net), order in zip(
            layer._nets().items(), ("from the first to the last", "from the last to the first"),
            strict=True,
        )
    ]  # fmt: skip
    return Row(tuple(boxes), before=before, after=layer.merge, adds=adds)


def _box(path: str, net: Recur, *more: str) -> Box:
    cell = net._cell
    states = ", ".join(f"{state.name}{_shape(Value('', state.node))}" for state in cell.states)
    through = f"{_shape(cell.inputs[0])} to {_shape(cell.outputs[0])}"
    return Box((f"{path}: {net._bound}", f"{through}; state {states or 'none'}", *more))


def _shape(value: Value) -> str:
    kind, shape = step_of(value)
    return describe(shape) if kind == "real" else f"{describe(shape)}: {kind}"


def draw(title: str, rows: Sequence[Row], notes: Sequence[str]) -> str:
    """The picture of rows, the first one on top."""
    most = max(row.size[0] for row in rows)
    said = max(svg.width(words) for row in rows for words in (row.before, row.after))
    side = SIDE if any(row.adds for row in rows) else 0
    wide = max(most + 2 * side, 2 * (said + PAD), svg.width(title), *map(svg.width, notes))
    middle, y = MARGIN + wide / 2, MARGIN + HEAD
    parts = [svg.text(title, MARGIN, MARGIN + 14, bold=True)]
    for at, row in enumerate(rows):
        width, height = row.size
        if at:
            above = rows[at - 1]
            if len(above.boxes) > 1:
                ends = above.middles(middle)
                bow = [(ends[0], y), (ends[0], y + JOINED), (ends[-1], y + JOINED), (ends[-1], y)]
                parts.append(svg.line(bow))
            begin = y + JOINED * (len(above.boxes) > 1)
            for x in row.middles(middle):
                parts.append(svg.curve([(middle, begin), (x, y + GAP)]))
            for words, down in ((above.after, MERGED), (row.before, DROPPED)):
                left = middle - PAD - 0.92 * svg.width(words)  # small text
                parts.append(svg.text(words, left, y + down, kind="quiet", small=True))
            y += GAP
        if row.adds:
            begin, out, end = y - GAP + BRANCH, middle + width / 2 + SIDE / 2, y + height + BRANCH
            parts.append(svg.line([(middle, begin), (out, begin), (out, end)]))
            parts.append(svg.arrow(out, end, middle))
            parts.append(svg.text("+", middle + PAD, end - 4, kind="quiet"))
        for box, x in zip(row.boxes, row.middles(middle), strict=True):
            parts += _box_parts(row.kind, box, x, y)
        y += height
    for note in notes:
        y += svg.LINE
        parts.append(svg.text(note, MARGIN, y + PAD, kind="quiet", small=True))
    return svg.document(title, wide + 2 * MARGIN, y + FOOT, parts)


def _box_parts(kind: str, box: Box, x: float, y: float) -> list[str]:
    wide, high = box.size
    parts = [svg.rect(kind, x - wide / 2, y, wide, high)]
    for at, line in enumerate(box.lines):
        shown = svg.shortened(line, MOST_SIGNS)
        below, ink = y + PAD / 2 + 12 + at * svg.LINE, "quiet" if at else "ink"
        parts.append(svg.text(shown, x, below, kind=ink, middle=True, small=bool(at)))
    return parts
