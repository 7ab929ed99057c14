"""Blocks of a stream give the gradients that TBPTT(k1, k2) is defined by, at the cost it has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import product
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.recur import Recur
from rnnc.runtime.tbptt import Cuts
from tests.runtime.models import ByHand, close, elman, leaky, random

T, B, INPUTS, HIDDEN = 20, 2, 3, 4
PAIRS = [(1, 1), (1, 5), (1, 32), (2, 3), (3, 3), (3, 7), (5, 2), (4, 1), (7, 7), (5, 20), (6, 25),
         (20, 20), (25, 4)]  # fmt: skip
XS, D_YS = random(T, B, INPUTS), random(T, B, HIDDEN, seed=1)


def net_of(name: str, **keywords: Any) -> Recur:
    if name == "Elman":
        return elman(INPUTS, HIDDEN, **keywords)
    net: Recur = getattr(rnnc, name)(INPUTS, HIDDEN, **{"dtype": "float64", **keywords})
    draws = np.random.default_rng(1)
    net.load_params({n: draws.normal(0, 0.4, p.shape) for n, p in net.params.items()})
    return net


def descend(net: Recur, gradients: Any) -> None:
    net.load_params({name: p - 0.1 * gradients[name] for name, p in net.params.items()})


# -- the definition, by hand ---------------------------------------------------------------------

ORIGINS = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "d"}


def torch_step(name: str) -> Callable[[Any, Any, Any], Any]:
    """(params, x, state) -> state, a tuple whose first part is the output; torch's own cells."""
    import torch

    if name == "Elman":
        return lambda p, x, s: (torch.tanh(x @ p["W"].T + s[0] @ p["U"].T + p["b"]),)
    cell = getattr(torch.nn, f"{name}Cell")(INPUTS, HIDDEN, dtype=torch.float64)

    def step(params: Any, x: Any, state: Any) -> Any:
        given = {}
        for theirs, parameter in cell.named_parameters():
            ours = params.get(ORIGINS[theirs])
            zero = torch.zeros_like(parameter)
            given[theirs] = zero if ours is None else ours.reshape(parameter.shape)
        after = torch.func.functional_call(cell, given, (x, state if len(state) > 1 else state[0]))
        return after if isinstance(after, tuple) else (after,)

    return step


