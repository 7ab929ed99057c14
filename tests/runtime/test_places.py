"""Resets to given values: `starts_at` within a call, `reset(rows=, state=)` between calls."""

from __future__ import annotations

import pickle
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from rnnc.runtime.tolerance import BOUNDS
from tests.runtime.models import close, elman, leaky, numpy_of, random
from tests.runtime.pieces import Row, assert_alike, by_masks, by_pieces, side_by_side
from tests.runtime.test_pieces import (
    CELLS,
    GRADIENTS,
    VALUES,
    net_of,
    random_rows,
    with_patterns,
)


def placed(rows: list[Row], *, poison: float | None = None) -> list[Row]:
    """Rows whose resets go to values of their own; `poison` is what stands where none is."""
    found = []
    for at, row in enumerate(rows):
        rng = np.random.default_rng([at, 17])
        values = {
            n: rng.standard_normal((len(row.starts), *d.shape)) for n, d in row.d_state.items()
        }
        if poison is not None:
            unread = ~row.starts | (np.arange(len(row.starts)) >= row.length)
            for value in values.values():
                value[unread] = poison
        found.append(replace(row, places=values))
    return found


def assert_as_pieces(name: str, rows: list[Row], *masks: str) -> None:
    __tracebackhide__ = True
    wanted = side_by_side([by_pieces(lambda: net_of(name), row) for row in rows])
    assert_alike(by_masks(net_of(name), rows, *masks), wanted, VALUES, GRADIENTS)


# -- within a call ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fresh", [True, False], ids=["initial state", "given state"])
@pytest.mark.parametrize("steps", [0, 1, 2, 3, 4])
@pytest.mark.parametrize("name", CELLS)
def test_every_pattern_goes_on_from_its_values(name: str, steps: int, fresh: bool) -> None:
    rows = placed(with_patterns(name, steps, 0, fresh=fresh))
    assert_as_pieces(name, rows, "starts", "lengths")


@pytest.mark.parametrize("name", CELLS)
def test_random_patterns_with_lengths_and_boundaries(name: str) -> None:
    for seed, (steps, batch) in enumerate([(7, 3), (40, 5), (60, 2)]):
        rows = placed(random_rows(name, steps, batch, seed, "starts lengths boundaries"))
        assert_as_pieces(name, rows, "starts", "lengths", "boundaries")


@pytest.mark.parametrize("name", CELLS)
def test_values_of_rows_that_are_not_reset_are_not_read(name: str) -> None:
    rows = random_rows(name, 9, 4, 2, "starts lengths")
    found, wanted = (
        by_masks(net_of(name), placed(rows, poison=poison), "starts", "lengths")
        for poison in (np.nan, 0.0)
    )
    assert_alike(found, wanted, 0.0, 0.0)


def test_one_value_for_every_step_and_any_axes() -> None:
    xs, starts, value = random(6, 2, 3), np.eye(6, 2, k=-2, dtype=bool), random(2, 4, seed=3)
    d_ys = random(6, 2, 4, seed=1)

    def run(values: Any, **keywords: Any) -> tuple[Any, Any]:
        net, first = elman(**keywords), bool(keywords)

        def turned(a: Any) -> Any:
            return a.swapaxes(0, 1) if first else a

        ys = net.scan(turned(xs), starts=turned(starts), starts_at={"h": values})
        grads = net.backward(turned(d_ys))
        return turned(ys), turned(grads.starts["h"])

    each = np.broadcast_to(value, (6, 2, 4))
    wanted, d_each = run(each)
    for found, d in (
        run(value),
        run(each.swapaxes(0, 1), batch_first=True),
        run(value, batch_first=True),
    ):
        close(found, wanted, 0)
        close(d, d_each, 0)
    alone = elman()
    for values in (value[0], each[:, 0]):
        alone.reset()
        close(alone.scan(xs[:, 0], starts=starts[:, 0], starts_at={"h": values}), wanted[:, 0])
        d_alone = alone.backward(d_ys[:, 0]).starts["h"]
        assert d_alone.shape == (6, 4)
        close(d_alone, d_each[:, 0])


def test_a_learned_initial_state_is_not_asked() -> None:
    net, starts = elman(), np.ones((3, 2), bool)
    values = random(2, 4)
    net.scan(random(3, 2, 3), starts=starts, starts_at={"h": values})
    grads = net.backward(random(3, 2, 4))
    assert not grads.params["h0"].any()
    assert grads.starts["h"].all()


