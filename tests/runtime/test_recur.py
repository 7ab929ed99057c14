"""A net's calls, its history, its boundaries, against a loop by hand."""

from __future__ import annotations

import copy
import threading
from typing import Any

import numpy as np
import pytest

import rnnc
from tests.runtime.models import ByHand, close, dense, elman, leaky, numpy_of, random

pytestmark = pytest.mark.usefixtures("each_library")


@pytest.mark.parametrize("batch", [1, 3])
@pytest.mark.parametrize("steps", [0, 1, 2, 17])
def test_a_sequence_is_what_a_loop_by_hand_computes(steps: int, batch: int) -> None:
    net, xs, d_ys = elman(), random(steps, batch, 3), random(steps, batch, 4, seed=1)
    d_state = random(batch, 4, seed=2)
    hand = ByHand(net.params, xs)
    close(net.scan(xs), hand.ys)
    close(net.state["h"], hand.state)
    grads = net.backward(d_ys, {"h": d_state})
    d_params, d_xs, _ = hand.backward(d_ys, d_state)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)
    assert grads.steps == steps


def test_without_a_batch_axis_there_is_none_in_any_result() -> None:
    net, xs, d_ys = elman(), random(5, 3), random(5, 4)
    hand = ByHand(net.params, xs[:, None])
    ys = net.scan(xs)
    close(ys, hand.ys[:, 0])
    assert net.state["h"].shape == (4,)
    d_params, d_xs, d_first = hand.backward(d_ys[:, None])
    grads = net.backward(d_ys)
    close(grads.params, d_params)
    close(grads.inputs, d_xs[:, 0])
    close(grads.state["h"], d_first[0])
    net.reset()
    assert net(xs[0]).shape == (4,)


def test_batch_first_swaps_the_axes_of_everything() -> None:
    xs, d_ys, starts = random(5, 2, 3), random(5, 2, 4), np.eye(5, 2, dtype=bool)
    one, other = elman(), elman(batch_first=True)
    ys = one.scan(xs, starts=starts, lengths=[5, 3], boundaries=starts)
    swapped = other.scan(xs.swapaxes(0, 1), starts=starts.T, lengths=[5, 3], boundaries=starts.T)
    close(swapped, ys.swapaxes(0, 1))
    grads = other.backward(d_ys.swapaxes(0, 1))
    close(grads.inputs, one.backward(d_ys).inputs.swapaxes(0, 1))
    close(other(xs[0]), one(xs[0]))


def test_several_inputs_and_outputs_are_tuples_or_inputs_a_dict() -> None:
    net, x, dt = leaky(), random(6, 2, 3), np.abs(random(6, 2))
    ys, masses = net.scan((x, dt))
    p = numpy_of(net.params)
    h, mass = np.zeros((2, 2)), np.zeros(2)
    for t in range(6):
        h = h + dt[t, :, None] * (np.tanh(x[t] @ p["W"].T + h @ p["U"].T) - h)
        mass = mass + dt[t] * h.sum(axis=-1)
        close(ys[t], h * mass[:, None])
        close(masses[t], mass)
    close(dict(net.state), {"h": h, "mass": mass})

    whole = net.backward((ys, masses))
    net.reset()
    outputs = [net({"dt": dt[t], "x": x[t]}) for t in range(6)]
    entries = [net.backward(list(outputs)), net.backward([*outputs[:-1], (None, None)])]
    for grads, wanted in zip(entries, [whole, net.backward(_without_last(outputs))], strict=True):
        close(grads.params, wanted.params)
        for found, want in zip(grads.inputs, wanted.inputs, strict=True):
            close(found, want)
    assert [d.shape for d in whole.inputs] == [(6, 2, 3), (6, 2)]


def _without_last(outputs: list[Any]) -> tuple[Any, ...]:
    """Stacked, with zeros for the last step."""
    stacked = [np.stack(parts) for parts in zip(*outputs, strict=True)]
    for array in stacked:
        array[-1] = 0
    return tuple(stacked)


@pytest.mark.parametrize("cuts", [[], [1], [50], [109], [3, 4, 60, 61], list(range(1, 110))])
def test_any_way_of_cutting_110_steps_into_calls_gives_the_gradient_of_the_whole(
    cuts: list[int],
) -> None:
    xs, d_ys = random(110, 2, 3), random(110, 2, 4, seed=1)
    net = elman()
    hand = ByHand(net.params, xs)
    chunks = np.split(xs, cuts)
    ys = [net.scan(chunk) if len(chunk) > 1 else net(chunk[0])[None] for chunk in chunks]
    close(np.concatenate(ys), hand.ys)
    grads = net.backward(d_ys)
    d_params, d_xs, d_first = hand.backward(d_ys)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)
    close(grads.state["h"], d_first)
    assert grads.steps == net.recorded == 110


