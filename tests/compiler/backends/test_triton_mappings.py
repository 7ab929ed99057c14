"""Every mapping gives what the oracle gives: standard cells, forward and all gradients.

A selection in which every two choices meet once; `python -m tests.fuzz.mappings` runs them all.
"""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.passes.boundaries import MASKS
from tests.compiler.backends.mapping_cases import (
    BFLOAT16,
    CASES,
    FLOAT64,
    Case,
    check,
    legal_ways,
    selection,
)
from tests.compiler.backends.sources import CELLS, HARD
from tests.compiler.backends.triton_runs import by_triton, forced, programs_of, rounded_to, ways_of
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.tolerance import assert_within, errors

pytest.importorskip("triton")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("case", selection(), ids=str)
def test_standard_cells_agree_with_the_oracle(case: Case) -> None:
    verdict = check(case)
    assert verdict.is_right, str(verdict)


@pytest.mark.parametrize(("name", "sizes"), CASES, ids=str)
def test_no_way_is_left_out(name: str, sizes: tuple[int, ...]) -> None:
    """What the cost model offers, forward or backward, with whatever masks, is what is tested."""
    assert legal_ways(name, sizes) == set(CASES[name, sizes])


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", list(HARD))
def test_hard_cells_agree_with_the_oracle(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=3, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    programs, wanted = programs_of(cell, drawn), by_oracle(cell, n, drawn)
    for way in dict.fromkeys(way for c in programs.choices for way in ways_of(c)):
        pair = forced(programs, way, steps=n.steps, rows=n.rows)
        found = by_triton(cell, programs, pair, n, drawn, "float64")
        try:
            assert_within(found, wanted, FLOAT64)
        except AssertionError as error:
            error.add_note(f"mapped as {pair}")
            raise


SLOW = """
cell Slow(n): (h[n], x[n]) -> (h', h') { h' = h + 0.015625 * x }
cell Leaky(n): (h[n], x[n]) -> (h', h') {
    param U[n, n]
    h' = 0.9375 * h + 0.0625 * tanh(U @ h + x)
}
"""


@pytest.mark.parametrize(("name", "bound"), [("Slow", 1e-7), ("Leaky", 2e-3)])
def test_states_of_narrow_programs_are_wide(name: str, bound: float) -> None:
    """A state that a bfloat16 would round in every step moves on: it is a float32."""
    cell = loads(SLOW)[name](32)
    n = rounded_to(Numbers.draw(cell, 40, 3), "bfloat16")
    n.params.update({path: 0.125 * value for path, value in n.params.items()})
    programs, wanted = programs_of(cell), by_oracle(cell, n)
    for way in ways_of(programs.choices[0]):
        pair = forced(programs, way, steps=n.steps, rows=n.rows)
        found = by_triton(cell, programs, pair, n, dtype="bfloat16")
        assert errors(found, wanted, "values")["carry.h"] < bound, way
        assert max(errors(found, wanted, "values").values()) < BFLOAT16.values, way


@pytest.mark.parametrize("way", ["loop", "loop in blocks", "step in blocks", "scan", "alternating"])
def test_rows_do_not_depend_on_the_rows_beside_them(way: str) -> None:
    """NaN and infinities in some rows leave the others as they are, bit for bit."""
    cell = CELLS["MinGRU"]()
    n = Numbers.draw(cell, steps=4, rows=5)
    programs = programs_of(cell)
    pair = forced(programs, way, steps=n.steps, rows=n.rows)
    clean = by_triton(cell, programs, pair, n, dtype="float64")
    n.xs["x"][1, 0], n.carry["h"][3], n.d_ys["h'"][2, 4] = np.nan, np.inf, -np.inf
    spoiled = by_triton(cell, programs, pair, n, dtype="float64")
    np.testing.assert_array_equal(spoiled.ys["h'"][:, [1, 2, 4]], clean.ys["h'"][:, [1, 2, 4]])
    np.testing.assert_array_equal(spoiled.d_xs["x"][:, [1, 2]], clean.d_xs["x"][:, [1, 2]])
    assert np.isnan(spoiled.ys["h'"][1:, 0]).all() and np.isfinite(spoiled.ys["h'"][0, 0]).all()
    assert not np.isfinite(spoiled.ys["h'"][:, 3]).any()
    assert not np.isfinite(spoiled.d_xs["x"][:3, 4]).any()