def test_the_trace_starts_from_them() -> None:
    net, starts, values = elman(), np.eye(4, 2, k=-1, dtype=bool), random(2, 4)
    traced = net.trace(random(4, 2, 3), starts=starts, starts_at={"h": values})
    ys = net.scan(random(4, 2, 3), starts=starts, starts_at={"h": values})
    close(traced["h'"], ys)


# -- between calls ---------------------------------------------------------------------------------


@pytest.mark.parametrize("name", CELLS)
def test_a_reset_between_calls_is_one_within(name: str) -> None:
    steps, cuts = 9, [0, 2, 3, 3, 7, 9]
    rows = placed([replace(r, length=steps) for r in random_rows(name, steps, 3, 2, "starts")])
    starts = np.stack([row.starts for row in rows], 1)
    starts[[t for t in range(steps) if t not in cuts]] = False
    starts[[2, 7], [0, 1]] = True
    rows = [replace(row, starts=starts[:, b]) for b, row in enumerate(rows)]
    wanted = side_by_side([by_pieces(lambda: net_of(name), row) for row in rows])
    net = net_of(name)
    net.state = {n: np.stack([(r.first or {})[n] for r in rows]) for n in net.state}
    values = {n: np.stack([(r.places or {})[n] for r in rows], 1) for n in net.state}
    xs = tuple(np.stack(parts, 1) for parts in zip(*(r.xs for r in rows), strict=True))
    for begin, end in pairwise(cuts):
        if begin < steps and starts[begin].any():
            net.reset(rows=starts[begin], state={n: v[begin] for n, v in values.items()})
        given = tuple(x[begin:end] for x in xs)
        net.scan(given if len(given) > 1 else given[0])
    close(dict(net.state), wanted.state)
    d_ys = tuple(np.stack(parts, 1) for parts in zip(*(r.d_ys for r in rows), strict=True))
    d_state = {n: np.stack([r.d_state[n] for r in rows]) for n in net.state}
    grads = net.backward(d_ys if len(d_ys) > 1 else d_ys[0], d_state)
    close(grads.params, wanted.d_params, GRADIENTS)
    close(grads.state, wanted.d_first, GRADIENTS)
    close(grads.starts, wanted.d_places, GRADIENTS)


@pytest.mark.parametrize("training", [True, False])
def test_the_last_reset_of_a_row_holds(training: bool) -> None:
    def prepared() -> Recur:
        net = elman()
        net.scan(random(3, 3, 3))
        return net if training else net.eval()

    xs, one, other = random(2, 3, 3, seed=4), random(3, 4, seed=5), random(3, 4, seed=6)
    net = prepared()
    net.reset(rows=[0, 1], state={"h": one})
    net.reset(rows=[0])
    net.reset(rows=[2])
    net.reset(rows=[1, 2], state={"h": other})
    h0 = net.params["h0"]
    close(net.state["h"], np.stack([h0, other[1], other[2]]), 0)
    twin = prepared()
    twin.truncate()
    twin.state = {"h": np.stack([h0, other[1], other[2]])}
    close(net.scan(xs), twin.scan(xs), 0)

    # Within the next call a reset is later still.
    starts = np.zeros((2, 3), bool)
    starts[0, 1] = True
    for values, row in ((None, h0), ({"h": one}, one[1])):
        net, twin = prepared(), prepared()
        net.reset(rows=[1, 2], state={"h": other})
        twin.reset(rows=[2], state={"h": other})
        twin.reset(rows=[1], state={"h": np.tile(row, (3, 1))})
        close(net.scan(xs, starts=starts, starts_at=values), twin.scan(xs), 0)


def test_rows_of_a_net_that_has_not_run() -> None:
    net, value, xs = elman(), random(2, 4), random(3, 2, 3)
    net.reset(rows=[1], state={"h": value})
    close(net.state["h"], np.stack([net.params["h0"], value[1]]), 0)
    ys = net.scan(xs)
    grads = net.backward(np.ones_like(ys))
    within = elman()
    close(within.scan(xs, starts=np.eye(3, 2, k=1, dtype=bool), starts_at={"h": value}), ys, 0)
    wanted = within.backward(np.ones_like(ys))
    close(grads.params, wanted.params)
    close(grads.starts, wanted.starts)
    assert grads.params["h0"].any()  # of the other row

    net = elman()
    net.reset(rows=[1], state={"h": value})
    net.reset(rows=[1])
    close(net.scan(xs), elman().scan(xs), 0)


