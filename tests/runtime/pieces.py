"""A masked run by separate runs: every stretch of a row between two events is a call of its own.

In: what one row of a call holds. Out: what the call has to return for it. A reset is a new net, a
boundary a new net that is given the state, padding is not run at all: no mask is used anywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np

from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur

Named: TypeAlias = dict[str, Array]


@dataclass(frozen=True)
class Row:
    """What one row of a call is given and asked for: arrays without a batch axis."""

    xs: tuple[Array, ...]  # [T, ...]
    d_ys: tuple[Array, ...]  # [T, ...]
    d_state: Named
    first: Named | None  # the state before the first step; None for the initial state
    starts: Array  # bool[T]
    cuts: Array  # bool[T]: boundaries
    length: int
    places: Named | None = None  # [T, ...]: what resets go to; None for the initial state


@dataclass(frozen=True)
class Found:
    """What comes of it."""

    ys: tuple[Array, ...]  # [T, ...]
    state: Named
    d_params: Named
    d_xs: tuple[Array, ...]  # [T, ...]
    d_first: Named
    d_places: Named = field(default_factory=dict)  # [T, ...]


def by_pieces(make: Callable[[], Recur], row: Row) -> Found:
    """Run one row.

    Args:
        make: a net at its initial state, without a batch axis.
    """
    net = make()
    is_tuple = len(row.xs) > 1
    ys: list[tuple[Array, ...]] = []
    d_params = {name: np.zeros(value.shape) for name, value in net.params.items()}
    d_xs = tuple(np.zeros(x.shape) for x in row.xs)
    state = dict(net.state) if row.first is None else row.first
    d_first = {name: np.zeros(value.shape) for name, value in state.items()}
    d_places = {name: np.zeros(value.shape) for name, value in (row.places or {}).items()}
    events = [t for t in range(1, row.length) if row.starts[t] or row.cuts[t]]
    pieces = list(pairwise([0, *events, row.length])) if row.length else []
    for begin, end in pieces:
        net = make()
        reset = bool(row.starts[begin])
        if reset and row.places is not None:
            net.state = {name: value[begin] for name, value in row.places.items()}
        elif not reset and (begin or row.first is not None):
            net.state = state
        given = tuple(x[begin:end] for x in row.xs)
        out = net.scan(given if is_tuple else given[0])
        ys.append(out if isinstance(out, tuple) else (out,))
        state = dict(net.state)
        d_out = tuple(d[begin:end] for d in row.d_ys)
        last = row.d_state if end == row.length else None
        grads = net.backward(d_out if len(d_out) > 1 else d_out[0], last)
        for name, d in grads.params.items():
            d_params[name] += d
        for sum_, d in zip(d_xs, grads.inputs if is_tuple else (grads.inputs,), strict=True):
            sum_[begin:end] = d
        if begin == 0 and not reset:
            d_first = grads.state
        if reset:
            for name, d in d_places.items():
                d[begin] = grads.state[name]
    if not pieces:  # the state is handed through
        d_first = row.d_state
        if row.first is None:
            d_params = _of_the_initial_state(make, row, d_params)
    shapes = [d.shape for d in row.d_ys]
    outputs = tuple(np.zeros(shape) for shape in shapes)
    for at, whole in enumerate(outputs):
        whole[: row.length] = np.concatenate([y[at] for y in ys]) if ys else whole[:0]
    return Found(outputs, state, d_params, d_xs, d_first, d_places)


def _of_the_initial_state(make: Callable[[], Recur], row: Row, zeros: Named) -> Named:
    """The gradient of a learned state through no step at all: of the models here, that of `h0`."""
    return {n: row.d_state["h"] if n == "h0" else zeros[n] for n in zeros}


def as_call(rows: list[Row]) -> dict[str, Any]:
    """The masks of a call that holds these rows side by side."""
    return {
        "starts": np.stack([row.starts for row in rows], 1),
        "boundaries": np.stack([row.cuts for row in rows], 1),
        "lengths": np.array([row.length for row in rows]),
    }


def by_masks(net: Recur, rows: list[Row], *masks: str, **others: Any) -> Found:
    """The rows in one call of a net, with those of the masks that are named, and others."""
    net.reset()
    if rows[0].first is not None:
        names = rows[0].first
        firsts = [row.first or {} for row in rows]
        net.state = {name: np.stack([first[name] for first in firsts]) for name in names}
    xs = tuple(np.stack(parts, 1) for parts in zip(*(row.xs for row in rows), strict=True))
    given = {name: mask for name, mask in as_call(rows).items() if name in masks}
    if rows[0].places is not None and "starts" in masks:
        places = [row.places or {} for row in rows]
        given["starts_at"] = {n: np.stack([p[n] for p in places], 1) for n in places[0]}
    ys = net.scan(xs if len(xs) > 1 else xs[0], **given, **others)
    state = dict(net.state)
    d_ys = tuple(np.stack(parts, 1) for parts in zip(*(row.d_ys for row in rows), strict=True))
    d_state = {name: np.stack([row.d_state[name] for row in rows]) for name in state}
    grads = net.backward(d_ys if len(d_ys) > 1 else d_ys[0], d_state)
    d_xs = grads.inputs if isinstance(grads.inputs, tuple) else (grads.inputs,)
    outs = ys if isinstance(ys, tuple) else (ys,)
    return Found(outs, state, grads.params, d_xs, grads.state, grads.starts)


def side_by_side(found: list[Found]) -> Found:
    """What rows that were run apart give together."""

    def stacked(parts: list[Named], axis: int = 0) -> Named:
        return {name: np.stack([part[name] for part in parts], axis) for name in parts[0]}

    def along(parts: list[tuple[Array, ...]]) -> tuple[Array, ...]:
        return tuple(np.stack(arrays, 1) for arrays in zip(*parts, strict=True))

    d_params = {n: np.sum([f.d_params[n] for f in found], 0) for n in found[0].d_params}
    return Found(
        along([f.ys for f in found]),
        stacked([f.state for f in found]),
        d_params,
        along([f.d_xs for f in found]),
        stacked([f.d_first for f in found]),
        stacked([f.d_places for f in found], 1),
    )


def assert_alike(found: Found, wanted: Found, values: float, gradients: float) -> None:
    """Equal to `values` in outputs and states, and to `gradients` in all derivatives."""
    __tracebackhide__ = True
    for part, tolerance in {
        "ys": values, "state": values, "d_params": gradients, "d_xs": gradients,
        "d_first": gradients, "d_places": gradients,
    }.items():  # fmt: skip
        mine, theirs = getattr(found, part), getattr(wanted, part)
        assert len(mine) == len(theirs), part
        keys = list(theirs) if isinstance(theirs, dict) else range(len(theirs))
        for key in keys:
            off = np.abs(np.asarray(mine[key]) - theirs[key])
            scale = max(1.0, float(np.max(np.abs(theirs[key]), initial=0.0)))
            # Not `> tolerance`, which NaN would pass.
            assert np.all(off <= tolerance * scale), f"{part} {key}: off by {off.max():.1e}"
