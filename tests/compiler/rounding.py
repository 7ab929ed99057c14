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


def after_rounding(
    cell: Cell, n: Numbers, masks: Masks, wanted: Outcome, dtype: str, off: Bound
) -> Bound:
    """`TIMES_ROUNDING` times what one rounding of all that is given does, or what so many do.

    The larger of the two. Where a derivative jumps, many may bring about what one does not.

    Args:
        off: how far off the results in question are; draws end where they are explained.
    """
    draws, allowed = np.random.default_rng(3), Bound(0.0, 0.0)

    def moved(arrays: dict[str, Array], times: float) -> dict[str, Array]:
        near = {name: nudged(array, dtype, draws) for name, array in arrays.items()}
        return {name: array + times * (near[name] - array) for name, array in arrays.items()}

    for draw in range(NUDGES):
        if is_within(off, allowed):
            break
        times, counts = (TIMES_ROUNDING, 1.0) if draw % 2 else (1.0, TIMES_ROUNDING)
        parts = (n.params, n.carry, n.xs, n.d_ys, n.d_carry)
        found = by_oracle(cell, Numbers(*(moved(arrays, times) for arrays in parts)), masks)
        one = worst(found, wanted)
        allowed = larger(allowed, Bound(counts * one.values, counts * one.gradients))
    return allowed
