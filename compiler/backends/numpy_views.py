"""Arrays and the views of them that generated NumPy code names.

In: how an array lies in memory. Out: expressions for its views. Every view carries a small sample
array that went through the same steps: whether NumPy would copy is asked of NumPy, not guessed.

An array may have a leading time axis that its views never touch: `rows` says which rows of it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np

Axis: TypeAlias = str | int  # "B", or the index of a trailing axis
Order: TypeAlias = tuple[Axis, ...]
Dim: TypeAlias = str | int  # "B", "B * 3", or a number
Item: TypeAlias = slice | int
Sample: TypeAlias = np.ndarray[Any, np.dtype[np.float32]]

SAMPLE_BATCH = 3  # any number above 1: with one row NumPy sees more views than hold in general
EVERYTHING = slice(None)
REFUSES_COPIES = np.lib.NumpyVersion(np.__version__) >= "2.1.0"  # `reshape`, if it is told so

# Which rows of an array a view is of, as an index of all of them and as one of a block's. "head"
# and "tail" are those of an array of T + 1 rows, but the last and but the first.
ALL_ROWS = {"T": ":", "head": ":-1", "tail": "1:", "q": ":q"}
BLOCK_ROWS = {"T": "t0:t1", "head": "t0:t1", "tail": "t0 + 1:t1 + 1", "q": ":q"}


@dataclass(frozen=True, slots=True)
class View:
    """A view of the array `base`: parts of it, its axes in another order, then `steps`.

    `rows` is "" for an array without time; `axes` names what the view's axes are, time left out.
    """

    base: str
    rows: str
    axes: Order
    sample: Sample = field(compare=False)  # of the view, without time
    items: tuple[Item, ...]  # one for every axis of the array
    order: tuple[int, ...]  # of the axes that are left
    steps: tuple[tuple[str, Any], ...] = ()
    # Whose the array is: made in this "run"; made by "build", for every run; "given" by the caller.
    scope: str = "run"

    @staticmethod
    def of(base: str, rows: str, axes: Order, sample: Sample, scope: str = "run") -> View:
        """All of an array."""
        everything: tuple[Item, ...] = (EVERYTHING,) * sample.ndim
        return View(base, rows, axes, sample, everything, tuple(range(sample.ndim)), (), scope)

    @property
    def is_all(self) -> bool:
        """Whether the view is the array itself (some rows of it, if it has rows)."""
        plain = all(item == EVERYTHING for item in self.items)
        return plain and self.order == tuple(range(len(self.items))) and not self.steps

    @property
    def is_compact(self) -> bool:
        """Whether the view is all of the array, in whatever shape."""
        return replace(self, steps=()).is_all and all(kind == "reshape" for kind, _ in self.steps)

    @property
    def contiguous(self) -> bool:
        return bool(self.sample.flags.c_contiguous)

    # -- views of it -----------------------------------------------------------------------------

    def transposed(self, axes: Order) -> View:
        """The same axes in another order."""
        if axes == self.axes:
            return self
        return self.permuted(tuple(self.axes.index(axis) for axis in axes), axes)

    def permuted(self, perm: tuple[int, ...], axes: Order) -> View:
        """Axis i of the result is axis perm[i] of this view."""
        sample = self.sample.transpose(perm)
        if self.steps:
            return self._with(("transpose", perm), axes, sample)
        order = tuple(self.order[at] for at in perm)
        return replace(self, order=order, axes=axes, sample=sample)

    def indexed(self, items: Sequence[Item], axes: Order) -> View:
        """`view[items]`, one item for every axis; an integer drops it."""
        if all(item == EVERYTHING for item in items):
            return self.named(axes)
        sample = self.sample[tuple(items)]
        if self.steps:
            return self._with(("index", tuple(items)), axes, sample)
        mine = list(self.items)
        left = [at for at, item in enumerate(mine) if isinstance(item, slice)]
        for at, item in zip(self.order, items, strict=True):
            place = left[at]
            found = _within(mine[place], item)
            if found is None:
                return self._with(("index", tuple(items)), axes, sample)
            mine[place] = found
        kept = [at for at, item in zip(self.order, items, strict=True) if isinstance(item, slice)]
        order = tuple(sorted(kept).index(at) for at in kept)
        return replace(self, items=tuple(mine), order=order, axes=axes, sample=sample)

    def inserted(self, lacking: Sequence[bool], axes: Order) -> View:
        """With axes of size 1 where `lacking`."""
        if not any(lacking):
            return self.named(axes)
        items = tuple(None if lack else EVERYTHING for lack in lacking)
        return self._with(("index", items), axes, self.sample[items])

    def reshaped(self, dims: tuple[Dim, ...], axes: Order) -> View | None:
        """In another shape, or None where that would be a copy."""
        sizes = tuple(map(extent, dims))
        if sizes == self.sample.shape:
            return self.named(axes)
        sample = _reshaped(self.sample, sizes)
        if sample is None:
            return None
        dropped = _ones_left_out(self.sample.shape, sizes)
        if dropped is not None:
            return self.indexed(dropped, axes)
        added = _ones_left_out(sizes, self.sample.shape)
        if added is not None:
            return self.inserted([item == 0 for item in added], axes)
        return self._with(("reshape", dims), axes, sample)

    def widened(self, dims: tuple[Dim, ...]) -> View:
        """Axes of size 1 repeated, as a view that must not be written."""
        sizes = tuple(map(extent, dims))
        if sizes == self.sample.shape:
            return self
        return self._with(("widen", dims), self.axes, np.broadcast_to(self.sample, sizes))

    def logical(self) -> View:
        """Batch first, then the trailing axes in their order."""
        return self.transposed(logical(self.axes))

    def named(self, axes: Order) -> View:
        """The same array with other names for its axes."""
        return replace(self, axes=axes)

    def _with(self, step: tuple[str, Any], axes: Order, sample: Sample) -> View:
        return replace(self, steps=(*self.steps, step), axes=axes, sample=sample)

    # -- as source -------------------------------------------------------------------------------

    def text(self, rows: str = "", count: str = "") -> str:
        """The view as source; of an array with time those `rows`, `count` of them."""
        timed = [rows] if self.rows else []
        text = self.base + _index([*timed, *map(_item, self.items)])
        if self.order != tuple(range(len(self.order))):
            text += _transpose(self.order, bool(self.rows))
        for kind, what in self.steps:
            match kind:
                case "transpose":
                    text += _transpose(what, bool(self.rows))
                case "index":
                    text += _index([*([":"] if self.rows else []), *map(_item, what)])
                case "reshape":
                    dims = [*([count] if self.rows else []), *map(str, what)]
                    text += f".reshape({', '.join(dims) or '()'})"
                case "widen":
                    dims = [*([count] if self.rows else []), *map(str, what)]
                    text = f"np.broadcast_to({text}, {shape_text(*dims)})"
        return text


def extent(dim: Dim) -> int:
    """How large a sample is along an axis of this size."""
    total = 1
    for factor in str(dim).split(" * "):
        total *= SAMPLE_BATCH if factor == "B" else int(factor)
    return total


def sample_of(dims: Sequence[Dim]) -> Sample:
    return np.empty([extent(d) for d in dims], np.float32)


def _reshaped(sample: Sample, sizes: tuple[int, ...]) -> Sample | None:
    """In another shape, or None where that would be a copy.

    A sample may be large: where NumPy can be told so, it makes none to find out.
    """
    assert math.prod(sizes) == sample.size, f"{sample.shape} as {sizes}"
    if not REFUSES_COPIES:
        found = sample.reshape(sizes)
        return found if np.shares_memory(found, sample) else None
    try:
        return sample.reshape(sizes, copy=False)
    except ValueError:
        return None


def logical(axes: Order) -> Order:
    """Batch first, then the trailing axes in their order."""
    return tuple(sorted(axes, key=lambda axis: -1 if axis == "B" else int(axis)))


def shape_text(*dims: object) -> str:
    """A shape as source."""
    return f"({', '.join(map(str, dims))}{',' if len(dims) == 1 else ''})"


def facing(view: View, axes: Order) -> View:
    """`view` with its axes in this order, and with axes of size 1 for those it lacks.

    NumPy aligns shapes at the end, so that nothing is missing in front of an array without time.
    """
    moved = view.transposed(tuple(axis for axis in axes if axis in view.axes))
    lacking = [axis not in view.axes for axis in axes]
    if not view.rows:
        first = lacking.index(False) if False in lacking else len(axes)
        lacking, axes = lacking[first:], axes[first:]
    return moved.inserted(lacking, axes)


def _within(mine: Item, item: Item) -> Item | None:
    """The item that picks `item` of what `mine` picks; None if neither slice says it."""
    if isinstance(mine, int) or mine.step is not None:
        return mine if item == EVERYTHING else None
    start = mine.start or 0
    if isinstance(item, int):
        return start + item if item >= 0 else None
    if item == EVERYTHING:
        return mine
    if item.step is not None:
        return item if mine == EVERYTHING else None
    return slice(start + (item.start or 0), mine.stop if item.stop is None else start + item.stop)


def _ones_left_out(shape: Sequence[int], wanted: Sequence[int]) -> list[Item] | None:
    """The index that takes `shape` to `wanted` by dropping axes of size 1, if that is all."""
    items: list[Item] = []
    left = list(wanted)
    for dim in shape:
        if left and dim == left[0] and (dim != 1 or len(left) == len(shape) - len(items)):
            items.append(EVERYTHING)
            left.pop(0)
        elif dim == 1:
            items.append(0)
        else:
            return None
    return None if left else items


def _item(item: Item | None) -> str:
    if not isinstance(item, slice):
        return str(item)
    start = "" if item.start is None else str(item.start)
    stop = "" if item.stop is None else str(item.stop)
    return f"{start}:{stop}" + ("" if item.step is None else f":{item.step}")


def _index(items: list[str]) -> str:
    """An index as source; nothing where it would pick everything."""
    while items and items[-1] == ":":
        items.pop()
    if items and all(item.isdigit() for item in items):
        items.append("...")  # an element would be a copy, this is a view
    return f"[{', '.join(items)}]" if items else ""


def _transpose(order: Sequence[int], timed: bool) -> str:
    whole = [0, *(at + 1 for at in order)] if timed else list(order)
    return f".transpose({', '.join(map(str, whole))})"
