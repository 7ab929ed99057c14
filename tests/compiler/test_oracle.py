"""The oracle against loops written out by hand, and its gradients against central differences."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from rnnc.compiler import oracle
from rnnc.compiler.oracle import Masks
from tests.compiler.hand_built import CELLS, Array, Arrays, Numbers, elman, lstm

NUDGE = 1e-6
STEPS, ROWS = 5, 3
STARTS = np.array([[1, 0, 0], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 0, 0]], bool)
CUTS = np.array([[0, 1, 0], [0, 0, 0], [1, 0, 0], [0, 0, 1], [0, 1, 0]], bool)
LENGTHS = np.array([5, 3, 0])
ALL_MASKS = {
    "none": Masks(),
    "starts": Masks(starts=STARTS),
    "lengths": Masks(lengths=LENGTHS),
    "boundaries": Masks(boundaries=CUTS),
    "starts+lengths": Masks(starts=STARTS, lengths=LENGTHS),
    "all": Masks(STARTS, CUTS, LENGTHS),
}


def elman_by_hand(n: Numbers, masks: Masks) -> tuple[Array, Array]:
    """The last h, real[B,H], and every y, real[T,B,H]."""
    W, U, b, h0 = (n.params[name] for name in ("W", "U", "b", "h0"))
    last, ys = n.carry["h"].copy(), np.zeros((STEPS, ROWS, len(b)))
    for row in range(ROWS):
        h = n.carry["h"][row]
        for t in range(STEPS):
            if masks.lengths is not None and t >= masks.lengths[row]:
                break
            if masks.starts is not None and masks.starts[t, row]:
                h = h0
            h = np.tanh(W @ n.xs["x"][t, row] + U @ h + b)
            ys[t, row] = h
        last[row] = h
    return last, ys


@pytest.mark.parametrize("masks", ALL_MASKS.values(), ids=ALL_MASKS)
def test_values_are_those_of_a_loop_by_hand(masks: Masks) -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    carry, ys = oracle.run(elman(), n.params, n.carry, n.xs, masks)
    h, y = elman_by_hand(n, masks)
    np.testing.assert_allclose(carry["h"], h, rtol=1e-13)
    np.testing.assert_allclose(ys["h"], y, rtol=1e-13)


def test_an_lstm_is_the_textbooks() -> None:
    n = Numbers.draw(lstm(), STEPS, ROWS)
    h, c = n.carry["h"], n.carry["c"]
    ys = []
    for x in n.xs["x"]:
        gates = np.einsum("ghi,bi->bgh", n.params["W"], x)
        gates += np.einsum("ghk,bk->bgh", n.params["U"], h) + n.params["b"]
        i, f, o = (1 / (1 + np.exp(-gates[:, at])) for at in (0, 1, 3))
        c = f * c + i * np.tanh(gates[:, 2])
        h = o * np.tanh(c)
        ys.append(h)
    carry, got = oracle.run(lstm(), n.params, n.carry, n.xs)
    np.testing.assert_allclose(got["h"], ys, rtol=1e-12)
    np.testing.assert_allclose(carry["c"], c, rtol=1e-12)


def test_the_initial_carry_is_learned_or_constant() -> None:
    n = Numbers.draw(elman())
    first = oracle.initial(elman(), n.params, 2)
    np.testing.assert_array_equal(first["h"], [n.params["h0"]] * 2)
    cell = CELLS["attention"]()
    first = oracle.initial(cell, Numbers.draw(cell).params, 3)
    np.testing.assert_array_equal(first["h"], np.full((3, 4), 0.1))
    np.testing.assert_array_equal(first["m"], np.full(3, -1.0))
    assert oracle.initial(cell, Numbers.draw(cell).params, 0)["h"].shape == (0, 4)


# -- gradients -----------------------------------------------------------------------------------


class Loss:
    """The inner product of a run's results with cotangents; what a boundary cuts does not count.

    Every stretch between boundaries begins at the state the unchanged numbers lead to, so that
    central differences see what truncated backpropagation sees.
    """

    def __init__(self, name: str, masks: Masks) -> None:
        self.cell, self.masks = CELLS[name](), masks
        self.n = Numbers.draw(self.cell, STEPS, ROWS)
        self.fixed = {(t, row): self.run(row, 0, t, self.n.params, self.n.carry, self.n.xs)[0]
                      for row in range(ROWS) for t in range(STEPS)}  # fmt: skip

    def run(
        self, row: int, begin: int, end: int, params: Arrays, carry: Arrays, xs: Arrays
    ) -> tuple[Arrays, Arrays]:
        """One row from step `begin` up to `end`, without boundaries."""
        m, one = self.masks, slice(row, row + 1)
        part = Masks(
            None if m.starts is None else m.starts[begin:end, one],
            None,
            None if m.lengths is None else m.lengths[one] - begin,
        )
        state = {k: v[one] for k, v in carry.items()}
        sequences = {k: v[begin:end, one] for k, v in xs.items()}
        return oracle.run(self.cell, params, state, sequences, part)

    def __call__(self, params: Arrays, carry: Arrays, xs: Arrays) -> float:
        total = 0.0
        for row in range(ROWS):
            for begin, end in self.stretches(row):
                entering = {k: np.repeat(v, ROWS, 0) for k, v in self.fixed[begin, row].items()}
                cut = begin > 0 or self.cuts(0, row)
                last, ys = self.run(row, begin, end, params, entering if cut else carry, xs)
                total += sum(
                    np.sum(d[begin:end, row] * ys[k][:, 0]) for k, d in self.n.d_ys.items()
                )
                if end == STEPS:
                    total += sum(np.sum(d[row] * last[k][0]) for k, d in self.n.d_carry.items())
        return float(total)

    def stretches(self, row: int) -> list[tuple[int, int]]:
        cuts = [0, *(t for t in range(1, STEPS) if self.cuts(t, row)), STEPS]
        return list(pairwise(cuts))

    def cuts(self, t: int, row: int) -> bool:
        """Past its length a row's state is passed on, boundary or not."""
        held = self.masks.lengths is not None and t >= self.masks.lengths[row]
        return (
            self.masks.boundaries is not None and bool(self.masks.boundaries[t, row]) and not held
        )

    def slope(self, group: str, name: str, along: Array) -> float:
        def at(step: float) -> float:
            given = {k: dict(getattr(self.n, k)) for k in ("params", "carry", "xs")}
            given[group][name] = given[group][name] + step * along
            return self(given["params"], given["carry"], given["xs"])

        return (at(NUDGE) - at(-NUDGE)) / (2 * NUDGE)


