"""`Stack`: layer by layer over whole sequences, against one loop, loops by hand and differences."""

from __future__ import annotations

import copy
import zlib
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.draws import Draw, drawn, key_of
from rnnc.runtime.stack import Stack
from tests.runtime.models import bound, close, numpy_of, random

STEPS, BATCH, LENGTHS = 6, 3, [6, 2, 4]


def cells() -> list[Any]:
    return [rnnc.LSTMCell(3, 4), bound("Elman", 4, 4), rnnc.GRUCell(4, 2)]


def stack(**keywords: Any) -> Stack:
    return rnnc.Stack(cells(), **{"dtype": "float64", "seed": 5, **keywords})


def mixed(**keywords: Any) -> Stack:
    """With both directions in the middle."""
    elman = bound("Elman", 4, 2)
    layers = [rnnc.LSTMCell(3, 4), rnnc.Bidirectional(elman, elman), rnnc.GRUCell(4, 4)]
    return rnnc.Stack(layers, **{"dtype": "float64", "seed": 5, **keywords})


@pytest.mark.usefixtures("each_library")
def test_layers_one_after_the_other_are_the_layers_in_one_loop() -> None:
    net = stack()
    loop = rnnc.Chain(*cells(), dtype="float64", seed=5)
    close(dict(net.params), dict(loop.params), 0)  # drawn by their paths
    xs, starts = random(STEPS, BATCH, 3), np.zeros((STEPS, BATCH), bool)
    starts[3, 0] = True
    d_ys: list[Array] = []
    d_state = {name: random(BATCH, 4, seed=7) for name in ("0.c", "1.h")}
    for given in ({}, {"lengths": LENGTHS}, {"starts": starts}, {"boundaries": 4}):
        arguments: Any = given
        close(net.scan(xs, **arguments), loop.scan(xs, **arguments))
        d_ys.append(random(STEPS, BATCH, 2, seed=len(d_ys)))
    close(net(xs[0]), loop(xs[0]))
    d_ys.append(random(BATCH, 2, seed=9))
    close(dict(net.state), dict(loop.state))
    found, wanted = net.backward(d_ys, d_state), loop.backward(d_ys, d_state)
    for name in ("params", "state"):
        close(getattr(found, name), getattr(wanted, name))
    close(found.inputs, wanted.inputs)
    assert found.steps == wanted.steps == net.recorded == 4 * STEPS + 1

    for both in (net, loop):
        both.truncate()
        both.reset(rows=[1])
    close(net.scan(xs), loop.scan(xs))
    close(net.backward(d_ys[0]).params, loop.backward(d_ys[0]).params)


@pytest.mark.usefixtures("each_library")
def test_states_of_every_layer_and_step_are_those_of_the_loop() -> None:
    net, loop = stack(), rnnc.Chain(*cells(), dtype="float64", seed=5)
    xs = random(STEPS, BATCH, 3)
    d_states: list[Any] = []
    for at in range(2):
        (ys, states), (_, wanted) = (
            one.scan(xs, lengths=LENGTHS, states=True) for one in (net, loop)
        )
        close(states, wanted)
        d_states.append({
            name: random(*numpy_of(value).shape, seed=at + len(name))
            for name, value in states.items()
        })  # fmt: skip
        for one in (net, loop):
            one(xs[0])
        d_states.append(None)
    d_last = {"2.h": random(BATCH, 2, seed=3)}
    found, wanted = (one.backward(None, d_last, d_states) for one in (net, loop))
    close(found.params, wanted.params)
    close(found.inputs, wanted.inputs)
    close(found.state, wanted.state)
    assert numpy_of(ys).shape == (STEPS, BATCH, 2)


def options() -> list[dict[str, Any]]:
    return [
        {},
        {"residual": [1, 2]},
        {"dropout": 0.4, "residual": [2]},
        {"dropout": 0.4, "per_sequence": True},
    ]


