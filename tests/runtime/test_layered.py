"""What nets of nets do as a `Recur` does: resets to values, windows of history, one limit."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.bidirectional import Bidirectional
from rnnc.runtime.layered import Layered
from rnnc.runtime.stack import Stack
from tests.runtime.models import bound, close, numpy_of, random

STEPS, BATCH = 9, 3


def cells() -> list[Any]:
    return [rnnc.LSTMCell(3, 4), bound("Elman", 4, 4), bound("Dense", 4, 2)]


def forward(**keywords: Any) -> Stack:
    return rnnc.Stack(cells(), **{"dtype": "float64", "seed": 5, **keywords})


def both(**keywords: Any) -> Bidirectional:
    cell = bound("Elman", 3, 4)  # its initial state is learned
    return rnnc.Bidirectional(cell, cell, **{"dtype": "float64", **keywords})


def mixed(**keywords: Any) -> Stack:
    elman = bound("Elman", 4, 2)
    layers = [rnnc.LSTMCell(3, 4), rnnc.Bidirectional(elman, elman), rnnc.GRUCell(4, 4)]
    return rnnc.Stack(layers, **{"dtype": "float64", "seed": 5, **keywords})


def values_of(net: Layered, *lead: int, seed: int = 7) -> dict[str, Array]:
    """A value for every state by path."""
    return {
        state.name: random(*lead, *map(int, state.node.type.shape), seed=seed + at)
        for at, state in enumerate(net._cell.states)
    }


# -- resets to values ----------------------------------------------------------------------------


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("lead", [(BATCH,), (STEPS, BATCH)])
def test_rows_of_a_stack_start_at_values_as_those_of_one_loop_do(lead: tuple[int, ...]) -> None:
    net, loop = forward(), rnnc.Chain(*cells(), dtype="float64", seed=5)
    xs, d_ys = random(STEPS, BATCH, 3), random(STEPS + 2, BATCH, 2, seed=1)
    starts = np.zeros((STEPS, BATCH), bool)
    starts[[0, 4, 4], [1, 0, 2]] = True
    memory, last = values_of(net, *lead), values_of(net, BATCH, seed=20)
    for each in (net, loop):
        each.scan(xs, starts=starts, starts_at=memory, lengths=[9, 2, 7])
        each.reset(rows=[1], state=last)
    close(net.scan(xs[:2]), loop.scan(xs[:2]))
    found, wanted = net.backward(d_ys), loop.backward(d_ys)
    for name in ("params", "state", "starts"):
        close(getattr(found, name), getattr(wanted, name))
    assert set(found.starts) == set(net.state)
    assert {tuple(at) for at in np.argwhere(numpy_of(found.starts["0.c"]).any(axis=2))} == {
        (0, 1), (4, 0), (4, 2), (9, 1)
    }  # fmt: skip


PIECES = {0: [(0, 4), (4, 9)], 1: [(0, 2), (2, 3), (3, 6)], 2: [(0, 7)]}
LENGTHS = [9, 6, 7]


def starts_of(pieces: dict[int, list[tuple[int, int]]]) -> Array:
    starts = np.zeros((STEPS, BATCH), bool)
    for row, parts in pieces.items():
        starts[[start for start, _ in parts], row] = True
    starts[[7, 8], [2, 1]] = True  # where their rows have ended
    return starts


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize("make", [both, mixed])
def test_both_directions_of_every_piece_start_at_the_values_of_its_ends(
    make: Any, each_step: bool, batch_first: bool
) -> None:
    """Forwards at that of its first step; backwards at that of its last, where a start follows."""
    net = make(batch_first=batch_first)
    xs, d_ys = random(STEPS, BATCH, 3), random(STEPS, BATCH, *net.width, seed=1)
    memory = values_of(net, STEPS, BATCH) if each_step else values_of(net, BATCH)
    end = values_of(net, BATCH, seed=40)
    net.state = end

    def turned(array: Any) -> Any:
        return array.swapaxes(0, 1) if batch_first else array

    given = {n: turned(v) for n, v in memory.items()} if each_step else memory
    ys = net.scan(turned(xs), starts=turned(starts_of(PIECES)), starts_at=given, lengths=LENGTHS)
    grads = net.backward(turned(d_ys))

    total = {name: np.zeros(value.shape) for name, value in grads.params.items()}
    d_starts = {name: np.zeros((STEPS, BATCH, *v.shape[1:])) for name, v in end.items()}
    d_end = {name: np.zeros(value.shape) for name, value in end.items()}
    for row, parts in PIECES.items():
        for start, stop in parts:
            alone = make()
            state, is_last = {}, stop == parts[-1][1]
            for name, value in memory.items():
                at = stop - 1 if ".backward." in f".{name}" else start
                own = value[at, row] if each_step else value[row]
                state[name] = end[name][row] if ".backward." in f".{name}" and is_last else own
            alone.state = state
            close(turned(numpy_of(ys))[start:stop, row], alone.scan(xs[start:stop, row]))
            back = alone.backward(d_ys[start:stop, row])
            close(turned(numpy_of(grads.inputs))[start:stop, row], back.inputs)
            for name in total:
                total[name] += numpy_of(back.params[name])
            for name, d in back.state.items():
                if ".backward." in f".{name}" and is_last:
                    d_end[name][row] = numpy_of(d)
                else:
                    at = stop - 1 if ".backward." in f".{name}" else start
                    d_starts[name][at, row] = numpy_of(d)
    close(grads.params, total)
    close({name: turned(numpy_of(d)) for name, d in grads.starts.items()}, d_starts)
    close(grads.state, d_end)


def test_rows_that_are_reset_to_values_begin_the_next_call_there_in_both_directions() -> None:
    net, xs, d_ys = both(), random(5, BATCH, 3), random(5, BATCH, 8, seed=1)
    net.scan(random(4, BATCH, 3, seed=2))
    begun, values = dict(net.state), values_of(net, BATCH)
    net.reset(rows=[1, 2], state=values)
    for name in values:
        close(net.state[name][1:], values[name][1:], 0)
        close(net.state[name][0], begun[name][0], 0)
    net.reset(rows=[2])  # what comes later holds
    ys = net.scan(xs, lengths=[5, 3, 5])
    grads = net.backward([None, d_ys])
    assert set(grads.starts) == {"forward.h", "backward.h"}
    for row, length in ((0, 5), (1, 3), (2, 5)):
        alone = both()
        initial = dict(alone.state)
        alone.state = {
            "forward.h": [begun["forward.h"][0], values["forward.h"][1], initial["forward.h"]][row],
            "backward.h": values["backward.h"][1] if row == 1 else initial["backward.h"],
        }
        close(ys[:length, row], alone.scan(xs[:length, row]))
        back = alone.backward(d_ys[:length, row])
        close(grads.inputs[4 : 4 + length, row], back.inputs)
        if row == 1:
            close(grads.starts["forward.h"][4, 1], back.state["forward.h"])
            close(grads.starts["backward.h"][4 + length - 1, 1], back.state["backward.h"])
    assert np.argwhere(grads.starts["backward.h"].any(axis=2)).tolist() == [[6, 1]]


@pytest.mark.parametrize("records", [True, False])
def test_a_row_without_steps_begins_where_it_was_set_once_it_has_some(records: bool) -> None:
    net, xs = both(), random(5, 2, 3)
    net = net if records else net.eval()
    start = values_of(net, 2)
    net.state = start
    net.scan(xs, lengths=[5, 0])
    close(net.state["backward.h"][1], start["backward.h"][1], 0)
    ys, alone = net.scan(xs), both()
    alone.state = {name: value[1] for name, value in start.items()}
    close(ys[:, 1], alone.scan(xs[:, 1]))


def test_values_that_do_not_fit_are_refused_by_their_path() -> None:
    net, xs, starts = mixed(), random(STEPS, BATCH, 3), starts_of(PIECES)
    net.scan(xs)
    before, values = dict(net.state), values_of(net, BATCH)
    wrong: list[tuple[Any, str, str]] = [
        (lambda: net.scan(xs, starts_at=values), "bad-setting", "pass starts= too"),
        (lambda: net.scan(xs, starts=starts, starts_at={"0.h": values["0.h"]}), "unknown-names",
         "1.backward.h"),
        (lambda: net.scan(xs, starts=starts, starts_at={**values, "1.backward.h": xs}),
         "array-shape", r"starts_at\['1.backward.h'\] is \[3, 2\] or \[9, 3, 2\]"),
        (lambda: net.reset(state=values), "bad-setting", "takes rows="),
        (lambda: net.reset(rows=[0], state={**values, "2.h": xs}), "array-shape", "2.h is"),
        (lambda: net.reset(rows=[0], state={**values, "2.h": values["2.h"][:2]}), "array-shape",
         r"2.h is \[3, 4\], got \[2, 4\]"),
        (lambda: net.reset(rows=[3], state=values), "out-of-range", "row 3"),
        (lambda: net.reset(rows=[0], state=values_of(net, 2)), "array-shape", "is"),
    ]  # fmt: skip
    for call, code, message in wrong:
        with pytest.raises(rnnc.Error, match=message) as caught:
            call()
        assert caught.value.code == code, message
        close(dict(net.state), before, 0)
        assert net.recorded == STEPS


# -- windows and limits ---------------------------------------------------------------------------

CALLS = [[3, 1, 4, 1], [9], [0, 2, 0, 5, 2], [1] * 9, [5, 0, 4], [4, 0, 0, 5]]


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("window", [1, 4, 20])
@pytest.mark.parametrize("calls", CALLS)
def test_a_window_of_a_stack_is_that_of_one_loop(calls: list[int], window: int) -> None:
    net = forward(history=window)
    loop = rnnc.Chain(*cells(), dtype="float64", seed=5, history=window)
    xs, begun, sizes = random(STEPS, BATCH, 3), 0, []
    for count in calls:
        piece = xs[begun : begun + count]
        close(net.scan(piece), loop.scan(piece))
        begun += count
        assert net.recorded == loop.recorded == min(begun, window)
        sizes = [ran.call.steps for ran in net._ran]
        assert sizes == [steps for steps, _ in loop._at.history.call_sizes()]
    d_ys = [random(steps, BATCH, 2, seed=at) for at, steps in enumerate(sizes)]
    found, wanted = net.backward(d_ys), loop.backward(d_ys)
    for name in ("params", "state", "inputs"):
        close(getattr(found, name), getattr(wanted, name))
    assert found.steps == wanted.steps


OPTIONS: list[dict[str, Any]] = [
    {"dropout": 0.4}, {"dropout": 0.4, "per_sequence": True}, {"dropout": 0.4, "residual": [1]}
]  # fmt: skip


@pytest.mark.parametrize("calls", CALLS)
@pytest.mark.parametrize("keywords", OPTIONS)
def test_what_left_the_window_is_a_constant_also_with_masks(
    keywords: dict[str, Any], calls: list[int]
) -> None:
    """Of the window's outputs, as a net that keeps all gives it where it is cut."""
    window = 4
    net, whole = forward(history=window, **keywords), forward(**keywords)
    xs, begun = random(STEPS, BATCH, 3), 0
    for count in calls:
        inside = STEPS - window - begun
        cut = [inside] if 0 < inside < count else None
        if inside == 0:
            whole.truncate()
        piece = xs[begun : begun + count]
        close(net.scan(piece, lengths=[count] * BATCH),
              whole.scan(piece, boundaries=cut, lengths=[count] * BATCH))  # fmt: skip
        begun += count
    d_ys = random(window, BATCH, 2, seed=1)
    padded = np.zeros((whole.recorded, BATCH, 2))
    padded[-window:] = d_ys
    found, wanted = net.backward(d_ys), whole.backward(padded)
    close(found.params, wanted.params)
    close(found.inputs, wanted.inputs[-window:])
    assert whole.recorded >= window == net.recorded


