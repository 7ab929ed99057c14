"""The oracle: a float64 interpreter of a cell, one example and one step at a time.

In: a cell, parameters, sequences. Out: values and gradients that everything else is compared with.
It evaluates the unoptimised step with each op's `reference`, sees no leading axes, and walks time
and batch in plain loops; resets, lengths and boundaries are `if`s here, not nodes. It shares no
spelling, pass or schedule with any backend: only the op records and, for gradients, `derive`,
whose rules the tests hold against central differences of `run`. Asked for float32 it makes the
rounding errors of a plain evaluation, which say how much a cell amplifies such errors.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from .derive import by_node, vjp
from .ir import TANGENT, Cell, Node, Param, leaf, toposort

Array = np.ndarray[Any, np.dtype[Any]]
Arrays = Mapping[str, Array]
Kept = Callable[[Array], Array]


@dataclass(frozen=True, slots=True)
class Masks:
    """Per step and row, as in `Recur`: bool[T,B], bool[T,B], int[B]; and real[T,B].

    `placed`, bool[T,B], are resets to `places`, real[T,B,...] by state name.
    """

    starts: Array | None = None
    boundaries: Array | None = None
    lengths: Array | None = None
    weights: Array | None = None  # boundaries that let through more or less than all
    placed: Array | None = None
    places: Arrays = field(default_factory=dict)

    def puts(self, t: int, b: int) -> bool:
        """Whether row b starts step t at a value of its own."""
        return self.placed is not None and bool(self.placed[t, b])

    def resets(self, t: int, b: int) -> bool:
        return self.starts is not None and bool(self.starts[t, b])

    def cuts(self, t: int, b: int) -> bool:
        return self.boundaries is not None and bool(self.boundaries[t, b])

    def weight(self, t: int, b: int) -> float:
        """What a cotangent is multiplied by on its way to the step before."""
        if self.cuts(t, b):
            return 0.0
        return 1.0 if self.weights is None else float(self.weights[t, b])

    def holds(self, t: int, b: int) -> bool:
        """Whether row b is past its length at step t."""
        return self.lengths is not None and t >= self.lengths[b]


@dataclass(slots=True)
class Gradients:
    """Cotangents by name, shaped like what they belong to; an int input's is absent."""

    params: dict[str, Array] = field(default_factory=dict)
    carry: dict[str, Array] = field(default_factory=dict)
    inputs: dict[str, Array] = field(default_factory=dict)
    places: dict[str, Array] = field(default_factory=dict)


def evaluate(
    roots: Sequence[Node], values: Mapping[Node, Array], dtype: npt.DTypeLike = np.float64
) -> dict[Node, Array]:
    """Every node beneath `roots`, for one example; each real one is rounded to `dtype`."""
    found: dict[Node, Array] = dict(values)
    with np.errstate(all="ignore"):
        for node in toposort(roots, lambda n: n in values):
            if node not in found:
                operands = (found[a] for a in node.args)
                width = dtype if node.type.kind == "real" else None
                found[node] = np.asarray(node.op.reference(node.attr, *operands), width)
    return found


def initial(cell: Cell, params: Arrays, batch: int) -> dict[str, Array]:
    """The carry before the first step: real[B, ...] by state name."""
    found = evaluate([s.initial for s in cell.states], _given(cell, params))
    return {s.name: np.stack([found[s.initial]] * batch) if batch else
            np.zeros((0, *s.node.type.shape)) for s in cell.states}  # fmt: skip


def run(
    cell: Cell, params: Arrays, carry: Arrays, xs: Arrays, masks: Masks | None = None,
    dtype: npt.DTypeLike = np.float64,
) -> tuple[dict[str, Array], dict[str, Array]]:  # fmt: skip
    """Apply the cell along time.

    Args:
        params: by path; `const` tensors too.
        carry: real[B, ...] by state name.
        xs: [T, B, ...] by input name.
        masks: resets, boundaries, lengths.
        dtype: what it computes in.
    Returns:
        The carry after the last step, real[B, ...], and the outputs, real[T, B, ...], by name.
    """
    carries, ys, _ = _walk(cell, params, carry, xs, masks or Masks(), dtype)
    return carries, ys


