"""Every transform of `torch.func` takes a module, with its masks, and is right.

What is right is a loop of plain calls, whose derivatives `test_functions.py` has checked.
"""

from __future__ import annotations

from typing import Any

import pytest

import rnnc

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from rnnc.runtime.errors import SettingError
from rnnc.runtime.program import Program
from tests.runtime.pytorch.test_module import NAMES, ROWS, STEPS, close, inputs_of, module_of

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
]

MANY = 3


class Subject:
    """A module as a function of its parameters, inputs, state and masks."""

    def __init__(self, module: Any) -> None:
        self.module = module
        self.params = {n: p.detach() for n, p in module.named_parameters()}
        self.state = {n: s + 0.1 for n, s in module.initial_state(ROWS).items()}
        self.xs = inputs_of(module)
        draws = torch.Generator().manual_seed(4)
        self.starts = torch.rand(MANY, STEPS, ROWS, generator=draws) < 0.3
        self.lengths = torch.tensor([[4, 0, 2], [4, 4, 4], [1, 2, 3]])
        self.weights = torch.rand(MANY, STEPS, ROWS, generator=draws, dtype=torch.float64)

    def __call__(self, params: Any, xs: Any, state: Any = None, **masks: Any) -> Any:
        given = {"lengths": self.lengths[0], **masks}
        return torch.func.functional_call(self.module, params, (xs, state), given)[0]

    def loss(self, params: Any, xs: Any, state: Any = None, **masks: Any) -> Any:
        return self(params, xs, state, **masks).square().sum()

    @property
    def many(self) -> Any:
        xs = self.xs
        is_real = xs.is_floating_point()
        return torch.stack([xs * (k + 1) if is_real else (xs + k) % 3 for k in range(MANY)])


@pytest.mark.parametrize("name", NAMES)
def test_maps_are_loops(name: str) -> None:
    subject = Subject(module_of(name))
    vmap, params, xs, many = torch.func.vmap, subject.params, subject.xs, subject.many
    for k, ys in enumerate(vmap(subject, in_dims=(None, 0))(params, many)):
        close(ys, subject(params, many[k]))
    if subject.state:
        states = {n: torch.stack([s * k for k in range(MANY)]) for n, s in subject.state.items()}
        for k, ys in enumerate(vmap(subject, in_dims=(None, None, 0))(params, xs, states)):
            close(ys, subject(params, xs, {n: s[k] for n, s in states.items()}))
    ensemble = {n: torch.stack([p * (1 + k / 10) for k in range(MANY)]) for n, p in params.items()}
    for k, ys in enumerate(vmap(subject, in_dims=(0, None))(ensemble, xs)):
        close(ys, subject({n: p[k] for n, p in ensemble.items()}, xs))


@pytest.mark.parametrize("name", NAMES)
def test_each_sample_has_a_gradient_with_masks_of_its_own(name: str) -> None:
    subject = Subject(module_of(name))
    grad, params, many = torch.func.grad(subject.loss), subject.params, subject.many
    wanted = torch.autograd.grad(
        subject.loss(dict(subject.module.named_parameters()), many[1]),
        list(subject.module.parameters()),
    )
    for found, d in zip(grad(params, many[1]).values(), wanted, strict=True):
        close(found, d)

    def of_sample(params: Any, xs: Any, starts: Any, lengths: Any, boundaries: Any) -> Any:
        return grad(params, xs, starts=starts, lengths=lengths, boundaries=boundaries)

    masks = subject.starts, subject.lengths, subject.weights
    each = torch.func.vmap(of_sample, in_dims=(None, 0, 0, 0, 0))(params, many, *masks)
    for k in range(MANY):
        for path, d in of_sample(params, many[k], *(mask[k] for mask in masks)).items():
            close(each[path][k], d)


@pytest.mark.parametrize("name", NAMES)
def test_jacobians_agree_under_masks(name: str) -> None:
    subject = Subject(module_of(name))
    path, *_ = subject.params

    def of(weight: Any) -> Any:
        return subject({**subject.params, path: weight}, subject.xs, starts=subject.starts[0])

    weight = subject.params[path]
    rows = torch.func.jacrev(of)(weight)
    close(torch.func.jacfwd(of)(weight), rows)
    moved = torch.func.jvp(of, (weight,), (torch.ones_like(weight),))[1]
    close(moved, rows.flatten(-weight.ndim).sum(-1))


