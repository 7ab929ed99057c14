"""`scan(xs, states=True)` returns every state at every step, and `backward` takes cotangents."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, elman, leaky, numpy_of, random


def chain(**keywords: Any) -> Recur:
    return rnnc.Chain(rnnc.LSTM(3, 4, dtype="float64"), rnnc.GRU(4, 2, dtype="float64"), **keywords)


def weights(states: Any, seed: int = 5) -> dict[str, Array]:
    """A cotangent for each state."""
    return {
        name: random(*numpy_of(value).shape, seed=seed + at)
        for at, (name, value) in enumerate(states.items())
    }


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("batch", [(), (2,)])
def test_states_are_those_of_steps_one_by_one(batch: tuple[int, ...]) -> None:
    net, xs = chain(), random(5, *batch, 3)
    twin = copy.copy(net)
    ys, states = net.scan(xs, states=True)
    assert list(states) == list(net.state) == ["0.h", "0.c", "1.h"]
    for t, x in enumerate(xs):
        close(ys[t], twin(x))
        close({name: value[t] for name, value in states.items()}, dict(twin.state))


@pytest.mark.usefixtures("each_library")
def test_a_row_holds_its_state_beyond_its_length_and_starts_anew_where_it_is_reset() -> None:
    net, xs = leaky(), (random(6, 3, 3), random(6, 3, seed=1))
    net.scan((xs[0][:1], xs[1][:1]))
    before = {name: numpy_of(value).copy() for name, value in net.state.items()}
    twin, starts = copy.copy(net), np.zeros((6, 3), bool)
    starts[2, 2] = True
    padded = tuple(x.copy() for x in xs)
    for x in padded:
        x[4:, 0] = np.nan
        x[:, 1] = np.nan
    (_, mass), states = net.scan(padded, lengths=[4, 0, 6], starts=starts, states=True)
    for t in range(6):
        twin.reset([2] if t == 2 else [])
        twin((xs[0][t], xs[1][t]))
        for name, value in twin.state.items():
            close(states[name][t][2], value[2])
            if t < 4:
                close(states[name][t][0], value[0])
            else:
                close(states[name][t][0], states[name][3][0])
            close(states[name][t][1], before[name][1])
    assert not numpy_of(mass)[4:, 0].any()  # outputs are 0 there, states are held
    close({name: value[-1] for name, value in states.items()}, dict(net.state))


def loss(net: Recur, call: Any, d_ys: Any, d_states: Any) -> float:
    twin = copy.copy(net)
    twin.truncate()
    ys, states = call(twin)
    total = float((numpy_of(ys) * d_ys).sum())
    return total + sum(float((numpy_of(states[n]) * d).sum()) for n, d in d_states.items())


def test_gradients_equal_central_differences() -> None:
    xs = random(5, 2, 3)
    given: dict[str, Any] = {"lengths": [5, 3], "states": True}
    net = chain()
    net.state = {"0.h": random(2, 4), "0.c": random(2, 4, seed=1), "1.h": random(2, 2, seed=2)}
    start, params = dict(net.state), dict(net.params)
    ys, states = net.scan(xs, **given)
    d_ys, d_states = random(*ys.shape, seed=3), weights(states)
    grads = net.backward(d_ys, d_states=d_states)

    def value(state: Any, values: Any, inputs: Array) -> float:
        other = copy.copy(net)
        other.load_params(values)
        other.state = state
        return loss(other, lambda n: n.scan(inputs, **given), d_ys, d_states)

    def check(found: Array, at: Array, moved: Any) -> None:
        direction, step = random(*at.shape, seed=9), 1e-6
        both = [moved(at + sign * step * direction) for sign in (1, -1)]
        close((found * direction).sum(), (both[0] - both[1]) / (2 * step), 1e-6)

    check(grads.inputs, xs, lambda moved: value(start, params, moved))
    for name in start:
        check(grads.state[name], start[name], lambda m, n=name: value(start | {n: m}, params, xs))
    for name in params:
        check(grads.params[name], params[name], lambda m, n=name: value(start, params | {n: m}, xs))
    assert not grads.inputs[3:, 1].any()


@pytest.mark.parametrize("to_values", [True, False])
def test_a_row_whose_reset_is_to_come_shows_where_it_goes_also_for_gradients(
    to_values: bool,
) -> None:
    net, d_states = elman(), random(2, 2, 4) * [[1], [0]]
    net.scan(random(3, 2, 3))
    net.reset(rows=[0], state={"h": random(2, 4)} if to_values else None)
    _, states = net.scan(random(2, 2, 3), lengths=[0, 2], states=True)
    close(states["h"][:, 0], [net.state["h"][0]] * 2, 0)
    found = net.backward(None, d_states=[None, {"h": d_states}])
    wanted = net.backward(None, {"h": d_states.sum(axis=0)})  # both steps returned this state
    close(found.params, wanted.params)
    assert not found.inputs.any()  # what came before a reset is not asked


@pytest.mark.torch
@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("batch_first", [False, True])
def test_an_lstms_cell_states_have_torchs_gradients(batch_first: bool) -> None:
    import torch

    net = rnnc.LSTM(3, 4, dtype="float64", batch_first=batch_first)
    p = {n: torch.tensor(numpy_of(v).copy(), requires_grad=True) for n, v in net.params.items()}
    xs = torch.tensor(random(6, 2, 3), requires_grad=True)
    h = first = torch.zeros(2, 4, dtype=torch.float64, requires_grad=True)
    c = torch.zeros(2, 4, dtype=torch.float64)
    hs, cs = [], []
    for x in xs:  # equations of nn.LSTM
        gates = torch.einsum("ghi,bi->gbh", p["W"], x) + torch.einsum("ghk,bk->gbh", p["U"], h)
        i, f, g, o = gates + (p["b"] + p.get("d", torch.zeros(4, 4)))[:, None]
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        hs.append(h)
        cs.append(c)
    theirs = {"h": torch.stack(hs), "c": torch.stack(cs)}
    d_ys = random(6, 2, 4, seed=1)
    d_states = {"h": random(6, 2, 4, seed=2), "c": random(6, 2, 4, seed=3)}
    total = (theirs["h"] * torch.tensor(d_ys)).sum()
    total = total + sum((theirs[n] * torch.tensor(d)).sum() for n, d in d_states.items())
    total.backward()  # type: ignore[no-untyped-call]

    def turned(array: Any) -> Any:
        return numpy_of(array).swapaxes(0, 1) if batch_first else numpy_of(array)

    ys, states = net.scan(turned(xs.detach().numpy()), states=True)
    close(turned(ys), theirs["h"].detach())
    close({name: turned(value) for name, value in states.items()},
          {name: value.detach().numpy() for name, value in theirs.items()})  # fmt: skip
    grads = net.backward(turned(d_ys), d_states={n: turned(d) for n, d in d_states.items()})
    close(turned(grads.inputs), xs.grad)
    close(grads.params, {name: numpy_of(value.grad) for name, value in p.items()})
    close(grads.state["h"], first.grad)


@pytest.mark.torch
def test_kernels_return_and_take_what_numpy_does() -> None:
    pytest.importorskip("triton")
    xs, found = random(5, 3, 3), []
    for backend in ("numpy", "triton"):
        net = rnnc.LSTM(3, 4, dtype="float64", backend=backend)
        ys, states = net.scan(xs, states=True, lengths=[5, 3, 0])
        grads = net.backward(random(*ys.shape), d_states=weights(states))
        found.append((states, grads.params, {"xs": grads.inputs}, grads.state))
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


@pytest.mark.usefixtures("each_library")
def test_calls_with_and_without_states_run_back_as_one_sequence() -> None:
    xs = random(9, 2, 3)
    one, several = elman(), elman()
    _, states = one.scan(xs, states=True)
    d_ys, d_h = random(9, 2, 4, seed=1), random(9, 2, 4, seed=2)
    d_h[3:5] = 0  # of the calls that do not return them
    wanted = one.backward(d_ys, d_states={"h": d_h})

    first = several.scan(xs[:3], states=True)[1]
    several(xs[3])
    several.scan(xs[4:5])
    second = several.scan(xs[5:8], states=True)[1]
    several.scan(xs[8:], states=True)
    close(np.concatenate([numpy_of(first["h"]), numpy_of(second["h"])]),
          numpy_of(states["h"])[[0, 1, 2, 5, 6, 7]])  # fmt: skip
    given = [{"h": d_h[:3]}, None, None, {"h": d_h[5:8]}, {"h": d_h[8:]}]
    found = several.backward(d_ys, d_states=given)
    close(found.params, wanted.params)
    close(found.inputs, wanted.inputs)
    close(found.state, wanted.state)
    assert found.steps == 9


def test_the_last_steps_states_are_the_present_state_also_for_gradients() -> None:
    net, xs = rnnc.LSTM(3, 4, dtype="float64"), random(5, 2, 3)
    net.scan(xs, states=True)
    last = {name: random(2, 4, seed=at) for at, name in enumerate("hc")}
    d_states = {name: np.zeros((5, 2, 4)) for name in last}
    for name, value in last.items():
        d_states[name][-1] = value
    close(net.backward(None, d_states=d_states).params, net.backward(None, last).params)


def test_a_window_has_the_states_of_its_steps() -> None:
    xs, d_h = random(8, 2, 3), random(4, 2, 4, seed=1)
    net = elman(history=4)
    for at in range(0, 8, 2):
        net.scan(xs[at : at + 2], states=True)
    twin = elman()
    twin.scan(xs[:4])
    twin.truncate()
    twin.scan(xs[4:], states=True)
    found, wanted = (n.backward(None, d_states={"h": d_h}) for n in (net, twin))
    close(found.inputs, wanted.inputs)
    assert found.steps == 4


def test_what_does_not_fit_is_named_and_changes_nothing() -> None:
    net, xs = elman(), random(3, 2, 3)
    net.scan(xs, states=True)
    net.scan(xs)
    good = np.ones((3, 2, 4))
    before = net.backward(None, d_states=[{"h": good}, None]).params
    wrong: list[tuple[Any, str, str]] = [
        ([{"h": good}], "array-shape", "d_states is a list of 1"),
        ([{"h": good[1:]}, None], "array-shape", r"d_states\[0\]\['h'\] is \[3, 2, 4\]"),
        ([{"c": good}, None], "unknown-names", "c"),
        ([None, {"h": good}], "nothing-recorded", r"d_states\[1\]"),
        ({"h": np.ones((6, 2, 4))}, "nothing-recorded", "states=True"),
        ([{"h": good > 0}, None], "array-dtype", "h"),
        (3, "array-dtype", "d_states"),
    ]
    for given, code, message in wrong:
        with pytest.raises(rnnc.Error, match=message) as caught:
            net.backward(None, d_states=given)
        assert caught.value.code == code, given
    with pytest.raises(rnnc.Error, match="states is True or False"):
        net.scan(xs, states="h")  # type: ignore[arg-type]
    close(net.backward(None, d_states=[{"h": good}, None]).params, before)


def test_a_cell_without_state_has_none() -> None:
    net = rnnc.Dense(3, 2)
    ys, states = net.scan(random(4, 3), states=True)
    assert ys.shape == (4, 2) and states == {}
    assert net.backward(np.ones((4, 2)), d_states={}).steps == 4


def test_eval_mode_returns_them_and_records_nothing() -> None:
    net = elman().eval()
    _, states = net.scan(random(4, 3), states=True)
    assert states["h"].shape == (4, 4) and net.recorded == 0
    states["h"][:] = 7  # the caller's own
    assert not (net.state["h"] == 7).any()


def test_exact_nets_return_the_same_bits_with_states_as_without() -> None:
    xs = random(9, 2, 3)
    for exact in (False, True):
        net = rnnc.LSTM(3, 4, exact=exact)
        ys = net.scan(xs)
        net.reset()
        again, _ = net.scan(xs, states=True)
        assert np.array_equal(ys, again) or not exact
        np.testing.assert_allclose(ys, again, 1e-6, 1e-6)
