"""What rounding does to a cell that amplifies it, or whose derivative jumps.

In: a cell and numbers. Out: how far off the results of a narrow dtype may be.
"""

from __future__ import annotations

from itertools import cycle, islice

import numpy as np

from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.runtime.tolerance import NUDGES, TIMES_ROUNDING, nudged
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome, by_oracle
from tests.tolerance import Bound, is_within, larger, worst

# Of a rounding: so little passes no jump, for the way back must take the branch that was taken.
LITTLE = 2.0**-20


def after_rounding(
    cell: Cell, n: Numbers, masks: Masks, wanted: Outcome, dtype: str, off: Bound
) -> Bound:
    """`TIMES_ROUNDING` times what one rounding does, or what so many do: the largest of three.

    Of one in all that is given; of so many there, for where a derivative jumps, many may bring
    about what one does not; and of one in the states that are kept for the way back, as where a
    gradient is a difference of theirs.

    Args:
        off: how far off the results in question are; draws end where they are explained.
    """
    draws, allowed = np.random.default_rng(3), Bound(0.0, 0.0)

    def moved(array: Array, times: float) -> Array:
        return np.asarray(array + times * (nudged(array, dtype, draws) - array))

    def of_all_given(times: float) -> Outcome:
        parts = (n.params, n.carry, n.xs, n.d_ys, n.d_carry)
        near = ({name: moved(array, times) for name, array in part.items()} for part in parts)
        return by_oracle(cell, Numbers(*near), masks)

    def of_kept_states(times: float) -> Outcome:
        return by_oracle(cell, n, masks, lambda state: moved(state, times))

    kinds = ((of_all_given, 1.0), (of_all_given, TIMES_ROUNDING), (of_kept_states, LITTLE))
    for rounding, times in islice(cycle(kinds), NUDGES):
        if is_within(off, allowed):
            break
        one, counts = worst(rounding(times), wanted), TIMES_ROUNDING / times
        allowed = larger(allowed, Bound(counts * one.values, counts * one.gradients))
    return allowed
