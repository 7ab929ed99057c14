"""Gradients against central differences of the oracle's values, along random directions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np

from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from tests.compiler.hand_built import Array, Arrays, Numbers
from tests.compiler.run_scans import NO_MASKS, Outcome
from tests.tolerance import CENTRAL_DIFFERENCES

NUDGE = 1e-6
SMALLEST = 1e-3  # gradients are held against at least this

GRADIENTS = {"params": "d_params", "carry": "d_carry", "xs": "d_xs"}


def assert_agree_with_differences(
    cell: Cell, n: Numbers, found: Outcome, masks: Masks = NO_MASKS
) -> None:
    """Every gradient of `found` is the slope of the oracle's values."""
    __tracebackhide__ = True
    wrong = []
    for group, name, along in _directions(n, found):
        gradient = getattr(found, GRADIENTS[group])[name]
        wanted = slope(cell, n, {group: {name: along}}, masks)
        scale = max(abs(wanted), float(np.linalg.norm(gradient)), SMALLEST)
        off = abs(float(np.sum(gradient * along)) - wanted) / scale
        if not off <= CENTRAL_DIFFERENCES:
            wrong.append(f"{GRADIENTS[group]}.{name} is off by {off:.1e}")
    assert not wrong, "\n".join(wrong)


def _directions(n: Numbers, found: Outcome) -> Iterator[tuple[str, str, Array]]:
    draws = np.random.default_rng(5)
    for group, gradients in GRADIENTS.items():
        for name in getattr(found, gradients):
            value = getattr(n, group)[name]
            along = draws.standard_normal(value.shape)
            yield group, name, np.where(np.isfinite(value), along, 0.0)  # an infinity stays one


SIDES = {"both": (NUDGE, -NUDGE), "ahead": (NUDGE, 0.0), "behind": (0.0, -NUDGE)}


def slope(
    cell: Cell, n: Numbers, along: Mapping[str, Arrays], masks: Masks = NO_MASKS, side: str = "both"
) -> float:
    """How fast the weighted sum of all results changes along a direction.

    Args:
        n: where; its `d_ys` and `d_carry` are the weights.
        along: the direction, by group ("params", "carry", "xs") and name; others stay.
        side: "both", or "ahead" or "behind" alone: these two differ at a kink.
    """
    upper, lower = SIDES[side]
    above, below = (
        oracle.run(cell, at.params, at.carry, at.xs, masks)
        for at in (_moved(n, along, upper), _moved(n, along, lower))
    )
    # Differences first, then weights: what the nudge leaves alone cancels exactly.
    change = sum(
        float(np.sum(weights[name] * _difference(up[name], down[name])))
        for weights, up, down in zip((n.d_carry, n.d_ys), above, below, strict=True)
        for name in weights
    )
    return change / (upper - lower)


def _difference(up: Array, down: Array) -> Array:
    """`up - down`; 0 where both are the same infinity."""
    return np.subtract(up, down, out=np.zeros(up.shape), where=up != down)


def _moved(n: Numbers, along: Mapping[str, Arrays], step: float) -> Numbers:
    groups = {
        group: {**getattr(n, group), **{k: getattr(n, group)[k] + step * d[k] for k in d}}
        for group, d in along.items()
    }
    return replace(n, **groups)
