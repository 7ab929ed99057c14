"""What rounding does to a cell that amplifies it, or whose derivative jumps.

In: a cell and numbers. Out: how far off the results of a narrow dtype may be: so many times what
the oracle makes of one rounding of all that it is given. Where two operands of a maximum are nearly
equal, say, rounding decides which of them the gradient goes to.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome, by_oracle
from tests.tolerance import Bound, errors

TIMES_ROUNDING, NUDGES = 4, 8
ROUNDING = {"bfloat16": 2.0**-8, "float16": 2.0**-11}  # the unit in the last place of 1


def after_rounding(cell: Cell, n: Numbers, masks: Masks, wanted: Outcome, dtype: str) -> Bound:
    """What becomes of a relative error of one rounding in everything that is given."""
    draws, worst = np.random.default_rng(3), {"values": 0.0, "gradients": 0.0}

    def nudged(arrays: Mapping[str, Array]) -> dict[str, Array]:
        return {
            name: array * (1 + ROUNDING[dtype] * draws.uniform(-1, 1, array.shape))
            if array.dtype.kind == "f"
            else array
            for name, array in arrays.items()
        }

    for _ in range(NUDGES):
        given = Numbers(*map(nudged, (n.params, n.carry, n.xs, n.d_ys, n.d_carry)))
        found = by_oracle(cell, given, masks)
        for part in worst:
            worst[part] = max(worst[part], *errors(found, wanted, part).values())
    return Bound(*(TIMES_ROUNDING * value for value in worst.values()))
