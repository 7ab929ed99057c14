"""A module that keeps its state: parts make up the sequence, and the past is cut where one says."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.pytorch.test_module import ROWS, close, inputs_of, module_of
from tests.runtime.pytorch.versions import graphs

pytestmark = pytest.mark.torch


def layers() -> Any:
    return rnnc.torch.Stack([rnnc.LSTMCell(3, 4), rnnc.GRUCell(4, 4)], dtype="float64")


def learned() -> Any:
    """A cell that learns where it begins."""
    cells = rnnc.loads(
        "cell L(n): (h[n] = g, x[n]) -> (h', h') { param g[n] = uniform(-1, 1)\n h' = 0.9 * h + x }"
    )
    return rnnc.torch.Recur(cells.L(3), dtype="float64")


def test_parts_of_a_sequence_are_the_sequence() -> None:
    module = layers()
    net, xs = rnnc.torch.Stateful(module), inputs_of(module_of("LSTM"))
    wanted, last = module(xs)
    ys = torch.cat([net(xs[:1]), net.step(xs[1])[None], net(xs[2:])])
    close(ys, wanted.detach())
    for path, value in net.state.items():
        close(value, last[path].detach())
    params = list(module.parameters())
    found = torch.autograd.grad(ys.square().sum(), params)
    for d, true in zip(found, torch.autograd.grad(wanted.square().sum(), params), strict=True):
        close(d, true)


def test_truncate_cuts_the_past_and_keeps_the_state() -> None:
    module = module_of("GRU")
    net, xs = rnnc.torch.Stateful(module), inputs_of(module)
    net(xs[:2])
    net.truncate()
    ys = net(xs[2:])
    before = {"h": module(xs[:2])[1]["h"].detach()}
    wanted = module(xs[2:], before)[0]
    close(ys, wanted.detach())
    params = list(module.parameters())
    found = torch.autograd.grad(ys.sum(), params)
    for d, true in zip(found, torch.autograd.grad(wanted.sum(), params), strict=True):
        close(d, true)


def test_reset_begins_anew_for_all_or_for_some_rows() -> None:
    module = learned()
    net, xs = rnnc.torch.Stateful(module), inputs_of(module)
    net.reset(rows=[0])  # all rows are at the beginning already
    first, _ = module(xs)
    for rows in ([1], torch.tensor([False, True, False])):
        net.reset()
        net(xs)
        net.reset(rows=rows)
        ys = net(xs)
        close(ys[:, 1], first[:, 1].detach())
        close(ys[:, 0], module(xs, module(xs)[1])[0][:, 0].detach())
        (found,) = torch.autograd.grad(ys[:, 1].sum(), module.g)
        close(found, torch.autograd.grad(first[:, 1].sum(), module.g, retain_graph=True)[0])
    for wrong, code in (([3], "out-of-range"), ([True], "array-shape"), ([0.5], "array-dtype")):
        before = dict(net.state)
        with pytest.raises(rnnc.Error) as error:
            net.reset(rows=wrong)
        assert error.value.code == code
        assert all(net.state[path] is value for path, value in before.items())
    net.reset()
    close(net(xs), first.detach())


def test_some_rows_are_reset_to_given_states() -> None:
    module = layers()
    xs = inputs_of(module_of("LSTM"))
    for ran in (False, True):
        net = rnnc.torch.Stateful(module)
        before = module.initial_state(ROWS)
        if ran:
            net(xs)
            before = dict(net.state)
        given = {path: (0 * v.detach() + 0.5).requires_grad_() for path, v in before.items()}
        net.reset([1], given)
        mixed = {path: torch.cat([v[:1], given[path][1:2], v[2:]]) for path, v in before.items()}
        ys = net(xs)
        close(ys, module(xs, mixed)[0].detach())
        (d,) = torch.autograd.grad(ys.sum(), given["0.h"])
        assert d[1].any() and not d[0].any() and not d[2].any()


def test_a_state_that_rows_are_not_reset_to_is_told_so() -> None:
    net, xs = rnnc.torch.Stateful(layers()), inputs_of(module_of("LSTM"))
    state = {path: torch.zeros(4, dtype=torch.float64) for path in net.state}
    wide = {path: torch.zeros(2, 4, dtype=torch.float64) for path in state}
    numbers: Any = {**wide, "0.h": 3}
    wrong: list[tuple[Any, str, str]] = [
        (lambda: net.reset(state=state), "bad-setting", "takes rows=; of all rows, set net"),
        (lambda: net.reset(state), "array-dtype", "not a dict"),
        (lambda: net.reset([0], state), "array-shape", r"state\['0\.h'\] is \[(3|batch), 4\]"),
        (lambda: net.reset([0], {}), "unknown-names", "also needs"),
        (lambda: net.reset([0], numbers), "array-dtype", r"state\['0\.h'\] is an int"),
    ]
    fresh = (lambda: net.reset([2], wide), "out-of-range", "names row 2")
    later = (lambda: net.reset([1], wide), "array-shape", r"is \[3, 4\], got \[2, 4\]")
    for also in (fresh, later):
        kept = net._state
        for call, code, message in (*wrong, also):
            with pytest.raises(rnnc.Error, match=message) as caught:
                call()
            assert caught.value.code == code
            assert net._state is kept
        net(xs)


def test_another_number_of_rows_is_an_error_until_it_is_reset() -> None:
    net, xs = rnnc.torch.Stateful(layers()), inputs_of(module_of("LSTM"))
    net(xs)
    before = dict(net.state)
    packed = torch.nn.utils.rnn.pack_sequence([xs[:, 0], xs[:, 1]])
    calls: Any = (
        lambda: net(xs[:, :2]), lambda: net(xs[:, 0]), lambda: net.step(xs[0, 0]),
        lambda: net(packed),
    )  # fmt: skip
    for call in calls:
        with pytest.raises(rnnc.Error, match=r"of 3 rows, and the call of .*: call reset\(\)") as e:
            call()
        assert e.value.code == "state-mismatch"
        assert all(net.state[path] is value for path, value in before.items())
    net.reset()
    assert net(xs[:, 0]).shape == (4, 4)
    with pytest.raises(rnnc.Error, match="no batch axis"):
        net.reset(rows=[0])
    assert rnnc.torch.Stateful(layers())(packed).data.shape == (8, 4)


def test_a_mistake_leaves_the_state() -> None:
    net, xs = rnnc.torch.Stateful(layers()), inputs_of(module_of("LSTM"))
    net(xs)
    before = dict(net.state)
    for wrong in (xs[..., :2], xs.float(), xs.numpy(), None, xs[0, 0]):
        with pytest.raises(rnnc.Error):
            net(wrong)
    with pytest.raises(rnnc.Error):
        net(xs, lengths=[9, 9, 9])
    for state in ({}, {**before, "2.h": xs}, {**before, "0.h": xs}, {**before, "0.h": xs[0, 0, 0]}):
        with pytest.raises(rnnc.Error):
            net.state = state
    with pytest.raises(rnnc.Error):
        net.state = {**before, "0.h": before["0.h"][0]}
    assert all(net.state[path] is value for path, value in before.items())
    with pytest.raises(rnnc.Error, match="Stateful takes a Recur, Stack or Bidirectional"):
        rnnc.torch.Stateful(torch.nn.LSTM(3, 4))  # type: ignore[arg-type]


def test_a_transform_takes_the_module_with_its_state_passed() -> None:
    net, xs = rnnc.torch.Stateful(module_of("GRU")), inputs_of(module_of("GRU"))
    net(xs)
    before = dict(net.state)
    for transform in (torch.func.vmap, torch.func.grad):
        with pytest.raises(rnnc.Error, match="would be left behind by a transform") as error:
            transform(lambda x: net(x).sum())(xs)
        assert error.value.code == "state-mismatch"
    assert all(net.state[path] is value for path, value in before.items())


def test_the_state_is_no_parameter_and_copies_leave_its_past() -> None:
    net, xs = rnnc.torch.Stateful(layers()), inputs_of(module_of("LSTM"))
    fresh = net.state
    assert {value.shape for value in fresh.values()} == {(4,)}
    net(xs)
    assert all(name.startswith("module.") for name in net.state_dict())
    assert not list(net.buffers())
    wanted = net.module(xs, net.state)[0].detach()
    for twin in (copy.deepcopy(net), pickle.loads(pickle.dumps(net))):
        assert not any(value.requires_grad for value in twin.state.values())
        close(twin(xs), wanted)
        assert twin.state["0.h"] is not net.state["0.h"]
    assert net.state["0.h"].requires_grad
    net.state = {path: torch.zeros(ROWS, 4, dtype=torch.float64) for path in net.state}
    close(net(xs), net.module(xs)[0].detach())
    assert net.float().state["0.h"].dtype == torch.float32
    net(xs.float())


def test_a_backward_direction_begins_anew_in_every_call_as_in_a_net() -> None:
    cells = rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2)
    net = rnnc.torch.Stateful(rnnc.torch.Bidirectional(*cells, dtype="float64"))
    true = rnnc.Bidirectional(*cells, dtype="float64", backend="numpy")
    xs = inputs_of(module_of("GRU"))
    for part in (xs[:2], xs[2:]):
        close(net(part), true.scan(part.numpy()))
    with pytest.raises(rnnc.Error, match="has no single step"):
        net.step(xs[0])


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_a_graph_carries_the_state() -> None:
    torch._dynamo.reset()
    module = module_of("GRU")
    net, xs = rnnc.torch.Stateful(module), inputs_of(module)
    compiled: Any = torch.compile(net, fullgraph=True, backend="aot_eager")
    ys = []
    for part in (xs[:2], xs[2:]):
        ys.append(compiled(part))
        net.truncate()
    close(torch.cat(ys), module(xs)[0].detach())
    torch._dynamo.reset()
