"""Cells that solve linear equations on the Triton backend: by torch, around kernels or between."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.mapping import ALTERNATING, Mapping
from rnnc.compiler.pipeline import Goal, compile_cell
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import cell_of, names_of
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

MATRICES = names_of("matrices")
IN_LOOP = ("ByState", "Turning")
LOOP = Mapping("loop", rows=4)
RUNS = [(name, ALTERNATING) for name in MATRICES]
RUNS += [(name, LOOP) for name in MATRICES if name not in IN_LOOP]  # no kernel solves equations
BOUNDS = {"float64": Bound(1e-12, 1e-11), "float32": Bound(1e-5, 3e-5)}


@pytest.mark.parametrize("dtype", BOUNDS)
@pytest.mark.parametrize(("name", "mapping"), RUNS, ids=str)
def test_values_and_gradients_are_the_oracles(name: str, mapping: Mapping, dtype: str) -> None:
    cell = cell_of(name)
    n = Numbers.draw(cell, steps=3, rows=3)
    found = by_triton(cell, programs_of(cell), Pair(mapping, mapping), n, dtype=dtype)
    assert_within(found, by_oracle(cell, n), BOUNDS[dtype])


@pytest.mark.parametrize("name", MATRICES)
def test_equations_of_every_step_are_solved_between_kernels(name: str) -> None:
    programs = compile_cell(cell_of(name), Goal(backend="triton"))
    kinds = {ranked.mapping.kind for options in programs.choices for ranked in options}
    if name in IN_LOOP:
        assert kinds == {"alternating"}
        assert "every_step(step_at" not in programs.forward.source  # a graph need not capture them
    else:
        assert "loop" in kinds


def test_a_singular_matrix_is_nan_in_its_own_row() -> None:
    cell = loads("cell C(n): (h[n], A[n, n]) -> (h', h') { h' = solve(A, h) }").C(2)
    n = Numbers.draw(cell, steps=1, rows=2)
    n.xs["A"][0] = [[[1.0, 2.0], [2.0, 4.0]], [[2.0, 0.0], [0.0, 4.0]]]
    pair = Pair(ALTERNATING, ALTERNATING)
    ys = by_triton(cell, programs_of(cell), pair, n, dtype="float64").ys["h'"]
    np.testing.assert_array_equal(np.isnan(ys[0]).all(1), [True, False])