def gradients(
    cell: Cell, params: Arrays, carry: Arrays, xs: Arrays, d_ys: Arrays, d_carry: Arrays,
    masks: Masks | None = None, dtype: npt.DTypeLike = np.float64,
    only: Collection[str] | None = None, kept: Kept | None = None,
) -> Gradients:  # fmt: skip
    """Cotangents of params, initial carry and inputs, given those of outputs and last carry.

    Args:
        d_ys: [T, B, ...] by output name; d_carry: [B, ...] by state name. Others as in `run`.
        only: of the parameters, those by these names; all unless told otherwise.
        kept: what the way back reads of a state [...] that a step of a row began with, for programs
            may keep it in fewer digits; the state as it was unless told otherwise.
    Returns:
        `params` holds the trained ones. A reset passes the cotangent on to the initial value's
        parameters; a boundary drops or weighs it; past its length a row passes it on unchanged.
    """
    masks = masks or Masks()
    _, _, before = _walk(cell, params, carry, xs, masks, dtype)
    trained = [p for p in cell.params if p.trained and (only is None or p.name in only)]
    step = _Pullback(cell, trained, dtype)
    fixed = _given(cell, params, dtype)
    real = [x.name for x in cell.inputs if x.node.type.kind == "real"]
    found = Gradients(
        {p.name: np.zeros(p.node.type.shape, dtype) for p in trained},
        {s.name: np.array(d_carry[s.name], dtype) for s in cell.states},
        {name: np.zeros(xs[name].shape, dtype) for name in real},
        {name: np.zeros(value.shape, dtype) for name, value in masks.places.items()},
    )
    for (t, b), inputs in reversed(before.items()):
        if masks.holds(t, b):
            continue
        seeds = {f"state.{n}": ct[b].copy() for n, ct in found.carry.items()}
        seeds |= {f"out.{n}": np.asarray(d[t, b], dtype) for n, d in d_ys.items()}
        again = {s.node: kept(inputs[s.node]) for s in cell.states if kept}
        back = step(fixed | inputs | again, seeds)
        for p in trained:
            if p.node in back:
                found.params[p.name] += back[p.node]
        for x in cell.inputs:
            if x.node in back:
                found.inputs[x.name][t, b] = back[x.node]
        for s in cell.states:
            ct_s = back.get(s.node, np.zeros(s.node.type.shape, dtype))
            if masks.puts(t, b):
                found.places[s.name][t, b] = ct_s
                ct_s = np.zeros_like(ct_s)
            elif masks.resets(t, b):
                _into_initial(trained, s.initial, ct_s, fixed, found, dtype)
                ct_s = np.zeros_like(ct_s)
            weight = masks.weight(t, b)
            found.carry[s.name][b] = weight * ct_s if weight else np.zeros_like(ct_s)
    return found


def _given(cell: Cell, params: Arrays, dtype: npt.DTypeLike = np.float64) -> dict[Node, Array]:
    return {p.node: np.asarray(params[p.name], dtype) for p in cell.params}


def _walk(
    cell: Cell, params: Arrays, carry: Arrays, xs: Arrays, masks: Masks, dtype: npt.DTypeLike
) -> tuple[dict[str, Array], dict[str, Array], dict[tuple[int, int], dict[Node, Array]]]:
    """Run forward; also what each step of each row read: {(t, b): {leaf: value}}."""
    fixed = _given(cell, params, dtype)
    starts = evaluate([s.initial for s in cell.states], fixed, dtype)
    state = {s.name: np.array(carry[s.name], dtype) for s in cell.states}
    steps, batch = next(iter(xs.values())).shape[:2]
    ys = {o.name: np.zeros((steps, batch, *o.node.type.shape), dtype) for o in cell.outputs}
    roots = [*(s.new for s in cell.states), *(o.node for o in cell.outputs)]
    before: dict[tuple[int, int], dict[Node, Array]] = {}
    for t in range(steps):
        for b in range(batch):
            reset = masks.resets(t, b)
            weight = masks.weight(t, b)
            read = {}
            for s in cell.states:
                read[s.node] = starts[s.initial] if reset else state[s.name][b].copy()
                if TANGENT in s.name and not reset:  # a boundary stops it, as a cotangent
                    old = read[s.node]
                    read[s.node] = weight * old if weight else np.zeros_like(old)
            if masks.puts(t, b):
                read = {s.node: np.array(masks.places[s.name][t, b], dtype) for s in cell.states}
            for x in cell.inputs:
                kind = dtype if x.node.type.kind == "real" else int
                read[x.node] = np.asarray(xs[x.name][t, b]).astype(kind)
            before[t, b] = read
            if masks.holds(t, b):
                continue
            found = evaluate(roots, fixed | read, dtype)
            for s in cell.states:
                state[s.name][b] = found[s.new]
            for o in cell.outputs:
                ys[o.name][t, b] = found[o.node]
    return state, ys, before


class _Pullback:
    """The derivative of one step of one example, built once."""

    def __init__(self, cell: Cell, trained: Sequence[Param], dtype: npt.DTypeLike) -> None:
        self.dtype = dtype
        results = [(f"state.{s.name}", s.new) for s in cell.states]
        results += [(f"out.{o.name}", o.node) for o in cell.outputs]
        self.seeds = {name: leaf("input", name, node.type) for name, node in results}
        cotangents = by_node((node, self.seeds[name]) for name, node in results)
        sources = [p.node for p in trained]
        sources += [s.node for s in cell.states]
        sources += [x.node for x in cell.inputs if x.node.type.kind == "real"]
        self.found = vjp(cotangents, sources)

    def __call__(self, given: dict[Node, Array], seeds: Arrays) -> dict[Node, Array]:
        values = given | {self.seeds[name]: value for name, value in seeds.items()}
        results = evaluate(list(self.found.values()), values, self.dtype)
        return {source: results[ct] for source, ct in self.found.items()}


def _into_initial(
    trained: Sequence[Param], value: Node, ct: Array, fixed: dict[Node, Array], found: Gradients,
    dtype: npt.DTypeLike,
) -> None:  # fmt: skip
    """A reset's cotangent goes to the parameters the initial value is made of."""
    seed = leaf("input", "seed", value.type)
    back = vjp({value: seed}, [p.node for p in trained])
    results = evaluate(list(back.values()), fixed | {seed: ct}, dtype)
    for p in trained:
        if p.node in back:
            found.params[p.name] += results[back[p.node]]
