"""Cells on images on the Triton backend, in a kernel and beside it."""

from __future__ import annotations

import pytest

from rnnc.compiler.mapping import ALTERNATING, Mapping
from rnnc.runtime.tolerance import BOUNDS
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of, rounded_to
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import LIBRARIES
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

IMAGES = LIBRARIES["images"]
SIZES = {"ConvLSTM": (1, 2, 3, 2), "Deep": (2, 3, 2), "Kernel": (2, 3)}


@pytest.mark.parametrize("mapping", [Mapping("loop", rows=2), ALTERNATING], ids=str)
@pytest.mark.parametrize("name", IMAGES)
def test_values_and_gradients_are_the_oracles(name: str, mapping: Mapping) -> None:
    cell = IMAGES[name](*SIZES[name])
    n = Numbers.draw(cell, steps=2, rows=3)
    found = by_triton(cell, programs_of(cell), Pair(mapping, mapping), n, dtype="float64")
    assert_within(found, by_oracle(cell, n), Bound(1e-12, 1e-11))


@pytest.mark.parametrize("mapping", [Mapping("loop", rows=2), ALTERNATING], ids=str)
def test_narrow_programs_return_narrow_gradients(mapping: Mapping) -> None:
    """Of a convolution's weights too, which no product over all steps gives."""
    cell = IMAGES["ConvLSTM"](*SIZES["ConvLSTM"])
    n = rounded_to(Numbers.draw(cell, steps=2, rows=3), "bfloat16")
    found = by_triton(cell, programs_of(cell), Pair(mapping, mapping), n, dtype="bfloat16")
    assert_within(found, by_oracle(cell, n), BOUNDS["bfloat16"])
