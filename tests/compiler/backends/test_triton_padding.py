"""What lies in a tile's padding reaches nothing: no element, no row, no sum over them."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from rnnc.compiler.ir import Cell
from rnnc.compiler.library import loads
from rnnc.compiler.mapping import ALTERNATING, Mapping
from rnnc.compiler.pipeline import Programs
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import Pair, by_triton, forced, programs_of, ways_of
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome, by_oracle
from tests.tolerance import Bound, assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

BOUND = Bound(1e-12, 1e-11)
LOOP = Mapping("loop", rows=4)

# The padding of `v` is the logarithm of 0, that of `w` is 1 / 0; so are rows that a call lacks. The
# state `z` keeps what reads them in the loop.
SOURCE = """
cell C(): ((h[5], k[20], z%s), x[5]) -> ((h', k', z'), z') {
    param U[20, 5], V[5, 20], W[17, 20], p[5]
    v  = p * log(h)
    w  = 1 / k
    z' = 0.5 * z + %s
    h' = 0.5 * h + 0.1 * square(tanh(v + x)) + 0.5
    k' = 0.5 * k + 0.1 * square(tanh(w)) + 0.5
}
"""
READERS = {
    "a product in the matrix unit": ("[17]", "W @ w"),
    "the same turned round": ("[5]", "V @ w"),
    "a narrow product": ("[20]", "U @ v"),
    "an inner product": ("[]", "v @ v"),
    "a sum": ("[]", "sum(w)"),
    "a mean": ("[]", "mean(v)"),
    "a norm": ("[]", "norm(v)"),
    "a maximum": ("[]", "max(w)"),
    "a minimum": ("[]", "min(v)"),
    "a running sum": ("[5]", "cumsum(v)"),
    "a softmax": ("[5]", "softmax(v)"),
    "the end first": ("[5]", "flip(v)"),
    "parts side by side": ("[8]", "concat(v, v[0:3])"),
    "a part": ("[2]", "v[3:5]"),
    "another shape": ("[5, 4]", "reshape(w, [5, 4])"),
    "an outer product": ("[5, 20]", "outer(v, w)"),
    "a diagonal": ("[5, 5]", "diag(v)"),
    "turned round": ("[5]", "roll(v, 2)"),
}


# `exact` leaves the gradients of the parameters in the loop: sums over a program's rows.
WAYS = {"loop": (LOOP, False), "exact loop": (LOOP, True), "host": (ALTERNATING, True)}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("reader", READERS)
def test_padding_that_is_no_number_is_read_by_nobody(reader: str, way: str) -> None:
    cell, (mapping, exact) = loads(SOURCE % READERS[reader]).C(), WAYS[way]
    n = Numbers.draw(cell, steps=1, rows=3)
    n.carry.update({name: 0.5 + np.abs(value) for name, value in n.carry.items()})
    programs = programs_of(cell, exact=exact)
    found = by_triton(cell, programs, Pair(mapping, mapping), n, dtype="float64")
    assert_within(found, by_oracle(cell, n), BOUND)


# -- rows ----------------------------------------------------------------------------------------

CELLS: dict[str, tuple[int, ...]] = {
    "RNN": (3, 32), "LSTM": (3, 20), "GRU": (3, 5), "SLSTM": (3, 32, 2), "DeltaNet": (3, 5, 4),
    "MinGRU": (3, 5), "Dense": (3, 5), "LSTMP": (3, 20, 5),
}  # fmt: skip
ROWS, SPOILED = 6, 2


@cache
def compiled(name: str) -> tuple[Cell, Programs]:
    cell = STANDARD[name](*CELLS[name])
    return cell, programs_of(cell)


def given(name: str) -> Numbers:
    """Numbers for which every cell has a value."""
    n = Numbers.draw(compiled(name)[0], steps=3, rows=ROWS)
    n.carry.update({state: np.abs(value) + 0.5 for state, value in n.carry.items()})
    return n


def of_other_rows(outcome: Outcome) -> dict[str, Array]:
    """What no gradient of parameters mixes."""
    found = {}
    for name, array in {**outcome.ys, **outcome.d_xs}.items():
        found[name] = np.delete(array, SPOILED, axis=1)
    for part in ("carry", "d_carry"):
        for name, array in getattr(outcome, part).items():
            found[f"{part}.{name}"] = np.delete(array, SPOILED, axis=0)
    return found


@pytest.mark.parametrize("name", CELLS)
def test_a_row_does_not_see_the_rows_beside_it(name: str) -> None:
    """NaN and infinities in one row leave the others as they are, bit for bit."""
    cell, programs = compiled(name)
    for way in dict.fromkeys(w for choices in programs.choices for w in ways_of(choices)):
        pair = forced(programs, way, steps=3, rows=ROWS)
        clean = by_triton(cell, programs, pair, given(name), dtype="float64")
        n = given(name)
        for arrays, number in ((n.xs, np.nan), (n.d_ys, np.inf)):
            for array in arrays.values():
                array[1, SPOILED] = number
        spoiled = by_triton(cell, programs, pair, n, dtype="float64")
        wanted, found = of_other_rows(clean), of_other_rows(spoiled)
        for what in wanted:
            np.testing.assert_array_equal(found[what], wanted[what], f"{what}, {way}")
        assert not all(np.isfinite(array).all() for array in spoiled.ys.values()), "it was read"