def test_members_and_gradients_of_each_sample_are_one_run(monkeypatch: Any) -> None:
    subject = Subject(module_of("LSTM"))
    counts: list[int] = []
    forward = Program.forward

    def counted(self: Any, *given: Any, **said: Any) -> Any:
        counts.append(1)
        return forward(self, *given, **said)

    monkeypatch.setattr(Program, "forward", counted)
    params, vmap, grad = subject.params, torch.func.vmap, torch.func.grad
    ensemble = {n: torch.stack([p * (1 + k / 10) for k in range(9)]) for n, p in params.items()}
    vmap(subject, in_dims=(0, None))(ensemble, subject.xs)
    assert len(counts) == 1
    vmap(grad(subject.loss), in_dims=(None, 0))(params, torch.stack([subject.xs] * 9))
    assert len(counts) == 3  # forward as more rows, and as members to be run back


@pytest.mark.parametrize("name", NAMES)
def test_what_a_map_shares_it_has_once_and_differentiates(name: str) -> None:
    subject = Subject(module_of(name))
    vmap, params, xs = torch.func.vmap, subject.params, subject.xs
    for own in params:
        many = torch.stack([params[own] * (1 + k / 10) for k in range(MANY)])
        dims = {n: 0 if n == own else None for n in params}

        def summed(params: Any, dims: Any = dims) -> Any:
            return vmap(subject.loss, in_dims=(dims, None))(params, xs).sum()

        found = torch.func.grad(summed)({**params, own: many})
        each = [torch.func.grad(subject.loss)({**params, own: p}, xs) for p in many]
        for n, d in found.items():
            parts = torch.stack([one[n] for one in each])
            close(d, parts if n == own else parts.sum(0))


def test_an_output_that_nothing_moves_is_the_same_for_all() -> None:
    cells = rnnc.loads(
        "cell Two(n): ((h[n], c[n]), x[n]) -> ((h', c'), (c', h')) {\n"
        " param a[n] = ones, b[n] = ones\n h' = tanh(a * h + x)\n c' = tanh(b * c + x) }"
    )
    module = rnnc.torch.Recur(cells.Two(3), dtype="float64")
    x = torch.randn(STEPS, ROWS, 3, dtype=torch.float64)
    many = torch.randn(MANY, 3, dtype=torch.float64)

    def of(a: Any) -> Any:
        ys, last = torch.func.functional_call(module, {"a": a, "b": 2 * many[0]}, (x,))
        return (*ys, last["c"], last["h"])

    for k in range(MANY):
        for found, wanted in zip(torch.func.vmap(of)(many), of(many[k]), strict=True):
            close(found[k], wanted)


def test_each_sample_has_a_gradient_where_an_output_or_a_beginning_is_constant() -> None:
    cells = rnnc.loads(
        "cell Two(n): ((h[n] = tanh(i), c[n]), x[n]) -> ((h', c'), (h', y)) {\n"
        " param i[n] = ones, a[n] = ones\n"
        " h' = tanh(a * h + x)\n c' = 0.5 * c + h\n y = 2 }"
    )
    module = rnnc.torch.Recur(cells.Two(3), dtype="float64")
    params = {n: p.detach() for n, p in module.named_parameters()}
    xs = torch.randn(MANY, STEPS, ROWS, 3, dtype=torch.float64)

    def loss(params: Any, x: Any) -> Any:
        (h, y), last = torch.func.functional_call(module, params, (x,))
        return (h * y[..., None]).sum() + last["c"].sin().sum()

    grad = torch.func.grad(loss)
    each = torch.func.vmap(grad, in_dims=(None, 0))(params, xs)
    for k, x in enumerate(xs):
        for name, d in grad(params, x).items():
            close(each[name][k], d)


def test_beneath_the_tangents_of_a_jacobian_values_are_computed_once(monkeypatch: Any) -> None:
    subject = Subject(module_of("GRU"))
    params, shapes = subject.params, []
    forward = Program.forward

    def seen(self: Any, params: Any, carry: Any, *given: Any, **said: Any) -> Any:
        shapes.append({name: array.shape for name, array in {**params, **carry}.items()})
        return forward(self, params, carry, *given, **said)

    monkeypatch.setattr(Program, "forward", seen)
    torch.func.jacfwd(lambda b: subject({**params, "b": b}, subject.xs))(params["b"])
    (found,) = (each for each in shapes if "d1:b" in each)
    many = params["b"].numel()
    assert found["d1:b"] == (many, *params["b"].shape)
    assert found["d1:h"] == (ROWS, many, 4)
    assert (found["h"], found["U"]) == ((ROWS, 4), params["U"].shape)


@pytest.fixture
def recorded(monkeypatch: pytest.MonkeyPatch) -> list[bool]:
    """Of every run forward, whether it was recorded."""
    found: list[bool] = []
    forward = Program.forward

    def seen(self: Any, *given: Any, **said: Any) -> Any:
        found.append(said["record"])
        return forward(self, *given, **said)

    monkeypatch.setattr(Program, "forward", seen)
    return found


