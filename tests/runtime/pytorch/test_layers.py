"""Layers as modules: what `rnnc.Stack`, `rnnc.Bidirectional` and PyTorch's layers compute."""

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
from tests.runtime.pytorch.test_module import close
from tests.runtime.pytorch.versions import graphs

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
]

STEPS, ROWS = 5, 3
LENGTHS = torch.tensor([5, 0, 3])


def layers() -> list[Any]:
    """For a net, or for a module."""
    reader = rnnc.Bidirectional(
        rnnc.LSTMCell(3, 2), rnnc.GRUCell(3, 2), dtype="float64", backend="numpy"
    )
    return [reader, rnnc.GRUCell(4, 4), rnnc.Dense(4, 2)]


def pair(**options: Any) -> tuple[Any, Any]:
    """A module, and the net that it is to equal."""
    said = {"dtype": "float64", "residual": [1], **options}
    module, net = rnnc.torch.Stack(layers(), **said), rnnc.Stack(layers(), backend="numpy", **said)
    return module, net


def inputs(features: int = 3) -> Any:
    draws = torch.Generator().manual_seed(2)
    return torch.randn(STEPS, ROWS, features, generator=draws, dtype=torch.float64)


def of_module(values: Any) -> dict[str, Any]:
    """By the paths of a module: its `forward` is a method."""
    pairs = (("forward.", "forwards."), ("backward.", "backwards."))
    found = {}
    for path, value in values.items():
        for net, module in pairs:
            path = path.replace(net, module)
        found[path] = value
    return found


MASKS: list[dict[str, Any]] = [
    {},
    {"lengths": LENGTHS},
    {"starts": torch.rand(STEPS, ROWS, generator=torch.Generator().manual_seed(1)) < 0.4},
    {"starts": [True, False, True, False, False], "lengths": LENGTHS, "boundaries": 2},
    {"boundaries": torch.full((STEPS, ROWS), 0.5, dtype=torch.float64), "lengths": LENGTHS},
]


@pytest.mark.parametrize("masks", MASKS, ids=lambda masks: "-".join(masks))
def test_a_stack_has_the_values_gradients_and_states_of_the_net(masks: Any) -> None:
    module, net = pair()
    for path, value in of_module(net.params).items():
        close(module.get_parameter(path), value, 0)
    xs = inputs().requires_grad_()
    ys, last = module(xs, **masks)
    plain = {n: v.numpy() if isinstance(v, torch.Tensor) else v for n, v in masks.items()}
    wanted = net.scan(xs.detach().numpy(), **plain)
    close(ys, wanted)
    assert list(last) == list(of_module(net.state))
    for path, value in of_module(net.state).items():
        close(last[path], value)
    ys.square().sum().backward()
    grads = net.backward(2 * wanted)
    close(xs.grad, grads.inputs)
    for path, d in of_module(grads.params).items():
        close(module.get_parameter(path).grad, d, 1e-11)


@pytest.mark.parametrize("merge", ["concat", "sum", "mean"])
def test_directions_merge_and_begin_where_they_are_told(merge: str) -> None:
    cells = rnnc.LSTMCell(3, 2), rnnc.LSTMCell(3, 2)
    module = rnnc.torch.Bidirectional(*cells, merge=merge, dtype="float64", batch_first=True)
    net = rnnc.Bidirectional(
        *cells, merge=merge, dtype="float64", backend="numpy", batch_first=True
    )
    draws = np.random.default_rng(3)
    state = {path: draws.normal(size=(ROWS, 2)) for path in net.state}
    net.state = state
    xs = inputs().swapaxes(0, 1)
    starts = torch.rand(ROWS, STEPS, generator=torch.Generator().manual_seed(4)) < 0.3
    tensors = {path: torch.tensor(value) for path, value in of_module(state).items()}
    ys, last = module(xs, tensors, starts=starts, lengths=LENGTHS)
    close(ys, net.scan(xs.numpy(), starts=starts.numpy(), lengths=LENGTHS.numpy()))
    for path, value in of_module(net.state).items():
        close(last[path], value)
    one, _ = module(xs[0], {path: value[0] for path, value in tensors.items()}, starts=starts[0])
    close(
        one,
        module(xs[:1], {p: v[:1] for p, v in tensors.items()}, starts=starts[:1])[0][0].detach(),
    )


