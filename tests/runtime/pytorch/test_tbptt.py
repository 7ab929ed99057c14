"""Blocks of a module have the gradients of `rnnc.TBPTT`, and of a loop that detaches by hand."""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import cache
from typing import Any

import numpy as np
import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.runtime.models import random
from tests.runtime.pytorch.test_module import close

pytestmark = pytest.mark.torch

STEPS, ROWS = 23, 3
XS, TARGETS = random(STEPS, ROWS, 3, seed=1), random(STEPS, ROWS, 2, seed=2)
STARTS = random(STEPS, ROWS, seed=3) > 1.2
LENGTHS = np.array([STEPS, 9, 17])
RATE = 0.05
SETTINGS: list[dict[str, Any]] = [
    {"k1": 1, "k2": 1}, {"k1": 5, "k2": 5}, {"k1": 5, "k2": 10}, {"k1": 4, "k2": 7},
    {"k1": 3, "k2": 2}, {"k1": 7, "k2": 3}, {"k1": 1, "k2": 6}, {"k1": 30, "k2": 9},
    {"k1": 6, "k2": 40}, {"k1": 4, "cut": 0.0}, {"k1": 4, "cut": 0.3, "seed": 3},
    {"k1": 1, "cut": 0.8, "seed": 1},
]  # fmt: skip
IDS = [" ".join(f"{n}={v}" for n, v in each.items()) for each in SETTINGS]


def module_of(*, batch_first: bool = False) -> Any:
    return copy.deepcopy(pair(batch_first)[0])


@cache  # compiled once
def pair(batch_first: bool = False) -> tuple[Any, Any]:
    layers = [rnnc.LSTMCell(3, 4), rnnc.GRUCell(4, 2)]
    module = rnnc.torch.Stack(layers, dtype="float64", batch_first=batch_first)
    return module, module.to_net(backend="numpy")


def compared(
    settings: Any, parts: tuple[int, ...] = (STEPS,), *, learns: bool = True, starts: Any = None,
    lengths: Any = None, reset: Any = None, of: tuple[Any, Any] | None = None,
) -> None:  # fmt: skip
    """A module and a net go along one stream, and learn after every block.

    Args:
        reset: rows that are reset before each part but the first.
    """
    module, net = map(copy.deepcopy, of or pair())
    tbptt, wanted = rnnc.torch.TBPTT(module, **settings), rnnc.TBPTT(net, **settings)
    optimiser = torch.optim.SGD(module.parameters(), lr=RATE)
    for start, stop in zip((0, *parts), parts, strict=False):
        said: dict[str, Any] = {}
        if starts is not None:
            said["starts"] = starts[start:stop]
        if lengths is not None:
            said["lengths"] = np.clip(lengths - start, 0, stop - start)
        if start and reset is not None:
            tbptt.net.reset(rows=reset)
            net.reset(rows=reset)
        tensors = {name: torch.tensor(value) for name, value in said.items()}
        blocks = tbptt(torch.tensor(XS[start:stop]), **tensors)
        for block, true in zip(blocks, wanted(XS[start:stop], **said), strict=True):
            assert block.steps == true.steps
            close(block.ys, true.ys)
            targets = TARGETS[start:stop][block.steps]
            optimiser.zero_grad()
            block.backward((block.ys - torch.tensor(targets)).square().sum())
            grads = true.backward(2 * (true.ys - targets)).params
            for path, p in module.named_parameters():
                close(p.grad, grads[path], 1e-11)
            if learns:
                optimiser.step()
                net.load_params({path: net.params[path] - RATE * grads[path] for path in grads})


@pytest.mark.parametrize("settings", SETTINGS, ids=IDS)
def test_blocks_have_the_gradients_of_the_net(settings: Any) -> None:
    compared(settings)


@pytest.mark.parametrize("settings", SETTINGS[1::2], ids=IDS[1::2])
def test_so_they_have_with_resets_and_lengths(settings: Any) -> None:
    compared(settings, starts=STARTS, lengths=LENGTHS, learns=False)


