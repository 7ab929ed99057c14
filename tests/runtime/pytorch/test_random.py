"""Random draws in modules: torch's generator or a seed, in graphs as out of them."""

from __future__ import annotations

import copy
import pickle
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.ensemble import mapped
from rnnc.compiler.ir import Cell
from rnnc.compiler.mode import in_mode
from rnnc.runtime.errors import SettingError
from tests.runtime.test_random import CELLS, ROWS, STEPS, sequence

torch = pytest.importorskip("torch", reason="needs torch")

import rnnc.torch  # noqa: E402
from rnnc.runtime.pytorch.engine import engine_of  # noqa: E402
from rnnc.runtime.pytorch.engines import Engines, Options  # noqa: E402

pytestmark = [
    pytest.mark.torch,
    # torch's own doing, in Dynamo
    pytest.mark.filterwarnings("ignore:.*should not be instantiated:DeprecationWarning"),
]


def module_of(name: str = "Noisy", **options: Any) -> Any:
    return rnnc.torch.Recur(getattr(CELLS, name)(4), dtype=torch.float64, **options)


def xs_of(steps: int = STEPS) -> Any:
    return torch.from_numpy(sequence(steps))


@pytest.mark.parametrize("name", ["Noisy", "Drop"])
def test_with_a_seed_values_and_gradients_are_those_of_the_net(name: str) -> None:
    net = rnnc.Recur(getattr(CELLS, name)(4), dtype="float64", backend="numpy", seed=12)
    module = rnnc.torch.Recur(net)
    xs = xs_of().requires_grad_()
    ys, _ = module(xs, seed=12)
    ys = ys[0] if isinstance(ys, tuple) else ys
    wanted = net.scan(xs.detach().numpy())
    wanted = wanted[0] if isinstance(wanted, tuple) else wanted
    np.testing.assert_allclose(ys.detach(), wanted, rtol=0, atol=1e-13)
    ys.sum().backward()
    d_ys = np.ones_like(wanted)
    grads = net.backward((d_ys, None) if name == "Noisy" else d_ys)
    np.testing.assert_allclose(xs.grad, grads.inputs, rtol=0, atol=1e-12)
    for path, param in module.named_parameters():
        gradient = np.zeros(param.shape) if param.grad is None else param.grad
        np.testing.assert_allclose(gradient, grads.params[path], rtol=0, atol=1e-12)


def test_without_one_each_call_takes_another_from_the_generator() -> None:
    module, xs = module_of("Drawn"), xs_of()
    torch.manual_seed(0)
    first, second = module(xs)[0], module(xs)[0]
    torch.manual_seed(0)
    again = module(xs)[0]
    for a, b, c in zip(first, second, again, strict=True):
        assert not torch.equal(a, b)
        assert torch.equal(a, c)


def test_out_of_training_nothing_is_drawn() -> None:
    module, xs = module_of("Drawn").eval(), xs_of()
    state = torch.get_rng_state()
    a, b, c = module(xs)[0]
    assert torch.equal(a, xs)
    assert torch.equal(b, torch.full_like(xs, 0.3))
    assert not c.any()
    assert torch.equal(torch.get_rng_state(), state)
    y, _ = module_of("Modes").eval()(xs)
    assert torch.equal(y, -xs)


def test_a_cell_that_draws_nothing_takes_no_seed() -> None:
    module = module_of("Modes")
    state = torch.get_rng_state()
    module(xs_of())
    assert torch.equal(torch.get_rng_state(), state)


def test_steps_draw_and_copies_and_pickles_do() -> None:
    module, xs = module_of("Drop"), xs_of()
    y, _ = module.step(xs[0], seed=3)
    for other in (copy.deepcopy(module), pickle.loads(pickle.dumps(module))):
        assert torch.equal(other.step(xs[0], seed=3)[0], y)


def test_a_stack_draws_as_the_net_of_layers() -> None:
    stack = rnnc.Stack(CELLS.Two(4), dtype="float64", backend="numpy", seed=4)
    module = rnnc.torch.Stack(CELLS.Two(4), dtype="float64", seed=4)
    xs = xs_of()
    ys, _ = module(xs, seed=4)
    np.testing.assert_allclose(ys.detach(), stack.scan(xs.numpy()), rtol=0, atol=1e-13)