@pytest.mark.parametrize("keywords", options())
def test_gradients_over_several_calls_equal_central_differences(keywords: dict[str, Any]) -> None:
    net, xs = mixed(**keywords), random(9, BATCH, 3)
    starts = np.zeros((3, BATCH), bool)
    starts[2, 1] = True
    xs[2:5, 1] = 0
    start = {name: random(BATCH, *value.shape, seed=4) for name, value in net.state.items()}
    net.state = start
    first, d_ys = copy.copy(net), random(9, BATCH, 4, seed=1)

    def loss(state: Any, params: Any, inputs: Array) -> float:
        other = copy.copy(first)  # the same position in the stream, so the same masks
        other.load_params(params)
        other.state = state
        return float((run(other, inputs) * d_ys).sum())

    def run(other: Stack, inputs: Array) -> Array:
        pieces = [
            other.scan(inputs[:5], lengths=[5, 2, 4]),
            other.scan(inputs[5:6]),
            other.scan(inputs[6:], starts=starts),
        ]
        return np.concatenate(pieces)

    params = dict(net.params)
    run(net, xs)
    grads = net.backward(d_ys)

    def check(found: Array, at: Array, moved: Callable[[Array], float], name: str) -> None:
        direction, step = random(*at.shape, seed=9), 1e-6
        slope = (moved(at + step * direction) - moved(at - step * direction)) / (2 * step)
        np.testing.assert_allclose((found * direction).sum(), slope, 1e-6, 1e-6, err_msg=name)

    check(grads.inputs, xs, lambda moved: loss(start, params, moved), "inputs")
    for name in start:

        def from_state(moved: Array, name: str = name) -> float:
            return loss(start | {name: moved}, params, xs)

        check(grads.state[name], start[name], from_state, name)
    for name in grads.params:

        def with_params(moved: Array, name: str = name) -> float:
            return loss(start, params | {name: moved}, xs)

        check(grads.params[name], params[name], with_params, name)
    assert not grads.inputs[2:5, 1].any() and not grads.inputs[4, 2].any()


@pytest.mark.usefixtures("each_library")
def test_a_residual_connection_adds_what_a_layer_read() -> None:
    net = mixed(residual=[1, 2])
    plain, xs = mixed(), random(STEPS, BATCH, 3)
    elman = bound("Elman", 4, 2)
    layers: list[Any] = [
        rnnc.LSTM(3, 4, dtype="float64"),
        rnnc.Bidirectional(elman, elman, dtype="float64"),
        rnnc.GRU(4, 4, dtype="float64"),
    ]
    for at, layer in enumerate(layers):
        head = f"{at}."
        layer.load_params(
            {n.removeprefix(head): v for n, v in plain.params.items() if n.startswith(head)}
        )
    x = numpy_of(layers[0].scan(xs))
    x = x + numpy_of(layers[1].scan(x))
    x = x + numpy_of(layers[2].scan(x))
    close(net.scan(xs), x)


@pytest.mark.parametrize("residual", [False, True])
def test_nan_in_padding_reaches_nothing(residual: bool) -> None:
    layers = [rnnc.GRUCell(4, 4), rnnc.Bidirectional(rnnc.GRUCell(4, 2), rnnc.GRUCell(4, 2))]
    net = rnnc.Stack(layers, dtype="float64", residual=residual, dropout=0.3)
    xs, d_ys = random(STEPS, BATCH, 4), random(STEPS, BATCH, 4, seed=1)
    twin = copy.copy(net)
    padded, d_padded = xs.copy(), d_ys.copy()
    for row, length in enumerate(LENGTHS):
        padded[length:, row] = np.nan
        d_padded[length:, row] = 100
    ys = net.scan(padded, lengths=LENGTHS)
    close(ys, twin.scan(xs, lengths=LENGTHS), 0)
    found, wanted = net.backward(d_padded), twin.backward(d_ys)
    close(found.params, wanted.params, 0)
    close(found.inputs, wanted.inputs, 0)
    for row, length in enumerate(LENGTHS):
        assert not ys[length:, row].any() and not found.inputs[length:, row].any()


IDENTITY = "cell Same(n): ((), x[n]) -> ((), y) { y = x }"


def same(layers: int = 2, features: int = 50, **keywords: Any) -> Stack:
    cell = rnnc.loads(IDENTITY).Same(features)
    return rnnc.Stack([cell] * layers, **{"dtype": "float64", "seed": 1, **keywords})


