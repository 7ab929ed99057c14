"""`t` is how many steps there were since the last reset, whatever cut the sequence into calls."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

import rnnc
from rnnc.runtime.program import Program
from rnnc.runtime.validation import compare
from tests.runtime.pytorch.versions import kernels

Array = npt.NDArray[Any]

TEXT = """
# Rows of W in turn, a wave, and a state that moves at every other step.
cell Clock(n): (h[n], x[n]) -> (h', (h', now)) {
    param W[3, n], U[n, n]
    g   = tanh(U @ h + x + W[t % 3]) + sin(t / 4)
    h'  = where(t % 2 == 0, g, h)
    now = t
}
cell Count(n): ((), x[n]) -> ((), y) {
    y = t * x
}
cell Add(n): (s[n] = 5, x[n]) -> (s', s') {
    s' = s + t * x
}
"""
CELLS = rnnc.loads(TEXT)
STEPS, ROWS = 9, 3


def net_of(name: str = "Clock", **keywords: Any) -> rnnc.Recur:
    return rnnc.Recur(getattr(CELLS, name)(4), dtype="float64", backend="numpy", **keywords)


def sequence(steps: int = STEPS, seed: int = 0) -> Array:
    return np.random.default_rng(seed).standard_normal((steps, ROWS, 4))


def by_hand(
    net: rnnc.Recur, xs: Array, starts: Array | None = None, lengths: Array | None = None
) -> tuple[Array, Array]:
    """The outputs of Clock, row by row."""
    w, u = (np.asarray(net.params[name]) for name in ("W", "U"))
    ys, nows = np.zeros((STEPS, ROWS, 4)), np.zeros((STEPS, ROWS))
    for row in range(ROWS):
        h, count = np.zeros(4), 0
        for step in range(STEPS if lengths is None else lengths[row]):
            if starts is not None and starts[step, row]:
                h, count = np.zeros(4), 0
            if count % 2 == 0:
                h = np.tanh(u @ h + xs[step, row] + w[count % 3]) + np.sin(count / 4)
            ys[step, row], nows[step, row] = h, count
            count += 1
    return ys, nows


def test_it_counts_from_0_and_picks_rows() -> None:
    net, xs = net_of(), sequence()
    for found, wanted in zip(net.scan(xs), by_hand(net, xs), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=0, atol=1e-14)


def test_resets_begin_it_anew_and_lengths_hold_it() -> None:
    net, xs = net_of(), sequence()
    starts = np.zeros((STEPS, ROWS), bool)
    starts[4, 0] = starts[2, 2] = starts[3, 2] = True
    lengths = np.array([9, 5, 7])
    found = net.scan(xs, starts=starts, lengths=lengths)
    for mine, wanted in zip(found, by_hand(net, xs, starts, lengths), strict=True):
        np.testing.assert_allclose(mine, wanted, rtol=0, atol=1e-14)
    np.testing.assert_array_equal(net.state["t@0"], [5, 5, 4])


def test_steps_chunks_and_the_whole_count_alike() -> None:
    xs = sequence()
    whole = net_of(exact=True).scan(xs)
    net = net_of(exact=True)
    parts = [net.scan(xs[:4]), *(tuple(y[None] for y in net(x)) for x in xs[4:])]
    for at, wanted in enumerate(whole):
        np.testing.assert_array_equal(np.concatenate([part[at] for part in parts]), wanted)


def test_a_reset_between_calls_begins_it_anew() -> None:
    net = net_of("Add")
    xs = np.ones((2, ROWS, 4))
    net.scan(xs)
    net.reset(rows=[1])
    np.testing.assert_array_equal(net(xs[0])[:, 0], [8, 5, 8])
    net.reset()
    np.testing.assert_array_equal(net(xs[0]), 5)


def test_a_state_that_is_given_without_it_begins_it_anew() -> None:
    net, xs = net_of("Add"), np.ones((3, ROWS, 4))
    net.scan(xs)
    net.state = {"s": np.zeros((ROWS, 4))}
    np.testing.assert_array_equal(net.scan(xs)[:, 0, 0], [0, 1, 3])
    net.reset(rows=[0], state={"s": np.full((ROWS, 4), 7.0)})
    np.testing.assert_array_equal(net(xs[0])[:, 0], [7, 6, 6])
    starts = np.array([[False] * ROWS, [True] * ROWS, [False] * ROWS])
    ys = net.scan(xs, starts=starts, starts_at={"s": np.full((ROWS, 4), 2.0)})
    np.testing.assert_array_equal(ys[1:, 0, 0], [2, 3])


def test_the_state_that_a_net_shows_is_all_it_stands_at() -> None:
    net, xs = net_of("Add"), np.ones((3, ROWS, 4))
    net.scan(xs)
    kept = dict(net.state)
    once = net.scan(xs)
    net.state = kept
    np.testing.assert_array_equal(net.scan(xs), once)


def test_copies_and_checkpoints_go_on_counting(tmp_path: Path) -> None:
    net, xs = net_of(), sequence()
    net.scan(xs[:4])
    other = copy.deepcopy(net)
    net.save(tmp_path / "net.safetensors")
    loaded = rnnc.load_net(tmp_path / "net.safetensors")
    wanted, _ = net.scan(xs[4:])
    for another in (other, loaded):
        np.testing.assert_array_equal(another.scan(xs[4:])[0], wanted)


def test_a_cell_is_called_with_or_without_it() -> None:
    cell = CELLS.Add(2)
    (s, count), y = cell(np.ones(2), np.ones(2))
    np.testing.assert_array_equal((s, y), np.ones((2, 2)))
    _, y = cell((s, count), np.ones(2))
    np.testing.assert_array_equal(y, 2)
    _, y = rnnc.loads(TEXT).Count(2)((), np.ones(2))
    np.testing.assert_array_equal(y, 0)


def test_counting_is_no_recurrence() -> None:
    kinds = {name: str(rnnc.compile(getattr(CELLS, name)(4)).recurrence.kind)
             for name in ("Clock", "Count", "Add")}  # fmt: skip
    assert kinds == {"Clock": "NL-DENSE", "Count": "NONE", "Add": "LIN-DIAG"}
    assert "every step by itself" in rnnc.compile(CELLS.Count(4)).recurrence.words


def test_gradients_agree_with_central_differences() -> None:
    net, xs = net_of(), sequence()
    draws = np.random.default_rng(3)
    d_ys = draws.standard_normal((STEPS, ROWS, 4))
    net.scan(xs)
    grads = net.backward((d_ys, None))
    for name in ("W", "U"):
        base = np.asarray(net.params[name]).copy()
        along = draws.standard_normal(base.shape)
        ends = []
        for step in (1e-6, -1e-6):
            other = net_of()
            other.load_params({**net.params, name: base + step * along})
            ends.append(other.scan(xs)[0])
        wanted = np.sum(d_ys * (ends[0] - ends[1])) / 2e-6
        assert np.sum(grads.params[name] * along) == pytest.approx(wanted, rel=1e-6)


def test_nothing_is_differentiated_along_it() -> None:
    net = net_of("Add")
    net.scan(np.ones((3, ROWS, 4)))
    grads = net.backward(np.ones((3, ROWS, 4)))
    np.testing.assert_array_equal(grads.state["t@0"], 0)


@pytest.mark.torch
@kernels
@pytest.mark.parametrize("name", ["Clock", "Count", "Add"])
def test_kernels_count_as_the_oracle_does(name: str) -> None:
    pytest.importorskip("triton", reason="needs triton")
    program = Program(getattr(CELLS, name)(4).cell, "float32", backend="triton")
    for masks in ((), ("starts", "boundaries", "valid")):
        assert not compare(program, masks)


@pytest.mark.torch
def test_a_module_counts_and_takes_states_without_it() -> None:
    torch = pytest.importorskip("torch", reason="needs torch")
    import rnnc.torch

    module = rnnc.torch.Recur(CELLS.Add(4), dtype=torch.float64)
    xs = torch.ones(3, ROWS, 4, dtype=torch.float64)
    ys, state = module(xs)
    assert ys[:, 0, 0].tolist() == [5, 6, 8]
    assert module(xs, state)[0][:, 0, 0].tolist() == [11, 15, 20]
    assert module(xs, {"s": state["s"]})[0][:, 0, 0].tolist() == [8, 9, 11]
    net = rnnc.torch.Stateful(module)
    net(xs)
    net.state = {"s": torch.zeros(ROWS, 4, dtype=torch.float64)}
    net.reset(rows=[0])
    assert net(xs)[:, :2, 0].tolist() == [[5, 0], [6, 1], [8, 3]]