def test_a_net_that_has_not_run_takes_a_state_with_rows() -> None:
    net = elman()
    with pytest.raises(ValueError, match=r"h is \[batch, 4\], got \[4\]"):
        net.reset(rows=[0], state={"h": np.zeros(4)})
    with pytest.raises(IndexError, match="row 2, but the state has 2 rows"):
        net.reset(rows=[2], state={"h": np.zeros((2, 4))})
    net.scan(random(4, 5, 3))  # of any number of rows


def test_a_row_that_runs_no_step_waits_on() -> None:
    net, value, xs = elman(), random(2, 4), random(3, 2, 3)
    net.scan(xs)
    net.reset(rows=[0, 1], state={"h": value})
    net.scan(xs[:0])
    net.scan(xs, lengths=[3, 0])
    close(net.state["h"][1], value[1], 0)
    net.scan(xs)
    grads = net.backward(random(9, 2, 4))
    assert grads.starts["h"][3, 0].all() and grads.starts["h"][6, 1].all()
    assert np.count_nonzero(grads.starts["h"].any(-1)) == 2


def test_the_cotangent_of_a_state_that_waits_is_the_users() -> None:
    net, xs, value = elman(), random(3, 2, 3), random(2, 4)
    net.scan(xs)
    net.reset(rows=[0], state={"h": value})
    d_state = random(2, 4)
    found = net.backward(None, {"h": d_state})
    d_state[0] = 0
    twin = elman()
    twin.scan(xs)
    close(found.params, twin.backward(None, {"h": d_state}).params, 0)
    assert not found.starts


def test_nothing_was_reset_to_values_and_nothing_is_returned() -> None:
    net = elman()
    net.scan(random(3, 2, 3), starts=[0, 1, 0])
    assert net.backward(random(3, 2, 4)).starts == {}


def test_calls_that_return_states_go_on_from_the_values_too() -> None:
    xs, d_ys, d_hs = random(7, 2, 3), random(7, 2, 4), random(7, 2, 4, seed=2)
    masks: dict[str, Any] = {
        "starts": np.random.default_rng(0).random((7, 2)) < 0.4,
        "starts_at": {"h": random(7, 2, 4, seed=1)},
        "lengths": [7, 5],
    }
    net, plain = elman(), elman()
    ys, states = net.scan(xs, states=True, **masks)
    close(ys, plain.scan(xs, **masks))
    close(states["h"], np.where((np.arange(7)[:, None] < [7, 5])[..., None], ys, ys[4]))
    # Of this cell the states are the outputs, and past a row's length the last of them.
    d_held = d_hs.copy()
    d_held[4, 1] += d_held[5:, 1].sum(axis=0)
    found, wanted = net.backward(d_ys, d_states={"h": d_hs}), plain.backward(d_ys + d_held)
    close(found.params, wanted.params)
    close(found.starts["h"], wanted.starts["h"])
    net.reset(rows=[1], state={"h": np.full((2, 4), 0.5)})
    net.scan(xs)
    net.scan(xs, states=True)
    found = net.backward(np.ones((21, 2, 4)), d_states=[{"h": d_hs}, None, {"h": d_hs}])
    assert found.starts["h"].shape == (21, 2, 4)
    assert np.argwhere(found.starts["h"][7:].any(axis=2)).tolist() == [[0, 1]]


@pytest.mark.parametrize("window", [1, 2, 4, 9])
def test_a_window_forgets_them_with_their_steps(window: int) -> None:
    xs, d_ys, values = random(7, 2, 3), random(7, 2, 4), random(7, 2, 4, seed=1)
    starts = np.random.default_rng(0).random((7, 2)) < 0.4
    whole, net = elman(), elman(history=window)
    for part in (slice(0, 3), slice(3, 7)):
        masks: dict[str, Any] = {"starts": starts[part], "starts_at": {"h": values[part]}}
        whole.scan(xs[part], **masks)
        net.scan(xs[part], **masks)
    cut = d_ys.copy()
    first = max(0, 7 - window)
    cut[:first] = 0
    wanted, found = whole.backward(cut), net.backward(d_ys[first:])
    close(found.starts["h"], wanted.starts["h"][first:])


