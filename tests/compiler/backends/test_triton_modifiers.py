"""Modified cells on the Triton backend: interpreted without a device."""

from __future__ import annotations

import pytest

from rnnc.compiler.mapping import ALTERNATING, Mapping
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.compiler.hand_built import Numbers
from tests.compiler.modifiers.cases import CASES, trained
from tests.compiler.run_scans import by_oracle
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

MAPPINGS = {"kernel": Mapping("loop", rows=4), "host": ALTERNATING}


@pytest.mark.parametrize("side", MAPPINGS)
@pytest.mark.parametrize("name", CASES)
def test_values_and_gradients_are_the_oracles(name: str, side: str) -> None:
    cell = trained(CASES[name].cell)
    n = Numbers.draw(cell, steps=3, rows=3)
    pair = Pair(MAPPINGS[side], MAPPINGS[side])
    found = by_triton(cell, programs_of(cell), pair, n, dtype="float64")
    assert_within(found, by_oracle(cell, n), Bound(1e-12, 1e-11))
