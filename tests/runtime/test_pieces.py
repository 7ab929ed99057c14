"""A call with resets, lengths and boundaries equals separate calls of its pieces.

Every pattern of up to five steps and two rows, and random ones of longer calls. What a single row
does is asked for in one call that holds a row for each pattern; what two rows do to each other, in
a call for each pair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from rnnc.runtime.tolerance import BOUNDS
from tests.runtime.models import bound
from tests.runtime.pieces import (
    Found,
    Row,
    assert_alike,
    by_masks,
    by_pieces,
    side_by_side,
)

VALUES, GRADIENTS = 1e-12, 1e-11

# Two states; one; a learned initial state; two states, inputs and outputs, one of them a number.
CELLS: dict[str, Callable[[], Any]] = {
    "LSTM": lambda: rnnc.LSTMCell(3, 4),
    "GRU": lambda: rnnc.GRUCell(3, 4),
    "Elman": lambda: bound("Elman", 3, 4),
    "Leaky": lambda: bound("Leaky", 3, 4),
}


@cache
def cell_of(name: str) -> Any:
    return CELLS[name]()


def net_of(name: str, **keywords: Any) -> Recur:
    settings: dict[str, Any] = {"backend": "numpy", "dtype": "float64", "seed": 1, **keywords}
    return Recur(cell_of(name), **settings)


@cache
def drawn(name: str, steps: int, seed: int, *, fresh: bool) -> Row:
    """A row of random numbers without resets."""
    rng = np.random.default_rng([seed, steps])
    cell = cell_of(name).cell

    def numbers(values: Any, *lead: int) -> tuple[Any, ...]:
        return tuple(0.7 * rng.standard_normal((*lead, *v.node.type.shape)) for v in values)

    names = [state.name for state in cell.states]
    first = dict(zip(names, numbers(cell.states), strict=True))
    d_state = dict(zip(names, numbers(cell.states), strict=True))
    no = np.zeros(steps, bool)
    xs, d_ys = numbers(cell.inputs, steps), numbers(cell.outputs, steps)
    return Row(xs, d_ys, d_state, None if fresh else first, no, no, steps)


def patterns(steps: int) -> list[tuple[Any, int]]:
    """Every choice of resets and of a length."""
    every = product((False, True), repeat=steps)
    return [(np.array(starts, bool), n) for starts in every for n in range(steps + 1)]


def with_patterns(name: str, steps: int, seed: int, *, fresh: bool) -> list[Row]:
    """The same numbers with every pattern."""
    row = drawn(name, steps, seed, fresh=fresh)
    return [replace(row, starts=starts, length=n) for starts, n in patterns(steps)]


@cache
def pieces_of(name: str, steps: int, seed: int, *, fresh: bool) -> list[Found]:
    """What every pattern gives in separate runs."""
    rows = with_patterns(name, steps, seed, fresh=fresh)
    return [by_pieces(lambda: net_of(name), row) for row in rows]


# -- every pattern ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False], ids=["initial state", "given state"])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4, 5])
@pytest.mark.parametrize("name", CELLS)
def test_every_pattern_of_one_row(name: str, steps: int, fresh: bool) -> None:
    rows = with_patterns(name, steps, 0, fresh=fresh)
    wanted = pieces_of(name, steps, 0, fresh=fresh)
    net = net_of(name)
    assert_alike(by_masks(net, rows, "starts", "lengths"), side_by_side(wanted), VALUES, GRADIENTS)
    few = range(0, len(rows), 7)  # alone, as the parameters' gradients are sums over the rows
    for at in few:
        found = by_masks(net, rows[at : at + 1], "starts", "lengths")
        assert_alike(found, side_by_side(wanted[at : at + 1]), VALUES, GRADIENTS)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", CELLS)
def test_every_pattern_of_two_rows(name: str, steps: int) -> None:
    left, right = (with_patterns(name, steps, seed, fresh=False) for seed in (0, 1))
    here, there = (pieces_of(name, steps, seed, fresh=False) for seed in (0, 1))
    net = net_of(name)
    # Resets and lengths of two rows meet in one step or in two that follow each other: pairs of
    # three steps hold all of that.
    for (a, one), (b, other) in product(
        zip(left, here, strict=True), zip(right, there, strict=True)
    ):
        found = by_masks(net, [a, b], "starts", "lengths")
        assert_alike(found, side_by_side([one, other]), VALUES, GRADIENTS)


@pytest.mark.parametrize("steps", [4, 5])
def test_every_pattern_of_two_longer_rows_in_one_call(steps: int) -> None:
    """The pairs stand side by side in a call of some ten thousand rows."""
    name = "Leaky"
    left, right = (with_patterns(name, steps, seed, fresh=False) for seed in (0, 1))
    here, there = (pieces_of(name, steps, seed, fresh=False) for seed in (0, 1))
    count = len(left)
    ways = [at for pair in product(range(count), range(count, 2 * count)) for at in pair]
    rows, wanted = left + right, here + there
    found = by_masks(net_of(name), [rows[at] for at in ways], "starts", "lengths")
    assert_alike(found, side_by_side([wanted[at] for at in ways]), VALUES, GRADIENTS)


@pytest.mark.parametrize("steps", [1, 2, 3])
@pytest.mark.parametrize("name", CELLS)
def test_every_pattern_with_every_boundary(name: str, steps: int) -> None:
    """Where a reset and a boundary fall on one step, the reset comes first."""
    cuts = [np.array(c, bool) for c in product((False, True), repeat=steps) if not c[0]]
    rows = [
        replace(row, cuts=c) for row in with_patterns(name, steps, 0, fresh=False) for c in cuts
    ]
    wanted = side_by_side([by_pieces(lambda: net_of(name), row) for row in rows])
    found = by_masks(net_of(name), rows, "starts", "lengths", "boundaries")
    assert_alike(found, wanted, VALUES, GRADIENTS)


# -- random ones -----------------------------------------------------------------------------------


def random_rows(name: str, steps: int, batch: int, seed: int, masks: str) -> list[Row]:
    rng = np.random.default_rng(seed)
    rows = []
    for at in range(batch):
        row = drawn(name, steps, 10 * seed + at, fresh=bool(seed % 2))
        starts = rng.random(steps) < rng.choice([0.05, 0.3])
        cuts = rng.random(steps) < 0.2
        cuts[0] = False
        length = int(rng.integers(0, steps + 1))
        rows.append(
            replace(
                row,
                starts=starts if "starts" in masks else row.starts,
                cuts=cuts if "boundaries" in masks else row.cuts,
                length=length if "lengths" in masks else steps,
            )
        )
    return rows


@pytest.mark.parametrize(
    "masks",
    ["starts", "lengths", "boundaries", "starts lengths", "starts boundaries",
     "lengths boundaries", "starts lengths boundaries"],
)  # fmt: skip
@pytest.mark.parametrize("name", CELLS)
def test_random_patterns_of_longer_calls(name: str, masks: str) -> None:
    for seed, (steps, batch) in enumerate([(7, 3), (40, 5), (110, 2), (17, 1)]):
        rows = random_rows(name, steps, batch, seed, masks)
        wanted = side_by_side([by_pieces(lambda: net_of(name), row) for row in rows])
        found = by_masks(net_of(name), rows, *masks.split())
        assert_alike(found, wanted, VALUES, GRADIENTS)


@pytest.mark.parametrize("period", [1, 3, 4, 110])
@pytest.mark.parametrize("name", CELLS)
def test_a_period_and_a_list_of_boundaries_are_the_mask_they_stand_for(
    name: str, period: int
) -> None:
    steps = 11
    rows = random_rows(name, steps, 3, period, "starts lengths")
    every = np.arange(steps) % period == 0
    every[0] = False
    cut = [replace(row, cuts=every) for row in rows]
    wanted = side_by_side([by_pieces(lambda: net_of(name), row) for row in cut])
    for boundaries in (period, list(range(period, steps, period)), every):
        found = by_masks(net_of(name), rows, "starts", "lengths", boundaries=boundaries)
        assert_alike(found, wanted, VALUES, GRADIENTS)


# -- what reaches nobody ---------------------------------------------------------------------------


@pytest.mark.parametrize("poison", [np.nan, np.inf])
@pytest.mark.parametrize("name", CELLS)
def test_padding_that_is_no_number_reaches_nothing(name: str, poison: float) -> None:
    rows = random_rows(name, 9, 4, 2, "starts lengths boundaries")
    poisoned = []
    for row in rows:
        xs = tuple(x.copy() for x in row.xs)
        d_ys = tuple(d.copy() for d in row.d_ys)
        for x in xs:
            x[row.length :] = poison
        poisoned.append(replace(row, xs=xs, d_ys=d_ys))
    masks = ("starts", "lengths", "boundaries")
    found, wanted = (by_masks(net_of(name), each, *masks) for each in (poisoned, rows))
    assert_alike(found, wanted, 0.0, 0.0)


@pytest.mark.parametrize("name", CELLS)
def test_a_row_that_is_no_number_reaches_no_other_row(name: str) -> None:
    """Its resets start it anew, so what follows one is a number again."""
    rows = random_rows(name, 9, 4, 4, "starts lengths")
    starts = rows[1].starts.copy()
    starts[:], starts[6] = False, True
    rows[1] = replace(rows[1], starts=starts, length=9)
    bad = tuple(x.copy() for x in rows[1].xs)
    for x in bad:
        x[3] = np.nan
    poisoned = [rows[0], replace(rows[1], xs=bad), *rows[2:]]
    found, wanted = (by_masks(net_of(name), each, "starts", "lengths") for each in (poisoned, rows))
    others = [0, 2, 3]
    for mine, theirs in zip((*found.ys, *found.d_xs), (*wanted.ys, *wanted.d_xs), strict=True):
        np.testing.assert_array_equal(mine[:, others], theirs[:, others])
        np.testing.assert_array_equal(mine[6:, 1], theirs[6:, 1])
    for state, expected in ((found.state, wanted.state), (found.d_first, wanted.d_first)):
        for key in expected:
            np.testing.assert_array_equal(state[key][others], expected[key][others])
    for key in wanted.state:
        np.testing.assert_array_equal(found.state[key][1], wanted.state[key][1])


def test_a_learned_state_has_a_gradient_at_every_reset() -> None:
    """Each of them alone: the one reset that reaches a loss is the one that is felt."""
    steps = 6
    row = drawn("Elman", steps, 0, fresh=False)
    for reset in range(steps):
        starts = np.zeros(steps, bool)
        starts[reset] = True
        for loss in range(steps):
            d_ys = np.zeros_like(row.d_ys[0])
            d_ys[loss] = 1.0
            quiet = {"h": np.zeros(4)}
            one = replace(row, starts=starts, d_ys=(d_ys,), d_state=quiet)
            d_initial = by_masks(net_of("Elman"), [one], "starts").d_params["h0"]
            assert d_initial.all() if loss >= reset else not d_initial.any()


# -- in kernels ------------------------------------------------------------------------------------


# Small calls: Triton's interpreter takes its time.
KERNELS = [("LSTM", "float64"), ("Elman", "float64"), ("Leaky", "float64"), ("GRU", "float32")]


@pytest.mark.torch
@pytest.mark.parametrize(("name", "dtype"), KERNELS)
def test_kernels_do_what_the_pieces_do(name: str, dtype: str) -> None:
    pytest.importorskip("triton")
    net = net_of(name, backend="triton", dtype=dtype)
    params = {path: np.asarray(value, float) for path, value in net.params.items()}

    def twin() -> Recur:
        made = net_of(name)
        made.load_params(params)
        return made

    rows = with_patterns(name, 3, 0, fresh=False)
    cuts = np.array([False, False, True])
    rows = [*rows, *(replace(row, cuts=cuts) for row in rows[::3])]
    found = by_masks(net, rows, "starts", "lengths", "boundaries")
    wanted = side_by_side([by_pieces(twin, row) for row in rows])
    assert_alike(found, wanted, BOUNDS[dtype].values, BOUNDS[dtype].gradients)