def test_dropout_drops_at_its_rate_scales_the_rest_and_nothing_in_eval_mode() -> None:
    xs = np.ones((100, 8, 50))
    for rate in (0.1, 0.5, 0.9):
        net = same(dropout=rate)
        ys = net.scan(xs)
        assert set(np.unique(ys)) == {0.0, 1 / (1 - rate)}
        assert abs(ys.mean() - 1) < 5 * np.sqrt(rate / (1 - rate) / ys.size)
        close(net.backward(np.ones_like(ys)).inputs, ys)  # what was dropped has no gradient
        net.eval()
        assert (net.scan(xs) == 1).all()
    assert (same(layers=1, dropout=0.5).scan(xs) == 1).all()  # between layers only


def test_dropout_is_drawn_anew_for_every_step_layer_and_call_and_again_from_the_seed() -> None:
    xs = np.ones((20, 4, 50))
    net, again, other = same(dropout=0.5), same(dropout=0.5), same(dropout=0.5, seed=2)
    ys = net.scan(xs)
    assert np.array_equal(ys, again.scan(xs)) and not np.array_equal(ys, other.scan(xs))
    later = net.scan(xs)
    masks = np.concatenate([ys, later]).reshape(40, -1) > 0
    assert len(np.unique(masks, axis=0)) == 40  # no two steps alike
    deep = same(layers=3, dropout=0.5).scan(xs) > 0
    assert not np.array_equal(deep, ys > 0) and (ys[deep] > 0).all()
    assert abs(deep.mean() - 0.25) < 0.02


def test_what_is_dropped_follows_from_the_draws_of_the_layer() -> None:
    net = same(layers=3, dropout=0.4, seed=7)
    net.scan(np.ones((2, 4, 50)))
    factors = []
    for layer in (1, 2):
        uniform = drawn(
            Draw("", "uniform", (50,)), key_of(7, zlib.crc32(f"dropout {layer}".encode())), 2, 20, 4
        )
        factors.append(np.where(uniform > 0.4, 1 / 0.6, 0))
    close(net.scan(np.ones((20, 4, 50))), factors[0] * factors[1])


@pytest.mark.parametrize("cuts", [[3, 4], list(range(1, 20)), [0, 19]])
def test_dropout_does_not_depend_on_how_a_sequence_is_cut(cuts: list[int]) -> None:
    net, xs = same(dropout=0.5), random(20, 4, 50)
    whole = net.scan(xs)
    pieces, again = np.split(xs, cuts), same(dropout=0.5)
    close(np.concatenate([again.scan(piece) for piece in pieces]), whole, 0)
    steps = same(dropout=0.5)
    close(np.stack([steps(x) for x in xs]), whole, 0)
    close(same(dropout=0.5).scan(xs[:, :2]), whole[:, :2], 0)  # nor on the rows beside it


def test_one_mask_per_sequence_is_held_over_a_call() -> None:
    net, xs = same(dropout=0.5, per_sequence=True), np.ones((20, 4, 50))
    first, second = net.scan(xs), net.scan(xs)
    for ys in (first, second):
        assert (ys == ys[0]).all() and len(np.unique(ys[0], axis=0)) == 4
    assert not np.array_equal(first, second)


def test_no_steps_and_no_rows_are_a_call_like_others() -> None:
    for steps, batch in ((0, 2), (3, 0), (0, 0)):
        net = mixed(dropout=0.5, residual=[1, 2])
        ys = net.scan(np.zeros((steps, batch, 3)), lengths=[0] * batch)
        grads = net.backward(np.zeros_like(ys))
        assert ys.shape == (steps, batch, 4) and grads.inputs.shape == (steps, batch, 3)
        assert not any(gradient.any() for gradient in grads.params.values())


def test_a_fork_drops_what_the_net_would_have_dropped() -> None:
    net, xs = mixed(dropout=0.5), random(STEPS, BATCH, 3)
    net.scan(xs)
    fork = copy.deepcopy(net)
    close(fork.scan(xs), net.scan(xs), 0)
    fork.reset()
    assert net.recorded == 2 * STEPS and fork.recorded == 0


