"""What rounding does to a cell that amplifies it, or whose derivative jumps.

In: a cell and numbers. Out: how far off the results of a narrow dtype may be.
"""

from __future__ import annotations

import numpy as np

from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.runtime.tolerance import NUDGES, TIMES_ROUNDING, nudged
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome, by_oracle
from tests.tolerance import Bound, is_within, larger, worst

# Of a rounding. What so little does is multiplied, so that it seldom comes to a jump: a way back
# that takes another branch than the way there is at fault.
LITTLE = 2.0**-20


def after_rounding(
    cell: Cell, n: Numbers, masks: Masks, wanted: Outcome, dtype: str, off: Bound
) -> Bound:
    """The largest of three, each of them as some draws have it.

    - `TIMES_ROUNDING` times what one rounding of all that is given does;
    - what so many do: where a derivative jumps, they may bring about what one does not;
    - for gradients, `TIMES_ROUNDING` times what a rounding of the states does that are kept for the
      way back: a gradient may be a difference of theirs.

    Whole numbers stay: no dtype rounds a clock, or a period.

    Args:
        off: how far off the results in question are; draws end where they are explained.
    """
    draws, allowed = np.random.default_rng(3), Bound(0.0, 0.0)

    def moved(array: Array, times: float) -> Array:
        finite = np.where(np.isfinite(array), array, 0.0)
        if np.array_equal(finite, np.round(finite)):
            return array
        return np.asarray(array + times * (nudged(finite, dtype, draws) - finite))

    def multiplied(found: Outcome, times: float) -> Bound:
        one, counts = worst(found, wanted), TIMES_ROUNDING / times
        return Bound(counts * one.values, counts * one.gradients)

    for draw in range(NUDGES):
        if is_within(off, allowed):
            break
        times = TIMES_ROUNDING if draw % 2 else 1.0
        parts = (n.params, n.carry, n.xs, n.d_ys, n.d_carry)
        near = ({name: moved(array, times) for name, array in part.items()} for part in parts)
        each = multiplied(by_oracle(cell, Numbers(*near), masks), times)
        if np.isfinite([each.values, each.gradients]).all():  # else there is nothing to be learnt
            allowed = larger(allowed, each)
    for _ in range(NUDGES):
        if off.gradients <= allowed.gradients:
            break
        each = multiplied(by_oracle(cell, n, masks, lambda s: moved(s, LITTLE)), LITTLE)
        if each.gradients < 1:  # else it came to a jump all the same
            allowed = larger(allowed, each)
    return allowed