def torch_layers(kind: str) -> tuple[Any, Any]:
    """PyTorch's three bidirectional layers, and ours with the same weights."""
    layer = getattr(torch.nn, kind)(3, 4, num_layers=3, bidirectional=True, dtype=torch.float64)
    ours: Any = rnnc.interop.from_torch(layer)
    return rnnc.torch.Stack([each for _, each in sorted(ours._layers.items())]), layer


@pytest.mark.parametrize("boundaries", [[1, 3], 2, [[0, 1, 0], [1, 1, 0], *[[0, 0, 1]] * 3]])
@pytest.mark.parametrize("dtype", [torch.uint8, torch.int16, torch.uint16, torch.uint32])
def test_boundaries_are_integers_of_any_width_in_both_directions(
    dtype: torch.dtype, boundaries: Any
) -> None:
    reader = rnnc.Bidirectional(
        rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 2), dtype="float64", backend="numpy"
    )
    module = rnnc.torch.Bidirectional(reader)
    xs = torch.ones(STEPS, ROWS, 3, dtype=torch.float64)

    def gradients(boundaries: Any) -> Any:
        loss = module(xs, boundaries=boundaries, lengths=LENGTHS)[0].square().sum()
        return torch.autograd.grad(loss, list(module.parameters()))

    wanted = gradients(boundaries if isinstance(boundaries, int) else torch.tensor(boundaries))
    for found, d in zip(gradients(torch.tensor(boundaries, dtype=dtype)), wanted, strict=True):
        close(found, d)


@pytest.mark.parametrize("given", [
    [], (), range(5, 3, 5), np.array([]), torch.tensor([]), [1.0, 0.5, 0.0],
    np.array([1.0, 0.5, 0.0], np.float32), [[1.0, 0.0], [0.5, 1.0], [0.0, 0.25]],
], ids=str)  # fmt: skip
@pytest.mark.parametrize("steps", [0, 3])
def test_both_directions_read_boundaries_as_a_net_does(given: Any, steps: int) -> None:
    if np.size(given) and not steps:
        given = given[:0]
    module = rnnc.torch.Bidirectional(rnnc.LSTMCell(3, 2), rnnc.GRUCell(3, 2), dtype="float64")
    net, xs = module.to_net(), np.random.default_rng(0).standard_normal((steps, 2, 3))
    ours = torch.tensor(xs, requires_grad=True)
    ys, _ = module(ours, boundaries=given)
    wanted = net.scan(xs, boundaries=np.asarray(given).tolist())
    close(ys, wanted)
    if steps:
        (found,) = torch.autograd.grad(ys.sum(), ours)
        close(found, net.backward(np.ones_like(wanted)).inputs)


def test_a_net_of_both_directions_is_a_module_with_its_parameters_and_merge() -> None:
    cells = rnnc.LSTMCell(3, 2), rnnc.GRUCell(3, 2)
    net = rnnc.Bidirectional(*cells, merge="sum", dtype="float64", backend="numpy", seed=5)
    module = rnnc.torch.Bidirectional(net)
    close(module(inputs())[0], net.scan(inputs().numpy()))
    assert rnnc.torch.Bidirectional(net, merge="concat").merge == "concat"


