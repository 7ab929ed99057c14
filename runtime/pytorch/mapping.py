"""A call mapped over an axis, as `vmap` asks for it: as more rows, as members, or one by one.

In: a call, its tensors, and which axis of each is mapped. Out: what one run gives for all, and
where the axis lies in it. More rows of one run where the parameters are the same for all; members
where they are not, or where each is to have a gradient of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import torch

from ...compiler.ir import Node
from ...compiler.origin import MOST_MEMBERS
from .call import Call
from .engine import Engine, Tensor, Tensors

Places: TypeAlias = tuple[int | None, ...]
Mapped: TypeAlias = tuple[Tensors, Places]  # tensors, and the axis in each


@dataclass(frozen=True, slots=True)
class Axis:
    """One that is mapped: its size, and its place in each of the tensors, None where it is not."""

    size: int
    dims: Sequence[int | None]

    @property
    def mapped(self) -> list[bool]:
        """Which of the tensors have it."""
        return [dim is not None for dim in self.dims]

    def fits_members(self, call: Call) -> bool:
        """Whether an ensemble can have them all: its rows share their masks."""
        return 1 < self.size <= MOST_MEMBERS and not call.mapped

    # -- more rows -----------------------------------------------------------------------------

    def on_more_rows(self, call: Call, flat: Sequence[Tensor], run: Callable[..., Any]) -> Mapped:
        """Of one run."""
        engine, size, wide = call.engine, self.size, []
        pairs, masks = call.apart(list(zip(flat, self.dims, strict=True)))
        params, states, inputs = engine.parts(pairs)
        for state, dim in states:  # [V, B, ...] -> [V * B, ...]
            wide.append(in_front(state, dim, size).flatten(0, 1))
        for x, dim in inputs:  # [V, T, B, ...] -> [T, V * B, ...]
            wide.append(in_front(x, dim, size).movedim(0, 1).flatten(1, 2))
        for name, (mask, dim) in zip(call.mapped, masks, strict=True):
            many = in_front(mask, dim, size)
            is_of_rows = name == "lengths"
            wide.append(many.flatten(0, 1) if is_of_rows else many.movedim(0, 1).flatten(1, 2))
        outs = run(call.on_rows(size), [*(param for param, _ in params), *wide])
        ys = len(engine.outputs)
        x, dim = inputs[0]
        rows = x.shape[1] if dim is None else in_front(x, dim, size).shape[2]
        found = [y.reshape(y.shape[0], size, rows, *y.shape[2:]) for y in outs[:ys]]
        found += [state.reshape(size, rows, *state.shape[1:]) for state in outs[ys:]]
        return tuple(found), (*[1] * ys, *[0] * (len(outs) - ys))

    # -- members -------------------------------------------------------------------------------

    def as_members(self, call: Call, flat: Sequence[Tensor], run: Callable[..., Any]) -> Mapped:
        """Of a cell that has the axis where the tensors do; what they share is computed once."""
        whole = call.over(self.size, self.mapped)
        outs = run(whole, self._beside(flat, self.dims, places_of(whole.engine, call.engine)))
        return outs, places_of_outs(whole.engine, call.engine)

    def back_as_members(
        self, call: Call, given: Sequence[Tensor], run_back: Callable[..., Any]
    ) -> Mapped:
        """Run back, each with tensors of its own: of what they share each has a cotangent."""
        engine = call.engine
        whole = call.over(self.size, [True] * len(engine.is_real))
        outs, places = places_of_outs(whole.engine, engine), places_of(whole.engine, engine)
        d_outs = self._summed(given[: engine.outs], self.dims[: engine.outs], outs)
        flat = self._beside(given[engine.outs :], self.dims[engine.outs :], places)
        found = run_back(whole, d_outs, flat)
        return found, tuple(engine.real(places))

    def _summed(
        self, d_outs: Sequence[Tensor], dims: Sequence[int | None], places: Sequence[int | None]
    ) -> list[Tensor]:
        """Cotangents in their places: of an out that is one for all, such as a constant, a sum."""
        triples = list(zip(d_outs, dims, places, strict=True))
        found = [d if dim is None or at is not None else d.sum(dim) for d, dim, at in triples]
        return self._beside(found, dims, places)

    def _beside(
        self, tensors: Sequence[Tensor], dims: Sequence[int | None], places: Sequence[int | None]
    ) -> list[Tensor]:
        """With the axis in its places."""
        found = zip(tensors, dims, places, strict=True)
        return [
            each
            if place is None
            else in_front(each, dim, self.size)
            .movedim(0, place)
            .contiguous()  # BLAS takes no steps of 0
            for each, dim, place in found
        ]

    # -- one by one ----------------------------------------------------------------------------

    def one_by_one(self, flat: Sequence[Tensor], run: Callable[[list[Tensor]], Tensors]) -> Mapped:
        """A run for each; of none, one of zeros says the shapes."""
        pairs = list(zip(flat, self.dims, strict=True))
        if not self.size:
            pairs = [
                (x if d is None else in_front(x, d, 0).new_zeros(x.movedim(d, 0).shape[1:]), None)
                for x, d in pairs
            ]
        each = [
            run([x if dim is None else x.select(dim, at) for x, dim in pairs])
            for at in range(max(self.size, 1))
        ]
        found = tuple(torch.stack(parts)[: self.size] for parts in zip(*each, strict=True))
        return found, (0,) * len(found)


def places_of(whole: Engine, engine: Engine) -> Places:
    """Where a map of an engine has its axis in each tensor; None where there is one for all.

    A parameter has it in front, a state behind the rows, an input behind time and the rows.
    """
    parts = engine.params, engine.states, engine.inputs
    behind = [at for at, part in enumerate(parts) for _ in part]
    return _places(behind, whole.leaves, engine.leaves)


def places_of_outs(whole: Engine, engine: Engine) -> Places:
    """The same for its outs."""
    behind = [2] * len(engine.outputs) + [1] * len(engine.states)
    return _places(behind, whole.results, engine.results)


def _places(behind: Sequence[int], mapped: Sequence[Node], of: Sequence[Node]) -> Places:
    triples = zip(behind, mapped, of, strict=True)
    return tuple(
        at if len(new.type.shape) > len(old.type.shape) else None for at, new, old in triples
    )


def in_front(tensor: Tensor, dim: int | None, size: int) -> Tensor:
    """With the axis first; the same for all if it has none."""
    if dim is None:
        return tensor.expand(size, *tensor.shape)
    return tensor.movedim(dim, 0)