@pytest.mark.parametrize("settings", [*SETTINGS[:3], *SETTINGS[-2:]], ids=[*IDS[:3], *IDS[-2:]])
def test_blocks_are_counted_along_the_stream_whichever_calls_they_come_in(settings: Any) -> None:
    compared(settings, parts=(6, 18))


def test_over_an_end_of_an_earlier_call_gradients_run_back_as_far_as_a_piece() -> None:
    tbptt, xs = rnnc.torch.TBPTT(module_of(), 5, 5), torch.tensor(XS)
    (_,) = tbptt(xs[:5])
    before = {path: value.detach() for path, value in tbptt.net.state.items()}
    (block,) = tbptt(xs[5:7])
    block.backward(block.ys.sum())
    module = tbptt.net.module
    wanted = torch.autograd.grad(module(xs[5:7], before)[0].sum(), list(module.parameters()))
    for p, d in zip(module.parameters(), wanted, strict=True):
        close(p.grad, d)


@pytest.mark.parametrize("k2", [3, 5])
def test_blocks_have_the_gradients_of_pytorchs_lstm_detached_by_hand(k2: int) -> None:
    k1, theirs = 5, torch.nn.LSTM(3, 4, dtype=torch.float64)
    net: Any = rnnc.interop.from_torch(theirs, backend="numpy")
    module = rnnc.torch.Recur(net)
    state: Any = None
    for block in rnnc.torch.TBPTT(module, k1, k2)(torch.tensor(XS[:20])):
        xs = torch.tensor(XS[:20][block.steps])
        with torch.no_grad():
            _, state = theirs(xs[: k1 - k2], state) if k1 > k2 else (None, state)
        ys, state = theirs(xs[k1 - k2 :], state)
        close(block.ys[k1 - k2 :], ys.detach())
        state = tuple(value.detach() for value in state)
        module.zero_grad()
        theirs.zero_grad()
        block.backward(block.ys.pow(3).sum())
        ys.pow(3).sum().backward()
        (d,) = [p.grad for path, p in module.named_parameters() if path == "U"]
        assert d is not None
        close(d.reshape(16, 4), theirs.weight_hh_l0.grad, 1e-11)


def test_one_window_is_full_backpropagation_of_whatever_a_loss_is_made_of() -> None:
    module, head = module_of(), torch.nn.Linear(2, 1, dtype=torch.float64)
    xs = torch.tensor(XS, requires_grad=True)
    (block,) = rnnc.torch.TBPTT(module, STEPS, STEPS)(xs)
    block.backward(head(block.ys).square().mean())
    own = [*module.parameters(), *head.parameters(), xs]
    found = [p.grad.clone() for p in own if p.grad is not None]
    wanted = torch.autograd.grad(head(module(xs)[0]).square().mean(), own)
    for d, true in zip(found, wanted, strict=True):
        close(d, true)


def test_what_is_reset_or_truncated_has_no_past_and_blocks_begin_anew() -> None:
    net = rnnc.torch.Stateful(module_of())
    tbptt, xs = rnnc.torch.TBPTT(net, 4, 100), torch.tensor(XS)
    assert tbptt.net is net
    assert [block.steps.stop for block in tbptt(xs[:6])] == [4, 6]
    assert [block.steps.stop for block in tbptt(xs[:6])] == [2, 6]
    for forget in (net.truncate, net.reset):
        forget()
        before = {} if net._state is None else dict(net._state)
        first, *_ = tbptt(xs[:2])
        net.zero_grad()
        first.backward(first.ys.sum())
        found = [p.grad for p in net.parameters()]
        ys, _ = net.module(xs[:2], before or None)
        wanted = torch.autograd.grad(ys.sum(), list(net.parameters()))
        for d, true in zip(found, wanted, strict=True):
            close(d, true)
    assert [block.steps.stop for block in tbptt(xs[:6])] == [2, 6]