def test_tokens_go_in_through_an_embedding() -> None:
    net = rnnc.Stack([bound("Embedding", 7, 3), rnnc.GRUCell(3, 4)], dtype="float64")
    ys = net.scan(np.array([[1, 2], [6, 0], [3, 3]]))
    grads = net.backward(np.ones_like(ys))
    assert ys.shape == (3, 2, 4) and grads.inputs is None
    assert not grads.params["0.E"][[4, 5]].any() and grads.params["0.E"][3].all()


@pytest.mark.torch
def test_kernels_compute_what_numpy_does() -> None:
    pytest.importorskip("triton")
    xs, found = random(3, 2, 3), []
    for backend in ("numpy", "triton"):
        cell = bound("Elman", 4, 2)
        net = rnnc.Stack([rnnc.GRUCell(3, 4), rnnc.Bidirectional(cell, cell)], dtype="float64",
                         backend=backend, residual=[1], dropout=0.3)  # fmt: skip
        ys = net.scan(xs, lengths=[3, 2])
        grads = net.backward(random(3, 2, 4, seed=1))
        found.append(({"ys": ys, "d_xs": grads.inputs}, grads.params, grads.state))
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


@pytest.mark.parametrize("batch_first", [False, True])
def test_axes_are_those_of_the_input(batch_first: bool) -> None:
    net, plain = (mixed(batch_first=b, dropout=0.4, residual=[1, 2]) for b in (batch_first, False))
    xs = random(STEPS, BATCH, 3)

    def turned(array: Array) -> Array:
        return array.swapaxes(0, 1) if batch_first else array

    wanted = plain.scan(xs, lengths=LENGTHS)
    ys = net.scan(turned(xs), lengths=LENGTHS)
    close(turned(ys), wanted)
    d_xs = net.backward(np.ones_like(ys)).inputs
    close(turned(d_xs), plain.backward(np.ones_like(wanted)).inputs)
    alone = mixed(batch_first=batch_first, dropout=0.4, residual=[1, 2])
    close(alone.scan(xs[:, 0]), wanted[:, 0])
    assert alone.state["1.forward.h"].shape == (2,)


def test_parameters_of_nets_are_taken_over_and_a_seed_draws_them_anew() -> None:
    gru = rnnc.GRU(3, 3, seed=8)
    cell = rnnc.GRUCell(3, 3)
    net = rnnc.Stack([gru, cell, rnnc.Bidirectional(cell, cell)])
    close(net.params["0.W"], gru.params["W"], 0)
    values = [net.params[n] for n in ("0.W", "1.W", "2.forward.W", "2.backward.W")]
    for at, value in enumerate(values):
        assert not any(np.allclose(value, other) for other in values[:at])
    anew = rnnc.Stack([gru, cell, cell], seed=8)
    assert not np.allclose(anew.params["0.W"], gru.params["W"])
    net.load_params({"0.b": np.ones((3, 3))})
    assert not (gru.params["b"] == 1).any()  # it has nothing to do with what it was given


def test_a_stack_trains() -> None:
    xs = random(12, 8, 3).astype("float32")
    targets = np.cumsum(xs[::-1, :, :1], axis=0)[::-1] * 0.3  # takes what is still to come
    cell = rnnc.LSTMCell(3, 8)
    net = rnnc.Stack([rnnc.Bidirectional(cell, cell), rnnc.Dense(16, 1)], dropout=0.05)
    optimiser, losses = rnnc.Adam(0.02), []
    for _ in range(150):
        net.reset()
        loss, d_ys = rnnc.squared_error(net.scan(xs), targets)
        losses.append(loss)
        net.load_params(optimiser.step(net.params, net.backward(d_ys).params))
    assert losses[-1] < 0.15 * losses[0]