def detached_by_hand(name: str, net: Recur, k1: int, k2: int) -> Iterator[tuple[Any, Any]]:
    """Outputs and gradients of every block: its window is run again from a detached state.

    Every block has parameters of its own, as they descend after each; what its steps get is
    summed over the blocks that the window reaches.
    """
    import torch

    step = torch_step(name)
    params = {n: torch.tensor(np.array(p)) for n, p in net.params.items()}
    xs, d_ys = torch.tensor(XS), torch.tensor(D_YS)
    blocks: list[Any] = []
    before: list[Any] = []  # the state before every step, detached
    parts = len(net.state)
    state = tuple(torch.zeros(B, HIDDEN, dtype=torch.float64) for _ in range(parts))
    if "h0" in params:
        state = (params["h0"].expand(B, HIDDEN),)
    for start in range(0, T, k1):
        stop = min(start + k1, T)
        blocks.append({n: p.clone().requires_grad_() for n, p in params.items()})
        for t in range(start, stop):
            before.append(tuple(s.detach() for s in state))
            state = tuple(s.detach() for s in step(blocks[-1], xs[t], before[-1]))
        first = max(0, stop - k2)
        now = before[first]
        if first == 0 and "h0" in params:
            now = (blocks[0]["h0"].expand(B, HIDDEN),)
        loss, ys = torch.zeros((), dtype=torch.float64), []
        for t in range(first, stop):
            now = step(blocks[t // k1], xs[t], now)
            if t >= start:
                ys.append(now[0].detach().numpy())
                loss = loss + (now[0] * d_ys[t]).sum()
        for block in blocks:
            for p in block.values():
                p.grad = None
        loss.backward()  # type: ignore[no-untyped-call]
        found = {
            n: sum((b[n].grad for b in blocks if b[n].grad is not None), torch.zeros_like(p))
            for n, p in params.items()
        }
        yield ys, {n: d.numpy() for n, d in found.items()}
        params = {n: p - 0.1 * found[n] for n, p in params.items()}


@pytest.mark.torch
@pytest.mark.parametrize(("k1", "k2"), PAIRS)
@pytest.mark.parametrize("name", ["LSTM", "GRU", "Elman"])
def test_blocks_give_what_a_loop_of_torch_detached_by_hand_gives(
    name: str, k1: int, k2: int
) -> None:
    net = net_of(name)
    by_hand = detached_by_hand(name, net, k1, k2)
    blocks = 0
    for block, (ys, wanted) in zip(rnnc.TBPTT(net, k1, k2)(XS), by_hand, strict=True):
        found = block.backward(D_YS[block.steps])
        close(block.ys[-len(ys) :], np.stack(ys))
        close(found.params, wanted)
        descend(net, found.params)
        blocks += 1
    assert blocks == -(-T // k1)


# -- what it costs -------------------------------------------------------------------------------


@pytest.mark.parametrize(("k1", "k2"), PAIRS)
def test_steps_run_and_steps_recorded_are_those_of_the_theory(k1: int, k2: int) -> None:
    net = elman(INPUTS, HIDDEN)
    counts, before = net._program.counts, dict(net._program.counts)
    recorded = ran = 0
    for block in rnnc.TBPTT(net, k1, k2)(XS):
        assert net.recorded == min(k2, block.steps.stop)
        recorded = max(recorded, net.recorded)
        assert block.backward(D_YS[block.steps]).steps == net.recorded
        ran += min(k2, block.steps.stop)
        done = {name: count - before[name] for name, count in counts.items()}
        assert done == {"forward": block.steps.stop, "backward": ran}
    assert recorded == min(k2, T)


@pytest.mark.parametrize("descends", [False, True])
@pytest.mark.parametrize(("k1", "k2"), [(1, 8), (4, 4), (3, 8), (8, 3)])
def test_memory_does_not_grow_over_a_long_stream(k1: int, k2: int, descends: bool) -> None:
    net = elman(INPUTS, HIDDEN)
    row = sum(a[0].nbytes for a in tape_arrays(net))
    if descends and k1 == 1:  # every step keeps the parameters that running back over it reads
        row += net.params["W"].nbytes + net.params["U"].nbytes
    most = 0
    for _ in range(5):
        for block in rnnc.TBPTT(net, k1, k2)(random(100, B, INPUTS)):
            found = block.backward(np.ones((block.steps.stop - block.steps.start, B, HIDDEN)))
            if descends:
                descend(net, {n: 1e-3 * d for n, d in found.params.items()})
            segments = net._at.history.segments
            held = sum(a.nbytes for s in segments for a in s.buffer.arrays.values())
            most = max(most, held)
            assert len(segments) <= k2
            assert len(net._at.history.calls.arrays["call"]) <= max(16, 4 * k2)
    assert most <= row * max(16, 2 * (k1 + k2)) * (1 if not descends else 2)


def tape_arrays(net: Recur) -> list[Any]:
    net.scan(XS)
    arrays = list(net._at.history.segments[0].buffer.arrays.values())
    net.reset()
    return arrays


# -- the stream ----------------------------------------------------------------------------------


def gradients_of(tbptt: Any, *pieces: Any) -> list[Any]:
    """Steps and gradients of all blocks of several calls; every output's cotangent is 1."""
    found = []
    for xs in pieces:
        for block in tbptt(xs):
            found.append(block.backward(np.ones_like(block.ys)).params)
    return found


def test_blocks_are_counted_along_the_stream_whichever_calls_they_come_in() -> None:
    whole, pieces = elman(INPUTS, HIDDEN), elman(INPUTS, HIDDEN)
    wanted = gradients_of(rnnc.TBPTT(whole, 5, 8), XS)
    tbptt = rnnc.TBPTT(pieces, 5, 8)
    found = gradients_of(tbptt, XS[:10], XS[10:10], XS[10:15], XS[15:])
    for mine, theirs in zip(found, wanted, strict=True):
        close(mine, theirs)
    lengths = []
    for xs in (XS[:7], XS[7:14], XS[14:]):
        lengths.append([b.steps.stop - b.steps.start for b in tbptt(xs)])
    assert lengths == [[5, 2], [3, 4], [1, 5]]
    pieces.reset()
    assert [b.steps.stop - b.steps.start for b in tbptt(XS[:7])] == [5, 2]


def test_steps_that_arrive_one_at_a_time_are_blocks_of_their_own() -> None:
    whole, online = elman(INPUTS, HIDDEN), elman(INPUTS, HIDDEN)
    wanted = gradients_of(rnnc.TBPTT(whole, 1, 6), XS)
    found = gradients_of(rnnc.TBPTT(online, 1, 6), *(XS[t : t + 1] for t in range(T)))
    for mine, theirs in zip(found, wanted, strict=True):
        close(mine, theirs)
    close(online.state, whole.state)


def test_one_window_is_full_backpropagation() -> None:
    net, whole = elman(INPUTS, HIDDEN), elman(INPUTS, HIDDEN)
    (block,) = rnnc.TBPTT(net, T, T)(XS)
    close(block.ys, whole.scan(XS), 0)
    found, wanted = block.backward(D_YS), whole.backward(D_YS)
    close(found.params, wanted.params, 0)
    close(found.inputs, wanted.inputs, 0)


def test_resets_and_lengths_are_those_of_the_stream() -> None:
    starts = np.random.default_rng(3).random((T, B)) < 0.2
    lengths = np.array([T, 13])
    net = elman(INPUTS, HIDDEN)
    hand = ByHand(net.params, XS, starts=starts, lengths=lengths)
    for block in rnnc.TBPTT(net, 4, 9)(XS, starts=starts, lengths=lengths):
        stop = block.steps.stop
        close(block.ys, hand.ys[block.steps])
        first = max(0, stop - 9)
        d_ys = np.zeros((stop - first, B, HIDDEN))
        d_ys[block.steps.start - stop :] = D_YS[block.steps]
        window = ByHand(
            net.params,
            XS[first:stop],
            starts=starts[first:stop],
            lengths=np.clip(lengths - first, 0, stop - first),
            first=None if first == 0 else state_at(net, first, starts, lengths),
        )
        wanted, d_xs, _ = window.backward(d_ys)
        found = block.backward(D_YS[block.steps])
        close(found.params, wanted)
        close(found.inputs, d_xs)


def test_rows_are_reset_to_values_and_states_are_returned_between_blocks() -> None:
    net, whole = elman(INPUTS, HIDDEN), elman(INPUTS, HIDDEN)
    starts, memory = np.zeros((8, B), bool), np.full((B, HIDDEN), 0.5)
    starts[6, 1] = True
    blocks = iter(rnnc.TBPTT(net, 4, 8)(XS[:4]))
    next(blocks)
    _, states = net.scan(XS[4:6], states=True)
    close(states["h"][-1], net.state["h"])
    net.reset(rows=[1], state={"h": memory})
    (block,) = rnnc.TBPTT(net, 4, 8)(XS[6:8])
    ys = whole.scan(XS[:8], starts=starts, starts_at={"h": memory})
    close(block.ys, ys[6:])
    d_ys = np.zeros((8, B, HIDDEN))
    d_ys[6:] = D_YS[6:8]
    found, wanted = block.backward(D_YS[6:8]), whole.backward(d_ys)
    close(found.params, wanted.params)
    close(found.starts["h"], wanted.starts["h"])
    assert np.argwhere(found.starts["h"].any(axis=2)).tolist() == [[6, 1]]


def state_at(net: Recur, step: int, starts: Any, lengths: Any) -> Any:
    hand = ByHand(net.params, XS[:step], starts=starts[:step], lengths=np.minimum(lengths, step))
    return hand.state


def test_batch_first_and_no_batch_axis() -> None:
    one, swapped, single = (elman(INPUTS, HIDDEN, batch_first=at == 1) for at in range(3))
    starts = np.random.default_rng(3).random((T, B)) < 0.2
    pairs = zip(
        rnnc.TBPTT(one, 3, 5)(XS, starts=starts),
        rnnc.TBPTT(swapped, 3, 5)(XS.swapaxes(0, 1), starts=starts.T),
        rnnc.TBPTT(single, 3, 5)(XS[:, 1], starts=starts[:, 1], lengths=T),
        strict=True,
    )
    for a, b, c in pairs:
        close(b.ys.swapaxes(0, 1), a.ys)
        close(c.ys, a.ys[:, 1])
        d_ys = D_YS[a.steps] * [[0], [1]]
        wanted = a.backward(d_ys).params
        close(b.backward(d_ys.swapaxes(0, 1)).params, wanted)
        close(c.backward(d_ys[:, 1]).params, wanted)


def test_several_inputs_and_outputs() -> None:
    net, whole = leaky(), leaky()
    xs = {"x": XS, "dt": random(T, B, seed=2)}
    whole.scan(xs)
    d_ys = random(T, B, 2, seed=3)
    total: dict[str, Any] = {}
    for block in rnnc.TBPTT(net, 6, T)(xs):
        for name, d in block.backward((d_ys[block.steps], None)).params.items():
            total[name] = total.get(name, 0) + d
    close(total, whole.backward((d_ys, None)).params)


@pytest.mark.torch
def test_tensors_are_answered_with_tensors(stand_in: None) -> None:
    import torch

    net, twin = net_of("GRU"), net_of("GRU", backend="numpy")
    assert net._program.backend.name == "triton"
    blocks = zip(rnnc.TBPTT(net, 3, 5)(torch.tensor(XS)), rnnc.TBPTT(twin, 3, 5)(XS), strict=True)
    for theirs, ours in blocks:
        assert isinstance(theirs.ys, torch.Tensor)
        found = theirs.backward(torch.tensor(D_YS[ours.steps])).params
        close(found, ours.backward(D_YS[ours.steps]).params)


# -- cuts at random ------------------------------------------------------------------------------

SHORT = 5


class Drawn(Cuts):
    """Cuts that were drawn before."""

    def __init__(self, probability: float, cut: tuple[bool, ...]) -> None:
        super().__init__(probability, 0)
        self.cut = cut

    def weights(self, step: int, count: int) -> Any:
        passed = 1 / (1 - self.probability)
        return np.where(self.cut[step : step + count], 0.0, passed)


def expectation(net: Recur, k1: int, probability: float, steps: int) -> dict[str, Any]:
    """The mean of the sum of all blocks' gradients, over every way in which cuts can fall."""
    total: dict[str, Any] = {}
    for cut in product([False, True], repeat=steps):
        chance = np.prod([probability if c else 1 - probability for c in cut])
        net.reset()
        net._at = type(net._at)()  # step 0 again
        tbptt = rnnc.TBPTT(net, k1, cut=probability)
        tbptt.cuts = Drawn(probability, cut)
        for block in tbptt(XS[:steps]):
            for name, d in block.backward(D_YS[block.steps]).params.items():
                total[name] = total.get(name, 0) + chance * d
    return total


@pytest.mark.parametrize("k1", [1, 2, 5])
@pytest.mark.parametrize("name", ["LSTM", "GRU", "Elman"])
def test_the_expectation_over_all_cuts_is_the_gradient_of_the_whole(name: str, k1: int) -> None:
    net = net_of(name)
    net.scan(XS[:SHORT])
    wanted = net.backward(D_YS[:SHORT]).params
    close(expectation(net, k1, 0.3, SHORT), wanted)


@pytest.mark.torch
def test_so_it_is_in_kernels() -> None:
    pytest.importorskip("triton")
    net, twin = net_of("Elman", backend="triton"), net_of("Elman", backend="numpy")
    twin.scan(XS[:3])
    close(expectation(net, 2, 0.3, 3), twin.backward(D_YS[:3]).params)


def test_what_lies_before_a_cut_is_forgotten() -> None:
    net = elman(INPUTS, HIDDEN)
    tbptt = rnnc.TBPTT(net, 2, cut=0.3)
    cut = (False, True, False, False, True, False, False, True, False, False)
    tbptt.cuts = Drawn(0.3, cut)
    recorded = [net.recorded for _ in tbptt(XS[: len(cut)])]
    assert recorded == [2, 3, 2, 4, 3]  # back to the last cut at or before the block's first step


def test_where_cuts_fall_depends_on_the_seed_and_the_step_alone() -> None:
    cuts = Cuts(0.25, seed=7)
    whole = cuts.weights(0, 4000)
    np.testing.assert_array_equal(
        np.concatenate([cuts.weights(0, 3), cuts.weights(3, 9)]), whole[:12]
    )
    assert set(whole) == {0.0, 4 / 3}
    assert abs((whole == 0).mean() - 0.25) < 0.03
    assert (Cuts(0.25, seed=8).weights(0, 4000) != whole).any()
    assert (Cuts(0.0, seed=7).weights(0, 100) == 1).all()


# -- refusals ------------------------------------------------------------------------------------

REFUSED: list[tuple[str, Callable[[Recur], Any], type[BaseException], str]] = [
    ("k1 0", lambda n: rnnc.TBPTT(n, 0, 3), ValueError, "k1 is a number of steps, at least 1"),
    ("k2 half", lambda n: rnnc.TBPTT(n, 1, 0.5), ValueError, "k2 is a number"),  # type: ignore[arg-type]
    ("neither", lambda n: rnnc.TBPTT(n, 1), ValueError, "either k2"),
    ("both", lambda n: rnnc.TBPTT(n, 1, 2, cut=0.1), ValueError, "either k2"),
    ("cut 1", lambda n: rnnc.TBPTT(n, 1, cut=1), ValueError, "less than 1, got 1"),
    ("cut NaN", lambda n: rnnc.TBPTT(n, 1, cut=float("nan")), ValueError, "cut is a probability"),
    ("seed", lambda n: rnnc.TBPTT(n, 1, cut=0.1, seed=1.5), ValueError, "seed is"),  # type: ignore[arg-type]
    ("a function", lambda n: rnnc.TBPTT(max, 1, 2), ValueError, "takes a net"),  # type: ignore[arg-type]
    ("features", lambda n: rnnc.TBPTT(n, 1, 2)(XS[..., :2]), ValueError, "x has 2 features"),
    ("starts", lambda n: rnnc.TBPTT(n, 1, 2)(XS, starts=[True]), ValueError, r"bool\[20\]"),
    ("lengths", lambda n: rnnc.TBPTT(n, 1, 2)(XS, lengths=[1, 21]), IndexError, "20 steps"),
]


@pytest.mark.parametrize(
    ("refused", "error", "says"), [case[1:] for case in REFUSED], ids=[case[0] for case in REFUSED]
)
def test_what_cannot_be_is_refused_before_a_step_is_run(
    refused: Callable[[Recur], Any], error: type[BaseException], says: str
) -> None:
    net = elman(INPUTS, HIDDEN)
    with pytest.raises(error, match=says) as caught:
        refused(net)
    assert isinstance(caught.value, rnnc.Error)
    assert net._at.step == net.recorded == 0


def test_cotangents_of_another_shape_are_refused_and_change_nothing() -> None:
    net = elman(INPUTS, HIDDEN)
    blocks = rnnc.TBPTT(net, 4, 2)(XS)
    block = next(blocks)
    for wrong in (D_YS[:3], D_YS[:4, :1]):
        with pytest.raises(ValueError, match=r"\[4, 2, 4\]"):
            block.backward(wrong)
    with pytest.raises(TypeError, match="not a list"):
        block.backward([D_YS[:4]])
    assert block.backward(D_YS[:4]).steps == 2


def test_a_block_is_run_back_before_the_next_one() -> None:
    net = elman(INPUTS, HIDDEN)
    blocks = rnnc.TBPTT(net, 4, 8)(XS)
    first = next(blocks)
    next(blocks)
    with pytest.raises(RuntimeError, match="before the next block"):
        first.backward(D_YS[:4])
    net.eval()
    with pytest.raises(RuntimeError, match="in eval mode none is recorded"):
        next(blocks).backward(D_YS[:4])


def test_a_block_that_fails_leaves_the_net_as_the_last_one_left_it() -> None:
    net = elman(INPUTS, HIDDEN)
    net.history_limit = 6 * 2 * 8 * (INPUTS + 3 * HIDDEN)
    ran = 0
    with pytest.raises(MemoryError):
        for block in rnnc.TBPTT(net, 2, cut=0.0)(XS):
            ran = block.steps.stop
    assert 0 < ran == net.recorded == net._at.step