def test_gradients_hold_with_a_seed() -> None:
    module, xs = module_of("Drop"), xs_of(3).requires_grad_()
    assert torch.autograd.gradcheck(lambda x: module(x, seed=5)[0], (xs,))


@pytest.mark.parametrize("name", ["Drop", "Modes"])
def test_graphs_draw_too(name: str) -> None:
    module, xs = module_of(name), xs_of()
    torch.compiler.reset()
    compiled = torch.compile(module, backend="aot_eager", fullgraph=True)
    for _ in range(2):
        torch.testing.assert_close(compiled(xs, seed=7)[0], module(xs, seed=7)[0])
    if name == "Drop":
        assert not torch.equal(compiled(xs)[0], compiled(xs)[0])
    module.eval()
    torch.testing.assert_close(compiled(xs)[0], module(xs)[0])


def test_an_export_keeps_its_mode() -> None:
    xs = xs_of()
    module = module_of("Drop").eval()
    exported = torch.export.export(module, (xs,))
    torch.testing.assert_close(exported.module()(xs)[0], module(xs)[0])


def test_vmap_says_how_members_draw() -> None:
    module = module_of("Drop")
    many = torch.stack([xs_of()] * 2)

    def ys(xs: Any) -> Any:
        return module(xs)[0]

    same = torch.func.vmap(ys, randomness="same")(many)
    assert torch.equal(same[0], same[1])
    apart = torch.func.vmap(ys, randomness="different")(many)
    assert not torch.equal(apart[0], apart[1])
    given = torch.func.vmap(lambda xs: module(xs, seed=1)[0])(many)
    torch.testing.assert_close(given[0], module(many[0], seed=1)[0])
    assert many.shape[2] == ROWS


STACKED = rnnc.torch.Stack([rnnc.Dense(4, 4)] * 2, dropout=0.3, dtype="float64")
ONCE = rnnc.torch.Stack([rnnc.Dense(4, 4)] * 2, dropout=0.3, per_sequence=True, dtype="float64")
MAPPED: dict[str, Any] = {
    "hessian": torch.func.hessian,
    "jacfwd": torch.func.jacfwd,
    "vmap of grad": lambda f: torch.func.vmap(torch.func.grad(f)),
    "grad of vmap": lambda f: torch.func.grad(lambda xs: torch.func.vmap(f)(xs).sum()),
}


@pytest.mark.parametrize(
    "module", [module_of("Drop"), STACKED, ONCE], ids=["cell", "stack", "once"]
)
@pytest.mark.parametrize("name", MAPPED)
@pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated")  # torch's own doing
def test_a_transform_in_which_nothing_may_be_drawn_asks_for_a_seed(name: str, module: Any) -> None:
    transform, xs = MAPPED[name], torch.stack([xs_of(3)] * 2)

    def cost(xs: Any, seed: int | None = None) -> Any:
        return module(xs.reshape(-1, ROWS, 4), seed=seed)[0].square().sum()

    state = torch.get_rng_state()
    with pytest.raises(SettingError, match=r"pass seed=.*, or randomness="):
        transform(cost)(xs)
    assert torch.equal(torch.get_rng_state(), state)
    transform(lambda xs: cost(xs, 3))(xs)
    module.step(xs[0, 0])  # out of it all is as it was


def test_modules_taken_as_they_are_draw_apart() -> None:
    xs = torch.ones((STEPS, ROWS, 4), dtype=torch.float64)
    module = module_of("Mask")
    for layers in ([module_of("Mask"), module_of("Mask")], [module, module]):
        stack = rnnc.torch.Stack(layers)
        both, _ = stack(xs, seed=1)
        first, _ = module(xs, seed=1, path="0.")
        second, _ = module(xs, seed=1, path="1.")
        assert not torch.equal(first, second)
        torch.testing.assert_close(both, first * second)
        y, _ = stack.step(xs[0], seed=1)
        torch.testing.assert_close(y, both[0])