@pytest.mark.parametrize("masks", ALL_MASKS.values(), ids=ALL_MASKS)
@pytest.mark.parametrize("name", ["elman", "delta", "attention", "tokens", "decay"])
def test_gradients_agree_with_central_differences(name: str, masks: Masks) -> None:
    loss = Loss(name, masks)
    n = loss.n
    found = oracle.gradients(loss.cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, masks)
    draws = np.random.default_rng(5)
    groups: dict[str, dict[str, Array]] = {
        "params": found.params, "carry": found.carry, "xs": found.inputs,
    }  # fmt: skip
    for group, gradients in groups.items():
        for key, gradient in gradients.items():
            along = draws.normal(size=gradient.shape)
            wanted = loss.slope(group, key, along)
            got = float(np.sum(gradient * along))
            assert got == pytest.approx(wanted, rel=1e-7, abs=1e-7), f"{group}.{key}"


def test_gradients_of_some_parameters_are_those_among_all() -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    given = elman(), n.params, n.carry, n.xs, n.d_ys, n.d_carry, ALL_MASKS["starts"]
    every, some = oracle.gradients(*given), oracle.gradients(*given, only=("h0", "U"))
    assert some.params.keys() == {"h0", "U"} < every.params.keys()
    for group in ("carry", "inputs"):
        np.testing.assert_equal(getattr(some, group), getattr(every, group))
    for name, array in some.params.items():
        np.testing.assert_array_equal(array, every.params[name])


def test_the_way_back_reads_of_a_state_what_was_kept_of_it() -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    given = elman(), n.params, n.carry, n.xs, n.d_ys, n.d_carry
    every = oracle.gradients(*given)
    nothing = oracle.gradients(*given, kept=np.zeros_like)
    assert np.abs(every.params["U"]).min() > 0  # times the state
    np.testing.assert_array_equal(nothing.params["U"], 0.0)
    assert np.abs(nothing.inputs["x"]).min() > 0


def test_a_reset_passes_nothing_to_what_was_before_it() -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    masks = Masks(starts=np.arange(STEPS)[:, None] == np.full(ROWS, 2))
    found = oracle.gradients(elman(), n.params, n.carry, n.xs, _only(n.d_ys, 2), _none(n), masks)
    assert np.abs(found.inputs["x"][2]).min() > 0
    np.testing.assert_array_equal(found.inputs["x"][:2], 0.0)
    np.testing.assert_array_equal(found.carry["h"], 0.0)
    assert np.abs(found.params["h0"]).min() > 0


def test_a_boundary_passes_nothing_to_what_was_before_it_and_keeps_the_values() -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    masks = Masks(boundaries=np.arange(STEPS)[:, None] == np.full(ROWS, 2))
    found = oracle.gradients(elman(), n.params, n.carry, n.xs, _only(n.d_ys, 2), _none(n), masks)
    np.testing.assert_array_equal(found.inputs["x"][:2], 0.0)
    np.testing.assert_array_equal(found.params["h0"], 0.0)
    cut, uncut = (oracle.run(elman(), n.params, n.carry, n.xs, m) for m in (masks, Masks()))
    np.testing.assert_array_equal(cut[1]["h"], uncut[1]["h"])


def _only(d_ys: Arrays, t: int) -> Arrays:
    """Cotangents at and after step t alone."""
    late = np.arange(STEPS) >= t
    return {k: d * late.reshape(-1, *[1] * (d.ndim - 1)) for k, d in d_ys.items()}


def _none(n: Numbers) -> Arrays:
    return {k: np.zeros_like(d) for k, d in n.d_carry.items()}


@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (3, 0), (0, 0)])
@pytest.mark.parametrize("name", ["elman", "tokens"])
def test_no_steps_and_no_rows_are_legal(name: str, steps: int, rows: int) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps, rows)
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs)
    found = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry)
    np.testing.assert_array_equal(carry["h"], n.carry["h"])
    assert ys["h"].shape[:2] == (steps, rows)
    np.testing.assert_array_equal(found.carry["h"], n.d_carry["h"])
    assert all(not d.any() for d in found.params.values())


def test_nan_in_one_row_stays_in_it() -> None:
    n = Numbers.draw(elman(), STEPS, ROWS)
    n.xs["x"][1, 0] = np.nan
    _, ys = oracle.run(elman(), n.params, n.carry, n.xs)
    assert np.isnan(ys["h"][1:, 0]).all()
    assert np.isfinite(ys["h"][:, 1:]).all() and np.isfinite(ys["h"][0]).all()
