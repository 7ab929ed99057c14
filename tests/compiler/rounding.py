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
from tests.tolerance import Bound, errors


def after_rounding(
    cell: Cell, n: Numbers, masks: Masks, wanted: Outcome, dtype: str, off: Bound
) -> Bound:
    """What becomes of a relative error of one rounding in everything that is given.

    Args:
        off: how far off the results in question are; draws end where they are explained.
    """
    draws, worst = np.random.default_rng(3), {"values": 0.0, "gradients": 0.0}

    def all_nudged(arrays: dict[str, Array]) -> dict[str, Array]:
        return {name: nudged(array, dtype, draws) for name, array in arrays.items()}

    for _ in range(NUDGES):
        if all(TIMES_ROUNDING * worst[part] >= getattr(off, part) for part in worst):
            break
        given = Numbers(*map(all_nudged, (n.params, n.carry, n.xs, n.d_ys, n.d_carry)))
        found = by_oracle(cell, given, masks)
        for part in worst:
            worst[part] = max(worst[part], *errors(found, wanted, part).values())
    return Bound(*(TIMES_ROUNDING * value for value in worst.values()))