def test_forward_mode_alone_records_nothing(recorded: list[bool]) -> None:
    subject = Subject(module_of("GRU"))
    func, b = torch.func, subject.params["b"]

    def ys(b: Any) -> Any:
        return subject({**subject.params, "b": b}, subject.xs)

    func.jvp(ys, (b,), (b,))
    func.jacfwd(func.jacfwd(ys))(b)
    func.vmap(ys)(torch.stack([b, 2 * b]))
    with torch.autograd.forward_ad.dual_level():
        ys(torch.autograd.forward_ad.make_dual(b, b))  # type: ignore[no-untyped-call]
    assert recorded
    assert not any(recorded)
    for back in (func.jacrev(ys), func.hessian(lambda b: ys(b).sum())):
        recorded.clear()
        back(b)
        assert all(recorded)


@pytest.mark.parametrize("way", ["a map", "a map of a map", "forward mode"])
def test_what_is_run_back_from_outside_is_run_forward_once(way: str, recorded: list[bool]) -> None:
    subject = Subject(module_of("GRU"))
    func, b = torch.func, subject.params["b"]

    def ys(b: Any) -> Any:
        return subject({**subject.params, "b": b}, subject.xs)

    ways = {
        "a map": lambda b: func.vmap(ys)(torch.stack([b, 2 * b])),
        "a map of a map": lambda b: func.vmap(func.vmap(ys))(torch.stack([b, 2 * b])[None]),
        "forward mode": lambda b: func.jvp(ys, (b,), (torch.ones_like(b),))[1],
    }
    found = ways[way](b.clone().requires_grad_())
    assert all(recorded)
    count = len(recorded)
    found.square().sum().backward()
    assert len(recorded) == count


def test_second_derivatives_under_masks_of_each_sample() -> None:
    subject = Subject(module_of("LSTM"))

    def of(state: Any, lengths: Any, starts: Any) -> Any:
        given = {"h": state, "c": state}
        return subject.loss(subject.params, subject.xs, given, lengths=lengths, starts=starts)

    state = torch.ones(ROWS, 4, dtype=torch.float64)
    hessians = torch.func.vmap(torch.func.hessian(of), in_dims=(None, 0, 0))
    found = hessians(state, subject.lengths, subject.starts)
    for k in range(MANY):
        double = torch.autograd.functional.hessian(  # type: ignore[no-untyped-call]
            lambda s, k=k: of(s, subject.lengths[k], subject.starts[k]), state
        )
        close(found[k], double)


def test_a_map_in_a_map_and_over_nothing() -> None:
    subject = Subject(module_of("GRU"))
    vmap, params, many = torch.func.vmap, subject.params, subject.many
    twice = torch.stack([many, many + 1])
    found = vmap(vmap(subject, in_dims=(None, 0)), in_dims=(None, 0))(params, twice)
    close(found[1, 2], subject(params, twice[1, 2]))
    assert vmap(subject, in_dims=(None, 0))(params, many[:0]).shape == (0, STEPS, ROWS, 4)
    none = {n: p[None][:0] for n, p in params.items()}
    assert vmap(subject, in_dims=(0, None))(none, subject.xs).shape == (0, STEPS, ROWS, 4)
    empty = vmap(torch.func.grad(subject.loss), in_dims=(0, None))(none, subject.xs)
    assert empty["U"].shape == (0, 3, 4, 4)


def test_several_inputs_and_outputs_under_transforms() -> None:
    cells = rnnc.loads(
        "cell Two(n): (h[n], (x[n], z[n])) -> (h', (y, h')) {\n"
        " param a[n] = ones\n h' = tanh(a * h + x * z)\n y = h' * x }"
    )
    module = rnnc.torch.Recur(cells.Two(3), dtype="float64")
    x = torch.randn(MANY, STEPS, ROWS, 3, dtype=torch.float64)
    both = torch.func.vmap(lambda x, z: module((x, z))[0], in_dims=(0, None))(x, x[0])
    for k in range(MANY):
        for found, wanted in zip(both, module((x[k], x[0]))[0], strict=True):
            close(found[k], wanted.detach())

    def of(x: Any, z: Any) -> Any:
        return module((x, z))[0]

    few = [each[:2, :1].clone().requires_grad_() for each in x[:2]]
    assert torch.autograd.gradcheck(of, few, check_forward_ad=True)
    assert torch.autograd.gradgradcheck(of, few)


def test_a_tensor_that_outlived_its_transform_is_read() -> None:
    module, kept = module_of("LSTM"), []
    xs = inputs_of(module)

    def loss(x: Any) -> Any:
        kept.append(x * 1)
        return x.sum()

    torch.func.grad(loss)(xs)
    close(module(kept[0])[0], module(xs)[0].detach())


