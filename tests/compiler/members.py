"""Ensembles beside the cells that they are made of: numbers of each member, results of all."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnc.compiler.ir import Cell
from rnnc.compiler.library import Template, loads
from tests.compiler.backends.sources import CELLS
from tests.compiler.hand_built import Array, Arrays, Numbers
from tests.compiler.run_scans import Outcome

OWN = loads(Path(__file__).with_name("ensembles.rnn").read_text(encoding="utf-8"))


def _bound(template: Template) -> Callable[[], Cell]:
    return lambda: template(*(3, 4)[: len(template.settings)])


TRIED: dict[str, Callable[[], Cell]] = {**CELLS, **{name: _bound(OWN[name]) for name in OWN}}

BEHIND_ROWS, BEHIND_TIME = 1, 2  # where members stand in a state, and in a sequence


def member_of(n: Numbers, at: int, *, shared_inputs: bool) -> Numbers:
    """What one member reads of what an ensemble reads."""

    def own(arrays: Arrays, axis: int) -> dict[str, Array]:
        return {name: np.take(array, at, axis) for name, array in arrays.items()}

    return Numbers(
        own(n.params, 0),
        own(n.carry, BEHIND_ROWS),
        dict(n.xs) if shared_inputs else own(n.xs, BEHIND_TIME),
        own(n.d_ys, BEHIND_TIME),
        own(n.d_carry, BEHIND_ROWS),
    )


def together(members: Sequence[Outcome], *, shared_inputs: bool) -> Outcome:
    """What an ensemble gives, from what each of its members gives: a shared input's cotangent is
    the sum of theirs."""

    def all_of(each: Sequence[Mapping[str, Array]], axis: int) -> dict[str, Array]:
        return {name: np.stack([one[name] for one in each], axis) for name in each[0]}

    d_xs = all_of([m.d_xs for m in members], BEHIND_TIME)
    if shared_inputs:
        d_xs = {name: array.sum(BEHIND_TIME) for name, array in d_xs.items()}
    return Outcome(
        all_of([m.carry for m in members], BEHIND_ROWS),
        all_of([m.ys for m in members], BEHIND_TIME),
        all_of([m.d_params for m in members], 0),
        all_of([m.d_carry for m in members], BEHIND_ROWS),
        d_xs,
    )


def away_from_zero(n: Numbers) -> Numbers:
    """The same numbers from states that may be divided by."""
    carry = {name: np.abs(state) + 0.5 for name, state in n.carry.items()}
    return replace(n, carry=carry)
