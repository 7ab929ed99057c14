"""`torch.compile` and `torch.export` take a module whole: one op for a sequence of any length."""

from __future__ import annotations

import gc
import io
import itertools
import weakref
from typing import Any

import pytest

import rnnc
from rnnc.runtime.program import Program
from tests.compiler.backends.sources import CELLS
from tests.runtime.pytorch.test_module import NAMES, close, inputs_of, module_of
from tests.runtime.pytorch.versions import graphs

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from rnnc.runtime.pytorch.engine import engine_of
from rnnc.runtime.pytorch.ops import run, run_back

pytestmark = [
    pytest.mark.torch,
    graphs,
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::FutureWarning"),  # torch's
]


@pytest.fixture(autouse=True)
def _forgets() -> Any:
    torch._dynamo.reset()
    yield
    torch._dynamo.reset()


@pytest.mark.parametrize("name", NAMES)
def test_one_graph_gives_values_and_gradients(name: str) -> None:
    module = module_of(name)
    xs = inputs_of(module)
    said = {"starts": torch.rand(4, 3) < 0.3, "lengths": torch.tensor([4, 1, 0])}
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    ys, wanted = compiled(xs, **said)[0], module(xs, **said)[0]
    close(ys, wanted.detach())
    params = [p for p in module.parameters()]
    found = torch.autograd.grad(ys.square().sum(), params)
    for d, true in zip(found, torch.autograd.grad(wanted.square().sum(), params), strict=True):
        close(d, true)


