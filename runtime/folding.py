"""Running back over pieces of a sequence side by side, as more rows of fewer steps.

In: a tape, and cotangents. Out: what one run back over all of it gives. Where every row is cut or
reset before a step, nothing flows back beyond it: the pieces between such steps are independent.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import reduce
from typing import TypeAlias

import numpy as np

from .arrays import AnyArray, Array
from .tape import Cotangents, Tape

# Measured on NumPy (LSTM and GRU, 16 to 256 units, 1 to 64 rows): so many bytes a step are copied
# in less time than a step takes beside its products. Below, 1.1 to 5 times as fast; above, slower.
MOST_BYTES = 1 << 14
LEAST_SAVED = 16  # steps; buffers for another number of rows take as long

CUTS = ("starts", "boundaries", "weights", "placed")

Back: TypeAlias = Callable[[Tape, dict[str, AnyArray], list[AnyArray]], Cotangents]


@dataclass(frozen=True, slots=True)
class Fold:
    """Pieces of one length: `at[i, j]` is the step that step i of piece j was."""

    at: Array  # int64[steps, pieces]

    def folded(self, array: AnyArray) -> AnyArray:
        """[T, B, ...] -> [steps, pieces * B, ...]."""
        steps, pieces = self.at.shape
        return array[self.at].reshape(steps, pieces * array.shape[1], *array.shape[2:])

    def put_back(self, folded: AnyArray, whole: AnyArray) -> None:
        """The reverse: into the steps of `whole` that the pieces are of."""
        whole[self.at] = folded.reshape(*self.at.shape, *whole.shape[1:])


def folds_of(tape: Tape) -> list[Fold]:
    """The pieces of a tape by their lengths; none where one run back over all steps is as fast."""
    if tape.varies or tape.step_bytes > MOST_BYTES:
        return []
    cuts = _cuts_of(tape)
    if not cuts.any():  # but before the first step, as in most calls
        return []
    starts = np.append(0, 1 + np.flatnonzero(cuts))
    lengths = np.diff(starts, append=tape.steps)
    kinds = np.unique(lengths)
    steps = int(kinds.sum())
    if 2 * steps > tape.steps or tape.steps - steps < LEAST_SAVED:
        return []
    return [Fold(np.arange(k)[:, None] + starts[lengths == k]) for k in kinds]


def _cuts_of(tape: Tape) -> Array:
    """bool[T - 1], or none: the steps, from the second, before which no cotangent flows back."""
    masks = {n: tape.arrays[f"mask.{n}"] for n in CUTS if f"mask.{n}" in tape.arrays}
    if not masks:
        return np.zeros(0, bool)
    if "weights" in masks:
        masks["weights"] = masks["weights"] == 0
    cut = reduce(np.logical_or, masks.values())
    if "mask.valid" in tape.arrays:  # a padded step leaves the state as it is, whatever is said
        cut = cut & tape.arrays["mask.valid"]
    return np.asarray(cut[1:].all(1))


def run_folded(
    folds: list[Fold], tape: Tape, d_ys: dict[str, AnyArray], d_last: list[AnyArray], back: Back
) -> Cotangents:
    """As `back(tape, d_ys, d_last)`.

    Args:
        folds: of the tape.
        d_ys: [T, B, ...] by output. d_last: of the last state, [B, ...] for each state.
        back: runs back over a tape of as many steps and rows as it says.
    """
    params: dict[str, AnyArray] = {}
    carry: dict[str, AnyArray] = {}
    inputs: list[AnyArray | None] = []
    placed: dict[str, AnyArray] = {}
    for fold in folds:
        steps, pieces = fold.at.shape
        rows = pieces * tape.batch
        arrays = {name: fold.folded(array) for name, array in tape.arrays.items()}
        ends = [_at_the_end(d, fold, tape) for d in d_last]
        own = {name: fold.folded(d) for name, d in d_ys.items()}
        found = back(Tape(tape.variant, steps, rows, arrays), own, ends)
        params = {n: d + params[n] if n in params else d for n, d in found.params.items()}
        if not fold.at[0, 0]:
            carry = {name: d[: tape.batch] for name, d in found.carry.items()}
        if not inputs:
            inputs = [_room(d, tape) for d in found.inputs]
        for d, whole in zip(found.inputs, inputs, strict=True):
            if d is not None and whole is not None:
                fold.put_back(d, whole)
        for name, d in found.placed.items():
            if name not in placed:
                placed[name] = np.empty((tape.steps, tape.batch, *d.shape[2:]), d.dtype)
            fold.put_back(d, placed[name])
    return Cotangents(params, carry, tuple(inputs), placed)


def _at_the_end(d_last: AnyArray, fold: Fold, tape: Tape) -> AnyArray:
    """[B, ...] after the last step -> after every piece, 0 where steps follow."""
    ends = np.zeros((fold.at.shape[1] * tape.batch, *d_last.shape[1:]), d_last.dtype)
    if fold.at[-1, -1] == tape.steps - 1:
        ends[-tape.batch :] = d_last
    return ends


def _room(like: AnyArray | None, tape: Tape) -> AnyArray | None:
    if like is None:
        return None
    return np.empty((tape.steps, tape.batch, *like.shape[2:]), like.dtype)
