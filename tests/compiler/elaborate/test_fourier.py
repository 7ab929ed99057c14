"""`fft` and `ifft`: NumPy's, of real and of complex values, in programs and their gradients."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.tangent import tangent
from rnnc.runtime.program import Program
from tests.compiler.elaborate.sources import value
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within


@pytest.mark.parametrize("name", ["fft", "ifft"])
@pytest.mark.parametrize("shape", [(1,), (2,), (7,), (3, 12), (2, 3, 5), (200,)], ids=str)
def test_transforms_are_numpys(shape: tuple[int, ...], name: str) -> None:
    draws = np.random.default_rng(0)
    a, b = draws.standard_normal((2, *shape))
    for argument, given in (("complex(a, b)", a + 1j * b), ("a", a + 0j)):
        wanted = getattr(np.fft, name)(given)
        for part, expected in (("real", wanted.real), ("imag", wanted.imag)):
            found = value(f"{part}({name}({argument})) + 0 * b", {"a": a, "b": b})
            np.testing.assert_allclose(found, expected, atol=1e-13 * np.max(np.abs(wanted)))


# The state is filtered: what it is at each frequency is weighed, and a nonlinearity follows.
FILTER = """
cell Filter(n): (h[n], x[n]) -> (h', h') {
    param a[n] = normal(1), b[n] = normal(1)
    h' = tanh(real(ifft(complex(a, b) * fft(h))) + x)
}
"""


def test_programs_are_the_oracles_and_the_matrix_is_made_once() -> None:
    for cell in (loads(FILTER).Filter(5), tangent(loads(FILTER).Filter(5))):
        n = Numbers.draw(cell, steps=3, rows=2)
        found = by_program(Program(cell, "float64"), n)
        assert_within(found, by_oracle(cell, n), Bound(1e-12, 1e-11))
    plan, _ = compile_cell(loads(FILTER).Filter(5), Goal(record=False)).plans
    assert {"sin", "cos"} <= {node.op.name for node in plan.once}
    assert not {"sin", "cos"} & {node.op.name for node in plan.step}
