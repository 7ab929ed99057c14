"""The exponential of a matrix by its series, for what the compiler's is compared with."""

from __future__ import annotations

from typing import Any

import numpy as np

HALVINGS, TERMS = 14, 24


def exponential(matrix: Any) -> Any:
    """e^A from the sum of A^k / k!, in extended precision; so halved first that it is short."""
    part = np.asarray(matrix, np.longdouble) / 2**HALVINGS
    term = total = np.eye(len(part), dtype=np.longdouble)
    for k in range(1, TERMS):
        term = term @ part / k
        total = total + term
    for _ in range(HALVINGS):
        total = total @ total
    return total.astype(float)
