"""Blocks of a stream through a stack: as through the same layers in one loop, and by hand."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.stack import Stack
from tests.runtime.models import bound, close, numpy_of, random

T, B, INPUTS, HIDDEN = 12, 2, 3, 4
PAIRS = [(1, 1), (1, 5), (2, 3), (3, 3), (3, 7), (5, 2), (4, 1), (5, 12), (12, 12), (20, 4)]
XS, D_YS = random(T, B, INPUTS), random(T, B, 2, seed=1)


def cells() -> list[Any]:
    return [
        rnnc.LSTMCell(INPUTS, HIDDEN),
        bound("Elman", HIDDEN, HIDDEN),
        bound("Dense", HIDDEN, 2),
    ]


def stack(**keywords: Any) -> Stack:
    return rnnc.Stack(cells(), **{"dtype": "float64", "seed": 5, **keywords})


def descend(net: Any, gradients: Any) -> None:
    net.load_params({n: p - 0.1 * gradients[n] for n, p in net.params.items()})


@pytest.mark.parametrize(("k1", "k2"), PAIRS)
def test_blocks_of_a_stack_are_those_of_one_loop(k1: int, k2: int) -> None:
    net, loop = stack(), rnnc.Chain(*cells(), dtype="float64", seed=5)
    pairs = zip(rnnc.TBPTT(net, k1, k2)(XS), rnnc.TBPTT(loop, k1, k2)(XS), strict=True)
    for mine, theirs in pairs:
        close(mine.ys, theirs.ys)
        assert mine.steps == theirs.steps and net.recorded == loop.recorded
        found, wanted = (b.backward(D_YS[b.steps]) for b in (mine, theirs))
        for name in ("params", "inputs", "state"):
            close(getattr(found, name), getattr(wanted, name))
        assert found.steps == wanted.steps == min(k2, mine.steps.stop)
        descend(net, found.params)
        descend(loop, wanted.params)


@pytest.mark.torch
@pytest.mark.parametrize(("k1", "k2"), PAIRS)
def test_blocks_give_what_a_loop_of_torch_detached_by_hand_gives(k1: int, k2: int) -> None:
    import torch

    layers = [bound("Elman", INPUTS, HIDDEN), bound("Elman", HIDDEN, 2)]
    net = rnnc.Stack(layers, dtype="float64", seed=5)
    params = {n: torch.tensor(np.array(p), requires_grad=True) for n, p in net.params.items()}
    xs, d_ys = torch.tensor(XS), torch.tensor(D_YS)

    def step(x: Any, states: list[Any]) -> list[Any]:
        after = []
        for at, h in enumerate(states):
            w, u, b = (params[f"{at}.{name}"] for name in "WUb")
            after.append(torch.tanh(x @ w.T + h @ u.T + b))
            x = after[-1]
        return after

    def initial() -> list[Any]:
        return [params[f"{at}.h0"].expand(B, -1) for at in range(2)]

    before = [initial()]
    for x in xs:
        before.append([h.detach() for h in step(x, before[-1])])
    for block in rnnc.TBPTT(net, k1, k2)(XS):
        start, stop = block.steps.start, block.steps.stop
        first = max(0, stop - k2)
        states, loss = before[first] if first else initial(), torch.zeros(())
        for t in range(first, stop):
            states = step(xs[t], states)
            loss = loss + (states[-1] * d_ys[t]).sum() if t >= start else loss
        wanted = torch.autograd.grad(loss, list(params.values()), allow_unused=True)
        found = block.backward(D_YS[block.steps]).params
        for name, d in zip(params, wanted, strict=True):
            close(found[name], np.zeros(params[name].shape) if d is None else d.numpy())


@pytest.mark.parametrize("per_sequence", [False, True])
@pytest.mark.parametrize(("k1", "k2"), [(1, 5), (3, 7), (5, 2), (4, 4)])
def test_blocks_with_masks_are_parts_of_the_full_gradient(
    k1: int, k2: int, per_sequence: bool
) -> None:
    """With dropout and residual connections: the same calls, cut where the window begins."""
    net = stack(dropout=0.4, residual=[1], per_sequence=per_sequence)
    first = copy.copy(net)
    for block in rnnc.TBPTT(net, k1, k2)(XS):
        stop, whole = block.steps.stop, copy.copy(first)
        begin = max(0, stop - k2)
        for at in range(0, stop, k1):
            end = min(at + k1, stop)
            ys = whole.scan(XS[at:end], boundaries=[begin - at] if at <= begin < end else None)
        close(block.ys, ys, 0)
        d_ys = np.zeros((stop, B, 2))
        d_ys[max(begin, block.steps.start) : stop] = D_YS[max(begin, block.steps.start) : stop]
        found, wanted = block.backward(D_YS[block.steps]), whole.backward(d_ys)
        close(found.params, wanted.params)
        close(found.inputs, wanted.inputs[begin:])


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("batch_first", [False, True])
@pytest.mark.parametrize("each_step", [False, True])
@pytest.mark.parametrize("make", [rnnc.Stack, lambda c, **k: rnnc.Chain(*c, **k)])
def test_resets_to_values_are_those_of_the_stream(
    make: Any, each_step: bool, batch_first: bool
) -> None:
    starts = np.random.default_rng(3).random((T, B)) < 0.3
    lead = (T, B) if each_step else (B,)
    memory = {"0.h": random(*lead, HIDDEN, seed=4), "0.c": random(*lead, HIDDEN, seed=5),
              "1.h": random(*lead, HIDDEN, seed=6)}  # fmt: skip
    lengths = np.array([T, 9])

    def turned(array: Any) -> Any:
        return array.swapaxes(0, 1) if batch_first else array

    given = {n: turned(v) for n, v in memory.items()} if each_step else memory
    net = make(cells(), dtype="float64", seed=5, batch_first=batch_first)
    whole = make(cells(), dtype="float64", seed=5)
    tbptt = rnnc.TBPTT(net, 5, T)
    total, d_starts = None, None
    ys = whole.scan(XS, starts=starts, starts_at=memory, lengths=lengths)
    wanted = whole.backward(D_YS)
    for block in tbptt(turned(XS), starts=turned(starts), starts_at=given, lengths=lengths):
        close(turned(numpy_of(block.ys)), numpy_of(ys)[block.steps])
        found = block.backward(turned(D_YS[block.steps]))
        total = (
            found.params if total is None else {n: total[n] + d for n, d in found.params.items()}
        )
        padded = {n: np.zeros((T, B, HIDDEN)) for n in memory}
        for name, d in found.starts.items():
            padded[name][: block.steps.stop] = turned(numpy_of(d))
        d_starts = padded if d_starts is None else {n: d_starts[n] + padded[n] for n in memory}
    close(total, wanted.params)
    close(d_starts, numpy_of(wanted.starts))


@pytest.mark.parametrize(("k1", "k2"), PAIRS)
def test_no_layer_runs_a_step_forward_twice(k1: int, k2: int) -> None:
    net, ran = stack(dropout=0.2), 0
    counts = [inner._program.counts for inner in net._nets().values()]
    before = [dict(each) for each in counts]
    for block in rnnc.TBPTT(net, k1, k2)(XS):
        ran += block.backward(D_YS[block.steps]).steps
        assert net.recorded == min(k2, block.steps.stop)
        for each, old in zip(counts, before, strict=True):
            done = {name: count - old[name] for name, count in each.items()}
            assert done == {"forward": block.steps.stop, "backward": ran}


def test_cuts_at_random_fall_where_they_do_in_one_loop() -> None:
    net, loop = stack(), rnnc.Chain(*cells(), dtype="float64", seed=5)
    mine, theirs = (rnnc.TBPTT(each, 3, cut=0.3, seed=2)(XS) for each in (net, loop))
    for one, other in zip(mine, theirs, strict=True):
        close(one.backward(D_YS[one.steps]).params, other.backward(D_YS[other.steps]).params)


def test_a_block_of_a_stack_is_run_back_before_the_next_one() -> None:
    net = stack()
    blocks = rnnc.TBPTT(net, 4, 8)(XS)
    first = next(blocks)
    with pytest.raises(ValueError, match=r"\[4, 2, 2\]"):
        first.backward(D_YS[:3])
    next(blocks)
    with pytest.raises(RuntimeError, match="before the next block"):
        first.backward(D_YS[:4])


def test_what_runs_backwards_goes_along_no_stream() -> None:
    both = rnnc.Bidirectional(rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2))
    for net in (both, rnnc.Stack([both, rnnc.GRUCell(4, 2)])):
        with pytest.raises(ValueError, match="no stream: a layer of it runs backwards") as caught:
            rnnc.TBPTT(net, 2, 3)
        assert isinstance(caught.value, rnnc.Error)


def test_values_that_do_not_fit_are_refused_before_a_step_is_run() -> None:
    net, starts = stack(), np.ones((T, B), bool)
    values = {s.name: np.zeros((B, HIDDEN)) for s in net._cell.states}
    for said in ({"starts_at": values}, {"starts": starts, "starts_at": {"0.h": values["0.h"]}},
                 {"starts": starts, "starts_at": {**values, "1.h": XS}}):  # fmt: skip
        given: Any = said
        with pytest.raises(rnnc.Error, match="starts_at"):
            rnnc.TBPTT(net, 2, 3)(XS, **given)
    assert net.recorded == 0