def test_100_calls_then_10_more_cost_110_steps_and_10_after_truncate() -> None:
    net, xs = elman(), random(120, 3)
    before = net._program.counts["backward"]
    ys = [net(x) for x in xs[:100]]
    assert net.backward(ys).steps == 100
    ys += [net(x) for x in xs[100:110]]
    assert net.backward(ys).steps == 110
    state = net.state["h"]
    net.truncate()
    close(net.state["h"], state)
    rest = [net(x) for x in xs[110:]]
    grads = net.backward(rest)
    assert grads.steps == 10
    assert net._program.counts["backward"] - before == 100 + 110 + 10

    hand = ByHand(net.params, xs[110:, None], first=state[None])
    d_params, d_xs, d_first = hand.backward(np.stack(rest)[:, None])
    close(grads.params, d_params)
    close(grads.inputs, d_xs[:, 0])
    close(grads.state["h"], d_first[0])


def test_single_calls_are_replayed_as_one_program() -> None:
    net = elman()
    for x in random(110, 3):
        net(x)
    assert [len(segment.buffer) for segment in net._at.history.segments] == [110]


def test_backward_consumes_nothing_and_moves_nothing() -> None:
    net, xs = elman(), random(5, 3)
    ys = net.scan(xs)
    first, second = net.backward(ys), net.backward(ys)
    close(first.params, second.params, 0)
    close(net.state["h"], ys[-1])


def test_outputs_that_were_not_used_are_none() -> None:
    net, xs, d_y = elman(), random(3, 2, 3), random(2, 4)
    for x in xs:
        net(x)
    grads = net.backward([None, None, d_y])
    d_ys = np.zeros((3, 2, 4))
    d_ys[-1] = d_y
    close(grads.params, net.backward(d_ys).params)
    assert not any(d.any() for d in net.backward([None, None, None]).params.values())


def test_reset_goes_back_to_the_initial_state_and_forgets() -> None:
    net, xs = elman(), random(4, 2, 3)
    ys = net.scan(xs)
    net.reset()
    close(net.state["h"], net.params["h0"])
    with pytest.raises(rnnc.Error, match="recorded nothing"):
        net.backward(ys)
    close(net.scan(xs), ys)
    net.reset()
    assert net.scan(xs[:, :1]).shape == (4, 1, 4), "another batch size is fine after a reset"


@pytest.mark.parametrize("rows", [[False, True, False], [1], np.array([1])])
def test_reset_of_rows_leaves_the_history_of_the_others(rows: Any) -> None:
    net, xs, d_ys = elman(), random(6, 3, 3), random(6, 3, 4, seed=1)
    net.scan(xs[:4])
    net.reset(rows=rows)
    close(net.state["h"][1], net.params["h0"])
    net.scan(xs[4:])
    starts = np.zeros((6, 3), bool)
    starts[4, 1] = True
    hand = ByHand(net.params, xs, starts=starts)
    close(net.state["h"], hand.state)
    grads, (d_params, d_xs, _) = net.backward(d_ys), hand.backward(d_ys)
    close(grads.params, d_params)
    close(grads.inputs, d_xs)


def test_a_row_that_waits_for_its_reset_sends_the_states_cotangent_to_the_initial_state() -> None:
    net, xs, d_state = elman(), random(4, 2, 3), random(2, 4)
    net.scan(xs)
    net.reset(rows=[0])
    grads = net.backward(None, {"h": d_state})
    hand = ByHand(net.params, xs)
    d_params, _, _ = hand.backward(np.zeros((4, 2, 4)), d_state * [[0], [1]])
    d_params["h0"] += d_state[0]
    close(grads.params, d_params)


def test_rows_are_reset_of_a_batch_that_is_there() -> None:
    net = elman()
    net.reset(rows=[7])  # every row of any batch is at the initial state
    net(random(3))
    with pytest.raises(rnnc.Error, match=r"no batch axis: call reset\(\)"):
        net.reset(rows=[0])


def test_a_reset_of_rows_holds_in_eval_mode_too() -> None:
    net, xs = elman().eval(), random(4, 2, 3)
    assert not net.training and net.train().training and not net.eval().training
    net.scan(xs[:2])
    net.reset(rows=[0])
    starts = np.zeros((4, 2), bool)
    starts[2, 0] = True
    net.scan(xs[2:])
    close(net.state["h"], ByHand(net.params, xs, starts=starts).state)


