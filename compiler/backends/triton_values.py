"""Where a value of a kernel is: on chip, or in memory with strides.

A value `real[B,4,H]` on chip is one Triton tensor of shape [4, P(H), rows]: its trailing axes, each
padded to a power of two, then the rows of the program. The rows come last, so that a product with
a weight is `W @ v` as it stands. An axis, or the rows, along which a value repeats has size 1.
What lies in the padding is anything: reductions and products mask it, everything else ignores it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

from ..ir import Node
from ..mapping import padded
from ..shapes import size

Dims: TypeAlias = tuple[int, ...]


def extents(node: Node) -> Dims:
    """A node's trailing sizes as plain numbers."""
    return tuple(int(d) for d in node.type.shape)


@dataclass(frozen=True, slots=True)
class Tile:
    """A value on chip: `text`, a name or a number, and its padded sizes."""

    text: str
    dims: Dims
    rows: bool  # whether it differs from row to row

    @property
    def shape(self) -> str:
        return shape_text(self.dims, rows=self.rows)

    @property
    def is_number(self) -> bool:
        return not self.text.isidentifier()


@dataclass(frozen=True, slots=True)
class Strided:
    """A value in memory: of a row, the elements at `offset + sum(index * stride)`.

    `count` elements lie between two rows; `rows` and `timed` say whether it has a row for every
    example and step. A stride of 0 repeats.
    """

    base: str
    extents: Dims
    strides: Dims
    count: int
    kind: str
    rows: bool
    timed: bool
    offset: int = 0
    step: int = 0  # elements from one block of a divided axis to the next

    @staticmethod
    def of(base: str, node: Node) -> Strided:
        """All of the contiguous array of a node."""
        shape = extents(node)
        axes = node.type.axes
        return Strided(
            base, shape, contiguous(shape), size(shape), node.type.kind, "B" in axes, "T" in axes
        )

    def at(self, node: Node) -> Strided | None:
        """This value as the view that `node` is of it; None where that has no strides."""
        match node.op.name:
            case "stop_gradient" | "spread" | "at":
                return self
            case "transpose":
                return self._with([self.extents[a] for a in node.attr],
                                  [self.strides[a] for a in node.attr])  # fmt: skip
            case "slice":
                offset = self.offset + sum(
                    start * stride
                    for (start, _), stride in zip(node.attr, self.strides, strict=True)
                )
                return replace(self._with(extents(node), self.strides), offset=offset)
            case "flip":
                axis = node.attr
                strides = list(self.strides)
                offset = self.offset + max(self.extents[axis] - 1, 0) * strides[axis]
                strides[axis] = -strides[axis]
                return replace(self._with(self.extents, strides), offset=offset)
            case "broadcast":
                strides = [
                    stride if extent == wide else 0
                    for extent, stride, wide in zip(
                        self.extents, self.strides, extents(node), strict=True
                    )
                ]
                return self._with(extents(node), strides)
            case "diagonal":
                return self._with(extents(node), [sum(self.strides)])
            case "reshape":
                found = restrided(self.extents, self.strides, extents(node))
                return None if found is None else self._with(extents(node), found)
        return None

    def divided(self, axis: int, count: int) -> Strided:
        """One of `count` blocks of an axis, which one the program knows."""
        extent = self.extents[axis] // count
        return replace(self.part(axis, 0, extent), step=extent * self.strides[axis])

    def part(self, axis: int, start: int, count: int) -> Strided:
        """`count` elements of one axis, from `start` on."""
        shape = (*self.extents[:axis], count, *self.extents[axis + 1 :])
        return replace(self, extents=shape, offset=self.offset + start * self.strides[axis])

    def picked(self, order: Sequence[int]) -> Strided:
        """Axes in another order; those left out have one element."""
        return self._with([self.extents[a] for a in order], [self.strides[a] for a in order])

    def line(self) -> Strided | None:
        """This value as one axis, its padding behind it; None where there is no such view."""
        if any(extent != padded(extent) for extent in [e for e in self.extents if e != 1][1:]):
            return None
        count = size(self.extents)
        strides = restrided(self.extents, self.strides, (count,))
        return None if strides is None else self._with((count,), strides)

    def _with(self, shape: Sequence[int], strides: Sequence[int]) -> Strided:
        return replace(self, extents=tuple(shape), strides=tuple(strides))


def contiguous(shape: Sequence[int]) -> Dims:
    """The strides of an array whose last axis is the innermost."""
    strides: list[int] = []
    step = 1
    for extent in reversed(shape):
        strides.append(step)
        step *= extent
    return tuple(reversed(strides))


def restrided(old: Sequence[int], strides: Sequence[int], new: Sequence[int]) -> Dims | None:
    """The strides that show an array of shape `old` in shape `new`, if there are any."""
    if size(tuple(old)) == 0:
        return contiguous(new)
    left = [(extent, stride) for extent, stride in zip(old, strides, strict=True) if extent != 1]
    found: list[int] = []
    for extent in reversed(new):
        if extent == 1:
            found.append(0)
            continue
        if not left:
            return None
        wide, stride = left.pop()
        while wide % extent and left:  # join axes until this one fits
            outer, outer_stride = left.pop()
            if outer_stride != stride * wide:
                return None
            wide *= outer
        if wide % extent:
            return None
        found.append(stride)
        if wide != extent:
            left.append((wide // extent, stride * extent))
    return tuple(reversed(found))


def groups(old: Dims, new: Dims) -> list[tuple[list[int], list[int]]]:
    """Axes of `old` and axes of `new` that hold the same elements, joined or parted by a reshape.

    (4, 6) -> (4, 2, 3) is [([0], [0]), ([1], [1, 2])]. Nothing of either is empty.
    """
    found: list[tuple[list[int], list[int]]] = []
    i = j = 0
    while i < len(old) or j < len(new):
        mine, theirs = [i], [j]
        a = old[i] if i < len(old) else 1
        b = new[j] if j < len(new) else 1
        i, j = i + 1, j + 1
        while a != b:
            if a < b:
                mine.append(i)
                a *= old[i]
                i += 1
            else:
                theirs.append(j)
                b *= new[j]
                j += 1
        found.append((mine, theirs))
    return [([x for x in m if x < len(old)], [y for y in t if y < len(new)]) for m, t in found]


def shape_text(dims: Sequence[int], *, rows: bool) -> str:
    """`(4, 16, ROWS)`."""
    return f"({', '.join([*map(str, dims), 'ROWS' if rows else '1'])}{'' if dims else ','})"
