"""`a[i]`, `a[i:j]`, `a[:, None]`, `E[token]`.

In: a value and the parts of its index. Out: at most one `slice`, one `take` and one `reshape`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from ...grammar.problems_of_values import BadIndex, IndexOutOfRange, KindMismatch
from ...grammar.source import Span
from ..dims import minus
from ..ir import Node
from . import arguments
from .arrange import reshaped
from .counting import counted
from .tensors import Site, not_a_tensor
from .values import Operand, Tensor, Value, describe, kind_of, shape_of, sizes_note


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an index: a position, a range (an end may be absent), or a new axis."""

    kind: Literal["at", "range", "new"]
    span: Span
    start: Operand | None = None
    stop: Operand | None = None


def index(site: Site, value: Operand, parts: Sequence[Part]) -> Value:
    """The part of `value` that an index names.

    Raises:
        BadIndex, IndexOutOfRange, KindMismatch, NotConstant, BadSize: there is no such part.
    """
    problem = not_a_tensor(value)
    if problem:
        raise problem
    node = value.value
    if not isinstance(node, Tensor):
        raise BadIndex("a number has no parts", value.span, f"this is {describe(node)}")
    used = [part for part in parts if part.kind != "new"]
    rank = node.type.rank
    if len(used) > rank:
        axes = f"{rank} axes" if rank > 1 else ("one axis" if rank else "no axes")
        raise BadIndex(
            f"{len(used)} {'indices' if len(used) > 1 else 'index'}, and the value has {axes}",
            used[rank].span,
            "this one is too many",
            related=[(value.span, f"this is {describe(node)}")],
        )
    bounds: list[tuple[int, int]] = []
    shape: list[int] = []  # of the result, but for a row picked at run time
    rows: tuple[int, Operand] | None = None  # which axis an integer input picks from
    for part in parts:
        axis = len(bounds)
        if part.kind == "new":
            shape.append(1)
            continue
        length = node.type.shape[axis]
        if part.kind == "range":
            start, stop = _range(part, value, length)
            bounds.append((start, stop))
            shape.append(length if stop - start == length else minus(stop, start))
            continue
        assert part.start is not None
        if isinstance(part.start.value, Tensor):
            row = counted(site, part.start, value, axis)
            _check_row(row, int(length), rows)
            rows = axis, row
            bounds.append((0, int(length)))
            continue
        at = _position(part.start, value, length)
        bounds.append((at, at + 1))
    full = [(0, int(d)) for d in node.type.shape]
    bounds += full[len(bounds) :]
    shape += node.type.shape[len(used) :]
    if bounds != full:
        node = site.apply("slice", node, attr=tuple(bounds))
    if rows is not None:
        node = _take(site, node, *rows)
    return reshaped(site, node, tuple(shape))


def _take(site: Site, node: Tensor, axis: int, row: Operand) -> Tensor:
    if axis:
        others = (at for at in range(node.type.rank) if at != axis)
        node = site.apply("transpose", node, attr=(axis, *others))
    assert isinstance(row.value, Node)
    return site.apply("take", node, row.value)


def _check_row(row: Operand, rows: int, before: tuple[int, Operand] | None) -> None:
    if not isinstance(row.value, Node) or row.value.type.kind != "int":
        text = row.span.text
        advice = [f"declare it as an integer input: '{text}[]: int'"] if text.isidentifier() else []
        if not advice and kind_of(row.value) == "real" and not shape_of(row.value):
            advice = [f"'floor({text}) % {rows}' is one, whatever the step"]
        raise KindMismatch(
            "an index must be an integer", row.span, f"this is {describe(row.value)}", hints=advice
        )
    if row.value.type.rank:
        raise BadIndex(
            "an index picks one row",
            row.span,
            f"this is {describe(row.value)}",
            hints=[f"take one of them: '{row.span.text}[0]'"],
        )
    if before is not None:
        raise BadIndex(
            "a value of run time picks from one axis only",
            row.span,
            related=[(before[1].span, "this one picks already")],
        )


def _position(at: Operand, value: Operand, length: int) -> int:
    position = arguments.whole(at, "an index")
    if -length <= position < length:
        return position % int(length)
    raise _outside(f"index {position} is outside the axis", at.span, value, length)


def _outside(headline: str, span: Span, value: Operand, length: int) -> IndexOutOfRange:
    last = f"the axis has {length} positions, 0 to {length - 1}" if length else "the axis is empty"
    assert isinstance(value.value, Tensor)
    return IndexOutOfRange(
        headline,
        span,
        last,
        related=[(value.span, f"this is {describe(value.value)}")],
        notes=sizes_note(value.value.type.shape),
    )


def _range(part: Part, value: Operand, length: int) -> tuple[int, int]:
    ends: list[int] = []
    counts_back = False
    for end, default in ((part.start, 0), (part.stop, length)):
        if end is None:
            ends.append(default)
            continue
        position = arguments.whole(end, "an index")
        if not -length <= position <= length:
            raise _outside(f"{position} is outside the axis", end.span, value, length)
        if position < 0:
            counts_back = counts_back or end is part.start
            position = minus(length, -position)
        elif position:
            position = arguments.dim(end)  # a size keeps its name
        ends.append(position)
    start, stop = ends
    if counts_back:  # the last few are as many however long the axis is
        start, stop = int(start), int(stop)
    if start > stop:
        raise IndexOutOfRange(
            "the range ends before it begins", part.span, f"from {start} to {stop}"
        )
    return start, stop
