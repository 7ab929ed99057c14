"""The measure of error: what it lets pass, and what it does not."""

from __future__ import annotations

import numpy as np
import pytest

from tests.compiler.run_scans import Outcome
from tests.tolerance import FLOAT64, adaptive_bound, assert_within, error, errors, excesses


def outcome(ys: list[float], d_params: list[float]) -> Outcome:
    return Outcome({}, {"y": np.array(ys)}, {"W": np.array(d_params)}, {}, {})


def test_the_error_is_relative_to_the_size_of_what_is_wanted() -> None:
    wanted = np.full(8, 100.0)
    assert error(wanted + 1.0, wanted, 1.0) == pytest.approx(0.01)


def test_what_should_be_0_is_held_against_its_companions() -> None:
    nothing = np.zeros(4)
    assert error(nothing + 1e-16, nothing, 1.0) == pytest.approx(1e-13)
    assert error(nothing + 1e-16, nothing, 0.0) > 1.0


def test_one_wrong_element_cannot_hide_in_a_large_array() -> None:
    wanted = np.ones(10**6)
    found = wanted.copy()
    found[7] += 1.0
    assert error(found, wanted, 1.0) == pytest.approx(1 / 50)


@pytest.mark.parametrize("wrong", [np.nan, np.inf, -np.inf])
def test_what_is_not_finite_is_infinitely_wrong_but_equal_infinities_are_equal(
    wrong: float,
) -> None:
    wanted = np.array([1.0, -2.0, 3.0])
    found = np.where([True, False, True], wanted, wrong)
    assert error(found, wanted, 1.0) == np.inf
    assert error(wanted, found, 1.0) == np.inf
    assert error(np.array([np.inf, 1.0]), np.array([np.inf, 1.0]), 1.0) == 0.0


def test_another_shape_is_infinitely_wrong() -> None:
    assert error(np.ones((2, 1)), np.ones(2), 1.0) == np.inf


def test_values_and_gradients_have_bounds_of_their_own() -> None:
    wanted, found = outcome([1.0, 2.0], [3.0]), outcome([1.0, 2.0], [3.0 + 2e-12])
    assert errors(found, wanted, "values") == {"ys.y": 0.0}
    assert_within(outcome([1.0, 2.0], [3.0 + 1e-12]), wanted, FLOAT64)
    found = outcome([1.0, 2.0 + 1e-12], [3.0 + 1e-11])
    assert [line.split()[0] for line in excesses(found, wanted, FLOAT64)] == ["ys.y", "d_params.W"]


def test_float32_may_be_off_by_four_times_what_a_plain_evaluation_is() -> None:
    wanted, plain = outcome([1.0, 2.0], [4.0]), outcome([1.0, 2.0], [5.0])
    bound = adaptive_bound(plain, wanted)
    assert (bound.values, bound.gradients) == (1e-7, 1.0 + 1e-7)


def test_numbers_whose_squares_are_infinite_have_an_error() -> None:
    wanted = np.array([1e200, 3.0])
    assert error(wanted * (1 + 1e-9), wanted, 1.0) == pytest.approx(1e-9)
    assert error(wanted, np.array([np.inf, 3.0]), 1.0) == np.inf
