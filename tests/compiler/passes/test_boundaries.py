"""`boundaries` makes resets, lengths and truncation nodes that every derivative inherits."""

from __future__ import annotations

from dataclasses import replace
from itertools import chain, combinations

import numpy as np
import pytest

from rnnc.compiler.passes.boundaries import MASKS, PLACED, boundaries, placed_name
from rnnc.compiler.passes.scan import scan
from tests.compiler.hand_built import CELLS, Numbers, delta, draw_masks, elman, lstm
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, scans_of

SUBSETS = list(chain.from_iterable(combinations(MASKS, count) for count in range(1, 5)))


@pytest.mark.parametrize("masks", SUBSETS, ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_values_and_gradients_are_those_of_plain_ifs(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=5, rows=4)
    drawn = draw_masks(masks, n.steps, n.rows)
    assert_alike(by_scans(cell, scans_of(cell, masks), n, drawn), by_oracle(cell, n, drawn))


@pytest.mark.parametrize("masks", [(), MASKS], ids=["alone", "with the others"])
@pytest.mark.parametrize("name", CELLS)
def test_a_row_is_put_where_it_is_told_and_tells_what_that_is_worth(
    name: str, masks: tuple[str, ...]
) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=5, rows=4)
    drawn, rng = draw_masks(masks, n.steps, n.rows), np.random.default_rng(3)
    drawn = replace(
        drawn,
        placed=rng.random((n.steps, n.rows)) < 0.4,
        places={s: rng.normal(size=(n.steps, *value.shape)) for s, value in n.carry.items()},
    )
    scans = scans_of(cell, (*masks, PLACED))
    assert_alike(by_scans(cell, scans, n, drawn), by_oracle(cell, n, drawn))
    outs = {out.name for out in scans.backward.outs} if scans.backward else set()
    assert {f"ct.{placed_name(state.name)}" for state in cell.states} <= outs


def test_no_masks_change_nothing() -> None:
    along_time = scan(lstm())
    assert boundaries(along_time, ()) is along_time


@pytest.mark.parametrize("padding", [np.nan, np.inf, 0.0])
def test_padding_reaches_no_value_and_no_gradient(padding: float) -> None:
    """Where a row has ended its outputs and gradients are 0, whatever stands there."""
    cell = delta()
    n = Numbers.draw(cell, steps=5, rows=3)
    drawn = draw_masks(("valid",), n.steps, n.rows)
    for row, length in enumerate([5, 0, 3]):
        n.xs["x"][length:, row] = padding
    got = by_scans(cell, scans_of(cell, ("valid",)), n, drawn)
    for row, length in enumerate([5, 0, 3]):
        np.testing.assert_array_equal(got.ys["y"][length:, row], 0.0)
        np.testing.assert_array_equal(got.d_xs["x"][length:, row], 0.0)
    assert all(np.isfinite(d).all() for d in (*got.d_params.values(), *got.d_carry.values()))
    np.testing.assert_array_equal(got.carry["S"][1], n.carry["S"][1])
    np.testing.assert_array_equal(got.d_carry["S"][1], n.d_carry["S"][1])


def test_a_reset_sends_its_cotangent_to_a_learned_initial_state() -> None:
    cell = elman()
    n = Numbers.draw(cell)
    masks = draw_masks(("starts",), n.steps, n.rows)
    assert masks.starts is not None and masks.starts.any()
    with_resets = by_scans(cell, scans_of(cell, ("starts",)), n, masks)
    without = by_scans(cell, scans_of(cell), n)
    assert np.abs(with_resets.d_params["h0"]).min() > 0
    np.testing.assert_array_equal(without.d_params["h0"], 0.0)