def test_a_checkpoint_keeps_what_waits(tmp_path: Any) -> None:
    pytest.importorskip("safetensors")
    xs, value = random(3, 2, 3), random(2, 4)
    net = elman()
    net.scan(xs)
    net.reset(rows=[1], state={"h": value})
    net.save(tmp_path / "net")
    again = rnnc.load_net(tmp_path / "net")
    close(again.state, dict(net.state), 0)
    close(again.scan(xs), net.scan(xs), 0)


@pytest.mark.parametrize("by_file", [True, False], ids=["file", "pickle"])
def test_rows_that_are_not_placed_keep_their_learned_start(by_file: bool, tmp_path: Any) -> None:
    pytest.importorskip("safetensors")
    net = elman()
    net.reset(rows=[1], state={"h": random(2, 4)})
    net.save(tmp_path / "net")
    again = rnnc.load_net(tmp_path / "net") if by_file else pickle.loads(pickle.dumps(net))
    moved = {"h0": random(*net.params["h0"].shape, seed=1)}
    for each in (net, again):
        each.load_params(moved)
    close(again.state, dict(net.state), 0)
    ys = net.scan(random(3, 2, 3))
    close(again.scan(random(3, 2, 3)), ys, 0)
    close(again.backward(ys).params, net.backward(ys).params)


# -- on tensors, in kernels ------------------------------------------------------------------------


@pytest.mark.torch
@pytest.mark.usefixtures("stand_in")
def test_tensors_are_taken_and_returned() -> None:
    import torch

    net, host = elman(), elman(backend="numpy")
    xs, starts, values = random(4, 2, 3), np.eye(4, 2, k=-1, dtype=bool), random(2, 4)
    ys = net.scan(
        torch.tensor(xs), starts=torch.tensor(starts), starts_at={"h": torch.tensor(values)}
    )
    net.reset(rows=torch.tensor([True, False]), state={"h": torch.tensor(values)})
    y = net(torch.tensor(xs[0]))
    host.scan(xs, starts=starts, starts_at={"h": values})
    host.reset(rows=[0], state={"h": values})
    wanted = host(xs[0])
    close(y, wanted)
    found = net.backward([torch.ones_like(ys), torch.ones_like(y)])
    theirs = host.backward([np.ones((4, 2, 4)), np.ones((2, 4))])
    assert isinstance(found.starts["h"], torch.Tensor)
    close(numpy_of(found.starts), theirs.starts)
    close(numpy_of(found.params), theirs.params)


@pytest.mark.torch
@pytest.mark.parametrize(("name", "dtype"), [("Elman", "float64"), ("Leaky", "float32")])
def test_kernels_go_on_from_the_values(name: str, dtype: str) -> None:
    pytest.importorskip("triton")
    net = net_of(name, backend="triton", dtype=dtype)
    params = {path: np.asarray(value, float) for path, value in net.params.items()}

    def twin() -> Recur:
        made = net_of(name)
        made.load_params(params)
        return made

    rows = placed(with_patterns(name, 3, 0, fresh=False)[::2])
    found = by_masks(net, rows, "starts", "lengths", "boundaries")
    wanted = side_by_side([by_pieces(twin, row) for row in rows])
    assert_alike(found, wanted, BOUNDS[dtype].values, BOUNDS[dtype].gradients)


@pytest.mark.torch
def test_narrow_nets_take_values_as_wide_as_their_states() -> None:
    pytest.importorskip("triton")
    import torch

    net = rnnc.GRU(3, 4, backend="triton", dtype="bfloat16")
    xs = torch.ones(3, 2, 3, dtype=torch.bfloat16)
    starts, value = torch.ones(3, 2, dtype=torch.bool), torch.ones(2, 4)
    ys = net.scan(xs, starts=starts, starts_at={"h": value})
    net.reset(rows=[0], state={"h": value})
    y = net(xs[0])
    assert (y[0] == ys[0, 0]).all()
    grads = net.backward([torch.ones_like(ys), torch.ones_like(y)])
    assert grads.starts["h"].shape == (4, 2, 4)


def test_values_may_be_of_several_states() -> None:
    net = leaky()
    xs, dts = random(4, 2, 3), 0.1 + np.abs(random(4, 2))
    values = {"h": random(2, 2), "mass": random(2, seed=1)}
    net.scan((xs, dts), starts=[0, 0, 1, 0], starts_at=values)
    grads = net.backward((random(4, 2, 2), random(4, 2)))
    assert {name: d.shape for name, d in grads.starts.items()} == {"h": (4, 2, 2), "mass": (4, 2)}