@pytest.mark.parametrize("kind", ["LSTM", "GRU"])
def test_three_layers_in_both_directions_are_pytorchs(kind: str) -> None:
    module, layer = torch_layers(kind)
    xs = inputs()
    rnn = torch.nn.utils.rnn
    packed = rnn.pack_padded_sequence(xs, torch.tensor([2, 5, 3]), enforce_sorted=False)
    for given in (xs, packed):
        ys, last = module(given)
        wanted, state = layer(given)
        if given is packed:
            assert torch.equal(ys.batch_sizes, wanted.batch_sizes)
            ys, wanted = ys.data, wanted.data
        close(ys, wanted.detach())
        h = state[0] if kind == "LSTM" else state
        ours = torch.stack([value for path, value in last.items() if path.endswith(".h")])
        close(ours, h.detach())
        ys.square().sum().backward()
        wanted.square().sum().backward()
        close(module.get_parameter("0.backwards.W").grad.reshape(-1, 3),
              layer.weight_ih_l0_reverse.grad, 1e-11)  # fmt: skip


def test_every_transform_takes_layers() -> None:
    module, _ = pair()
    func, xs = torch.func, inputs()
    params = {n: p.detach() for n, p in module.named_parameters()}
    state = module.initial_state(ROWS)

    def run(params: Any, xs: Any, state: Any = None) -> Any:
        return func.functional_call(module, params, (xs, state), {"lengths": LENGTHS})[0]

    def loss(params: Any, xs: Any) -> Any:
        return run(params, xs).square().sum()

    grads = func.grad(loss)(params, xs)
    own = dict(module.named_parameters())
    wanted = torch.autograd.grad(loss(own, xs), list(own.values()))
    for n, d in zip(own, wanted, strict=True):
        close(grads[n], d)
    many = torch.stack([xs, 2 * xs])
    for k, ys in enumerate(func.vmap(run, in_dims=(None, 0))(params, many)):
        close(ys, run(params, many[k]))
    each = func.vmap(func.grad(loss), in_dims=(None, 0))(params, many)
    close(each["0.backwards.U"][1], func.grad(loss)(params, many[1])["0.backwards.U"])
    masks = torch.stack([LENGTHS, LENGTHS.flip(0)]), torch.rand(2, STEPS, ROWS) < 0.4

    def masked(params: Any, xs: Any, lengths: Any, starts: Any) -> Any:
        given = {"lengths": lengths, "starts": starts}
        return func.functional_call(module, params, (xs,), given)[0].square().sum()

    each = func.vmap(func.grad(masked), in_dims=(None, 0, 0, 0))(params, many, *masks)
    for n, d in func.grad(masked)(params, many[1], *(mask[1] for mask in masks)).items():
        close(each[n][1], d)
    ensemble = {n: torch.stack([p, 1.1 * p]) for n, p in params.items()}
    found = func.vmap(run, in_dims=(0, None))(ensemble, xs)
    close(found[1], run({n: p[1] for n, p in ensemble.items()}, xs))
    states = {n: torch.stack([s, s + 1]) for n, s in state.items()}
    found = func.vmap(run, in_dims=(None, None, 0))(params, xs, states)
    close(found[1], run(params, xs, {n: s[1] for n, s in states.items()}))
    rows = func.jacrev(lambda w: run({**params, "0.backwards.U": w}, xs))(params["0.backwards.U"])
    columns = func.jacfwd(lambda w: run({**params, "0.backwards.U": w}, xs))
    close(columns(params["0.backwards.U"]), rows)
    short = xs[:2, :2].clone().requires_grad_()
    few = torch.tensor([2, 1])

    def of_inputs(x: Any) -> Any:
        return module(x, lengths=few)[0]

    assert torch.autograd.gradcheck(of_inputs, short, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(of_inputs, short)


@graphs
@pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning")
def test_layers_are_one_graph() -> None:
    torch._dynamo.reset()
    module, _ = pair()
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    said = {"lengths": LENGTHS, "starts": torch.tensor([1, 0, 0, 1, 0], dtype=torch.bool)}
    ys, wanted = compiled(inputs(), **said)[0], module(inputs(), **said)[0]
    close(ys, wanted.detach())
    params = list(module.parameters())
    found = torch.autograd.grad(ys.square().sum(), params)
    for d, true in zip(found, torch.autograd.grad(wanted.square().sum(), params), strict=True):
        close(d, true)
    rows, steps = torch.export.Dim("rows"), torch.export.Dim("steps")
    exported = torch.export.export(
        module, (inputs(),), {"lengths": LENGTHS},
        dynamic_shapes={"xs": {0: steps, 1: rows}, "lengths": {0: rows}},
    )  # fmt: skip
    longer, few = inputs().repeat(2, 1, 1)[:, :2], torch.tensor([9, 1])
    close(exported.module()(longer, lengths=few)[0], module(longer, lengths=few)[0].detach())
    torch._dynamo.reset()


def test_dropout_is_torchs_and_between_layers() -> None:
    cells = [rnnc.Dense(4, 4), rnnc.Dense(4, 4)]
    module = rnnc.torch.Stack(cells, dropout=0.5, dtype="float64")
    xs = inputs(4)
    torch.manual_seed(0)
    ys, _ = module(xs)
    torch.manual_seed(0)
    first, second = module.get_submodule("0"), module.get_submodule("1")
    between = torch.nn.functional.dropout(first(xs)[0], 0.5)
    close(ys, second(between)[0].detach())
    module.eval()
    close(module(xs)[0], second(first(xs)[0])[0].detach())


@pytest.mark.parametrize("batch_first", [False, True])
def test_dropout_per_sequence_drops_the_same_at_all_steps_of_a_call(batch_first: bool) -> None:
    cells = [rnnc.Dense(4, 6), rnnc.Dense(6, 6), rnnc.Dense(6, 2)]
    module = rnnc.torch.Stack(
        cells, dropout=0.5, per_sequence=True, batch_first=batch_first, dtype="float64"
    )
    torch.manual_seed(0)
    read: dict[int, Any] = {}
    for at, layer in enumerate(module.layers):
        layer.register_forward_pre_hook(lambda _, given, at=at: read.update({at: given[0]}))
    xs = inputs(4).swapaxes(0, 1) if batch_first else inputs(4)
    time = 1 if batch_first else 0
    module(xs)
    close(read[0], xs, 0)
    masks = [(read[at] != 0).movedim(time, 0) for at in (1, 2)]
    for mask in masks:
        assert torch.equal(mask, mask[:1].expand(STEPS, ROWS, 6))
        assert 0 < mask[0].sum() < ROWS * 6
        assert not torch.equal(mask[0, 0], mask[0, 1])  # rows have masks of their own
    assert not torch.equal(*masks)
    first = module.layers[0](xs)[0].movedim(time, 0)
    close(read[1].movedim(time, 0), torch.where(masks[0], 2 * first, 0).detach())
    before = read[1]
    module(xs)
    assert not torch.equal(read[1] != 0, before != 0)  # drawn anew in each call
    module(inputs(4)[:, 0])  # without a batch axis
    assert module(xs[:0])[0].shape == (0, *module(xs)[0].shape[1:])
    module.step(inputs(4)[0])
    module.eval()
    close(module(xs)[0], rnnc.torch.Stack(module.layers, batch_first=batch_first)(xs)[0].detach())


def test_layers_are_those_of_a_stack_in_order() -> None:
    module, net = pair()
    assert [type(layer) for layer in module.layers] == [
        rnnc.torch.Bidirectional, rnnc.torch.Recur, rnnc.torch.Recur,
    ]  # fmt: skip
    assert module.layers[1] is module.get_submodule("1")
    twice = rnnc.torch.Stack([module.layers[1]] * 2)
    assert twice.layers == (module.layers[1],) * 2
    assert [repr(layer) for layer in net.layers] == [
        "Bidirectional(LSTMCell(3, 2), GRUCell(3, 2))", "Recur(GRUCell(4, 4))", "Recur(Dense(4, 2))"
    ]  # fmt: skip


def test_layers_have_names_and_chains_are_layers() -> None:
    named = rnnc.torch.Stack({"encoder": rnnc.GRUCell(3, 4), "scores": rnnc.Dense(4, 2)})
    assert [n for n, _ in named.named_parameters()] == [
        "encoder.W", "encoder.U", "encoder.b", "encoder.d", "scores.W", "scores.b",
    ]  # fmt: skip
    chain = rnnc.Chain(rnnc.GRUCell(3, 4), rnnc.Dense(4, 2), dtype="float64")
    stack, loop = rnnc.torch.Stack(chain), rnnc.torch.Recur(chain)
    loop.load_state_dict(stack.state_dict())
    close(stack(inputs())[0], loop(inputs())[0].detach())
    x = inputs()[0]
    close(stack.step(x)[0], loop.step(x)[0].detach())


@graphs
@pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning")
def test_layers_that_a_chain_repeats_under_a_name_lie_under_it() -> None:
    source = """
    import GRU, Dense from std
    cell Deep(n) = encoder: repeat(2, GRU(n, n)) >> Dense(n, n)
    """
    deep = rnnc.loads(source).Deep(3)
    module = rnnc.torch.Stack(deep, dtype="float64")
    net = rnnc.Stack(deep, dtype="float64", backend="numpy")
    assert [n for n, _ in module.named_parameters()] == list(net.params)
    close(module(inputs())[0], net.scan(inputs().numpy()))
    assert list(module(inputs())[1]) == ["encoder.0.h", "encoder.1.h"]
    assert module.layers[1] is module.get_submodule("encoder.1")
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    close(compiled(inputs())[0], module(inputs())[0].detach())
    torch._dynamo.reset()


def test_a_module_in_a_stack_is_that_module_and_its_hooks_run() -> None:
    first = rnnc.torch.Recur(rnnc.GRUCell(3, 3), dtype="float64")
    stack = rnnc.torch.Stack([first, first], residual=True)
    assert [n for n, _ in stack.named_parameters()] == ["0.W", "0.U", "0.b", "0.d"]
    seen: list[Any] = []
    first.register_forward_hook(lambda *given: seen.append(given))
    ys, last = stack(inputs())
    assert len(seen) == 2
    assert list(last) == ["0.h", "1.h"]
    once = first(inputs())[0] + inputs()
    close(ys, (first(once)[0] + once).detach())


def test_copies_pickles_and_autocast_are_of_layers_too() -> None:
    module, _ = pair(dropout=0.5)
    module.eval()
    xs, wanted = inputs(), module(inputs())[0]
    for twin in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(twin(xs)[0], wanted)
        twin.load_state_dict({path: 2 * p for path, p in module.state_dict().items()})
        assert not torch.equal(twin(xs)[0], wanted)
    close(module(xs)[0], wanted.detach(), 0)
    module.float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        ys, state = module(xs.float(), lengths=LENGTHS)
    assert ys.dtype == torch.bfloat16
    assert {value.dtype for value in state.values()} == {torch.float32}
    close(ys.float(), module(xs.float(), lengths=LENGTHS)[0].detach(), 3e-2)


@pytest.mark.parametrize("wrong", [
    ("chain-mismatch", lambda t: t.Stack([])),
    ("chain-mismatch", lambda t: t.Stack([rnnc.GRUCell(3, 4), rnnc.GRUCell(3, 4)])),
    ("chain-mismatch", lambda t: t.Stack([rnnc.GRUCell(3, 4)], residual=True)),
    ("chain-mismatch", lambda t: t.Stack([3])),
    ("chain-mismatch", lambda t: t.Bidirectional(rnnc.GRUCell(3, 4), rnnc.GRUCell(2, 4))),
    ("bad-setting", lambda t: t.Bidirectional(rnnc.GRUCell(3, 4), rnnc.GRUCell(3, 4), merge="x")),
    ("bad-setting", lambda t: t.Stack(3)),
    ("bad-setting", lambda t: t.Stack([rnnc.GRUCell(3, 4)], residual=[1])),
    ("bad-setting", lambda t: t.Stack([rnnc.GRUCell(3, 4)], dropout=1.0)),
    ("bad-setting", lambda t: t.Stack([rnnc.GRUCell(3, 4)], batch_first="yes")),
    ("bad-setting", lambda t: t.Stack([rnnc.GRUCell(3, 4)], per_sequence="yes")),
    ("bad-setting", lambda t: t.Stack([t.Recur(rnnc.GRUCell(3, 4), batch_first=True)])),
    ("bad-setting", lambda t: t.Stack(rnnc.GRUCell(3, 4), rnnc.GRUCell(4, 4))),
    ("bad-setting", lambda t: t.Stack([rnnc.GRUCell(3, 3)], residual=[True])),
    ("bad-setting", lambda t: t.Bidirectional(rnnc.GRUCell(3, 4))),
    ("bad-setting", lambda t: t.Stack(t.Stack([rnnc.GRUCell(3, 4)]))),
    ("chain-mismatch", lambda t: t.Stack([t.Stack([rnnc.GRUCell(3, 4)])])),
    ("chain-mismatch", lambda t: t.Stack([t.LSTM(3, 4)])),
    ("chain-mismatch", lambda t: t.Stack([torch.nn.LSTM(3, 4)])),
    ("chain-mismatch", lambda t: rnnc.Stack([t.Recur(rnnc.GRUCell(3, 4))])),
    ("unknown-names", lambda t: t.Stack({"forward": rnnc.GRUCell(3, 4)})),
    ("unknown-names", lambda t: pair()[0](inputs(), {"0.h": torch.zeros(ROWS, 4)})),
    ("array-shape", lambda t: pair()[0](inputs(2))),
    ("array-shape", lambda t: pair()[0].step(inputs()[0])),
    ("array-dtype", lambda t: pair()[0](inputs().float())),
    ("array-dtype", lambda t: pair()[0](inputs().numpy())),
    ("out-of-range", lambda t: pair()[0](inputs(), lengths=[6, 1, 1])),
    ("bad-setting", lambda t: pair()[0](inputs(), boundaries=0)),
])  # fmt: skip
def test_mistakes_are_named(wrong: Any) -> None:
    code, call = wrong
    with pytest.raises(rnnc.Error) as found:
        call(rnnc.torch)
    assert found.value.code == code


@pytest.mark.parametrize(("make", "advice"), [
    (lambda: rnnc.torch.Stack([rnnc.GRUCell(3, 4)]), r"Stack\(\.\.\.\): pass the layers"),
    (lambda: rnnc.Stack([rnnc.GRUCell(3, 4)]), r"GRUCell\(3, 4\)\]\): pass the layers of a stack"),
    (lambda: rnnc.torch.LSTM(3, 4), r"LSTM\(\.\.\.\): module\.to_net\(\) makes a net of it"),
    (lambda: torch.nn.LSTM(3, 4), r"LSTM\(\.\.\.\): rnnc\.interop\.from_torch makes a net"),
])  # fmt: skip
def test_what_is_no_layer_is_told_how_it_becomes_one(make: Any, advice: str) -> None:
    with pytest.raises(rnnc.Error, match=advice):
        rnnc.torch.Stack([make()])


@pytest.mark.parametrize(("steps", "rows"), [(0, 2), (2, 0)])
def test_layers_take_no_steps_and_no_rows(steps: int, rows: int) -> None:
    module, _ = pair()
    ys, last = module(inputs()[:1, :1].expand(steps, rows, 3))
    assert ys.shape == (steps, rows, 2)
    assert {value.shape for value in last.values()} == {(rows, 2), (rows, 4)}
