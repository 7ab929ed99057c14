"""What weights start as, where they start as expressions of others that are changed with them."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import library
from rnnc.compiler.modifiers import modified
from rnnc.runtime.params import initialise

F64 = np.dtype("float64")


@pytest.mark.parametrize("on", [["U"], ["U", "U_g"], ["U_g", "U"]], ids="+".join)
def test_what_starts_as_norms_starts_as_those_of_what_the_weight_became(on: list[str]) -> None:
    plain = library.loads("""
        cell C(n): (h[n], x[n]) -> (h', h') {
            param U[n, n, n]
            h' = tanh(x + einsum("abc,c->a", U, h))
        }
    """).C(4)
    normed = modified(plain, "weight_norm", ("U",), {})
    drawn = initialise(modified(normed, "skew", (on,), {}), 3, F64)
    became = drawn["U"] - drawn["U"].swapaxes(-1, -2)
    np.testing.assert_allclose(drawn["U_g"], np.linalg.norm(became, axis=-1), rtol=1e-14)
