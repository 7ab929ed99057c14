"""Pointwise ops on the Triton backend, in a kernel and beside it: what their records say.

A new op is tested by existing; structured ones are in `test_triton_structured.py`.
"""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.ir import Cell, State, Value, apply, const
from rnnc.compiler.mapping import ALTERNATING, Mapping
from tests.compiler.backends.triton_runs import Pair, by_triton, programs_of
from tests.compiler.hand_built import Array, Numbers, carry, one_input
from tests.compiler.ops.cases import EVALUATED, Case, operands_of

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

POINTWISE = {case.op.name: case for case in EVALUATED if case.op.pointwise}
MAPPINGS = {"kernel": Mapping("loop", rows=4), "host": ALTERNATING}
ULPS = 8
ULPS_OF_POWERS = 300  # of a^b as 2^(b log2 a): the exponent's rounding error is the result's

each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])
each_side = pytest.mark.parametrize("side", MAPPINGS)


def as_cell(case: Case, count: int) -> Cell:
    """y = op(a, b, ...), of states that stay; truth values are read off numbers, and made them."""
    states = [carry(name, count) for name in "abc"[: len(case.types)]]
    operands = [
        state.then("gt", 0.5) if type_.kind == "bool" else state
        for state, type_ in zip(states, case.types, strict=True)
    ]
    result, zeros = case.apply(operands), const(0.0, (count,))
    if result.type.kind == "bool":
        result = apply("where", result, const(1.0, (count,)), zeros)
    kept = tuple(State(str(state.attr), state, state, zeros) for state in states)
    return Cell(case.op.name, {}, (), kept, (one_input("x"),), (Value("y", result),))


def computed(case: Case, operands: list[Array], dtype: str, side: str) -> Array:
    """The op of all the operands, in a loop's kernel or in one of the host's."""
    cell = as_cell(case, operands[0].size)
    given = Numbers.draw(cell, steps=1, rows=1)
    given.carry.update(zip("abc", (o.astype(float)[None] for o in operands), strict=False))
    pair = Pair(MAPPINGS[side], MAPPINGS[side])
    found: Array = by_triton(cell, programs_of(cell), pair, given, dtype=dtype).ys["y"][0, 0]
    return found


def by_reference(case: Case, operands: list[Array], dtype: str) -> Array:
    with np.errstate(all="ignore"):
        precise = (o if o.dtype == bool else o.astype(float) for o in operands)
        return np.asarray(case.op.reference(None, *precise)).astype(dtype)


@each_side
@each_dtype
@pytest.mark.parametrize("name", [name for name in POINTWISE if name != "pow"])
def test_spellings_are_their_references(name: str, dtype: str, side: str) -> None:
    """Over the domain, and where arguments are large, infinite, zero of either sign, or NaN."""
    case = POINTWISE[name]
    operands = operands_of(case, dtype)
    found, wanted = computed(case, operands, dtype, side), by_reference(case, operands, dtype)
    precision = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, wanted, rtol=ULPS * precision, atol=precision)


@each_side
@each_dtype
def test_powers_are_as_precise_as_a_product_of_logarithms(dtype: str, side: str) -> None:
    case = POINTWISE["pow"]
    draws = np.random.default_rng(1)
    a = draws.uniform(-3, 3, 400)
    b = np.where(draws.random(400) < 0.5, draws.uniform(-9, 9, 400), draws.integers(-9, 10, 400))
    operands = [a.astype(dtype), b.astype(dtype)]
    found, wanted = computed(case, operands, dtype, side), by_reference(case, operands, dtype)
    precision = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(found, wanted, rtol=ULPS_OF_POWERS * precision)


# Corners of a^b as C's pow and NumPy's have them.
CORNERS = [0.0, -0.0, 1.0, -1.0, 2.0, -2.0, 3.0, 0.5, -0.5, 50.0, -50.0, np.inf, -np.inf, np.nan]


@each_side
@each_dtype
def test_powers_at_the_corners(dtype: str, side: str) -> None:
    grid = np.array([(a, b) for a in CORNERS for b in CORNERS], dtype).T
    case, operands = POINTWISE["pow"], [grid[0], grid[1]]
    found, wanted = computed(case, operands, dtype, side), by_reference(case, operands, dtype)
    wrong = [
        f"{a}^{b} is {mine}, not {theirs}"
        for a, b, mine, theirs in zip(*grid, found, wanted, strict=True)
        if not (mine == theirs or np.isclose(mine, theirs, 1e-4, 0, equal_nan=True))
    ]
    assert not wrong, "\n".join(wrong)


# What is computed as a series near 0, and otherwise where the series ends.
SERIES = ("expm1", "log1p", "tanh", "softplus", "sigmoid")


@each_dtype
@pytest.mark.parametrize("name", SERIES)
def test_series_meet_what_they_stand_in_for(name: str, dtype: str) -> None:
    """Also relative to results that are nearly 0."""
    case, tiny = POINTWISE[name], np.geomspace(1e-12, 1, 60)
    near = np.concatenate([np.linspace(-0.99, 1.5, 300), tiny, -tiny])
    operands = [near.astype(dtype)]
    found, wanted = computed(case, operands, dtype, "kernel"), by_reference(case, operands, dtype)
    np.testing.assert_allclose(found, wanted, rtol=ULPS * float(np.finfo(dtype).eps), atol=0)


@each_side
@pytest.mark.parametrize(
    "name",
    ["neg", "tanh", "abs", "mul", "sqrt", "floor", "round"],
)
def test_zeros_keep_their_sign(name: str, side: str) -> None:
    case = POINTWISE[name]
    operands = [np.array([-0.0, 0.0]), np.array([1.0, -1.0])][: case.op.arity]
    found, wanted = (
        computed(case, operands, "float64", side),
        by_reference(case, operands, "float64"),
    )
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(np.signbit(found), np.signbit(wanted))
