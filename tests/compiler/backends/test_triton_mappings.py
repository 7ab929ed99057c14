"""Every mapping gives what the oracle gives: standard cells, forward and all gradients.

A selection in which every two choices meet once; `python -m tests.fuzz.mappings` runs them all.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.mapping import ALTERNATING, SCAN, Extent
from rnnc.compiler.oracle import Masks
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.runtime.tolerance import BOUNDS
from tests.compiler.backends.mapping_cases import (
    BFLOAT16,
    CASES,
    FLOAT64,
    Case,
    check,
    legal_ways,
    selection,
)
from tests.compiler.backends.sources import CELLS, HARD, STANDARD
from tests.compiler.backends.triton_runs import (
    Pair,
    by_triton,
    forced,
    programs_of,
    rounded_to,
    run_module,
    ways_of,
)
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.run_scans import by_oracle, mask_arrays
from tests.tolerance import assert_within, errors

pytest.importorskip("triton")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("case", selection(), ids=str)
def test_standard_cells_agree_with_the_oracle(case: Case) -> None:
    verdict = check(case)
    assert verdict.is_right, str(verdict)


@pytest.mark.parametrize(("name", "sizes"), CASES, ids=str)
def test_no_way_is_left_out(name: str, sizes: tuple[int, ...]) -> None:
    """What the cost model offers, forward or backward, is what is tested."""
    assert legal_ways(name, sizes) == set(CASES[name, sizes])


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", list(HARD))
def test_hard_cells_agree_with_the_oracle(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=2, rows=3)
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


@pytest.mark.parametrize("dtype", ["float64", "float32", "bfloat16"])
@pytest.mark.parametrize("name", ["Cascade", "Extremes", "Average"])
def test_states_in_a_row_are_scanned_one_after_the_other(name: str, dtype: str) -> None:
    """In two chunks of time, forward and backward, across resets."""
    cell, bound = CELLS[name](), FLOAT64 if dtype == "float64" else BOUNDS[dtype]
    n = rounded_to(Numbers.draw(cell, steps=20, rows=3), dtype)
    for masks in (draw_masks((), n.steps, n.rows), draw_masks(MASKS, n.steps, n.rows)):
        programs, wanted = programs_of(cell, masks), by_oracle(cell, n, masks)
        pair = Pair(SCAN, SCAN)
        for choices in programs.choices:
            assert SCAN in [choice.mapping for choice in choices]
        assert_within(by_triton(cell, programs, pair, n, masks, dtype), wanted, bound)


@pytest.mark.parametrize("hidden", [80, 128, 144])
def test_deep_products_are_read_a_stretch_at_a_time(hidden: int) -> None:
    """Whether or not the last stretch is a whole one."""
    cell = STANDARD.RNN(3, hidden)
    n = Numbers.draw(cell, steps=2, rows=3)
    n.params["U"] *= hidden**-0.5
    programs, wanted = programs_of(cell), by_oracle(cell, n)
    for way in ("step in blocks", "staged in blocks"):
        found = by_triton(cell, programs, forced(programs, way), n, dtype="float64")
        assert_within(found, wanted, FLOAT64)


@pytest.mark.parametrize("name", ["LSTM", "MinGRU"])
def test_programs_of_many_rows(name: str) -> None:
    """More than the call has, or fewer, by none or by some."""
    cell = STANDARD[name](3, 20)
    n = Numbers.draw(cell, steps=2, rows=40)
    programs, wanted = programs_of(cell, extent=Extent(rows=64)), by_oracle(cell, n)
    tried = set()
    for mapping in (choice.mapping for choice in programs.choices[0]):
        if mapping.kind == "loop" and mapping.rows >= 8 and mapping.rows not in tried:
            tried.add(mapping.rows)
            found = by_triton(cell, programs, Pair(mapping, mapping), n, dtype="float64")
            assert_within(found, wanted, FLOAT64)
    assert {16, 32, 64} <= tried


@pytest.mark.parametrize(
    ("name", "sizes"), [("LSTM", (3, 32)), ("MinGRU", (3, 5)), ("SLSTM", (3, 32, 2))]
)
def test_exact_programs_do_not_mind_how_a_sequence_is_cut(name: str, sizes: tuple[int]) -> None:
    """Bit for bit, in every way that is left to them."""
    cell = STANDARD[name](*sizes)
    n = rounded_to(Numbers.draw(cell, steps=6, rows=3), "float32")
    programs = programs_of(cell, exact=True)

    def run(way: str, carry: Mapping[str, Any], start: int, stop: int) -> tuple[Any, Any]:
        module = programs.mapped(forced(programs, way).forward).forward
        xs = {name: x[start:stop] for name, x in n.xs.items()}
        return run_module(module, replace(n, xs=xs), carry, xs, "float32")

    for way in ways_of(programs.choices[0]):
        carry, outs = run(way, n.carry, 0, 6)
        middle, first = run(way, n.carry, 0, 2)
        last, second = run(way, middle, 2, 6)
        assert all(array.equal(last[state]) for state, array in carry.items()), way
        for y in cell.outputs:
            assert [*outs[y.name].tolist()] == [*first[y.name].tolist(), *second[y.name].tolist()]


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
    n = rounded_to(Numbers.draw(cell, 24, 3), "bfloat16")
    n.params.update({path: 0.125 * value for path, value in n.params.items()})
    programs, wanted = programs_of(cell), by_oracle(cell, n)
    for way in ways_of(programs.choices[0]):
        pair = forced(programs, way, steps=n.steps, rows=n.rows)
        found = by_triton(cell, programs, pair, n, dtype="bfloat16")
        assert errors(found, wanted, "values")["carry.h"] < bound, way
        assert max(errors(found, wanted, "values").values()) < BFLOAT16.values, way


TRANSFORMED = """
cell Decay(n): (h[n], x[n]) -> (h', h') {
    param w[n]
    h' = sigmoid(w) * h + x
}
cell Sum(n): (h[n], x[n]) -> (h', h') {
    param w[n]
    h' = 0.3 * (1 + sum(cumsum(1 + w) - cumsum(flip(1 + w)))) * h + x
}
cell Product(n): (h[n], x[n]) -> (h', h') {
    param U[n, n], V[n, n]
    h' = tanh((64 * ((eye(n) + U) @ (eye(n) + V) - eye(n))) @ h + x)
}
cell Inverse(n): (h[n], x[n]) -> (h', h') {
    param U[n, n]
    h' = tanh((64 * (solve(eye(n) - U, eye(n)) - eye(n))) @ h + x)
}
"""


@pytest.mark.parametrize(
    ("name", "bound"), [("Decay", 1e-5), ("Sum", 1e-5), ("Product", 6e-3), ("Inverse", 6e-3)]
)
def test_what_comes_of_parameters_alone_is_rounded_for_products_alone(
    name: str, bound: float
) -> None:
    """A bfloat16 near one says nearly nothing of a small U in 1 + U, which is read on the way."""
    cell = loads(TRANSFORMED)[name](32)
    n = rounded_to(Numbers.draw(cell, 8, 3), "bfloat16")
    n.params.update({path: value / 512 for path, value in n.params.items()})
    programs, wanted = programs_of(cell), by_oracle(cell, n)
    for way in dict.fromkeys(w for choices in programs.choices for w in ways_of(choices)):
        pair = forced(programs, way, steps=n.steps, rows=n.rows)
        found = by_triton(cell, programs, pair, n, dtype="bfloat16")
        assert errors(found, wanted, "values")["carry.h"] < bound, way
        assert max(errors(found, wanted, "gradients").values()) < BFLOAT16.gradients, way


@pytest.mark.parametrize("name", ["Product", "Inverse"])
def test_what_comes_of_parameters_alone_is_rounded_once(name: str) -> None:
    """Not in every step anew, which would read a matrix twice."""
    programs = programs_of(loads(TRANSFORMED)[name](32))
    mapped = programs.mapped(ALTERNATING, ALTERNATING)
    assert mapped.backward is not None
    for module in (mapped.forward, mapped.backward):
        before, _, after = module.source.partition("def step_at(turn):")
        step, _, _ = after.partition("every_step(step_at")
        assert "einsum" in step
        made = set(re.findall(r"(\w+) = ", before))
        assert not made & set(re.findall(r"(v\d+)\.to\(dtype\)", step))


@pytest.mark.parametrize("name", ["LSTM", "GRU", "SLSTM"])
def test_the_weights_of_a_step_are_seen_to_lie_side_by_side(name: str) -> None:
    """Triton reads two bytes at a time, none of them ahead, of places that it has to reshape."""
    programs = programs_of(STANDARD[name](64, 64, *[1] * (name == "SLSTM")))
    pair = forced(programs, "step in blocks")
    assert pair.forward.kind == "step"
    source = programs.mapped(pair.forward, pair.backward).forward.source
    kernel, _, _ = source.partition("def build(")
    assert "tl.range(0, 64" in kernel and not re.findall(r"o\d+ = tl\.reshape", kernel)


@pytest.mark.parametrize("way", ["loop", "alternating"])
@pytest.mark.parametrize(("name", "weight"), [("Dense", "b"), ("Embedding", "E")])
def test_gradients_of_narrow_programs_are_summed_wide(name: str, weight: str, way: str) -> None:
    """A thousand ones are more than a bfloat16 that ones are added to gets to."""
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=64, rows=16)
    for d_y in n.d_ys.values():
        d_y[...] = 1.0
    programs = programs_of(cell)
    found = by_triton(cell, programs, forced(programs, way), n, dtype="bfloat16").d_params[weight]
    np.testing.assert_allclose(found, by_oracle(cell, n).d_params[weight], rtol=2**-8)


@pytest.mark.parametrize(
    ("name", "sizes"), [("MinGRU", (3, 4)), ("RNN", (3, 4)), ("RWKV4", (3,)), ("MLSTM", (3, 2, 4))]
)
def test_what_was_before_a_reset_is_forgotten_even_a_nan(name: str, sizes: tuple[int, ...]) -> None:
    """And what comes after one reaches nothing before it. There are two chunks of a scan."""
    cell, steps, reset, row = STANDARD[name](*sizes), 20, 5, 1
    n = Numbers.draw(cell, steps=steps, rows=2)
    starts = np.zeros((steps, 2), bool)
    starts[reset, row] = True
    masks, (y,) = Masks(starts=starts), n.d_ys
    programs, wanted = programs_of(cell, masks), by_oracle(cell, n, masks)
    for way in dict.fromkeys(w for choices in programs.choices for w in ways_of(choices)):
        pair = forced(programs, way, steps=steps, rows=2)
        early, late = deepcopy(n), deepcopy(n)
        early.xs["x"][:2, row] = late.d_ys[y][18:, row] = np.nan
        for state in n.carry:
            early.carry[state][row] = late.d_carry[state][row] = np.nan
        found = by_triton(cell, programs, pair, early, masks, "float64")
        d_xs = by_triton(cell, programs, pair, late, masks, "float64").d_xs["x"]
        assert np.isnan(found.ys[y][:reset, row]).all() and np.isnan(d_xs[reset:, row]).all()
        for mine, theirs in (
            (found.ys[y][reset:], wanted.ys[y][reset:]),
            *((found.carry[state], wanted.carry[state]) for state in n.carry),
            (d_xs[:reset], wanted.d_xs["x"][:reset]),
        ):
            np.testing.assert_allclose(mine, theirs, 1e-11, err_msg=way)


GAUGE = """
cell Largest(n): (h[n] = -inf, (a[n], b[n])) -> (h', old) { old = h; h' = maximum(a + h, b) }
cell Smallest(n): (h[n] = inf, (a[n], b[n])) -> (h', old) { old = h; h' = minimum(b, h - a) }
"""


@pytest.mark.parametrize("resets", [False, True], ids=["plain", "resets"])
@pytest.mark.parametrize(("name", "sign"), [("Largest", 1), ("Smallest", -1)])
def test_infinities_and_nan_are_scanned_as_they_come_step_by_step(
    name: str, sign: int, resets: bool
) -> None:
    """But where all is taken away, even a NaN is forgotten. There are three chunks of time."""
    cell, shape, draws = loads(GAUGE)[name](64), (40, 8, 64), np.random.default_rng(1)

    def drawn(rare: list[float], share: float, *shape: int) -> Any:
        whole = draws.integers(-4, 5, shape).astype(float)  # of which sums are exact
        return np.where(draws.random(shape) < share, draws.choice(rare, shape), whole)

    a = drawn([-np.inf, np.inf, np.nan], 0.04, *shape)
    b = drawn([-np.inf] * 30 + [np.inf, np.nan], 0.7, *shape)
    h = before = drawn([-np.inf, -np.inf, np.inf, np.nan], 0.7, *shape[1:])
    starts = draws.random(shape[:2]) < 0.05 * resets
    wanted = []
    for t in range(len(a)):
        h = np.where(starts[t, :, None], -np.inf, h)
        wanted.append(h)
        with np.errstate(invalid="ignore"):
            h = np.where(a[t] == -np.inf, b[t], np.maximum(a[t] + h, b[t]))

    n = replace(Numbers.draw(cell, *shape[:2]), carry={"h": sign * before})
    masks = Masks(starts=starts) if resets else Masks()
    module = programs_of(cell, masks).mapped(SCAN, SCAN).forward
    given = {"a": a, "b": sign * b, **mask_arrays(masks, len(a))}
    last, outs = run_module(module, n, n.carry, given, "float64")
    np.testing.assert_array_equal(sign * outs["old"].numpy(), wanted)
    np.testing.assert_array_equal(sign * last["h"].numpy(), h)
    assert {-np.inf, np.inf} <= {*np.ravel(wanted)} and np.isnan(wanted).any()
