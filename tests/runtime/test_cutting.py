"""Cutting a sequence into calls changes neither values nor gradients, for every standard cell.

What `test_recur.py` holds against one cell by hand is held here against the whole in one call.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.runtime.models import random

# Cells with one real input; two states and one, a matrix state, a state linear in itself, a chain.
NETS: dict[str, Callable[[], Any]] = {
    "RNN": lambda: rnnc.cells.RNN(3, 4),
    "LSTM": lambda: rnnc.cells.LSTM(3, 4),
    "GRU": lambda: rnnc.cells.GRU(3, 4),
    "SLSTM": lambda: rnnc.cells.SLSTM(3, 4, 2),
    "DeltaNet": lambda: rnnc.cells.DeltaNet(3, 4, 4),
    "MinGRU": lambda: rnnc.cells.MinGRU(3, 4),
}
TOTAL = 110
CUTS: dict[str, list[int]] = {
    "one call": [],
    "single steps": list(range(1, TOTAL)),
    "the first step alone": [1],
    "the last step alone": [TOTAL - 1],
    "chunks of ten": list(range(10, TOTAL, 10)),
    "mixed": [1, 2, 3, 20, 20, 53, 54, 55, 90, 109],  # with a call of no steps
}


def net_of(name: str, **keywords: Any) -> Recur:
    return Recur(NETS[name](), **{"dtype": "float64", "seed": 3, **keywords})


def run(net: Recur, xs: Any, cuts: list[int]) -> Any:
    """The outputs of calls that end at `cuts`; one of a single step is a step, not a sequence."""
    ys = []
    for start, stop in pairwise([0, *cuts, len(xs)]):
        ys.append(net(xs[start])[None] if stop == start + 1 else net.scan(xs[start:stop]))
    return np.concatenate(ys)


def results(net: Recur, ys: Any, d_ys: Any, d_state: Any) -> dict[str, Any]:
    """All that a net gives, by name."""
    grads = net.backward(d_ys, d_state)
    found = {"ys": ys, "d_xs": grads.inputs}
    found |= {f"state {name}": value for name, value in net.state.items()}
    found |= {f"d_state {name}": value for name, value in grads.state.items()}
    return found | {f"d_{name}": value for name, value in grads.params.items()}


def cotangents(net: Recur, steps: int, rows: int) -> tuple[Any, Any]:
    d_state = {n: random(*a.shape, seed=at + 5) for at, (n, a) in enumerate(net.state.items())}
    return random(steps, rows, 4, seed=1), d_state


def assert_equal(found: dict[str, Any], wanted: dict[str, Any], tolerance: float) -> None:
    __tracebackhide__ = True
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        scale = float(np.max(np.abs(value), initial=1.0))
        np.testing.assert_allclose(found[name], value, 0, tolerance * scale, err_msg=name)


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", NETS)
def test_the_gradient_of_the_pieces_is_that_of_the_whole(name: str, cuts: str) -> None:
    xs = random(TOTAL, 2, 3)
    whole, pieces = net_of(name), net_of(name)
    ys = whole.scan(xs)
    d_ys, d_state = cotangents(whole, TOTAL, 2)
    found = run(pieces, xs, CUTS[cuts])
    assert_equal(results(pieces, found, d_ys, d_state), results(whole, ys, d_ys, d_state), 1e-12)
    assert pieces.backward(d_ys).steps == TOTAL


@pytest.mark.parametrize("cuts", CUTS)
@pytest.mark.parametrize("name", NETS)
def test_after_truncate_the_gradient_is_that_of_the_rest(name: str, cuts: str) -> None:
    xs = random(TOTAL, 2, 3)
    net, rest = net_of(name), net_of(name)
    before = run(net, xs[:100], [c for c in CUTS[cuts] if c < 100])
    net.truncate()
    state = dict(net.state)
    ys = run(net, xs[100:], [c - 100 for c in CUTS[cuts] if c > 100])

    rest.state = state
    wanted = rest.scan(xs[100:])
    d_ys, d_state = cotangents(rest, 10, 2)
    assert_equal(results(net, ys, d_ys, d_state), results(rest, wanted, d_ys, d_state), 1e-12)
    assert len(before) == 100
    assert net.backward(d_ys).steps == 10


@pytest.mark.parametrize("name", NETS)
def test_executed_backward_steps_are_counted(name: str) -> None:
    """By the program itself, not by what the net believes: 100, then 110, then 10."""
    net, xs = net_of(name), random(TOTAL + 10, 3)
    executed = []

    def backward(ys: list[Any]) -> None:
        before = net._program.counts["backward"]
        net.backward(ys)
        executed.append(net._program.counts["backward"] - before)

    ys = [net(x) for x in xs[:100]]
    backward(ys)
    ys += [net(x) for x in xs[100:110]]
    backward(ys)
    net.truncate()
    backward([net(x) for x in xs[110:]])
    assert executed == [100, 110, 10]


EXACT = 37


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("name", NETS)
def test_exact_gives_the_same_bits_for_every_split(name: str, dtype: str) -> None:
    """Every split of 37 steps in two, and single steps: values, states and gradients."""
    xs = random(EXACT, 2, 3)
    net = net_of(name, dtype=dtype, exact=True)
    ys = net.scan(xs)
    d_ys, d_state = cotangents(net, EXACT, 2)
    wanted = results(net, ys, d_ys, d_state)
    for cuts in [*([at] for at in range(1, EXACT)), list(range(1, EXACT))]:
        net.reset()
        found = results(net, run(net, xs, cuts), d_ys, d_state)
        for key, value in wanted.items():
            np.testing.assert_array_equal(found[key], value, f"{key}, cut at {cuts}")


@pytest.mark.parametrize("batch", [None, 1, 5])
def test_exact_gives_the_same_bits_at_sizes_where_products_choose_other_kernels(
    batch: int | None,
) -> None:
    """A product of one row, of a few and of many rows are three programs within BLAS."""
    net = rnnc.LSTM(96, 160, exact=True)
    xs = random(EXACT, *(() if batch is None else (batch,)), 96)
    wanted = net.scan(xs)
    for cuts in [[1], [4, 5, 20], list(range(1, EXACT))]:
        net.reset()
        np.testing.assert_array_equal(run(net, xs, cuts), wanted, f"cut at {cuts}")


@pytest.mark.parametrize("name", NETS)
def test_a_row_does_not_see_the_rows_beside_it(name: str) -> None:
    """Not even when one of them is no number."""
    net, xs = net_of(name), random(6, 4, 3)
    found = []
    for poison in (0.5, np.nan):
        xs[2:, 1] = poison
        ys = net.scan(xs)
        d_ys, d_state = cotangents(net, 6, 4)
        found.append(results(net, ys, d_ys, d_state))
        net.reset()
    others = [0, 2, 3]
    clean, poisoned = found
    for key in ("ys", "d_xs"):
        np.testing.assert_array_equal(poisoned[key][:, others], clean[key][:, others], key)
        assert np.isnan(poisoned[key][2:, 1]).all(), key
    for key in (key for key in clean if key.startswith(("state", "d_state"))):
        np.testing.assert_array_equal(poisoned[key][others], clean[key][others], key)
