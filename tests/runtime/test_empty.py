"""What is empty: a call of no steps is a call and no step, a net without state has no rows."""

from __future__ import annotations

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, dense, elman

LEARNED = """
cell C(): (h[2] = tanh(h0), x[2]) -> (h', h') {
    param h0[2] = normal(1)
    h' = tanh(h + x)
}
"""


def learned() -> Recur:
    return Recur(rnnc.loads(LEARNED).C(), dtype="float64")


def test_a_call_without_steps_leaves_the_first_step_the_first() -> None:
    """Its state has a gradient, though another step that nobody recorded came in between."""
    with_nothing, without = learned(), learned()
    with_nothing.scan(np.zeros((0, 2)))
    for net in (with_nothing, without):
        net.eval()(np.ones(2))
        net.train()(np.ones(2))
    close(with_nothing.backward([None, np.ones(2)]).state, without.backward(np.ones((1, 2))).state)


@pytest.mark.parametrize("steps", [0, 1])
def test_an_initial_state_has_the_gradient_of_the_parameters_that_made_it(steps: int) -> None:
    late, early = learned(), learned()
    new = {"h0": np.array([0.5, -1.5])}
    early.load_params(new)
    for net in (late, early):
        net.scan(np.zeros((0, 2)))
        net.load_params(new)
        net.scan(np.ones((steps, 2)))
    d_ys, d_state = np.ones((steps, 2)), {"h": np.ones(2)}
    close(late.backward(d_ys, d_state).params, early.backward(d_ys, d_state).params)


@pytest.mark.parametrize("training", [True, False])
def test_a_row_that_waits_for_a_reset_waits_through_a_call_without_steps(training: bool) -> None:
    net = learned()
    net(np.ones((2, 2)))
    if not training:
        net.eval()
    net.reset(rows=[0])
    net.scan(np.ones((0, 2, 2)))
    close(net.state["h"][0], np.tanh(net.params["h0"]))


def test_rows_of_a_net_without_state_have_nothing_to_reset() -> None:
    net = dense()
    net.scan(np.ones((1, 2, 4)))
    net.reset(rows=[1])
    net.truncate()
    close(net.scan(np.ones((1, 3, 4))), dense().scan(np.ones((1, 3, 4))))


def test_a_call_without_steps_is_no_bridge_over_a_window_or_a_gap() -> None:
    net, other = elman(history=1), elman(history=1)
    for each in (net, other):
        each.scan(np.ones((1, 3)), starts=[True])
    net.scan(np.ones((0, 3)))
    for each in (net, other):
        each.scan(np.ones((2, 3)))
    d_y = np.ones((1, 4))
    close(net.backward(d_y).state, other.backward(d_y).state)

    net = elman()
    net(np.ones(3))
    net.eval()(np.ones(3))
    net.train().scan(np.ones((0, 3)))
    with pytest.raises(rnnc.Error, match="not what its last recorded step returned"):
        net.backward(np.ones((1, 4)), {"h": np.ones(4)})