def test_batch_first_no_batch_axis_and_tokens() -> None:
    whole = module_of()(torch.tensor(XS))[0].detach()
    first = rnnc.torch.TBPTT(module_of(batch_first=True), 4, 6)
    blocks = list(first(torch.tensor(XS).swapaxes(0, 1), starts=torch.zeros(ROWS, STEPS) > 0))
    close(torch.cat([block.ys for block in blocks], 1).swapaxes(0, 1), whole)
    one = rnnc.torch.TBPTT(module_of(), 4, 6)
    blocks = list(one(torch.tensor(XS[:, 0]), lengths=[STEPS]))
    close(torch.cat([block.ys for block in blocks]), whole[:, 0])
    words = rnnc.torch.Stack([rnnc.Embedding(5, 3), rnnc.GRUCell(3, 2)], dtype="float64")
    tokens = torch.arange(12).reshape(6, 2) % 5
    found = [block.ys for block in rnnc.torch.TBPTT(words, 4, 6)(tokens)]
    close(torch.cat(found), words(tokens)[0].detach())


def test_several_inputs_and_outputs_are_tuples() -> None:
    source = """
    cell Two(n): (h[n], (x[n], y[n])) -> (h', (h', z)) {
        param a[n] = normal(1)
        z = x * y
        h' = a * h + z
    }
    """
    module = rnnc.torch.Recur(rnnc.loads(source).Two(3), dtype="float64")
    xs = torch.tensor(XS), torch.tensor(XS[::-1].copy())
    found = [block.ys for block in rnnc.torch.TBPTT(module, 5, 7)(xs)]
    for at, wanted in enumerate(module(xs)[0]):
        close(torch.cat([ys[at] for ys in found]), wanted.detach())


@pytest.mark.parametrize("settings", [{"k2": 3}, {"k2": 5}, {"k2": 12}, {"cut": 0.5}])
def test_memory_does_not_grow_over_a_long_stream(settings: Any) -> None:
    module = module_of()
    tbptt, xs, counts = rnnc.torch.TBPTT(module, 5, **settings), torch.tensor(XS[:5]), []
    for _ in range(40):
        for block in tbptt(xs):
            block.backward(block.ys.sum())
            counts.append(len(tbptt._pieces))
    nodes, seen = [value.grad_fn for value in tbptt.net.state.values()], set()
    while nodes:
        node = nodes.pop()
        if node is not None and node not in seen:
            seen.add(node)
            nodes += [each for each, _ in node.next_functions]
    assert len(seen) < 60  # the past of the state is that of its last piece
    assert max(counts[20:]) <= (6 if "k2" in settings else 20)


def test_without_gradients_blocks_are_outputs_alone() -> None:
    module = module_of()
    tbptt = rnnc.torch.TBPTT(module, 4, 8)
    with torch.no_grad():
        blocks = list(tbptt(torch.tensor(XS)))
        close(torch.cat([block.ys for block in blocks]), module(torch.tensor(XS))[0])
    assert not tbptt.net.state["0.h"].requires_grad
    with pytest.raises(rnnc.Error, match="loss has no gradient") as error:
        blocks[-1].backward(blocks[-1].ys.sum())
    assert error.value.code == "nothing-recorded"


WRONG: list[tuple[Callable[[], Any], str, str]] = [
    (lambda: rnnc.torch.TBPTT(torch.nn.LSTM(3, 4), 5, 5), "bad-setting", "not a"),  # type: ignore[arg-type]
    (lambda: rnnc.torch.TBPTT(rnnc.GRU(3, 4), 5, 5), "bad-setting", "not a Recur"),  # type: ignore[arg-type]
    (lambda: rnnc.torch.TBPTT(both(), 5, 5), "bad-setting", "runs backwards in time"),
    (lambda: rnnc.torch.TBPTT(module_of(), 0, 5), "bad-setting", "k1 is a number of steps"),
    (lambda: rnnc.torch.TBPTT(module_of(), 5, 0), "bad-setting", "k2 is a number of steps"),
    (lambda: rnnc.torch.TBPTT(module_of(), 5), "bad-setting", "either k2"),
    (lambda: rnnc.torch.TBPTT(module_of(), 5, cut=1.0), "bad-setting", "cut is a probability"),
    (lambda: blocks_of(XS), "array-dtype", "not a tensor"),
    (lambda: blocks_of(torch.zeros(4, 2, 5)), "array-shape", "x has "),
    (lambda: blocks_of(torch.zeros(4, 2, 3)), "array-dtype", "float32"),
    (lambda: blocks_of(packed()), "bad-setting", "padded sequences"),
    (lambda: blocks_of(starts=torch.zeros(4) > 0), "array-shape", r"starts is bool\[23\]"),
    (lambda: blocks_of(lengths=[24, 1, 1]), "out-of-range", "lengths holds 24"),
]