def test_recorded_steps_keep_the_parameters_they_ran_with() -> None:
    net, xs, d_ys = elman(), random(6, 2, 3), random(6, 2, 4, seed=1)
    old = dict(net.params)
    net.scan(xs[:4])
    net.load_params({"W": old["W"] * 2})
    new = dict(net.params)
    net.scan(xs[4:])
    early = ByHand(old, xs[:4])
    late = ByHand(new, xs[4:], first=early.state)
    late_params, late_xs, ct = late.backward(d_ys[4:])
    early_params, early_xs, _ = early.backward(d_ys[:4], ct)
    grads = net.backward(d_ys)
    close(grads.params, {name: late_params[name] + early_params[name] for name in old})
    close(grads.inputs, np.concatenate([early_xs, late_xs]))


def test_eval_records_nothing_and_the_gap_cuts() -> None:
    net, xs, d_ys = elman(), random(6, 2, 3), random(6, 2, 4, seed=1)
    net.scan(xs[:2])
    net.eval().scan(xs[2:4])
    assert net.recorded == 2
    between = net.state["h"]
    with pytest.raises(rnnc.Error, match="last recorded step"):
        net.backward(d_ys[:2], {"h": between})
    net.train().scan(xs[4:])
    grads = net.backward(np.concatenate([d_ys[:2], d_ys[4:]]))
    early, _, _ = ByHand(net.params, xs[:2]).backward(d_ys[:2])
    late, _, _ = ByHand(net.params, xs[4:], first=between).backward(d_ys[4:])
    close(grads.params, {name: early[name] + late[name] for name in early})


@pytest.mark.parametrize("sizes", [[1] * 9, [9], [2, 5, 2], [3, 0, 6]])
def test_a_window_remembers_the_last_steps_only(sizes: list[int]) -> None:
    net, xs, d_ys = elman(history=4), random(9, 2, 3), random(9, 2, 4, seed=1)
    for chunk in np.split(xs, np.cumsum(sizes)[:-1]):
        net.scan(chunk)
    assert net.recorded == 4
    before = ByHand(net.params, xs[:5]).state
    d_params, d_xs, d_first = ByHand(net.params, xs[5:], first=before).backward(d_ys[5:])
    grads = net.backward(d_ys[5:])
    assert grads.steps == 4
    close(grads.params, d_params)
    close(grads.inputs, d_xs)
    close(grads.state["h"], d_first)


def test_a_window_takes_constant_memory_and_entries_for_the_calls_left_in_it() -> None:
    net = elman(history=5)
    rooms = set()
    for x in random(100, 3):
        y = net(x)
        rooms.add(len(next(iter(net._at.history.segments[-1].buffer.arrays.values()))))
    assert max(rooms) <= 16
    assert net.backward([y] * 5).steps == 5


def test_setting_the_state_forgets_the_history_and_keeps_nothing_of_the_callers() -> None:
    net, mine = leaky(), {"h": random(2, 2), "mass": np.zeros(2)}
    net.scan((random(3, 2, 3), np.ones((3, 2))))
    net.state = mine
    assert net.recorded == 0
    mine["h"][:] = 7
    assert not (net.state["h"] == 7).any()


def test_nothing_is_written_into_what_a_net_shows(each_library: str) -> None:
    net = elman()
    net.scan(random(3, 2, 3))
    for shown in (net.state["h"], net.params["W"]):
        if each_library == "tensors":  # there is no read-only tensor: these are copies
            shown[:] = 7
        else:
            with pytest.raises(ValueError, match="read-only"):
                shown[:] = 7
    assert not (net.state["h"] == 7).any() and not (net.params["W"] == 7).any()


def test_what_the_caller_does_to_inputs_and_outputs_later_changes_nothing() -> None:
    net, xs = elman(), random(3, 2, 3)
    mine, starts = xs.copy(), np.eye(3, 2, dtype=bool)
    ys = net.scan(mine, starts=starts, boundaries=starts)
    d_ys = ys.copy()
    want = net.backward(d_ys)
    want.inputs[:] = 7
    mine[:], ys[:], starts[:] = 7, 7, True
    close(net.backward(d_ys).params, want.params, 0)
    close(net.state["h"], d_ys[-1], 0)


def test_a_copy_goes_on_by_itself() -> None:
    net, xs = elman(), random(6, 3)
    for x in xs[:3]:
        net(x)
    twin = copy.deepcopy(net)
    there = [twin(x) for x in -xs[3:]]
    here = [net(x) for x in xs[3:]]
    close(np.stack(here), ByHand(net.params, xs[:, None]).ys[3:, 0])
    assert not np.allclose(here, there)
    assert net.recorded == twin.recorded == 6


