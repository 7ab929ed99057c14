"""The bugs that ended Flux's `Recur`: each of its issues, told in our terms, with the right answer.

Flux 0.15 removed `Recur` and `reset!` because of them (its pull request 2500). The numbers are
worked out by hand, or by central differences; issues are at github.com/FluxML/Flux.jl/issues.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, numpy_of, random

SOURCE = """
cell Linear(inputs): (h[1] = h0, x[inputs]) -> (h', h') {
    param W[1, inputs], U[1, 1], b[1], h0[1]
    h' = W @ x + U @ h + b
}
cell Elman(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden], b[hidden]
    h' = tanh(W @ x + U @ h + b)
}
"""


@cache
def library() -> Any:
    return rnnc.loads(SOURCE)


def linear(inputs: int = 1, **values: float) -> Recur:
    net = rnnc.Recur(library().Linear(inputs), dtype="float64")
    net.load_params({n: np.full(net.params[n].shape, float(v)) for n, v in values.items()})
    return net


def in_a_scalar(net: Recur, xs: Array) -> Any:
    """The loss reads the last of the outputs, the others were overwritten."""
    for x in xs:
        y = net(x)
    return net.backward([*[None] * (len(xs) - 1), np.ones_like(y)])


def in_an_array(net: Recur, xs: Array) -> Any:
    """All outputs are kept, and the loss reads the last."""
    d_ys = np.zeros_like(np.stack([net(x) for x in xs]))
    d_ys[-1] = 1
    return net.backward(d_ys)


def in_one_call(net: Recur, xs: Array) -> Any:
    d_ys = np.zeros_like(net.scan(xs))
    d_ys[-1] = 1
    return net.backward(d_ys)


def with_looks_at_the_state(net: Recur, xs: Array) -> Any:
    """What a user does with the state in between is no step."""
    for x in xs:
        net(x)
        state = {name: numpy_of(value).copy() for name, value in net.state.items()}
        state["h"][:] = 1e9
    return net.backward([*[None] * (len(xs) - 1), np.ones(1)])


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize(
    "collect", [in_a_scalar, in_an_array, in_one_call, with_looks_at_the_state]
)
def test_2185_gradients_do_not_depend_on_how_outputs_are_collected(
    collect: Callable[[Recur, Array], Any],
) -> None:
    # h1 = 5*2 + 4*7 = 38, h2 = 5*3 + 4*h1. Flux gave dW = 3, dU = 38, db = 1 and no d_h0.
    net = linear(W=5, U=4, b=0, h0=7)
    grads = collect(net, np.array([[2.0], [3.0]]))
    wanted = {"W": [[3 + 4 * 2.0]], "U": [[38 + 4 * 7.0]], "b": [1 + 4.0], "h0": [4 * 4.0]}
    close(grads.params, {name: np.array(value) for name, value in wanted.items()})
    close(grads.inputs, [[4 * 5.0], [5.0]])
    close(grads.state, {"h": np.array([16.0])})


def test_1547_a_sum_over_all_outputs_runs_back_through_the_state() -> None:
    # dL/dW = x1 + x2 + U*x1; Flux gave x1 + x2.
    net = linear(W=0.7, U=0.001, b=0.85, h0=0)
    ys = np.stack([net(x) for x in np.array([[0.3], [2.5]])])
    close(ys[:, 0], [1.06, 2.60106])
    close(net.backward(np.ones((2, 1))).params["W"], [[2.8003]])


@pytest.mark.usefixtures("each_library")
def test_1209_the_gradient_reaches_back_through_every_step() -> None:
    net, xs = rnnc.Recur(library().Elman(2, 3), dtype="float64"), random(3, 2)
    for x in xs:
        net(x)
    found = net.backward([None, None, np.ones(3)]).params["U"]
    p = {name: numpy_of(value).copy() for name, value in net.params.items()}

    def last(u: Array, first_state: Array | None = None) -> float:
        """The sum of the last output; from the given state, with U in the last step only."""
        h = np.zeros(3) if first_state is None else first_state
        for x in xs if first_state is None else xs[2:]:
            h = np.tanh(p["W"] @ x + u @ h + p["b"])
        return float(h.sum())

    def slopes(of: Callable[[Array], float]) -> Array:
        step, found = 1e-6, np.zeros((3, 3))
        for at in np.ndindex(3, 3):
            moved = np.zeros((3, 3))
            moved[at] = step
            found[at] = (of(p["U"] + moved) - of(p["U"] - moved)) / (2 * step)
        return found

    close(found, slopes(last), 1e-8)
    twin = rnnc.Recur(library().Elman(2, 3), dtype="float64").eval()
    for x in xs[:2]:
        twin(x)
    one_step = slopes(lambda u: last(u, numpy_of(twin.state["h"])))  # what Flux returned
    assert np.abs(numpy_of(found) - one_step).max() > 1e-3


@pytest.mark.usefixtures("each_library")
def test_636_truncate_keeps_the_state_and_cuts_the_gradient_and_nothing_else() -> None:
    xs = np.array([[0.1], [0.2], [0.3], [0.4], [0.5]])
    dense = rnnc.Dense(1, 1, dtype="float64")
    net = rnnc.Chain(linear(W=0.8, U=0.5, b=0.1, h0=0), dense)

    def gradient() -> dict[str, Array]:
        ys = [net(x) for x in xs]
        _, d_y = rnnc.squared_error(numpy_of(ys[-1]), np.array([1.0]))
        grads = net.backward([*[None] * 4, d_y])
        assert grads.steps == 5
        return {name: numpy_of(value) for name, value in grads.params.items()}

    first = gradient()
    net.reset()
    close(gradient(), first)

    state = {name: numpy_of(value).copy() for name, value in net.state.items()}
    net.truncate()
    close(dict(net.state), state)
    after = gradient()
    net.state = state  # the same steps from the same state, which nobody differentiates
    started_there = gradient()
    for name in after:
        if name != "0.h0":
            close(after[name], started_there[name])
    assert not after["0.h0"].any() and np.abs(after["0.U"] - first["0.U"]).max() > 1e-3
    net.reset()
    close(gradient(), first)


@pytest.mark.usefixtures("each_library")
def test_1329_a_net_made_again_of_flat_parameters_goes_on_from_its_state() -> None:
    net = rnnc.Chain(rnnc.LSTM(2, 3, dtype="float64"), rnnc.Dense(3, 1, dtype="float64"))
    net.scan(random(4, 2))
    state = {name: numpy_of(value).copy() for name, value in net.state.items()}
    flat = np.concatenate([numpy_of(value).ravel() for value in net.params.values()])

    def rebuilt(vector: Array) -> Recur:
        """What Flux's `destructure` returned a function for."""
        other, values, start = copy.copy(net), {}, 0
        for name, value in net.params.items():
            shape = numpy_of(value).shape
            values[name] = vector[start : start + int(np.prod(shape))].reshape(shape)
            start += values[name].size
        other.load_params(values)
        return other

    again = rebuilt(flat)
    close(dict(again.state), state, 0)
    x = random(2, seed=1)
    net_output = net(x)
    close(again(x), net_output, 0)
    rebuilt(2 * flat)(x)
    assert net.recorded == 5  # and nobody else's steps

    anew = rnnc.Recur(net.cell)  # parameters alone: begins at the beginning, and says so
    assert not any(numpy_of(value).any() for value in anew.state.values())
    anew.state = state
    close(anew(x), net_output, 0)


