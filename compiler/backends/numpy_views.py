"""Arrays and the views of them that generated NumPy code names.

In: how an array lies in memory. Out: expressions for its views. Every view carries a small sample
array that went through the same steps: whether NumPy would copy is asked of NumPy, not guessed.

A step's values are written with a leading time axis or without: `rows` says whether the array a
view is taken of has one. Steps never touch it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, TypeAlias

import numpy as np

Axis: TypeAlias = str | int  # "B", or the index of a trailing axis
Order: TypeAlias = tuple[Axis, ...]

SAMPLE_BATCH = 3  # any number above 1: with one row NumPy sees more views than hold in general


@dataclass(frozen=True, slots=True)
class View:
    """A view of the array `base`: `steps` applied one after the other.

    `rows` is "" for an array without time, "T" for one with a row for every step of the run, "q"
    for one with a row for every step of a block. `axes` is the order in memory, time left out.
    """

    base: str
    rows: str
    axes: Order
    sample: Any  # of the array without time
    steps: tuple[tuple[str, Any], ...] = ()
    scope: str = "run"  # "build": the array lives as long as the batch size does

    def transposed(self, order: Order) -> View:
        """The same axes in another order."""
        if order == self.axes:
            return self
        perm = tuple(self.axes.index(axis) for axis in order)
        return self._with(("transpose", perm), order, self.sample.transpose(perm))

    def indexed(self, items: tuple[slice | int | None, ...], axes: Order) -> View:
        """`view[items]`, one item for every axis in memory order; None inserts an axis."""
        if all(item == slice(None) for item in items):
            return replace(self, axes=axes)
        return self._with(("index", items), axes, self.sample[items])

    def reshaped(self, dims: tuple[str | int, ...], axes: Order) -> View | None:
        """In another shape, or None where that would be a copy. `dims` may name "B"."""
        sizes = tuple(SAMPLE_BATCH if d == "B" else int(d) for d in dims)
        if sizes == self.sample.shape:
            return replace(self, axes=axes)
        sample = self.sample.reshape(sizes)
        if not np.shares_memory(sample, self.sample):
            return None
        return self._with(("reshape", dims), axes, sample)

    def logical(self) -> View:
        """Batch first, then the trailing axes in their order."""
        return self.transposed(tuple(sorted(self.axes, key=lambda a: -1 if a == "B" else int(a))))

    def widened(self, dims: tuple[str | int, ...]) -> View:
        """Axes of size 1 repeated, as a view that must not be written."""
        sizes = tuple(SAMPLE_BATCH if d == "B" else int(d) for d in dims)
        if sizes == self.sample.shape:
            return self
        return self._with(("widen", dims), self.axes, np.broadcast_to(self.sample, sizes))

    def _with(self, step: tuple[str, Any], axes: Order, sample: Any) -> View:
        return replace(self, steps=(*self.steps, step), axes=axes, sample=sample)

    @property
    def contiguous(self) -> bool:
        return bool(self.sample.flags.c_contiguous)

    def expression(self, base: str | None = None, count: str | None = None) -> str:
        """The view as source, of the whole array or of `count` rows of it called `base`."""
        text = base or self.base
        timed = bool(self.rows)
        count = count or {"T": "T", "q": "N"}.get(self.rows, "")
        for kind, what in self.steps:
            match kind:
                case "transpose":
                    order = (0, *(at + 1 for at in what)) if timed else what
                    text = f"{text}.transpose({', '.join(map(str, order))})"
                case "index":
                    items = [_item(i) for i in what]
                    text = f"{text}[{', '.join([':', *items] if timed else items)}]"
                case "reshape":
                    dims = [count] * timed + [str(d) for d in what]
                    text = f"{text}.reshape({', '.join(dims) or '()'})"
                case "widen":
                    dims = [count] * timed + [str(d) for d in what]
                    text = f"np.broadcast_to({text}, ({', '.join(dims)},))"
        return text


def _item(item: slice | int | None) -> str:
    if isinstance(item, slice):
        start = "" if item.start is None else str(item.start)
        stop = "" if item.stop is None else str(item.stop)
        step = "" if item.step is None else f":{item.step}"
        return f"{start}:{stop}{step}"
    return str(item)


def aligned(view: View, order: Order) -> View:
    """`view` with its axes in `order`; those it lacks inserted with size 1."""
    present = tuple(axis for axis in order if axis in view.axes)
    moved = view.transposed(present)
    # Missing axes in front need no insertion: NumPy aligns at the end. With a time axis they do.
    lacking = [axis not in view.axes for axis in order]
    if not any(lacking):
        return moved
    if not view.rows:
        first = lacking.index(False) if False in lacking else len(order)
        lacking = lacking[first:]
        order = order[first:]
        if not any(lacking):
            return moved
    items = tuple(None if lack else slice(None) for lack in lacking)
    return moved.indexed(items, order)
