"""Cells that say what a derivative is, or take one, on the Triton backend."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.compiler.library import load
from rnnc.compiler.mapping import ALTERNATING, Mapping
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

LIBRARIES = [load(Path(__file__).parents[1] / f"{name}gradients.rnn") for name in ("", "inner_")]
CELLS = {name: library[name] for library in LIBRARIES for name in library}
SIZES = {"TTTLinear": (3, 4, 2), "TTTMLP": (3, 4), "Titans": (3, 4, 2)}
MAPPINGS = {"kernel": Mapping("loop", rows=4), "host": ALTERNATING}


@pytest.mark.parametrize("side", MAPPINGS)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_the_oracles(name: str, side: str) -> None:
    cell = CELLS[name](*SIZES.get(name, (5,)))
    n = Numbers.draw(cell, steps=3, rows=3)
    pair = Pair(MAPPINGS[side], MAPPINGS[side])
    found = by_triton(cell, programs_of(cell), pair, n, dtype="float64")
    assert_within(found, by_oracle(cell, n), Bound(1e-12, 1e-11))
