"""`net.trace`: every named value, equal to what the oracle says, and nothing is changed by it."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import toposort
from tests.compiler.hand_built import elman as hand_built
from tests.runtime.models import bound, close, numpy_of, random

NAMED = """
import LSTM, Dense from std
fn f(a) { b = a * a; return b + a }
cell Named(n): ((h[n], c[n], slow[n]), x[n]) -> ((h', c', slow'), y) {
    param rate[n] = uniform(-2, 2)
    use fast = LSTM(n, n)
    use out = Dense(n, n)
    a = sigmoid(rate)
    ((h', c'), z) = fast((h, c), x)
    above = x > 0
    alias = z
    s = x
    for l in 0..2 {
        q = 0.5 * s
        s = s + q
    }
    slow' = a * f(slow) + where(above, s, 0)
    y = out(z) + out(slow')
}
"""


def from_oracle(net: Any, xs: np.ndarray[Any, Any]) -> dict[str, Any]:
    """The last value of each name at each step, one example at a time."""
    cell = net.cell.cell
    params = {p.node: np.asarray(numpy_of(net.params[p.name]), float) for p in cell.params}
    state = {s.name: np.asarray(numpy_of(net.state[s.name]), float) for s in cell.states}
    last = {value.name: value.node for value in cell.named}
    steps = []
    for x in xs:
        given = params | {cell.inputs[0].node: x}
        given |= {s.node: state[s.name] for s in cell.states}
        roots = [*last.values(), *(s.new for s in cell.states)]
        found = oracle.evaluate(roots, given)
        assert found.keys() >= set(toposort(roots, given.__contains__))
        steps.append({name: found[node] for name, node in last.items()})
        state = {s.name: found[s.new] for s in cell.states}
    return {name: np.stack([step[name] for step in steps]) for name in last}


@pytest.mark.usefixtures("each_library")
def test_it_is_what_the_oracle_computes_from_the_present_state() -> None:
    net, xs = rnnc.Recur(rnnc.loads(NAMED).Named(4), dtype="float64", seed=3), random(7, 4)
    net.scan(xs[:2])
    expected = from_oracle(net, xs[2:])
    found = net.trace(xs[2:])
    for name, values in expected.items():
        close(found[name], values)
    assert numpy_of(found["above"]).dtype == bool
    close(found["h'"], found["fast.h'"])
    close(numpy_of(found["h"])[1:], numpy_of(found["h'"])[:-1])


@pytest.mark.usefixtures("each_library")
def test_it_agrees_with_scan_and_changes_nothing() -> None:
    net, xs = rnnc.LSTM(3, 4, dtype="float64"), random(6, 2, 3)
    masks: dict[str, Any] = {
        "starts": np.eye(4, 2, dtype=bool), "lengths": [4, 3], "boundaries": 2
    }  # fmt: skip
    net.scan(xs[:2])
    before = {name: numpy_of(value).copy() for name, value in net.state.items()}
    found = net.trace(xs[2:], **masks)
    close(net.state["c"], before["c"])
    assert net.recorded == 2
    close(found["h'"], net.scan(xs[2:], **masks))
    close(numpy_of(found["c'"])[-1, 0], numpy_of(net.state["c"])[0])
    close(numpy_of(found["h"])[0], before["h"] * [[0], [1]])  # row 0 started anew


def test_a_name_that_is_bound_again_has_a_key_for_each_time() -> None:
    net = rnnc.Recur(rnnc.loads(NAMED).Named(4), dtype="float64")
    found = net.trace(random(3, 2, 4))
    assert [name for name in found if name.startswith("s")] == [
        "slow", "s[0]", "s[1]", "s[2]", "s", "slow'"
    ]  # fmt: skip
    assert np.array_equal(found["s"], found["s[2]"])
    assert np.allclose(found["s[1]"], found["s[0]"] + found["q[0]"])
    assert np.array_equal(found["alias"], found["z"])
    assert {"out.y[0]", "out.y[1]", "fast.i"} <= found.keys()
    assert "b" not in found  # a function's own
    assert all(values.shape[:2] == (3, 2) for values in found.values())


def test_members_of_a_chain_have_their_paths() -> None:
    net = rnnc.Chain(rnnc.Embedding(5, 3), rnnc.GRU(3, 4))
    with rnnc.options(verify=2):
        found = net.trace(np.array([[1, 2], [0, 4]]))
    assert found.keys() >= {"0.y", "1.h", "1.z", "1.h'"}
    assert np.allclose(found["1.h'"], net.scan(np.array([[1, 2], [0, 4]])))


def test_a_cell_without_a_source_has_its_states() -> None:
    net = rnnc.Recur(hand_built())
    assert set(net.trace(np.ones((2, 3)))) == {"h", "h'"}


def test_a_wrong_call_is_an_error_and_the_next_one_is_right() -> None:
    net, xs = rnnc.LSTM(3, 4), random(5, 3)
    expected = net.trace(xs)
    for wrong in (np.ones((5, 4)), np.ones(3), np.ones((5, 3), int)):
        with pytest.raises(rnnc.Error):
            net.trace(wrong)
    with pytest.raises(rnnc.Error):
        net.trace(xs, starts=np.ones(4, bool))
    assert all(np.array_equal(expected[n], v) for n, v in net.trace(xs).items())


# -- nets of nets --------------------------------------------------------------------------------


@pytest.mark.usefixtures("each_library")
def test_a_stack_names_what_the_same_layers_in_one_loop_do() -> None:
    cells = [bound("Elman", 3, 4), rnnc.LSTMCell(4, 2)]
    net = rnnc.Stack(cells, dtype="float64", seed=5)
    loop = rnnc.Chain(*cells, dtype="float64", seed=5)
    xs, starts = random(6, 2, 3), np.zeros((6, 2), bool)
    starts[2, 1] = True
    memory = {s.name: random(2, *map(int, s.node.type.shape)) for s in net._cell.states}
    for said in ({}, {"starts": starts, "starts_at": memory, "lengths": [6, 4]}):
        given: Any = said
        close(net.trace(xs, **given), loop.trace(xs, **given))
        close(net.scan(xs, **given), loop.scan(xs, **given))


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("lengths", [None, [6, 4]])
def test_both_directions_are_traced_where_they_run(lengths: Any) -> None:
    cell = bound("Elman", 3, 4)
    net = rnnc.Bidirectional(cell, cell, dtype="float64")
    xs = random(6, 2, 3)
    net.scan(xs)  # the backward direction begins anew
    found = numpy_of(net.trace(xs, lengths=lengths))
    _, states = net.scan(xs, lengths=lengths, states=True)
    states = numpy_of(states)
    for row, length in enumerate(lengths or [6, 6]):
        for name, after in states.items():
            close(found[f"{name}'"][:length, row], after[:length, row])
            assert not found[f"{name}'"][length:, row].any()
        before = found["backward.h"][:length, row]
        close(before[:-1], states["backward.h"][1:length, row])
        close(before[-1], net.params["backward.h0"])


@pytest.mark.parametrize("trains", [True, False])
def test_a_trace_is_of_what_scan_would_compute_and_changes_nothing(trains: bool) -> None:
    elman = bound("Elman", 4, 2)
    layers = [rnnc.LSTMCell(3, 4), rnnc.Bidirectional(elman, elman), rnnc.GRUCell(4, 4)]
    net = rnnc.Stack(layers, dtype="float64", dropout=0.4, residual=[1])
    net = net.train() if trains else net.eval()
    xs = random(6, 2, 3)
    net.scan(xs)
    before, recorded = dict(net.state), net.recorded
    found = net.trace(xs)
    close(dict(net.state), before, 0)
    assert net.recorded == recorded
    ys, states = net.scan(xs, states=True)
    close(found["2.h'"], ys)
    for name, after in states.items():
        close(found[f"{name}'"], after)
    with pytest.raises(rnnc.Error, match="batch axis"):
        net.trace(xs[:, 0])