def both() -> Any:
    return rnnc.torch.Stack([rnnc.Bidirectional(rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2))])


def packed() -> Any:
    return torch.nn.utils.rnn.pack_sequence([torch.zeros(2, 3, dtype=torch.float64)])


def blocks_of(xs: Any = None, **said: Any) -> Any:
    return rnnc.torch.TBPTT(module_of(), 5, 5)(torch.tensor(XS) if xs is None else xs, **said)


@pytest.mark.parametrize(("call", "code", "words"), WRONG)
def test_what_cannot_be_is_refused_at_once(call: Callable[[], Any], code: str, words: str) -> None:
    with pytest.raises(rnnc.Error, match=words) as error:
        call()
    assert error.value.code == code


def test_a_block_is_run_back_before_the_next_one_and_by_one_number() -> None:
    blocks = blocks_of()
    first = next(blocks)
    for loss, code in ((first.ys, "array-shape"), (1.0, "array-dtype")):
        with pytest.raises(rnnc.Error) as error:
            first.backward(loss)
        assert error.value.code == code
    next(blocks)
    with pytest.raises(rnnc.Error, match="before the next one is run") as error:
        first.backward(first.ys.sum())
    assert error.value.code == "nothing-recorded"


def test_a_block_that_fails_leaves_the_state_as_the_last_one_left_it() -> None:
    words = rnnc.torch.Stack([rnnc.Embedding(5, 3), rnnc.GRUCell(3, 2)], dtype="float64")
    tbptt = rnnc.torch.TBPTT(words, 4, 6)
    tokens = torch.zeros(12, 2, dtype=torch.int64)
    wrong = tokens.index_fill(0, torch.tensor([7]), 9)
    blocks = tbptt(wrong)
    next(blocks)
    before = dict(tbptt.net.state)
    with pytest.raises(rnnc.Error, match="token holds 9"):
        next(blocks)
    assert all(tbptt.net.state[path] is value for path, value in before.items())
    found = next(tbptt(tokens[4:]))
    found.backward(found.ys.sum())
    grads = [p.grad.clone() for p in words.parameters() if p.grad is not None]
    words.zero_grad()
    *_, wanted = rnnc.torch.TBPTT(words, 4, 6)(tokens[:8])
    close(found.ys, wanted.ys.detach())
    wanted.backward(wanted.ys.sum())
    for p, d in zip(words.parameters(), grads, strict=True):
        close(p.grad, d)


def test_a_block_that_fails_in_its_second_piece_forgets_no_state_that_was_given() -> None:
    words = rnnc.torch.Stack([rnnc.Embedding(5, 3), rnnc.GRUCell(3, 2)], dtype="float64")
    tbptt = rnnc.torch.TBPTT(words, 6, 2)
    tokens = torch.zeros(6, 2, dtype=torch.int64)
    given = {
        path: torch.ones_like(h, requires_grad=True) for path, h in words.initial_state(2).items()
    }
    tbptt.net.state = given
    with pytest.raises(rnnc.Error, match="token holds 9"):
        next(tbptt(tokens.index_fill(0, torch.tensor([5]), 9)))
    ys = tbptt.net(tokens, boundaries=1)  # which cut nothing of a state that no step has read
    grads = torch.autograd.grad(ys[0].sum(), list(given.values()))
    assert all(d.any() for d in grads)