def test_what_a_window_holds_does_not_grow() -> None:
    net = forward(history=8, dropout=0.4, residual=[1])
    for count in (1, 1, 50, 3, *[1] * 40):
        net.scan(random(count, BATCH, 3), lengths=[count] * BATCH)
        notes = [ran.note for ran in net._ran]
        arrays = [a for note in notes for a in (note.valid, *note.factors) if a is not None]
        bases = {id(a.base): a.base for a in arrays if a.base is not None}
        held = sum(len(base) for base in bases.values())
        assert len(net._ran) <= 8 and held <= 2 * 8 * len(arrays)


@pytest.mark.parametrize("per_sequence", [False, True])
def test_masks_that_are_kept_count_in_the_limit(per_sequence: bool) -> None:
    xs = random(4, BATCH, 3)
    plain, net = forward(), forward(dropout=0.4, per_sequence=per_sequence)
    plain.scan(xs)
    histories = sum(inner._at.history.nbytes for inner in plain._nets().values())
    masks = 2 * 4 * 8 * BATCH * (1 if per_sequence else 4)  # of two layers' inputs, float64
    plain.truncate()
    plain.reset()
    plain.history_limit = histories
    plain.scan(xs)
    assert plain.history_limit == histories
    net.history_limit = histories + masks - 1
    before = dict(net.state)
    with pytest.raises(MemoryError, match=r"truncate\(\)") as caught:
        net.scan(xs)
    assert isinstance(caught.value, rnnc.Error) and net.recorded == 0
    close(dict(net.state), before, 0)
    twin = copy.copy(net).eval()
    twin.scan(xs)  # keeps no mask
    net.history_limit = histories + masks
    net.scan(xs)
    noted = sum(f.nbytes for f in net._ran[0].note.factors if f is not None)
    assert noted == masks
    with pytest.raises(MemoryError):
        net.scan(xs[:1])


def test_a_window_where_a_layer_runs_backwards_is_an_error() -> None:
    with pytest.raises(ValueError, match="runs backwards in time") as caught:
        mixed(history=3)
    assert isinstance(caught.value, rnnc.Error)
    with pytest.raises(ValueError, match="history is a number of steps"):
        forward(history=0)
