"""What counts, counts beyond the numbers that 16 bits have: 256 in bfloat16, 2048 in float16."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import rnnc
from rnnc.compiler.ir import CLOCK
from tests.compiler.backends.triton_runs import (
    by_triton,
    forced,
    programs_of,
    rounded_to,
    ways_of,
)
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

STEPS, ROWS, BEFORE = 8, 2, 297  # steps before these
CELLS = rnnc.loads("""
# Rows of a table, a choice, and a phase that the derivative alone takes the cosine of.
cell Row(n): (h[n], x[n]) -> (h', h') {
    param P[512, n]
    h' = 0.5 * h + x * P[minimum(t, 511)]
}
cell Choice(n): (h[n], x[n]) -> (h', h') {
    param w[n], v[n]
    h' = 0.5 * h + where(t < 301, w, v) * x
}
cell Phase(n): (h[n], x[n]) -> (h', h') {
    param w[n]
    h' = tanh(h + sin(w * (t - 290)) * x)
}
# What is computed of the number alone, before the loop that runs back.
cell Halves(n): (h[n], x[n]) -> (h', h') {
    param w[n], V[n, n]
    h' = 0.5 * h + V @ (sin(w * (t - 290.5)) * x)
}
cell Odd(n): (h[n], x[n]) -> (h', h') {
    param w[n], v[n], V[n, n]
    h' = 0.5 * h + V @ (where(t - 2 * floor(t / 2) < 0.5, w, v) * x)
}
# A state of one's own that counts, and whose rows are read.
cell Own(n): ((h[n], c[]), x[n]) -> ((h', c'), h') {
    param P[512, n]
    c' = c + 1
    h' = 0.5 * h + x * P[maximum(minimum(floor(c), 511), 0)]
}
""")
BOUND = Bound(3e-2, 6e-2)
MAPPED = [
    *(
        (name, way)
        for name in ("Row", "Choice", "Phase", "Halves", "Odd")
        for way in ("alternating", "loop", "scan")
    ),
    *(("Own", way) for way in ("alternating", "loop", "scan")),
]


@pytest.mark.parametrize("used", [(), ("starts", "boundaries"), ("valid",)], ids="+".join)
@pytest.mark.parametrize(("name", "way"), MAPPED)
def test_what_runs_back_reads_the_step_that_ran(name: str, way: str, used: tuple[str, ...]) -> None:
    cell, masks = CELLS[name](4).cell, draw_masks(used, STEPS, ROWS)
    programs = programs_of(cell, masks)
    assert any(way in ways_of(choices) for choices in programs.choices)
    drawn = rounded_to(Numbers.draw(cell, STEPS, ROWS), "bfloat16")
    counts = {s.name: np.full(ROWS, float(BEFORE)) for s in cell.states if s.name in (CLOCK, "c")}
    n = replace(drawn, carry=drawn.carry | counts)
    found = by_triton(cell, programs, forced(programs, way), n, masks, dtype="bfloat16")
    assert_within(found, by_oracle(cell, n, masks), BOUND)
