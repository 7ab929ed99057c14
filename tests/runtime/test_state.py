"""The state as a value: copied, forked, kept, restored, reset by rows, refused where it is none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, elman, leaky, numpy_of, random

pytestmark = pytest.mark.usefixtures("each_library")


def lstm(**keywords: Any) -> Recur:
    return rnnc.LSTM(3, 4, dtype="float64", **keywords)


def chain() -> Recur:
    return rnnc.Chain(lstm(), rnnc.GRU(4, 2, dtype="float64"))


NETS = [elman, lstm, chain]


def arrays_of(state: Any) -> dict[str, Array]:
    return {name: numpy_of(value).copy() for name, value in state.items()}


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("how", [copy.copy, copy.deepcopy])
def test_a_copy_goes_on_with_the_same_numbers_and_apart(
    make: Callable[[], Recur], how: Callable[[Recur], Recur]
) -> None:
    net, xs, other = make(), random(8, 2, 3), random(5, 2, 3, seed=1)
    net.scan(xs[:3])
    net.reset(rows=[1])
    fork = how(net)
    expected, state = net.scan(xs[3:]), arrays_of(net.state)
    close(fork.scan(xs[3:]), expected, 0)
    wanted = net.backward(np.ones_like(numpy_of(random(8, *expected.shape[1:]))))
    fork.scan(other)
    fork.load_params({name: 2 * numpy_of(value) for name, value in fork.params.items()})
    fork.truncate()
    fork.reset()
    close(dict(net.state), state, 0)
    again = net.backward(np.ones((8, *expected.shape[1:])))
    close(again.params, wanted.params, 0)
    assert net.recorded == again.steps == 8


@pytest.mark.parametrize("make", NETS)
def test_gradients_of_both_branches_of_a_fork_reach_back_before_it(
    make: Callable[[], Recur],
) -> None:
    xs, other = random(6, 2, 3), random(6, 2, 3, seed=1)
    net = make()
    net.scan(xs[:4])
    fork = copy.copy(net)
    for branch, rest in ((net, xs[4:]), (fork, other[4:])):
        ys = branch.scan(rest)
        d_ys = random(6, *ys.shape[1:], seed=2)
        whole = make()
        whole.scan(np.concatenate([xs[:4], rest]))
        close(branch.backward(d_ys).params, whole.backward(d_ys).params)


@pytest.mark.parametrize("make", NETS)
@pytest.mark.parametrize("batch", [(), (2,)])
def test_a_state_that_was_kept_is_restored(
    make: Callable[[], Recur], batch: tuple[int, ...]
) -> None:
    net, xs = make(), random(9, *batch, 3)
    net.scan(xs[:4])
    kept = net.state  # what it was then, whatever the net does later
    values = arrays_of(kept)
    first = net.scan(xs[4:])
    close(arrays_of(kept), values, 0)
    net.state = kept
    close(net.scan(xs[4:]), first, 0)
    another = make()
    another.state = values
    for value in values.values():
        value[...] = np.nan  # the caller's again
    close(another.scan(xs[4:]), first, 0)


def test_the_gradient_begins_at_a_state_that_was_set() -> None:
    net, xs, d_ys = lstm(), random(5, 2, 3), random(5, 2, 4, seed=1)
    start = {"h": random(2, 4, seed=2), "c": random(2, 4, seed=3)}
    net.scan(xs)
    net.state = start
    net.scan(xs)
    grads = net.backward(d_ys)
    assert grads.steps == 5
    step, found = 1e-6, numpy_of(grads.state["c"])
    direction = random(2, 4, seed=4)
    values = []
    for sign in (1, -1):
        net.state = start | {"c": start["c"] + sign * step * direction}
        values.append((numpy_of(net.scan(xs)) * d_ys).sum())
    close((found * direction).sum(), (values[0] - values[1]) / (2 * step), 1e-6)


@pytest.mark.parametrize("make", NETS)
def test_rows_that_are_reset_begin_anew_and_the_others_go_on(make: Callable[[], Recur]) -> None:
    net, alone, anew = make(), make(), make()
    xs = random(7, 3, 3)
    net.scan(xs[:3])
    net.reset(rows=[0, 2])
    found = numpy_of(net.scan(xs[3:]))
    close(found[:, 1], numpy_of(alone.scan(xs))[3:, 1])
    close(found[:, [0, 2]], numpy_of(anew.scan(xs[3:]))[:, [0, 2]])


@pytest.mark.parametrize("make", [*NETS, leaky])
def test_another_batch_size_is_refused_until_reset(make: Callable[[], Recur]) -> None:
    net = make()

    def inputs(*lead: int) -> Any:
        return (random(*lead, 3), random(*lead)) if make is leaky else random(*lead, 3)

    net.scan(inputs(4, 2))
    before = arrays_of(net.state)
    for lead, message in [
        ((4, 5), r"the state holds 2 rows, this call has 5; call reset\(\)"),
        ((4,), r"this call has no batch axis, the state has one; call reset\(\)"),
    ]:
        with pytest.raises(rnnc.Error, match=message) as caught:
            net.scan(inputs(*lead))
        assert caught.value.code == "state-mismatch"
        close(dict(net.state), before, 0)
    assert net.recorded == 4
    net.truncate()  # forgets the history, not the state: it still has two rows
    with pytest.raises(rnnc.Error, match=r"reset\(\)"):
        net.scan(inputs(4, 5))
    net.reset()
    net.scan(inputs(4, 5))
    net.reset()
    net.scan(inputs(4))
