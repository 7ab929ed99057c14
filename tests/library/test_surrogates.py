"""Cells whose derivative is made up have the second derivatives of what it is made of.

A step has a surrogate's slope and a rounding that of what it rounds, wherever they stand, so also
behind the first derivative: torch's double backward through functions with these slopes, in
float64, says what that comes to. Central differences do not know of slopes that are made up.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.tangent import prefix_of, tangent
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Array, Arrays, Numbers
from tests.compiler.run_scans import Outcome
from tests.runtime.run_program import by_program
from tests.tolerance import FLOAT64, assert_within

pytest.importorskip("torch", reason="needs torch")
import torch

import rnnc.torch
from tests.library.torch_forms import Form, Tensor, Tensors, by_form

pytestmark = pytest.mark.torch

STEPS, ROWS = 6, 3
SLOPES: dict[str, Callable[[Tensor], Tensor]] = {
    "fast_sigmoid": lambda x: 1 / (1 + 25 * abs(x)) ** 2,
    "arctan": lambda x: 1 / (1 + (torch.pi * x) ** 2),
    "triangle": lambda x: 0.3 * torch.clamp(1 - abs(x), min=0),
    "straight_through": torch.ones_like,
}


class Step(torch.autograd.Function):
    """1 above 0, else 0; its derivative, which is differentiated again, is the slope named."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, slope: str) -> Tensor:
        ctx.save_for_backward(x)
        ctx.slope = slope
        return (x > 0).to(x.dtype)

    @staticmethod
    def backward(ctx: Any, d_y: Tensor) -> tuple[Tensor, None]:
        (x,) = ctx.saved_tensors
        return d_y * SLOPES[ctx.slope](x), None


def step(x: Tensor, slope: str) -> Tensor:
    return Step.apply(x, slope)  # type: ignore[no-untyped-call]


def neurons(slope: str, p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Eshraghian et al. 2023, arXiv:2109.12894; the gradient passes through the reset."""
    v, ys = state["v"], []
    for x in xs:
        v = 0.9 * v + p["W"] @ x + p["b"] - 0.5 * step(v - 0.5, slope)
        ys.append(step(v - 0.5, slope))
    return torch.stack(ys), {"v": v}


def selected(slope: str, p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Yin et al. 2026, arXiv:2603.02226: units that are updated where their clock is above 0."""
    h, ys = state["h"], []
    for t, x in enumerate(xs):
        waves = p["height"] * torch.sin(p["omega"] * t + p["phase"])
        moves = step(p["bias"] + waves.sum(-1), slope)
        h = moves * torch.tanh(p["W"] @ x + p["U"] @ h + p["b"]) + (1 - moves) * h
        ys.append(h)
    return torch.stack(ys), {"h": h, "t@0": state["t@0"] + len(xs)}


def skipping(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
    """Campos et al. 2018, arXiv:1708.06834, equations 3 to 6: what rounds u has the slope 1."""
    h, c, u, ys = state["h"], state["c"], state["u"], []
    for x in xs:
        i, f, g, o = p["lstm.W"] @ x + p["lstm.U"] @ h + p["lstm.b"]
        new_c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        new_h = torch.sigmoid(o) * torch.tanh(new_c)
        reads = u + (torch.round(u) - u).detach()
        h = reads * new_h + (1 - reads) * h
        c = reads * new_c + (1 - reads) * c
        more = torch.sigmoid(p["w"] @ c + p["b"])
        u = reads * more + (1 - reads) * (u + torch.minimum(more, 1 - u))
        ys.append(h)
    return torch.stack(ys), {"h": h, "c": c, "u": u}


SIZES = {"inputs": 2, "hidden": 4}
CASES: dict[str, tuple[str, Mapping[str, Any], Form]] = {
    **{f"LIF-{s}": ("LIF", {"threshold": 0.5, "surrogate": s}, partial(neurons, s))
       for s in SLOPES},
    **{f"SuRNN-{s}": ("SuRNN", {"waves": 3, "surrogate": s}, partial(selected, s))
       for s in SLOPES},
    "SkipLSTM": ("SkipLSTM", {}, skipping),
}  # fmt: skip


@pytest.fixture(autouse=True)
def float64() -> Iterator[None]:
    usual = torch.get_default_dtype()
    torch.set_default_dtype(torch.float64)
    yield
    torch.set_default_dtype(usual)


def drawn(cell: Any) -> Numbers:
    """Numbers for a cell, whose steps are counted from 0."""
    n = Numbers.draw(cell, STEPS, ROWS, seed=5)
    for state in cell.states:
        if state.hidden:
            n.carry[state.name][...] = n.d_carry[state.name][...] = 0
    return n


@pytest.mark.parametrize("case", CASES)
def test_values_and_gradients_are_those_of_the_surrogate(case: str) -> None:
    name, settings, form = CASES[case]
    cell = rnnc.cells[name](**SIZES, **settings).cell
    n = drawn(cell)
    assert_within(by_program(Program(cell, "float64"), n), by_form(form, n), FLOAT64)


def directions(cell: Any, n: Numbers) -> Numbers:
    """For all that is given but the number of the step."""
    draws = np.random.default_rng(6)
    params, carry, xs = (
        {name: draws.standard_normal(array.shape) for name, array in arrays.items()}
        for arrays in (n.params, n.carry, n.xs)
    )
    for state in cell.states:
        if state.hidden:
            carry[state.name][...] = 0
    return Numbers(params, carry, xs, n.d_ys, n.d_carry)


def assert_second(found: Outcome, wanted: Outcome) -> None:
    for group in ("d_params", "d_carry", "d_xs"):
        for name, second in getattr(wanted, group).items():
            got = getattr(found, group)[name]
            np.testing.assert_allclose(got, second, rtol=0, atol=1e-11, err_msg=name)


@pytest.mark.parametrize("case", CASES)
def test_second_derivatives_are_those_of_the_surrogate(case: str) -> None:
    """The gradient of the tangents, beside torch's gradient of gradients."""
    name, settings, form = CASES[case]
    cell = rnnc.cells[name](**SIZES, **settings).cell
    n, prefix = drawn(cell), prefix_of(cell)
    along = directions(cell, n)

    def beside(own: Arrays, moving: Arrays) -> dict[str, Array]:
        return {**own, **{prefix + name: array for name, array in moving.items()}}

    def nothing(arrays: Arrays) -> dict[str, Array]:
        return {name: np.zeros_like(array) for name, array in arrays.items()}

    whole = Numbers(
        beside(n.params, along.params), beside(n.carry, along.carry), beside(n.xs, along.xs),
        beside(nothing(n.d_ys), n.d_ys), beside(nothing(n.d_carry), n.d_carry),
    )  # fmt: skip
    found = by_program(Program(tangent(cell), "float64"), whole)
    assert_second(found, by_form(form, n, along))


@pytest.mark.parametrize("case", CASES)
def test_a_module_gives_double_backward_the_surrogates(case: str) -> None:
    """What `torch.autograd.grad` of gradients says of a module is what it says of the form."""
    name, settings, form = CASES[case]
    bound = rnnc.cells[name](**SIZES, **settings)
    n = drawn(bound.cell)
    along = directions(bound.cell, n)
    module = rnnc.torch.Recur(bound, dtype="float64")

    def by_module(p: Tensors, state: Tensors, xs: Tensor) -> tuple[Tensor, Tensors]:
        before = {name: value[None] for name, value in state.items()}
        ys, last = torch.func.functional_call(module, dict(p), (xs[:, None], before))
        return ys[:, 0], {name: value[0] for name, value in last.items()}

    assert_second(by_form(by_module, n, along), by_form(form, n, along))