def test_eight_lengths_are_at_most_four_graphs_and_rows_are_none() -> None:
    module = module_of("GRU")
    graphs = []

    def counting(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled: Any = torch.compile(module, fullgraph=True, backend=counting)
    for steps in range(8):
        xs = inputs_of(module, steps=steps)
        close(compiled(xs)[0], module(xs)[0].detach())
    assert len(graphs) <= 4
    count = len(graphs)
    for rows in (4, 5, 6):
        compiled(inputs_of(module, steps=5, rows=rows))
    assert len(graphs) <= count + 1  # rows become a variable once


def test_lengths_that_are_said_to_vary_are_one_graph() -> None:
    module = module_of("GRU")
    graphs = []

    def counting(graph: Any, _inputs: Any) -> Any:
        graphs.append(graph)
        return graph.forward

    compiled: Any = torch.compile(module, fullgraph=True, backend=counting)
    for steps in range(8):
        xs = inputs_of(module, steps=steps)
        torch._dynamo.decorators.mark_unbacked(xs, 0)
        close(compiled(xs)[0], module(xs)[0].detach())
    assert len(graphs) == 1


@pytest.mark.parametrize("strict", [False, True])  # torch 2.6 begins with True, later ones do not
def test_an_exported_module_runs_at_other_lengths(strict: bool) -> None:
    module = module_of("LSTM")
    sizes = {0: torch.export.Dim("steps"), 1: torch.export.Dim("rows")}
    exported = torch.export.export(
        module, (inputs_of(module),), dynamic_shapes={"xs": sizes}, strict=strict
    )
    for steps, rows in ((4, 3), (7, 2)):
        xs = inputs_of(module, steps, rows)
        ys, wanted = exported.module()(xs)[0], module(xs)[0]
        close(ys, wanted.detach())
        true = torch.autograd.grad(wanted.square().sum(), list(module.parameters()))
        graph = exported.module()
        found = torch.autograd.grad(graph(xs)[0].square().sum(), list(graph.parameters()))
        for d, d_true in zip(found, true, strict=True):
            close(d, d_true)


@pytest.mark.filterwarnings("ignore:The given buffer is not writable")  # of `load` in torch 2.11
def test_an_exported_file_runs_where_its_module_is() -> None:
    module = rnnc.torch.Recur(rnnc.GRUCell(3, 7), dtype="float64")
    xs, file = inputs_of(module), io.BytesIO()
    wanted = module(xs)[0].detach()
    torch.export.save(torch.export.export(module, (xs,)), file)
    file.seek(0)
    graph = torch.export.load(file).module()
    close(graph(xs)[0], wanted)
    torch._dynamo.reset()
    del module
    gc.collect()
    with pytest.raises(rnnc.Error, match="make the module that it was exported from"):
        graph(xs)
    module = rnnc.torch.Recur(rnnc.GRUCell(3, 7), dtype="float64")
    close(graph(xs)[0], wanted)
    del module


def test_a_graph_does_not_lose_tangents_without_a_word() -> None:
    module = module_of("GRU").requires_grad_(requires_grad=False)
    xs = inputs_of(module)
    graph = torch.export.export(module, (xs,)).module()
    with pytest.raises(rnnc.Error, match="no derivative in forward mode") as error:
        torch.func.jvp(lambda x: graph(x)[0], (xs,), (xs,))
    assert error.value.code == "no-gradient"


@pytest.mark.parametrize("name", ["jvp", "grad", "vmap"])
def test_a_transform_within_a_graph_is_right_or_refused(name: str) -> None:
    module = module_of("GRU").requires_grad_(requires_grad=False)
    xs, func = inputs_of(module), torch.func

    def run(x: Any) -> Any:
        return module(x)[0]

    whole: Any = {
        "jvp": lambda x: func.jvp(run, (x,), (x,))[1],
        "grad": func.grad(lambda x: run(x).square().sum()),
        "vmap": lambda x: func.vmap(run)(torch.stack([x, x + 1])),
    }[name]
    compiled: Any = torch.compile(whole, fullgraph=True, backend="aot_eager")
    try:
        found = compiled(xs)
    except (torch._dynamo.exc.TorchRuntimeError, torch._dynamo.exc.Unsupported):
        return  # by PyTorch, which knows no such transform of an op, or by us
    close(found, whole(xs))


def test_a_graph_takes_no_other_dtype_for_its_own() -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    with pytest.raises(rnnc.Error, match=r"x is torch.float32, and the module takes torch.float64"):
        compiled(xs.float())
    with pytest.raises(rnnc.Error, match=r"h is torch.float32, and the module takes torch.float64"):
        compiled(xs, {"h": torch.zeros(3, 4)})


@pytest.mark.parametrize(("name", "kinds"), [
    *itertools.product(("LSTM", "SLSTM", "Embedding", "DeltaNet"),
                       ("", "starts,lengths,boundaries,")),
    ("LSTM", "starts,"), ("LSTM", "weights,"),
])  # fmt: skip
def test_ops_keep_pytorchs_rules(name: str, kinds: str) -> None:
    cell = CELLS[name]()
    engine = engine_of(Program(cell, "float64"))
    draws = torch.Generator().manual_seed(0)

    def like(node: Any, *lead: int) -> Any:
        shape = (*lead, *map(int, node.type.shape))
        if node.type.kind == "int":
            return torch.randint(0, 3, shape, generator=draws)
        return torch.randn(shape, generator=draws, dtype=torch.float64)

    flat = [like(p.node) for p in cell.params] + [like(s.node, 2) for s in cell.states]
    flat += [like(x.node, 3, 2) for x in cell.inputs]
    steps = torch.tensor([[0, 1], [1, 0], [0, 0]], dtype=torch.bool)
    given = {"starts": steps, "lengths": torch.tensor([3, 1]), "boundaries": ~steps}
    if kinds == "weights,":
        kinds, given = "boundaries,", {"boundaries": 0.5 * steps.double()}
    masks = [given[kind] for kind in kinds.split(",") if kind]
    torch.library.opcheck(run, (engine.name, kinds, masks, flat, True))
    torch.library.opcheck(run, (engine.name, kinds, masks, flat, False))
    found = run(engine.name, kinds, masks, flat, True)
    d_outs = [torch.ones_like(out) for out in found[: engine.outs]]
    torch.library.opcheck(run_back, (engine.name, kinds, masks, d_outs, flat, found))


@pytest.mark.parametrize("wrong", [
    {"boundaries": -torch.ones(4, 3, dtype=torch.float64)},
    {"boundaries": 0},
    {"boundaries": torch.full((4, 3), 2)},
    {"boundaries": torch.ones(4, 3, dtype=torch.complex128)},
    {"boundaries": torch.tensor(2)},
    {"boundaries": torch.ones(4, 3, dtype=torch.float64, requires_grad=True)},
    {"starts": torch.full((4, 3), 2)},
    {"lengths": torch.tensor([1.5, 2, 3])},
    {"lengths": torch.tensor([True, True, False])},
    {"lengths": torch.tensor([9, 1, 1])},
    {"state": {"h": torch.zeros(3, 4)}},
])  # fmt: skip
def test_mistakes_are_answered_in_graphs_too(wrong: Any) -> None:
    module = module_of("GRU")
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    with pytest.raises(Exception, match=r".") as found:
        compiled(inputs_of(module), **wrong)
    words = str(found.value)
    assert any(word in words for word in (*wrong, "float64")), words


def test_a_mistake_that_breaks_a_graph_is_the_modules_own_error() -> None:
    module = module_of("GRU")
    compiled: Any = torch.compile(module, backend="aot_eager")
    with pytest.raises(rnnc.Error, match="starts holds float32; it takes truth values") as found:
        compiled(inputs_of(module), starts=torch.ones(4, 3))
    assert found.value.code == "array-dtype"


WRONG_CALLS: dict[str, tuple[str, Any, dict[str, Any]]] = {
    "another name": ("GRU", {"H": torch.zeros(3, 4, dtype=torch.float64)}, {}),
    "no name": ("GRU", {}, {}),
    "a tuple": ("LSTM", (torch.zeros(3, 4, dtype=torch.float64),) * 2, {}),
    "one of two": ("LSTM", {"h": torch.zeros(3, 4, dtype=torch.float64)}, {}),
    "one too many": ("GRU", dict.fromkeys("hz", torch.zeros(3, 4, dtype=torch.float64)), {}),
    "a layer that is not there": ("Stack", {"2.h": torch.zeros(3, 4, dtype=torch.float64)}, {}),
    "half a layer": ("Stack", {"0.h": torch.zeros(3, 4, dtype=torch.float64)}, {}),
    "a step that is not there": ("GRU", None, {"boundaries": [20]}),
    "weights of another type": ("GRU", None, {"boundaries": torch.ones(4, 3)}),
}


@pytest.mark.parametrize("fullgraph", [False, True], ids=["", "fullgraph"])
@pytest.mark.parametrize("what", WRONG_CALLS)
def test_what_a_module_refuses_its_graph_refuses(what: str, fullgraph: bool) -> None:
    name, state, said = WRONG_CALLS[what]
    if name == "Stack":
        layers = [rnnc.LSTMCell(5, 4), rnnc.LSTMCell(4, 4)]
        module: Any = rnnc.torch.Stack(layers, dtype=torch.float64)
    else:
        module = module_of(name)
    xs = torch.ones(4, 3, 5, dtype=torch.float64) if name == "Stack" else inputs_of(module)
    with pytest.raises(rnnc.Error) as eager:
        module(xs, state, **said)
    compiled: Any = torch.compile(module, fullgraph=fullgraph, backend="aot_eager")
    with pytest.raises(Exception if fullgraph else type(eager.value), match=r".") as found:
        compiled(xs, state, **said)
    if isinstance(found.value, rnnc.Error):  # or PyTorch's own, about a whole graph
        assert found.value.code == eager.value.code


def test_a_parameter_unlike_the_others_is_told_by_its_name_in_graphs() -> None:
    module = module_of("GRU")
    params = {name: p.detach() for name, p in module.named_parameters()}

    def ys_of(params: Any, xs: Any) -> Any:
        return torch.func.functional_call(module, params, (xs,))[0]

    compiled: Any = torch.compile(ys_of, backend="aot_eager")
    with pytest.raises(rnnc.Error, match=r"the parameter U is torch\.float32") as found:
        compiled({**params, "U": params["U"].float()}, inputs_of(module))
    assert found.value.code == "array-dtype"


@pytest.mark.parametrize("seed", ["3", 3.5, True])
def test_a_seed_that_is_none_is_refused_in_graphs(seed: Any) -> None:
    module = rnnc.torch.Recur(rnnc.modifiers.zoneout(rnnc.GRUCell(3, 4), 0.3))
    compiled: Any = torch.compile(module, backend="aot_eager")
    with pytest.raises(rnnc.Error, match="seed is an integer"):
        compiled(torch.ones(5, 2, 3), seed=seed)


def test_an_input_of_too_few_axes_is_refused_in_graphs() -> None:
    compiled: Any = torch.compile(module_of("GRU"), backend="aot_eager")
    with pytest.raises(rnnc.Error, match=r"for a sequence|no axis of time") as found:
        compiled(inputs_of(module_of("GRU"))[0, 0])
    assert found.value.code == "array-shape"


def test_lists_say_the_same_in_graphs() -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    for said in ({"lengths": [4, 2, 0]}, {"starts": [False, True, False, False]},
                 {"boundaries": [1, 3]}, {"boundaries": torch.tensor([1, 3])}):  # fmt: skip
        close(compiled(xs, **said)[0], module(xs, **said)[0].detach())


@pytest.mark.parametrize("name", ["starts", "boundaries"])
def test_integers_are_truth_values_in_graphs_too(name: str) -> None:
    module = module_of("GRU")
    xs = inputs_of(module)
    flags = torch.tensor([[0, 0, 0], [1, 0, 1], [0, 1, 0], [0, 0, 1]])
    compiled: Any = torch.compile(module, fullgraph=True, backend="aot_eager")
    found = []
    for call, mask in ((compiled, flags), (module, flags.bool())):
        ys, _ = call(xs, **{name: mask})
        found.append([ys, *torch.autograd.grad(ys.square().sum(), list(module.parameters()))])
    for mine, wanted in zip(*found, strict=True):
        assert torch.equal(mine, wanted)


def refused(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Modules that nothing runs here."""
    monkeypatch.setattr("rnnc.runtime.backends.triton_problem", lambda: "there is no CUDA device")
    cells = rnnc.loads(
        "cell L(n): (h[n] = g, x[n]) -> (h', h') { param g[n]\n h' = 0.9 * h + dropout(x, 0.3) }"
    )
    kernels: Any = {"backend": "triton"}
    return {
        "cell": rnnc.torch.Recur(rnnc.GRUCell(3, 3), **kernels),
        "learned": rnnc.torch.Recur(cells.L(3), **kernels),
        "stack": rnnc.torch.Stack([rnnc.LSTMCell(3, 4), rnnc.GRUCell(4, 3)], **kernels),
        "stateful": rnnc.torch.Stateful(rnnc.torch.Recur(rnnc.GRUCell(3, 3), **kernels)),
        "inside": torch.nn.Sequential(
            torch.nn.Linear(3, 3), rnnc.torch.Recur(rnnc.GRUCell(3, 3), **kernels)
        ),
        "of no parameters": rnnc.torch.Recur(
            rnnc.loads("cell S(n): (h[n], x[n]) -> (h', h') { h' = 0.5 * h + x }").S(3), **kernels
        ),
        "narrow": rnnc.torch.Recur(rnnc.GRUCell(3, 3)).bfloat16(),
    }


@pytest.mark.parametrize("fullgraph", [True, False])
@pytest.mark.parametrize("learns", [True, False])
def test_what_cannot_run_here_says_so_in_a_graph_as_out_of_it(
    monkeypatch: pytest.MonkeyPatch, *, learns: bool, fullgraph: bool
) -> None:
    for name, module in refused(monkeypatch).items():
        torch._dynamo.reset()
        xs = torch.randn(3, 2, 3, dtype=torch.bfloat16 if name == "narrow" else None)
        compiled: Any = torch.compile(module, fullgraph=fullgraph, backend="aot_eager")
        with torch.set_grad_enabled(learns):
            with pytest.raises(rnnc.Error) as wanted:
                module(xs)
            for _ in range(2):
                with pytest.raises(rnnc.Error) as found:
                    compiled(xs)
                assert type(found.value) is type(wanted.value), name
                assert str(found.value).startswith(str(wanted.value))  # 2.6 adds where it was
        if isinstance(module, rnnc.torch.Stateful):
            assert module._state is None
        with pytest.raises(rnnc.Error):
            torch.export.export(module, (xs,), strict=False)


def test_what_cannot_run_here_keeps_no_parameter_that_was_replaced(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    module = refused(monkeypatch)["cell"]
    was = weakref.ref(next(module.parameters()))
    for name, param in list(module.named_parameters()):
        setattr(module, name, torch.nn.Parameter(param.detach().clone()))
    del param
    gc.collect()
    assert was() is None