def test_directions_and_layers_of_layers_draw_apart() -> None:
    xs = torch.ones((STEPS, ROWS, 4), dtype=torch.float64)
    module = module_of("Mask")
    both = rnnc.torch.Bidirectional(module, module_of("Mask"))
    ahead, behind = both(xs, seed=1)[0].split(4, -1)
    assert not torch.equal(ahead, behind.flip(0))
    torch.testing.assert_close(ahead, module(xs, seed=1, path="forward.")[0])
    torch.testing.assert_close(behind.flip(0), module(xs, seed=1, path="backward.")[0])
    nested, _ = rnnc.torch.Stack([both])(xs, seed=1)[0].split(4, -1)
    torch.testing.assert_close(nested, module(xs, seed=1, path="0.forward.")[0])


def test_layers_draw_apart_in_graphs_too() -> None:
    stack, xs = rnnc.torch.Stack([module_of("Mask"), module_of("Mask")]), xs_of()
    torch.compiler.reset()
    compiled = torch.compile(stack, backend="aot_eager", fullgraph=True)
    for seed in (7, torch.tensor(7)):
        torch.testing.assert_close(compiled(xs, seed=seed)[0], stack(xs, seed=7)[0])


@pytest.mark.parametrize(("steps", "rows"), [(0, ROWS), (STEPS, 0)])
def test_no_steps_or_rows_draw_nothing(steps: int, rows: int) -> None:
    xs = torch.ones((steps, rows, 4), dtype=torch.float64)
    assert module_of("Drop")(xs)[0].shape == (steps, rows, 4)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.uint8])
def test_a_seed_may_be_a_tensor_of_an_integer(dtype: Any) -> None:
    module, xs = module_of("Drop"), xs_of()
    seed = torch.tensor(11, dtype=dtype)
    assert torch.equal(module(xs, seed=seed)[0], module(xs, seed=11)[0])
    assert torch.equal(module.step(xs[0], seed=seed)[0], module.step(xs[0], seed=11)[0])


@pytest.mark.parametrize(
    ("seed", "words"),
    [
        (1.5, r"seed is an integer, got 1\.5"),
        ("x", "seed is an integer, got 'x'"),
        (True, "seed is an integer, got True"),
        (torch.tensor([1, 2]), r"or a tensor of one, got \[2\] of torch\.int64"),
        (torch.arange(3), r"or a tensor of one, got \[3\] of torch\.int64"),
        (torch.tensor(1.5), r"or a tensor of one, got \[\] of torch\.float32"),
        (torch.tensor(True), r"or a tensor of one, got \[\] of torch\.bool"),
    ],
)
@pytest.mark.parametrize("name", ["Drop", "Modes", "Plain"])
def test_what_is_no_seed_is_told_whether_or_not_it_is_read(
    name: str, seed: Any, words: str
) -> None:
    module, xs = module_of(name), xs_of()
    for each in (module, module_of(name).eval(), rnnc.torch.Stack([module])):
        with pytest.raises(SettingError, match=words):
            each(xs, seed=seed)
        with pytest.raises(SettingError, match=words):
            each.step(xs[0], seed=seed)


def test_threads_that_ask_at_once_get_the_engines_of_one_mode(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    engines = Engines(CELLS.Drop(4).cell, Options())
    both = threading.Barrier(2, timeout=30)

    def slowly(cell: Cell, *, training: bool) -> Cell:
        both.wait()
        return in_mode(cell, training=training)

    monkeypatch.setattr("rnnc.runtime.pytorch.engines.in_mode", slowly)
    with ThreadPoolExecutor(2) as pool:
        asked = [pool.submit(engines.in_mode, training=True) for _ in range(2)]
        first, second = (each.result() for each in asked)
    assert first is second is engines.in_mode(training=True)


def test_threads_that_ask_at_once_make_a_map_once(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = engine_of(rnnc.compile(CELLS.Plain(3), backend="numpy"))
    own = (True,) * len(engine.is_real)
    made = []

    def slowly(cell: Cell, count: int, own: Any) -> Cell:
        made.append(count)
        time.sleep(0.1)
        return mapped(cell, count, own)

    monkeypatch.setattr("rnnc.runtime.pytorch.engine.mapped", slowly)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(engine.mapped, [2] * 4, [own] * 4))
    assert made == [2]
    assert all(each is engine.mapped(2, own) for each in found)