def test_two_calls_at_once_are_refused() -> None:
    net = elman()
    seen: list[str] = []

    def call() -> None:
        try:
            net(random(3))
        except rnnc.Error as error:
            seen.append(error.code)

    with net._alone():
        thread = threading.Thread(target=call)
        thread.start()
        thread.join()
    assert seen == ["net-in-use"]
    assert net(random(3)).shape == (4,)


def test_nets_that_share_a_program_run_side_by_side() -> None:
    xs = random(40, 2, 3)
    want = elman().scan(xs)
    nets, found = [elman() for _ in range(4)], {}

    def run(at: int) -> None:
        ys = np.stack([nets[at](x) for x in xs])
        found[at] = ys, nets[at].backward(ys)

    threads = [threading.Thread(target=run, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len({id(net._program) for net in nets}) == 1
    for ys, grads in found.values():
        close(ys, want)
        close(grads.params, found[0][1].params, 0)
        assert grads.steps == 40


def test_a_stateless_net_takes_any_batch_size_once_its_history_is_forgotten() -> None:
    net = dense()
    y = net(random(3, 4))
    with pytest.raises(rnnc.Error, match="3 rows"):
        net(random(2, 4))
    close(net.backward(y).inputs[0], y @ numpy_of(net.params["W"]))
    net.truncate()
    assert net(random(2, 4)).shape == (2, 2)
    net.reset()
    net.eval()
    assert [net(random(*lead, 4)).shape for lead in [(5,), (), (2,)]] == [(5, 2), (2,), (2, 2)]


def test_an_empty_batch_is_legal() -> None:
    net = elman()
    ys = net.scan(random(5, 0, 3))
    assert ys.shape == (5, 0, 4)
    grads = net.backward(ys)
    assert grads.inputs.shape == (5, 0, 3)
    assert not any(d.any() for d in grads.params.values())


@pytest.mark.parametrize("cuts", [[1], [8], [3, 4, 12], list(range(1, 17))])
def test_an_exact_net_gives_the_same_bits_however_a_sequence_is_cut(cuts: list[int]) -> None:
    xs, d_ys = random(17, 3, 5), random(17, 3, 33, seed=1)
    whole, cut = (elman(5, 33, dtype="float32", exact=True) for _ in range(2))
    ys = [cut.scan(chunk) for chunk in np.split(xs, cuts)]
    close(np.concatenate(ys), whole.scan(xs), 0)
    close(cut.backward(d_ys).params, whole.backward(d_ys).params, 0)


def test_floats_of_any_width_layout_and_order_give_the_same_bits() -> None:
    xs = random(4, 2, 3).astype(np.float32)
    want = elman(dtype="float32").scan(xs)
    fixed = xs.copy()
    fixed.setflags(write=False)
    misaligned = np.frombuffer(b"x" + xs.tobytes(), np.float32, offset=1).reshape(xs.shape)
    forms: list[Any] = [
        fixed, misaligned,
        xs.astype(np.float64), xs.astype(np.longdouble), xs.astype(">f4"), np.asfortranarray(xs),
        np.repeat(xs, 2, axis=0)[::2], xs[::-1][::-1], xs.tolist(), list(xs),
    ]  # fmt: skip
    for form in forms:
        found = elman(dtype="float32").scan(form)
        assert found.dtype == np.float32
        close(found, want, 0)


def test_a_plain_float32_net_is_the_float64_one_rounded() -> None:
    xs = random(20, 2, 3)
    close(elman(dtype="float32").scan(xs), elman().scan(xs), 1e-5)


def test_the_history_limit_is_an_error_that_names_the_ways_out() -> None:
    net, xs = elman(), random(50, 2, 3)
    net.scan(xs)
    before = net.state["h"]
    net.history_limit = 20_000
    with pytest.raises(MemoryError, match=r"truncate\(\).*history=.*eval\(\)") as caught:
        for _ in range(50):
            before = net.state["h"]
            net.scan(xs)
    assert caught.value.code == "history-full"  # type: ignore[attr-defined]
    close(net.state["h"], before, 0)
    net.truncate()
    net.scan(xs)


def test_an_absurd_length_is_refused_before_anything_is_allocated() -> None:
    huge = np.broadcast_to(np.float64(0), (2**31, 4, 3))
    with pytest.raises(MemoryError):
        elman(dtype="float32").scan(huge)