@pytest.mark.parametrize("weight", [-1.0, float("nan"), float("inf")])
def test_weights_beneath_a_map_are_looked_at(weight: float) -> None:
    subject = Subject(module_of("GRU"))
    mapped = torch.func.vmap(lambda w: subject.module(subject.xs, boundaries=w)[0])
    good = torch.full((2, len(subject.xs), ROWS), 0.5, dtype=torch.float64)
    mapped(good)
    with pytest.raises(SettingError, match="finite, 0 or more"):
        mapped(good.index_fill(0, torch.tensor([1]), weight))


def _mapped_masks(dtype: Any) -> dict[str, Any]:
    """Of two samples, in every form."""
    draws = torch.Generator().manual_seed(3)
    steps = torch.rand((2, STEPS, ROWS), generator=draws) < 0.4
    return {
        "starts of each row": {"starts": steps},
        "starts of a step": {"starts": steps[:, :, 0]},
        "integers": {"starts": steps.long(), "boundaries": steps.flip(0).byte()},
        "cuts and lengths": {"boundaries": steps, "lengths": torch.tensor([[4, 0, 2], [1, 3, 4]])},
        "weights": {"boundaries": 0.5 * steps.to(dtype)},
        "periods": {"boundaries": torch.tensor([1, 2])},
        "steps": {"boundaries": torch.tensor([[1, 3], [2, 3]])},
    }


@pytest.mark.parametrize("form", _mapped_masks(torch.float64))
@pytest.mark.parametrize("kind", ["Recur", "batch_first", "Bidirectional", "Stack"])
def test_a_mask_of_any_form_may_be_mapped(form: str, kind: str) -> None:
    masks = _mapped_masks(torch.float64)[form]
    cells = rnnc.GRUCell(4, 4), rnnc.GRUCell(4, 4)
    said: Any = {"dtype": torch.float64, "seed": 1}
    make: Any = {
        "Recur": lambda: rnnc.torch.Recur(cells[0], **said),
        "batch_first": lambda: rnnc.torch.Recur(cells[0], batch_first=True, **said),
        "Bidirectional": lambda: rnnc.torch.Bidirectional(*cells, merge="sum", **said),
        "Stack": lambda: rnnc.torch.Stack(cells, residual=True, **said),
    }[kind]
    module = make()
    params = {name: p.detach() for name, p in module.named_parameters()}
    draws = torch.Generator().manual_seed(4)
    xs = torch.randn(2, STEPS, ROWS, 4, dtype=torch.float64, generator=draws)
    if kind == "batch_first":
        xs = xs.swapaxes(1, 2)
        masks = {n: m.swapaxes(1, 2) if m.ndim == 3 else m for n, m in masks.items()}

    def loss(params: Any, x: Any, masks: Any) -> Any:
        ys, _ = torch.func.functional_call(module, params, (x,), masks)
        return ys.square().sum()

    each = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0, 0))(params, xs, masks)
    plain = torch.func.vmap(loss, in_dims=(None, 0, 0))(params, xs, masks)
    for at in range(2):
        own = {name: mask[at] for name, mask in masks.items()}
        close(plain[at], loss(params, xs[at], own))
        wanted = torch.func.grad(loss)(params, xs[at], own)
        for name, d in wanted.items():
            close(each[name][at], d, 1e-11)
    none = {name: mask[:0] for name, mask in masks.items()}
    assert torch.func.vmap(loss, in_dims=(None, 0, 0))(params, xs[:0], none).shape == (0,)


def test_masks_may_be_mapped_in_another_order_than_inputs_and_made_in_the_map() -> None:
    module = module_of("GRU")
    xs = torch.stack([inputs_of(module), 2 * inputs_of(module)])
    draws = torch.Generator().manual_seed(5)
    starts = torch.rand(3, STEPS, 2, ROWS, generator=draws) < 0.4  # two maps have axes of it

    def of_both(x: Any, starts: Any) -> Any:
        return module(x, starts=starts, lengths=[starts[0].sum(), *starts[1:3].sum(1)])[0]

    def loss(x: Any, starts: Any) -> Any:
        return of_both(x, starts).square().sum()

    inner = torch.func.vmap(of_both, in_dims=(0, 1))
    found = torch.func.vmap(inner, in_dims=(None, 0))(xs, starts)
    assert torch.func.vmap(inner, in_dims=(None, 0))(xs, starts[:0]).shape == (0, *found.shape[1:])
    gradient = torch.func.grad(loss)
    each = torch.func.vmap(torch.func.vmap(gradient, in_dims=(0, 1)), in_dims=(None, 0))(xs, starts)
    for i in range(3):
        for j in range(2):
            close(found[i, j], of_both(xs[j], starts[i, :, j]).detach())
            x = xs[j].clone().requires_grad_()
            loss(x, starts[i, :, j]).backward()
            close(each[i, j], x.grad)
