"""Structured ops on the Triton backend, in kernels and beside them, at sizes off powers of two."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.backends import torch_calls, triton_loop
from rnnc.compiler.ir import LEAVES
from rnnc.compiler.library import loads
from rnnc.compiler.mapping import ALTERNATING, Mapping
from rnnc.compiler.ops import OPS
from tests.compiler.backends.structured_cells import (
    LEADING,
    OPS_OF_CELLS,
    cell_of,
)
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import by_oracle
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

BOUND = Bound(1e-12, 1e-11)
MAPPINGS = {"kernel": Mapping("loop", rows=4), "host": ALTERNATING}
NAMES = [name for name in OPS_OF_CELLS if name not in LEADING]


def has_several(name: str) -> bool:
    """Whether its operands can be in different places."""
    return OPS[name].arity not in (0, 1)


@pytest.mark.parametrize("name", sorted(OPS.keys() - LEAVES))
def test_every_op_has_a_spelling_or_emitters(name: str) -> None:
    if OPS[name].pointwise:
        assert "triton" in OPS[name].spell
        return
    if name not in ("stack", "accumulate"):  # what a loop leaves behind
        assert name in torch_calls.EMITTERS
    if OPS[name].by_library:
        assert name not in triton_loop.EMITTERS
    elif name not in ("stack", "accumulate", "const"):  # which is written where it is read
        assert name in triton_loop.EMITTERS or OPS[name].view or name in ("at", "spread")


# Where the operands are, and whether to keep in the loop what else is done before and after it.
WAYS = [
    ("kernel", "chip", False), ("kernel", "memory", False), ("kernel", "weights", True),
    ("kernel", "mixed", False), ("host", "chip", True), ("host", "memory", False),
]  # fmt: skip
EACH = [
    (name, *way)
    for name in NAMES
    for way in WAYS
    if (way[1] != "mixed" or has_several(name)) and (way[0] != "kernel" or not OPS[name].by_library)
]


@pytest.mark.parametrize(("name", "side", "place", "exact"), EACH)
def test_equals_its_reference(name: str, side: str, place: str, exact: bool) -> None:
    """Values and gradients, which ask the transposed of every op as well."""
    cell = cell_of(name, place)
    n = Numbers.draw(cell, steps=1, rows=3)
    programs, pair = programs_of(cell, exact=exact), Pair(MAPPINGS[side], MAPPINGS[side])
    found = by_triton(cell, programs, pair, n, dtype="float64")
    assert_within(found, by_oracle(cell, n), BOUND)


MAXIMUM = """
cell C(): (h[5], x[5]) -> (h', y[]) {
    y  = max(h)
    h' = 0.5 * h + x
}
"""


@pytest.mark.parametrize("side", MAPPINGS)
def test_a_nan_is_the_maximum(side: str) -> None:
    """Wherever it stands; where there is none, the largest, infinite or not."""
    cell = loads(MAXIMUM).C()
    n = Numbers.draw(cell, steps=1, rows=4)
    n.carry["h"][:3] = [[np.nan, 1, 2, 3, 4], [1, 2, 3, 4, np.nan], [1, np.inf, 2, -np.inf, 4]]
    n.carry["h"][3] = -np.inf
    pair = Pair(MAPPINGS[side], MAPPINGS[side])
    programs = programs_of(cell, exact=True)  # it stays in the loop
    found = by_triton(cell, programs, pair, n, dtype="float64").ys["y"][0]
    np.testing.assert_array_equal(found, [np.nan, np.nan, np.inf, -np.inf])


EMPTY = "cell C(): (h[4], x[4]) -> (h', y[]) { h' = tanh(h + x)\n y = sum(h[1:1]) }"


def test_a_part_may_be_empty() -> None:
    cell = loads(EMPTY).C()
    n, programs = Numbers.draw(cell, steps=1, rows=2), programs_of(cell)
    pair = Pair(MAPPINGS["kernel"], MAPPINGS["kernel"])
    assert_within(by_triton(cell, programs, pair, n, dtype="float64"), by_oracle(cell, n), BOUND)
