"""A module that keeps its state: parts make up the sequence, and the past is cut where one says."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import numpy as np
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


LEARNED = """
cell Learned(n): (h[n] = tanh(h0), x[n]) -> (h', h') {
    param h0[n] = normal(1), a[n] = normal(1)
    h' = a * h + x
}
"""


@pytest.mark.parametrize("masks", [
    {}, {"boundaries": [[1, 0], [0, 0], [0, 1]]}, {"starts": [0, 1, 0], "boundaries": [0, 2]},
    {"lengths": [3, 0]}, {"lengths": [0, 2], "boundaries": [[1, 1], [0, 1], [0, 0]]},
    {"starts": [[0, 0], [1, 0], [0, 1]], "boundaries": [[0.5, 0.0], [1.0, 1.0], [0.0, 2.0]]},
], ids=lambda masks: "+".join(masks))  # fmt: skip
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("waits", [False, True], ids=["", "through no steps"])
@pytest.mark.parametrize(
    "acts", [[], ["reset"], ["truncate", "reset"], ["reset", "truncate"]], ids=" and ".join
)
def test_rows_begin_anew_at_the_next_step_as_those_of_a_net(
    masks: dict[str, Any], batch_first: bool, acts: list[str], waits: bool
) -> None:
    cell, draws = rnnc.loads(LEARNED).Learned(2), np.random.default_rng(0)
    net = rnnc.Recur(cell, dtype="float64", batch_first=batch_first)
    stateful = rnnc.torch.Stateful(rnnc.torch.Recur(net, batch_first=batch_first))

    def shown(array: Any) -> Any:
        return array.swapaxes(0, 1) if batch_first and array.ndim > 1 else array

    def run(steps: int, masks: dict[str, Any]) -> Any:
        xs, said = draws.standard_normal((steps, 2, 2)), dict[str, Any]()
        for name, mask in masks.items():
            said[name] = shown(np.array(mask))
        ys = stateful(torch.tensor(shown(xs)), **{n: torch.tensor(m) for n, m in said.items()})
        close(ys, net.scan(shown(xs), **said))
        for path, value in stateful.state.items():
            close(value, net.state[path])
        return ys.sum()

    total = run(2 if acts else 0, {})  # no step leaves an initial state initial
    for act in acts:
        for each in (net, stateful):
            each.truncate() if act == "truncate" else each.reset(rows=[0])
        total = 0.0 if act == "truncate" else total
    total = total + run(0, {}) if waits else total
    total = total + run(3, masks) + run(2, {})
    wanted = net.backward(np.ones(shown(np.zeros((net.recorded, 2, 2))).shape)).params
    params = dict(stateful.module.named_parameters())
    for path, d in zip(params, torch.autograd.grad(total, [*params.values()]), strict=True):
        close(d, wanted[path])


def test_rows_that_wait_for_their_reset_begin_with_the_parameters_of_their_step() -> None:
    cell, xs = rnnc.loads(LEARNED).Learned(2), torch.ones(2, 2, 2, dtype=torch.float64)
    net = rnnc.Recur(cell, dtype="float64")
    stateful: Any = rnnc.torch.Stateful(rnnc.torch.Recur(net))
    net.scan(xs.numpy())
    stateful(xs)
    for each in (net, stateful):
        each.truncate()
        each.reset(rows=[0])
    net.load_params({"h0": np.array([3.0, -2.0])})
    with torch.no_grad():
        stateful.module.h0.copy_(torch.tensor([3.0, -2.0]))
    close(stateful.state["h"], net.state["h"])
    wanted = copy.copy(net).scan(xs.numpy())
    np.testing.assert_allclose(stateful.to_net().scan(xs.numpy()), wanted, 1e-12)
    ys = stateful(xs)
    close(ys, net.scan(xs.numpy()))
    (d,) = torch.autograd.grad(ys.sum(), stateful.module.h0)
    close(d, net.backward(np.ones((2, 2, 2))).params["h0"])


@pytest.mark.parametrize("wrong", [[0.5, 1.0], ["a", "b"], np.zeros((3, 2), bool), [2, 0]])
def test_wrong_starts_are_refused_while_rows_wait(wrong: Any) -> None:
    net = rnnc.torch.Stateful(rnnc.torch.Recur(rnnc.loads(LEARNED).Learned(2)))
    xs = torch.ones(2, 2, 2)
    net(xs)
    net.reset(rows=[0])
    with pytest.raises(rnnc.Error, match="starts"):
        net(xs, starts=wrong, boundaries=1)
    reset = net._waiting.reset
    assert reset is not None and reset.tolist() == [True, False]


@pytest.mark.parametrize("wrong", [None, torch.ones(2), torch.ones(2, 2, 3), np.ones((2, 2, 2))])
def test_wrong_inputs_are_refused_while_rows_wait_as_otherwise(wrong: Any) -> None:
    net = rnnc.torch.Stateful(rnnc.torch.Recur(rnnc.loads(LEARNED).Learned(2)))
    net(torch.ones(2, 2, 2))
    with pytest.raises(rnnc.Error) as otherwise:
        net(wrong, boundaries=1)
    net.reset(rows=[0])
    with pytest.raises(rnnc.Error) as caught:
        net(wrong, boundaries=1)
    assert str(caught.value) == str(otherwise.value)
    reset = net._waiting.reset
    assert reset is not None and reset.tolist() == [True, False]


def test_a_call_of_no_steps_says_of_how_many_rows_the_stream_is() -> None:
    module: Any = rnnc.torch.Recur(rnnc.loads(LEARNED).Learned(2))
    net = rnnc.torch.Stateful(module)
    net(torch.zeros(0, 2, 2))
    assert net.state["h"].shape == (2, 2)
    with pytest.raises(rnnc.Error, match="the state is of 2 rows, and the call of 3"):
        net(torch.zeros(1, 3, 2))
    with pytest.raises(rnnc.Error) as caught:
        net.reset(rows=[5])
    assert caught.value.code == "out-of-range"
    with torch.no_grad():
        module.h0.add_(1)  # which the next call reads
    close(net.state["h"], module.initial_state(2)["h"].detach())


@pytest.mark.parametrize("boundaries", [[0], 1, [[True, True]], [[0.0, 0.5]], [[1, 1]]], ids=str)
@pytest.mark.parametrize("batch_first", [False, True])
def test_no_boundary_cuts_what_rows_were_reset_to_before_the_call(
    boundaries: Any, batch_first: bool
) -> None:
    cell = rnnc.loads(LEARNED).Learned(2)
    module: Any = rnnc.torch.Recur(cell, dtype="float64", batch_first=batch_first)
    net, given = rnnc.torch.Stateful(module), torch.ones(2, 2, dtype=torch.float64)
    xs = torch.ones((2, 1, 2) if batch_first else (1, 2, 2), dtype=torch.float64)
    net(xs)
    net.reset([0], {"h": given.requires_grad_()})
    if isinstance(boundaries, list) and isinstance(boundaries[0], list):
        boundaries = torch.tensor(np.array(boundaries))
        boundaries = boundaries.T if batch_first else boundaries
    ys = net(xs, boundaries=boundaries)
    (found,) = torch.autograd.grad(ys.sum(), given)
    close(found[0], module.a.detach())
    assert not found[1].any()


def test_a_backward_direction_begins_where_its_state_was_set_and_then_anew() -> None:
    module = rnnc.torch.Bidirectional(
        *[rnnc.loads(LEARNED).Learned(2) for _ in range(2)], dtype="float64"
    )
    net, xs = rnnc.torch.Stateful(module), torch.ones(2, 2, 2, dtype=torch.float64)
    state = {path: torch.full((2, 2), 3.0, dtype=torch.float64) for path in net.state}
    for rows in (None, [1]):
        if rows is None:
            net.state = state
        else:
            net.reset(rows, state)
        host = net.to_net()
        for lengths in (None, [2, 0], None):
            close(net(xs, lengths=lengths), host.scan(xs.numpy(), lengths=lengths))


def test_states_of_another_dtype_are_refused_at_once() -> None:
    net = rnnc.torch.Stateful(rnnc.torch.Recur(rnnc.loads(LEARNED).Learned(2)))
    net(torch.zeros(1, 2, 2))
    before = dict(net.state)
    for dtype in (torch.float64, torch.bfloat16, torch.int64, torch.complex64, torch.bool):
        given = {"h": torch.ones(2, 2).to(dtype)}
        says = pytest.raises(rnnc.Error, match=r"state\['h'\] is .*float32")
        with says as at_reset:
            net.reset([0], given)
        with says as at_once:
            net.state = given
        assert at_reset.value.code == at_once.value.code == "array-dtype"
    assert all(net.state[path] is value for path, value in before.items())


def test_a_module_without_parameters_keeps_states_as_its_inputs_are() -> None:
    cell = rnnc.loads("cell Sum(n): (h[n], x[n]) -> (h', h') { h' = h + x }").Sum(2)
    net = rnnc.torch.Stateful(rnnc.torch.Recur(cell))
    for dtype in (torch.float64, torch.float32):
        net.state = {"h": torch.ones(2, 2, dtype=dtype)}
        assert (net(torch.ones(1, 2, 2, dtype=dtype)) == 2).all()
    with pytest.raises(rnnc.Error, match=r"state\['h'\] is torch.float64 .* keeps torch.float32"):
        net.reset([0], {"h": torch.ones(2, 2, dtype=torch.float64)})
    with pytest.raises(rnnc.Error, match=r"state\['h'\] is torch.int64"):
        net.state = {"h": torch.ones(2, 2, dtype=torch.int64)}
    assert (net.state["h"] == 2).all()


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
