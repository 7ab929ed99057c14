"""`Bidirectional`: two nets by hand, one of them over reversed rows, give the same."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.bidirectional import Bidirectional
from rnnc.runtime.recur import Recur
from rnnc.runtime.reversal import Reversal
from tests.runtime.models import bound, close, numpy_of, random

STEPS, BATCH, LENGTHS = 6, 3, [6, 2, 4]


def both(**keywords: Any) -> Bidirectional:
    cell = bound("Elman", 3, 4)  # its initial state is learned
    return rnnc.Bidirectional(cell, cell, **{"dtype": "float64", **keywords})


def single(net: Bidirectional, way: str) -> Recur:
    """One direction as a net of its own."""
    found = rnnc.Recur(bound("Elman", 3, 4), dtype="float64")
    head = f"{way}."
    params = {n.removeprefix(head): v for n, v in net.params.items() if n.startswith(head)}
    found.load_params(params)
    return found


def reversed_rows(array: Any, lengths: list[int] | None) -> Array:
    """Row by row, with a loop."""
    found: Array = numpy_of(array).copy()
    for row in range(found.shape[1]):
        count = len(found) if lengths is None else lengths[row]
        found[:count, row] = numpy_of(array)[:count, row][::-1]
    return found


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("lengths", [None, LENGTHS])
@pytest.mark.parametrize("merge", ["concat", "sum", "mean"])
def test_it_is_two_nets_by_hand(merge: str, lengths: list[int] | None) -> None:
    net = both(merge=merge)
    ahead, behind = single(net, "forward"), single(net, "backward")
    assert not np.allclose(numpy_of(ahead.params["W"]), numpy_of(behind.params["W"]))
    xs = random(STEPS, BATCH, 3)
    first = numpy_of(ahead.scan(xs, lengths=lengths))
    second = reversed_rows(behind.scan(reversed_rows(xs, lengths), lengths=lengths), lengths)
    wanted = {
        "concat": np.concatenate([first, second], -1),
        "sum": first + second,
        "mean": (first + second) / 2,
    }[merge]
    close(net.scan(xs, lengths=lengths), wanted)
    close(net.state["backward.h"], behind.state["h"])

    d_ys, d_last = random(*wanted.shape, seed=1), random(BATCH, 4, seed=2)
    grads = net.backward(d_ys, {"backward.h": d_last})
    shares = {"concat": (d_ys[..., :4], d_ys[..., -4:]), "sum": (d_ys, d_ys),
              "mean": (d_ys / 2, d_ys / 2)}[merge]  # fmt: skip
    there = ahead.backward(shares[0])
    back = behind.backward(reversed_rows(shares[1], lengths), {"h": d_last})
    close(grads.inputs, numpy_of(there.inputs) + reversed_rows(back.inputs, lengths))
    for way, of in (("forward", there), ("backward", back)):
        close({n: grads.params[f"{way}.{n}"] for n in of.params}, of.params)
        close(grads.state[f"{way}.h"], of.state["h"])


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("lengths", [None, LENGTHS])
def test_states_stand_at_the_steps_that_left_them(lengths: list[int] | None) -> None:
    net, xs = both(), random(STEPS, BATCH, 3)
    ahead, behind = single(net, "forward"), single(net, "backward")
    ys, states = net.scan(xs, lengths=lengths, states=True)
    _, first = ahead.scan(xs, lengths=lengths, states=True)
    _, second = behind.scan(reversed_rows(xs, lengths), lengths=lengths, states=True)
    close(states["forward.h"], first["h"])
    close(states["backward.h"], reversed_rows(second["h"], lengths))
    close(numpy_of(states["backward.h"])[0], net.state["backward.h"])
    close(numpy_of(states["backward.h"])[:2], numpy_of(ys)[:2, :, 4:])  # an Elman cell's output

    d_states = {name: random(STEPS, BATCH, 4, seed=at) for at, name in enumerate(states)}
    grads = net.backward(None, None, d_states)
    there = ahead.backward(None, d_states={"h": d_states["forward.h"]})
    d_back = reversed_rows(d_states["backward.h"], lengths)
    back = behind.backward(None, d_states={"h": d_back})
    close(grads.inputs, numpy_of(there.inputs) + reversed_rows(back.inputs, lengths))
    close({n: grads.params[f"backward.{n}"] for n in back.params}, back.params)
    with pytest.raises(rnnc.Error, match="d_states"):
        net.backward(None, None, {"forward.h": d_states["forward.h"][1:]})


@pytest.mark.parametrize("batch_first", [False, True])
def test_axes_are_those_of_the_input(batch_first: bool) -> None:
    net, plain = both(batch_first=batch_first), both()
    xs = random(STEPS, BATCH, 3)
    given = xs.swapaxes(0, 1) if batch_first else xs
    starts = np.zeros((STEPS, BATCH), bool)
    starts[3, 0] = True
    wanted = plain.scan(xs, lengths=LENGTHS, starts=starts, boundaries=[2])
    ys = net.scan(
        given,
        lengths=LENGTHS,
        starts=starts.T if batch_first else starts,
        boundaries=[2],
    )
    close(ys.swapaxes(0, 1) if batch_first else ys, wanted)
    found, other = net.backward(np.ones_like(ys)), plain.backward(np.ones_like(wanted))
    close(found.inputs.swapaxes(0, 1) if batch_first else found.inputs, other.inputs)
    close(found.params, other.params)

    alone = both(batch_first=batch_first)
    ys = alone.scan(xs[:, 2], lengths=4)
    close(ys, wanted[:, 2])
    assert alone.state["backward.h"].shape == (4,)
    assert alone.backward(np.ones_like(ys)).inputs.shape == (STEPS, 3)


def test_the_backward_direction_starts_anew_in_every_call() -> None:
    net, xs = both(), random(9, BATCH, 3)
    ahead, behind = single(net, "forward"), single(net, "backward")
    d_ys, found = random(9, BATCH, 8, seed=1), []
    wanted = {name: np.zeros(value.shape) for name, value in behind.params.items()}
    d_xs = []
    for start, stop in ((0, 4), (4, 5), (5, 9)):
        found.append(net.scan(xs[start:stop]))
        behind.reset()
        close(found[-1][..., 4:], behind.scan(xs[start:stop][::-1])[::-1])
        grads = behind.backward(d_ys[start:stop, :, 4:][::-1])
        wanted = {name: value + grads.params[name] for name, value in wanted.items()}
        d_xs.append(grads.inputs[::-1])
    close(np.concatenate(found)[..., :4], ahead.scan(xs))
    there = ahead.backward(d_ys[..., :4])
    for given in (d_ys, [d_ys[:4], d_ys[4:5], d_ys[5:]]):
        grads = net.backward(given)
        assert grads.steps == net.recorded == 9
        close(grads.inputs, there.inputs + np.concatenate(d_xs))
        close({name: grads.params[f"backward.{name}"] for name in wanted}, wanted)
        close({name: grads.params[f"forward.{name}"] for name in wanted}, there.params)


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("lengths", [[2, 0, 1], [0, 0, 0], [2, 2, 2]])
@pytest.mark.parametrize("acts", [["truncate"], ["reset"], ["reset", "truncate"]], ids="+".join)
def test_what_it_starts_from_learns_in_every_call_whatever_came_before(
    lengths: list[int], acts: list[str]
) -> None:
    net, xs, d_ys = both(), random(3, BATCH, 3), random(3, BATCH, 8, seed=1)
    net.scan(xs)
    wanted = net.backward(d_ys).params["backward.h0"]
    net.reset()
    net.scan(random(2, BATCH, 3), lengths=lengths)
    for act in acts:
        net.truncate() if act == "truncate" else net.reset(rows=[0, 1])
    if acts == ["reset"]:  # what is recorded of the call before
        d_ys = np.concatenate([np.zeros((2, BATCH, 8)), d_ys])
    net.scan(xs)
    close(net.backward(d_ys).params["backward.h0"], wanted)


def test_cotangents_of_another_shape_are_named_by_their_path() -> None:
    net = both()
    net.scan(random(2, BATCH, 3))
    with pytest.raises(rnnc.Error) as caught:
        net.backward(None, {"backward.h": np.ones(3)})
    assert str(caught.value) == f"d_state['backward.h'] is [{BATCH}, 4], got [3]"


def test_sequences_that_share_a_row_do_not_see_each_other() -> None:
    net, xs = both(), random(7, 2, 3)
    starts = np.zeros((7, 2), bool)
    starts[3, 0] = starts[[1, 5], [1, 1]] = True
    ys = net.scan(xs, starts=starts, lengths=[7, 6])
    for row, parts in ((0, [(0, 3), (3, 7)]), (1, [(0, 1), (1, 5), (5, 6)])):
        for start, stop in parts:
            alone = both()
            close(ys[start:stop, row], alone.scan(xs[start:stop, row]))


@pytest.mark.parametrize("cuts", [[3], 2])
def test_a_boundary_cuts_both_directions_where_it_stands(cuts: Any) -> None:
    net, xs, d_ys = both(), random(6, 2, 3), random(6, 2, 8, seed=1)
    net.scan(xs, boundaries=cuts)
    found = net.backward(d_ys)
    ahead, behind = single(net, "forward"), single(net, "backward")
    places = [3] if cuts == [3] else [2, 4]
    ahead.scan(xs, boundaries=places)
    behind.scan(xs[::-1], boundaries=[6 - at for at in places])
    there = ahead.backward(d_ys[..., :4])
    back = behind.backward(d_ys[::-1, :, 4:])
    close(found.inputs, there.inputs + back.inputs[::-1])
    close({n: found.params[f"backward.{n}"] for n in back.params}, back.params)


@pytest.mark.parametrize("lengths", [None, [6, 4]])
def test_a_weight_holds_between_the_same_steps_in_both_directions(
    lengths: list[int] | None,
) -> None:
    xs, d_ys, weights = random(6, 2, 3), random(6, 2, 8, seed=1), np.ones((6, 2))
    weights[3] = 1.5, 0.25
    net, whole, cut = both(), both(), both()
    close(net.scan(xs, boundaries=weights, lengths=lengths), whole.scan(xs, lengths=lengths))
    cut.scan(xs, boundaries=[3], lengths=lengths)
    part = weights[3][:, None]
    close(
        net.backward(d_ys).inputs,
        part * whole.backward(d_ys).inputs + (1 - part) * cut.backward(d_ys).inputs,
    )


def test_a_state_that_was_set_is_where_both_directions_start() -> None:
    net, xs = both(), random(5, 2, 3)
    start = {"forward.h": random(2, 4, seed=1), "backward.h": random(2, 4, seed=2)}
    net.scan(xs)
    net.state = start
    assert net.recorded == 0
    ys, behind = net.scan(xs), single(net, "backward")
    behind.state = {"h": start["backward.h"]}
    close(ys[..., 4:], behind.scan(xs[::-1])[::-1])
    close(net.scan(xs)[..., 4:], single(net, "backward").scan(xs[::-1])[::-1])  # and only once


def test_padding_may_be_nan_and_rows_and_sequences_empty() -> None:
    net, xs = both(), random(STEPS, BATCH, 3)
    lengths = [6, 0, 4]
    wanted = net.scan(np.nan_to_num(xs), lengths=lengths)
    clean = net.backward(np.ones_like(wanted))
    for row, count in enumerate(lengths):
        xs[count:, row] = np.nan
    net.reset()
    ys = net.scan(xs, lengths=lengths)
    close(ys, wanted, 0)
    assert not ys[:, 1].any() and not ys[4:, 2].any()
    grads = net.backward(np.ones_like(ys))
    close(grads.params, clean.params, 0)
    close(grads.inputs, clean.inputs, 0)
    assert net.scan(np.zeros((0, BATCH, 3))).shape == (0, BATCH, 8)
    net.reset()
    assert net.scan(np.zeros((2, 0, 3))).shape == (2, 0, 8)


@pytest.mark.torch
def test_kernels_compute_what_numpy_does() -> None:
    pytest.importorskip("triton")
    xs, found = random(4, 2, 3), []
    for backend in ("numpy", "triton"):
        net = rnnc.Bidirectional(
            rnnc.GRUCell(3, 4), rnnc.GRUCell(3, 4), dtype="float64", backend=backend
        )
        ys = net.scan(xs, lengths=[4, 2])
        grads = net.backward(random(4, 2, 8, seed=1))
        assert isinstance(ys, np.ndarray) and isinstance(grads.inputs, np.ndarray)
        found.append(({"ys": ys, "d_xs": grads.inputs}, grads.params, grads.state))
    for ours, theirs in zip(*found, strict=True):
        close(ours, theirs)


def test_what_cannot_be_is_a_coded_error() -> None:
    net, gru = both(), rnnc.GRUCell(3, 4)
    with pytest.raises(rnnc.Error, match=r"no single step.*net\.scan") as caught:
        net(random(3))
    assert caught.value.code == "array-shape"
    wrong: list[tuple[Any, dict[str, Any], str, str]] = [
        (rnnc.GRUCell(2, 4), {}, "chain-mismatch", "do not read the same"),
        (rnnc.GRUCell(3, 5), {"merge": "sum"}, "chain-mismatch", "have no sum"),
        (rnnc.GRUCell(3, 4), {"merge": []}, "bad-setting", "merge is concat"),
        (gru, {"merge": "max"}, "bad-setting", "merge is concat, sum or mean"),
        (bound("Leaky", 3, 2), {}, "chain-mismatch", "several inputs"),
        ("GRU", {}, "chain-mismatch", "'GRU'"),
        (None, {}, "bad-setting", r"takes two cells, .*: Bidirectional\(a, b\)"),
        (gru, {"seed": "x"}, "bad-setting", "seed"),
        (gru, {"dtype": "int8"}, "bad-setting", "dtype"),
    ]
    for cell, keywords, code, message in wrong:
        with pytest.raises(rnnc.Error, match=message) as caught:
            rnnc.Bidirectional(gru, cell, **keywords)
        assert caught.value.code == code


def test_outputs_of_numbers_have_a_sum_and_nothing_to_join() -> None:
    cell = rnnc.loads("cell Sum(): (h[], x[]) -> (h', h') { h' = h + x }").Sum()
    ys = rnnc.Bidirectional(cell, cell, merge="sum").scan(np.arange(4.0))
    close(ys, np.arange(4.0) + 6)  # all of them, and the step itself twice
    with pytest.raises(rnnc.Error, match="have no concat"):
        rnnc.Bidirectional(cell, cell)


def test_a_bad_call_changes_neither_direction() -> None:
    net, xs = both(), random(4, 2, 3)
    net.scan(xs)
    before, ran = dict(net.state), net.recorded
    net._nets()["backward"].history_limit = 1  # the second to run
    for wrong in (
        lambda: net.scan(xs),
        lambda: net.scan(xs[:, :1]),
        lambda: net.scan(xs, lengths=[4, 5]),
        lambda: net.scan(xs, starts=np.ones(3, bool)),
        lambda: setattr(net, "state", {"forward.h": np.zeros((2, 4))}),
        lambda: setattr(
            net, "state", {"forward.h": np.zeros((2, 4)), "backward.h": np.zeros((3, 4))}
        ),
        lambda: net.reset(rows=[7]),
        lambda: net.load_params({"forward.W": np.zeros((4, 3)), "W": np.zeros((4, 3))}),
        lambda: net.backward(np.ones((4, 2, 7))),
        lambda: net.backward(np.ones((4, 2, 8)), {"h": np.ones((2, 4))}),
    ):
        with pytest.raises(rnnc.Error):
            wrong()
        close(dict(net.state), before, 0)
        assert net.recorded == ran
    twin = both()
    twin.scan(xs)
    close(net.backward(np.ones((4, 2, 8))).params, twin.backward(np.ones((4, 2, 8))).params, 0)


def test_a_copy_goes_on_by_itself() -> None:
    net, xs = both(), random(4, 2, 3)
    net.scan(xs)
    twin = copy.copy(net)
    close(twin.scan(xs), copy.deepcopy(net).scan(xs), 0)
    assert (twin.recorded, net.recorded) == (8, 4)
    twin.load_params({"backward.b": np.ones(4)})
    assert not (net.params["backward.b"] == 1).all()


def test_a_mask_parts_the_same_steps_backwards() -> None:
    mask = np.zeros((5, 2), bool)
    mask[2] = True
    found = Reversal(5, 2, np.array([5, 3])).turned_mask(mask)
    assert np.argwhere(found).tolist() == [[1, 1], [3, 0]]