def test_what_cannot_be_is_a_coded_error() -> None:
    gru, both = rnnc.GRUCell(3, 4), rnnc.Bidirectional(rnnc.GRUCell(3, 4), rnnc.GRUCell(3, 4))
    even = rnnc.GRUCell(4, 4)
    wrong: list[tuple[Any, dict[str, Any], str, str]] = [
        ([], {}, "chain-mismatch", "at least one layer"),
        (3, {}, "bad-setting", "a list of layers"),
        ([gru, gru], {}, "chain-mismatch", r"layer 1, .* reads real\[3\], but is given real\[4\]"),
        ([both, rnnc.GRUCell(4, 4)], {}, "chain-mismatch", r"given real\[8\]"),
        ([gru, rnnc.Stack([rnnc.GRUCell(4, 4)])], {}, "chain-mismatch", "compiled cells"),
        ([rnnc.GRU(3, 4), rnnc.GRU(4, 4, dtype="float64")], {}, "chain-mismatch", "say dtype="),
        ([gru], {"residual": True}, "chain-mismatch", r"layer 0.*reads \[3\] and returns \[4\]"),
        ([gru], {"residual": [1]}, "bad-setting", "0 to 0"),
        ([gru], {"residual": "yes"}, "bad-setting", "residual"),
        ([gru], {"residual": 1}, "bad-setting", "residual"),
        (
            [even, even],
            {"residual": [True, False]},
            "bad-setting",
            r"no truth values: say \[0\]",
        ),
        ([even, even], {"residual": np.array([False, True])}, "bad-setting", r"say \[1\] for"),
        ([gru], {"dropout": 1}, "bad-setting", "from 0 to below 1"),
        ([gru], {"dropout": float("nan")}, "bad-setting", "dropout"),
        ([gru], {"dropout": True}, "bad-setting", "dropout"),
        ([gru], {"per_sequence": 1}, "bad-setting", "per_sequence"),
        ([gru], {"seed": 1.5}, "bad-setting", "seed"),
    ]
    for layers, keywords, code, message in wrong:
        with pytest.raises(rnnc.Error, match=message) as caught:
            rnnc.Stack(layers, **keywords)
        assert caught.value.code == code, message
    with pytest.raises(rnnc.Error, match="no single step"):
        rnnc.Stack([both])(random(3))


def test_a_call_that_fails_in_a_later_layer_has_changed_none() -> None:
    net, xs = mixed(dropout=0.3), random(STEPS, BATCH, 3)
    net.scan(xs)
    twin, before = copy.copy(net), dict(net.state)
    net._nets()["2"].history_limit = 1
    with pytest.raises(rnnc.Error, match=r"truncate\(\)"):
        net.scan(xs)
    with pytest.raises(rnnc.Error, match=r"call reset\(\)"):
        net.scan(xs[:, :2])
    with pytest.raises(rnnc.Error, match="d_ys covers all 6 recorded steps"):
        net.backward(np.ones((5, BATCH, 4)))
    close(dict(net.state), before, 0)
    net._nets()["2"].history_limit = 1 << 30
    close(net.scan(xs), twin.scan(xs), 0)
    d_ys = random(2 * STEPS, BATCH, 4)
    close(net.backward(d_ys).params, twin.backward(d_ys).params, 0)
    net.truncate()
    with pytest.raises(rnnc.Error, match="recorded nothing"):
        net.backward(d_ys)
    net.eval().scan(xs)
    with pytest.raises(rnnc.Error, match="eval mode"):
        net.backward(d_ys)


def test_layers_are_copies_from_which_a_stack_can_be_made_again() -> None:
    net = rnnc.Stack([rnnc.GRUCell(3, 4), rnnc.LSTMCell(4, 4)], dtype="float64")
    xs = random(3, 2, 3)
    net.scan(xs)
    before = {path: np.array(numpy_of(value)) for path, value in net.state.items()}
    low, high = net.layers
    close(high.state["h"], before["1.h"], 0)
    high.scan(random(2, 2, 4))
    low.load_params({"b": 1 + low.params["b"]})
    close(dict(net.state), before, 0)
    again = rnnc.Stack([*net.layers, rnnc.Dense(4, 2, dtype="float64")])
    assert list(again.params)[: len(net.params)] == list(net.params)
    close({path: again.params[path] for path in net.params}, dict(net.params), 0)
    net.reset()
    close(rnnc.Stack(net.layers).scan(xs), net.scan(xs), 0)