@pytest.mark.usefixtures("each_library")
def test_2124_a_whole_chain_is_reset_within_a_training_step() -> None:
    net = rnnc.Chain(linear(W=1, U=1, b=0, h0=0), rnnc.Dense(1, 1, dtype="float64"))
    xs = np.ones((4, 1))

    def step() -> tuple[float, Any]:
        net.reset()
        ys = net.scan(xs)
        return float(numpy_of(ys).sum()), net.backward(np.ones((4, 1)))

    (first, grads), (second, again) = step(), step()
    assert first == second and grads.steps == again.steps == 4
    close(grads.params, dict(again.params), 0)

    net.reset()  # between the calls and `backward`, there is nothing to run back over: said so
    with pytest.raises(rnnc.Error, match="nothing since the last boundary"):
        net.backward(np.ones((4, 1)))


def test_2124_rows_are_reset_between_recorded_steps() -> None:
    net, xs = linear(W=5, U=4, b=0, h0=7), np.array([[[2.0], [2.0]], [[3.0], [3.0]]])
    net(xs[0])
    net.reset(rows=[1])
    net(xs[1])
    grads = net.backward([None, np.ones((2, 1))])
    # Row 0 as in issue 2185; row 1 is one step from h0, which its first step no longer reaches.
    wanted = {"W": [[11.0 + 3]], "U": [[66.0 + 7]], "b": [5.0 + 1], "h0": [16.0 + 4]}
    close(grads.params, {name: np.array(value) for name, value in wanted.items()})
    close(grads.inputs[:, 1], [[0.0], [5.0]])


def test_2341_parameters_as_values_and_the_stateful_net_have_one_gradient() -> None:
    net, xs, d_ys = linear(2), random(5, 1, 2), random(5, 1, 1, seed=1)
    program = rnnc.compile(net.cell, dtype="float64")
    params = dict(net.params)
    _, _, tape = program.forward(params, program.initial(params, 1), xs)
    assert tape is not None
    d_params, d_carry, d_xs = program.backward(params, tape, d_ys)
    d_start = program.initial_pullback(params, d_carry)

    net.scan(xs)
    grads = net.backward(d_ys)
    close(grads.params, {n: d + d_start.get(n, 0) for n, d in d_params.items()})
    close(grads.inputs, d_xs)


def test_2341_the_tutorials_net_learns_the_sum_of_sequences_of_any_length() -> None:
    draws = np.random.default_rng(0)
    data = [draws.integers(1, 11, (draws.integers(1, 6), 2)) * 1.0 for _ in range(60)]
    net = linear(2)
    for rate in (0.05, 0.01, 0.002):
        optimiser = rnnc.Adam(rate)
        for xs in 10 * data:
            net.reset()
            ys = net.scan(xs)
            d_last = np.sign(ys[-1] - xs.sum())  # of the absolute error
            d_ys = np.concatenate([np.zeros((len(xs) - 1, 1)), d_last[None]])
            net.load_params(optimiser.step(net.params, net.backward(d_ys).params))
    net.eval()
    for xs in data[:10]:
        net.reset()
        assert abs(net.scan(2 * xs)[-1, 0] - 2 * xs.sum()) < 0.05 * 2 * xs.sum()
