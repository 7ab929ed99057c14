"""Under a seed a module that goes along a stream draws by its steps, as a net of that seed does."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest

import rnnc
from tests.runtime.test_random import CELLS, ROWS, STEPS, sequence

torch = pytest.importorskip("torch", reason="needs torch")

import rnnc.torch  # noqa: E402
from tests.runtime.pytorch.test_module import close  # noqa: E402
from tests.runtime.pytorch.versions import graphs  # noqa: E402

pytestmark = pytest.mark.torch

SEED = 12
XS = torch.from_numpy(sequence())
PARTS = (3, 1, STEPS - 4)
F64: Any = {"dtype": "float64", "backend": "numpy", "seed": SEED}


def drop() -> Any:
    return CELLS.Drop(4)


def cell() -> Any:
    return rnnc.Recur(drop(), **F64)


def layers() -> Any:
    return rnnc.Stack([drop(), drop()], **F64)


def dropping_once() -> Any:
    """A mask for all steps of a call, and of a block."""
    return rnnc.Stack([drop(), drop()], dropout=0.3, per_sequence=True, **F64)


def dropping() -> Any:
    return rnnc.Stack([drop(), drop(), rnnc.Dense(4, 4)], dropout=0.3, residual=[1], **F64)


@pytest.mark.parametrize("made", [cell, layers, dropping])
def test_parts_draw_what_the_whole_and_the_net_do(made: Any) -> None:
    net = made()
    module = getattr(rnnc.torch, type(net).__name__)(net)
    whole, last = module(XS, seed=SEED)
    close(whole, net.scan(XS.numpy()))
    kept = rnnc.torch.Stateful(module)
    ys = torch.cat([kept(part, seed=SEED) for part in XS.split(PARTS)])
    close(ys, whole.detach())
    for path, value in kept.state.items():
        close(value, last[path].detach())
    params = list(module.parameters())
    found = torch.autograd.grad(ys.square().sum(), params)
    for d, true in zip(found, torch.autograd.grad(whole.square().sum(), params), strict=True):
        close(d, true)
    steps = rnnc.torch.Stateful(module)
    close(torch.stack([steps.step(x, seed=SEED) for x in XS]), whole.detach())


def test_a_backward_direction_draws_by_the_steps_of_the_stream_as_in_a_net() -> None:
    net: Any = rnnc.Bidirectional(drop(), drop(), merge="mean", **F64)
    for made in (net, rnnc.Stack([drop(), net], dropout=0.3, **F64)):
        kept = rnnc.torch.Stateful(getattr(rnnc.torch, type(made).__name__)(made))
        for part in XS.split(PARTS):
            close(kept(part, seed=SEED), made.scan(part.numpy()))


@pytest.mark.parametrize("batch_first", [False, True])
def test_packed_and_padded_sequences_count_their_longest_row(batch_first: bool) -> None:
    net = rnnc.Recur(drop(), **F64, batch_first=batch_first)
    kept = rnnc.torch.Stateful(rnnc.torch.Recur(net, batch_first=batch_first))
    xs, lengths = XS.swapaxes(0, 1) if batch_first else XS, torch.tensor([5, 2, 4])
    packed = torch.nn.utils.rnn.pack_padded_sequence(xs, lengths, batch_first, enforce_sorted=False)
    kept(packed, seed=SEED)
    short = xs[:, :5] if batch_first else xs[:5]
    net.scan(short.numpy(), lengths=lengths.numpy())
    close(kept(xs, seed=SEED), net.scan(xs.numpy()))


def test_calls_out_of_training_and_resets_count_as_in_a_net() -> None:
    net = cell()
    kept = rnnc.torch.Stateful(rnnc.torch.Recur(net))
    net.eval().scan(XS[:3].numpy())
    kept.eval()(XS[:3], seed=SEED)
    net.train().reset()
    kept.train().reset()
    close(kept(XS, seed=SEED), net.scan(XS.numpy()))
    net.reset(rows=[1])
    kept.reset(rows=[1])
    close(kept(XS, seed=SEED), net.scan(XS.numpy()))


def test_copies_and_pickles_go_on_with_the_draws_and_failed_calls_take_none() -> None:
    kept = rnnc.torch.Stateful(rnnc.torch.Recur(cell()))
    kept(XS[:3], seed=SEED)
    twins = copy.deepcopy(kept), pickle.loads(pickle.dumps(kept))
    for wrong in (XS[:, :2], XS.float()):
        with pytest.raises(rnnc.Error):
            kept(wrong, seed=SEED)
    with pytest.raises(rnnc.Error, match=r"seed is an integer, got 1\.5"):
        kept(XS, seed=1.5)
    wanted = kept(XS[3:], seed=SEED).detach()
    for twin in twins:
        close(twin(XS[3:], seed=SEED), wanted)


def test_without_a_seed_a_generator_that_is_set_again_repeats_a_call() -> None:
    kept, found = rnnc.torch.Stateful(rnnc.torch.Recur(cell())), []
    for _ in range(2):
        torch.manual_seed(0)
        kept.reset()
        found.append(kept(XS).detach())
    assert torch.equal(*found)
    kept.reset()
    assert not torch.equal(kept(XS).detach(), found[0])


@pytest.mark.parametrize(
    "settings", [{"k1": 2, "k2": 3}, {"k1": 3, "k2": 3}, {"k1": 3, "cut": 0.3}]
)
@pytest.mark.parametrize("made", [cell, layers, dropping, dropping_once])
def test_blocks_of_tbptt_draw_by_the_steps_of_the_stream(made: Any, settings: Any) -> None:
    net = made()
    module = getattr(rnnc.torch, type(net).__name__)(net)
    wanted, tbptt = rnnc.TBPTT(net, **settings), rnnc.torch.TBPTT(module, **settings)
    for part in XS.split([5, STEPS - 5]):
        blocks = tbptt(part, seed=SEED)
        for block, true in zip(blocks, wanted(part.numpy()), strict=True):
            close(block.ys, true.ys)
            module.zero_grad()
            block.backward(block.ys.sum())
            grads = true.backward(torch.ones_like(block.ys).numpy())
            for path, d in grads.params.items():
                close(module.get_parameter(path).grad, d, 1e-12)
    with pytest.raises(rnnc.Error, match="seed is an integer, got 'x'"):
        tbptt(XS, seed="x")


def test_a_block_that_fails_takes_no_draws() -> None:
    module = rnnc.torch.Recur(cell())
    tbptt = rnnc.torch.TBPTT(module, k1=4, k2=3)  # two pieces a block
    blocks, calls = tbptt(XS, seed=SEED), []

    def second_fails(*_: Any) -> None:
        calls.append(1)
        if len(calls) == 4:
            raise KeyboardInterrupt

    with module.register_forward_pre_hook(second_fails):
        next(blocks)
        with pytest.raises(KeyboardInterrupt):
            next(blocks)
    (found,) = tbptt(XS[4:], seed=SEED)
    close(found.ys, module(XS, seed=SEED)[0][4:].detach())


@pytest.mark.parametrize("per_sequence", [False, True])
@pytest.mark.parametrize("batch_first", [False, True])
def test_what_a_stack_drops_is_what_the_net_drops(batch_first: bool, per_sequence: bool) -> None:
    net = rnnc.Stack(
        [rnnc.Dense(4, 6), rnnc.GRUCell(6, 6), rnnc.Dense(6, 2)], dropout=0.3,
        per_sequence=per_sequence, batch_first=batch_first, **F64,
    )  # fmt: skip
    module = rnnc.torch.Stack(net, batch_first=batch_first)
    kept = rnnc.torch.Stateful(module)
    xs = XS.swapaxes(0, 1) if batch_first else XS
    for part in xs.split(PARTS, 1 if batch_first else 0):
        close(kept(part, seed=SEED), net.scan(part.numpy()))
    for x in XS[:2]:
        close(kept.step(x, seed=SEED), net(x.numpy()))
    alone = module.to_net(backend="numpy")
    close(module(XS[:, 0], seed=0)[0], alone.scan(XS[:, 0].numpy()))
    close(module.step(XS[0, 0], seed=torch.tensor(0))[0], module(XS[:1, 0], seed=0)[0][0].detach())


def test_stacks_that_stand_apart_drop_apart() -> None:
    ones, dense = torch.ones(5, 3, 8), rnnc.Dense(8, 8)
    stack = rnnc.torch.Stack([dense, dense, dense], dropout=0.5)
    with torch.no_grad():
        for p in stack.parameters():
            p.copy_(torch.eye(8) if p.ndim == 2 else torch.zeros(8))
    here, there = (stack(ones, seed=SEED, path=path)[0] for path in ("a.", "b."))
    assert not torch.equal(here, there)
    assert torch.equal(here, stack(ones, seed=SEED, path="a.")[0])


def test_gradients_and_transforms_hold_of_what_is_dropped() -> None:
    net = rnnc.Stack([drop(), drop()], dropout=0.3, **F64)
    module, xs = rnnc.torch.Stack(net), XS[:3].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, seed=SEED)[0], (xs,))
    wide = torch.func.vmap(lambda x: module(x, seed=SEED)[0])(torch.stack([XS, 2 * XS]))
    close(wide[1], module(2 * XS, seed=SEED)[0].detach())


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_graphs_drop_what_a_call_does() -> None:
    torch.compiler.reset()
    stack = rnnc.torch.Stack([drop(), drop()], dropout=0.3, dtype="float64")
    compiled: Any = torch.compile(stack, fullgraph=True, backend="aot_eager")
    for seed in (SEED, torch.tensor(SEED)):
        close(compiled(XS, seed=seed)[0], stack(XS, seed=SEED)[0].detach())
    torch.compiler.reset()


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_graphs_draw_by_the_steps_too_and_are_made_once_for_them_all() -> None:
    torch.compiler.reset()
    module = rnnc.torch.Recur(cell())
    made, kept = [], rnnc.torch.Stateful(module)

    def backend(graph: Any, _: Any) -> Any:
        made.append(graph)
        return graph.forward

    compiled: Any = torch.compile(kept, fullgraph=True, backend=backend)
    seed, wanted = torch.tensor(SEED), module(XS, seed=SEED)[0].detach()
    with torch.no_grad():
        ys = [compiled(part, seed=seed) for part in XS.split(2)]
    close(torch.cat(ys), wanted)
    assert len(made) == 2  # from the initial state, and from another
    torch.compiler.reset()


def test_steps_of_a_stream_are_of_64_bits() -> None:
    net = cell()
    kept = rnnc.torch.Stateful(rnnc.torch.Recur(net))
    begun = 2**32 - 2
    net._at = type(net._at)(step=begun)
    kept._step = torch.tensor(begun)
    close(kept(XS, seed=SEED), net.scan(XS.numpy()))
    assert XS.shape[1] == ROWS
