"""A program is a function that PyTorch differentiates and maps over, in every way it has.

Derivatives are compared with differences of values (`gradcheck`), and transforms with loops of
plain calls; values are those of the program, which the oracle has checked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.program import Program
from tests.compiler.backends.sources import CELLS
from tests.library.table import CORE

pytest.importorskip("torch", reason="needs torch")
import torch

from rnnc.runtime.pytorch.call import Call, Masks
from rnnc.runtime.pytorch.engine import Engine
from rnnc.runtime.pytorch.functions import applied

pytestmark = [
    pytest.mark.torch,
    pytest.mark.filterwarnings("ignore:.torch.jit.script. is deprecated"),  # torch's own doing
]

STEPS, ROWS = 3, 2
NAMES = CORE


class Subject:
    """A cell as a function of tensors, with some to call it on."""

    def __init__(self, name: str, steps: int = STEPS, **masks: Any) -> None:
        cell = CELLS[name]()
        self.engine = Engine(Program(cell, "float64"))
        self.masks = Masks(**masks)
        draws = torch.Generator().manual_seed(len(name))

        def real(*shape: int) -> Any:
            return 0.6 * torch.randn(shape, generator=draws, dtype=torch.float64)

        def like(node: Any, *lead: int) -> Any:
            shape = (*lead, *map(int, node.type.shape))
            if node.type.kind == "int":
                return torch.randint(0, 3, shape, generator=draws)
            return real(*shape)

        self.params = [like(p.node) for p in cell.params]
        self.states = [like(s.node, ROWS) for s in cell.states]
        self.xs = [like(x.node, steps, ROWS) for x in cell.inputs]

    @property
    def flat(self) -> list[Any]:
        return [*self.params, *self.states, *self.xs]

    def __call__(self, *flat: Any) -> Any:
        return applied(Call(self.engine, self.masks), flat)

    def watched(self) -> list[Any]:
        """The tensors, with a gradient where they are real."""
        return [x.clone().requires_grad_(x.is_floating_point()) for x in self.flat]

    def of(self, at: int) -> Callable[[Any], Any]:
        """All outs as one vector, as a function of one of the tensors."""
        flat = self.flat

        def function(x: Any) -> Any:
            outs = self(*flat[:at], x, *flat[at + 1 :])
            return torch.cat([out.reshape(-1) for out in outs])

        return function


def close(found: Any, wanted: Any, most: float = 1e-11) -> None:
    """Up to a part of the largest."""
    found, wanted = found.detach().numpy(), wanted.detach().numpy()
    largest = np.abs(wanted).max(initial=1.0)
    np.testing.assert_allclose(found, wanted, rtol=0, atol=most * largest)


@pytest.mark.parametrize("name", NAMES)
def test_first_derivatives_backwards_and_forwards(name: str) -> None:
    subject = Subject(name)
    assert torch.autograd.gradcheck(subject, subject.watched(), check_forward_ad=True)


@pytest.mark.parametrize("name", NAMES)
def test_second_derivatives_by_both_ways(name: str) -> None:
    subject = Subject(name, steps=2)
    watched = subject.watched()
    assert torch.autograd.gradgradcheck(subject, watched, check_fwd_over_rev=True)


def test_third_derivatives_in_a_direction_by_both_ways() -> None:
    subject = Subject("RNN", steps=2)
    function, x = subject.of(0), subject.params[0]
    v = torch.ones_like(x)

    def ahead(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: torch.func.jvp(f, (x,), (v,))[1]

    def back(f: Callable[[Any], Any]) -> Callable[[Any], Any]:
        return lambda x: (torch.func.grad(f)(x) * v).sum()

    def value(x: Any) -> Any:
        return function(x).sum()

    wanted = ahead(ahead(ahead(value)))(x)
    close(back(back(back(value)))(x), wanted)
    close(back(ahead(back(value)))(x), wanted)
    width = 1e-3
    values = [value(x + k * width * v) for k in (-2, -1, 1, 2)]
    third = (-values[0] + 2 * values[1] - 2 * values[2] + values[3]) / (2 * width**3)
    close(third, wanted, 1e-4)


@pytest.mark.parametrize("name", NAMES)
def test_jacobians_by_rows_and_by_columns(name: str) -> None:
    subject = Subject(name)
    for at in (0, len(subject.params)):
        if at < len(subject.flat) and subject.flat[at].is_floating_point():
            function, x = subject.of(at), subject.flat[at]
            rows = torch.func.jacrev(function)(x)
            close(torch.func.jacfwd(function)(x), rows)
            d = torch.ones_like(x)
            pushed = torch.func.jvp(function, (x,), (d,))[1]
            close(pushed, rows.flatten(1) @ d.flatten())
            hessian = torch.func.hessian(lambda w, f=function: (f(w) ** 2).sum())(x)
            twice = torch.func.jacrev(torch.func.jacrev(lambda w, f=function: (f(w) ** 2).sum()))
            close(hessian, twice(x))


@pytest.mark.parametrize("name", NAMES)
def test_mapped_over_inputs_states_and_weights(name: str) -> None:
    subject = Subject(name, starts=torch.tensor([[0, 1], [1, 0], [0, 0]], dtype=torch.bool))
    count = 3
    for at, x in enumerate(subject.flat):
        many = torch.stack([x * (1 + k) if x.is_floating_point() else x for k in range(count)])
        dims = [None] * len(subject.flat)
        dims[at] = 0  # type: ignore[call-overload]
        given = [*subject.flat[:at], many, *subject.flat[at + 1 :]]
        found = torch.func.vmap(subject, in_dims=tuple(dims))(*given)
        for k in range(count):
            wanted = subject(*subject.flat[:at], many[k], *subject.flat[at + 1 :])
            for one, all_of in zip(wanted, found, strict=True):
                close(all_of[k], one, 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_gradients_for_each_sample(name: str) -> None:
    subject = Subject(name)
    first, *others = subject.flat
    x = subject.flat[-1]
    many = torch.stack([x * (1 + k) if x.is_floating_point() else (x + k) % 3 for k in range(3)])

    def loss(weight: Any, x: Any) -> Any:
        return sum((out**2).sum() for out in subject(weight, *others[:-1], x))

    found = torch.func.vmap(torch.func.grad(loss), in_dims=(None, 0))(first, many)
    for k in range(3):
        close(found[k], torch.func.grad(loss)(first, many[k]), 1e-12)


@pytest.mark.parametrize("name", NAMES)
def test_masks_have_the_derivatives_of_what_they_mean(name: str) -> None:
    starts = torch.tensor([[0, 1], [1, 0], [0, 0]], dtype=torch.bool)
    subject = Subject(name, starts=starts, lengths=torch.tensor([3, 2]))
    assert torch.autograd.gradcheck(subject, subject.watched(), check_forward_ad=True)
    small = Subject(name, steps=2, starts=starts[:2], lengths=torch.tensor([2, 1]))
    assert torch.autograd.gradgradcheck(small, small.watched())


@pytest.mark.parametrize("kind", ["cuts", "weights"])
def test_boundaries_cut_as_in_a_net(kind: str) -> None:
    cuts = np.array([[0, 1], [1, 0], [0, 1]])
    mask = cuts.astype(bool) if kind == "cuts" else 1.5 * cuts
    subject = Subject("LSTM", boundaries=torch.tensor(mask))
    watched = subject.watched()
    outs = subject(*watched)
    outs[0].sum().backward()
    net = rnnc.LSTM(3, 4, dtype="float64", backend="numpy")
    cell = net.cell.cell
    net.load_params({p.name: x.numpy() for p, x in zip(cell.params, subject.params, strict=True)})
    net.state = {s.name: x.numpy() for s, x in zip(cell.states, subject.states, strict=True)}
    net.scan(subject.xs[0].numpy(), boundaries=mask)
    ones = np.ones((STEPS, ROWS, 4))
    wanted = net.backward(ones)
    for p, x in zip(cell.params, watched, strict=False):
        close(x.grad, torch.tensor(wanted.params[p.name]))
    close(watched[-1].grad, torch.tensor(wanted.inputs))


@pytest.mark.parametrize("name", NAMES)
def test_no_steps_and_no_rows(name: str) -> None:
    for steps, rows in ((0, 2), (2, 0)):
        subject = Subject(name, steps=steps)
        subject.states = [s[:rows] for s in subject.states]
        subject.xs = [x[:, :rows] for x in subject.xs]
        watched = subject.watched()
        outs = subject(*watched)
        sum(out.sum() for out in outs).backward()
        for last, state in zip(outs[len(subject.engine.outputs) :], subject.states, strict=True):
            assert last.shape == state.shape
            assert last.data_ptr() != state.data_ptr() or not last.numel()


def test_dual_tensors_are_watched_even_where_no_gradient_is() -> None:
    subject = Subject("RNN")
    ahead: Any = torch.autograd.forward_ad
    x, v = subject.params[0], torch.ones_like(subject.params[0])
    wanted = torch.func.jvp(subject.of(0), (x,), (v,))[1]
    with torch.no_grad(), ahead.dual_level():
        found = ahead.unpack_dual(subject.of(0)(ahead.make_dual(x, v)))
        close(found.tangent, wanted)


def test_what_is_written_into_an_output_is_noticed() -> None:
    subject = Subject("RNN")
    ys, *_ = subject(*subject.watched())
    with torch.no_grad():
        ys.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        ys.sum().backward()


def test_what_nobody_differentiates_is_not_recorded() -> None:
    subject = Subject("RNN")
    call = Call(subject.engine)
    applied(call, subject.flat)
    assert not call.records
    with torch.no_grad():
        applied(call, subject.watched())
    assert not call.records
    applied(call, subject.watched())
    assert call.records


def test_what_was_recorded_is_freed_when_it_is_used() -> None:
    subject = Subject("LSTM")
    ys, *_ = subject(*subject.watched())
    assert ys.grad_fn.kept is not None
    few, all_of = len(subject.flat) + subject.engine.outs, ys.grad_fn.saved_tensors
    assert len(all_of) > few
    ys.sum().backward()
    with pytest.raises(RuntimeError, match="already been freed"):
        _ = ys.grad_fn.saved_tensors
    ys, *_ = subject(*subject.watched())
    ys.sum().backward(retain_graph=True)
    ys.sum().backward()


def test_a_run_back_needs_no_second_run() -> None:
    subject = Subject("LSTM")
    outs = subject(*subject.watched())
    outs[0].sum().backward()
    assert subject.engine.program.counts == {"forward": STEPS, "backward": STEPS}
