"""A program as a function that PyTorch differentiates, to any order, and maps over.

In: an engine's call and its tensors. Out: outputs and last states, on every tape that is running.

    Run       y = f(x)                       backward: RunBack     jvp: Run of the tangent engine
    RunBack   J(x)' g                        backward and jvp: RunBack of the tangent engine

The second derivative needs no program of its own. Let F(x, v) = (f(x), J(x) v), which is again an
engine's. Running F back from (a, g) gives, for x, J' a and the derivative of g' J(x) v, which is
that of J(x)' g in the direction v: the matrices of second derivatives are symmetric.

Source: of the layout, PyTorch's tutorial "Double Backward with Custom Functions"; of the identity,
Pearlmutter 1994, Fast exact multiplication by the Hessian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch

from .call import Call
from .engine import Tensor, Tensors
from .mapping import Axis


def applied(call: Call, flat: Sequence[Tensor]) -> Tensors:
    """Run a call on tensors, so that whatever PyTorch does is right."""
    call.records = _goes_back(flat)
    return run(call, flat) if call.records or _is_watched() else call.engine.run(call, flat)


def run(call: Call, flat: Sequence[Tensor]) -> Tensors:
    """Outputs and last states."""
    found: Tensors = Run.apply(call, *flat)
    return found


def run_back(call: Call, d_outs: Sequence[Tensor], flat: Sequence[Tensor]) -> Tensors:
    """The cotangents of the real tensors."""
    found: Tensors = RunBack.apply(call, *d_outs, *flat)
    return found


def _goes_back(flat: Sequence[Tensor]) -> bool:
    """Whether somebody may run back: forward mode alone, in a map or not, never does."""
    functorch = torch._C._functorch
    stack = functorch.get_interpreter_stack() or ()
    if any(each.key() == functorch.TransformType.Grad for each in stack):
        return True
    return torch.is_grad_enabled() and any(map(_requires_grad, flat))


def _requires_grad(tensor: Tensor) -> bool:
    """Whether a tensor does, or what a map or forward mode has wrapped in it."""
    functorch = torch._C._functorch
    while not tensor.requires_grad and functorch.is_functorch_wrapped_tensor(tensor):
        tensor = functorch.get_unwrapped(tensor)
    return tensor.requires_grad


def _is_watched() -> bool:
    """Whether a transform or forward mode is at work: a dual tensor shows its tangent to no one."""
    return is_transformed() or torch.autograd.forward_ad._current_level >= 0


def is_transformed() -> bool:
    """Whether `vmap`, `grad` or another transform of torch.func is at work."""
    return torch._C._functorch.peek_interpreter_stack() is not None


class Function(torch.autograd.Function):
    """One that takes a call and its tensors by position, which PyTorch need not find out."""

    @classmethod
    def apply(cls, call: Call, *given: Tensor) -> Any:
        """As PyTorch's own, which binds arguments to a signature for as long as a step takes."""
        if is_transformed():
            return super().apply(call, *given)  # type: ignore[no-untyped-call]
        plain = map(torch._C._functorch.unwrap_if_dead, given)
        return super(torch.autograd.Function, cls).apply(call, *plain)  # type: ignore[misc]


class Run(Function):
    """Outputs and last states, from all tensors of a call."""

    @staticmethod
    def forward(call: Call, *flat: Tensor) -> Tensors:
        return call.engine.run(call, call.plain(flat))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        call, *flat = inputs
        ctx.call, ctx.kept = call, None
        kept: list[Tensor] = []
        if call.tape is not None and not is_transformed():  # PyTorch's to free, and to offload
            ctx.kept, call.tape = call.tape, None
            kept = [call.engine.tensor(array) for array in ctx.kept.arrays.values()]
            ctx.kept.arrays.update(dict.fromkeys(ctx.kept.arrays))
        # The outputs too: the tape may hold them, and what is written into one is to be noticed.
        ctx.save_for_backward(*flat, *output, *kept)
        ctx.save_for_forward(*flat)

    @staticmethod
    def backward(ctx: Any, *d_outs: Tensor) -> tuple[Any, ...]:
        call, engine, saved = ctx.call, ctx.call.engine, ctx.saved_tensors
        count = len(engine.is_real) + len(call.mapped)
        if ctx.kept is not None:
            arrays = map(engine.array, saved[count + engine.outs :])
            named = dict(zip(ctx.kept.arrays, arrays, strict=True))
            call = replace(call, tape=replace(ctx.kept, arrays=named))
        found = engine.everywhere(run_back(call, d_outs, saved[:count]))
        return None, *found, *[None] * len(call.mapped)

    @staticmethod
    def jvp(ctx: Any, _: None, *directions: Tensor | None) -> Tensors:
        call, engine = ctx.call, ctx.call.engine
        flat, masks = call.apart(ctx.saved_tensors)
        moving = _directions(engine.real(flat), engine.real(call.apart(directions)[0]))
        tangents = call.of_tangents()
        tangents.records = call.records
        outs = run(tangents, [*engine.beside(flat, moving), *masks])
        moved: Tensors = engine.outs_apart(outs)[1]
        return moved

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, *flat: Tensor) -> Any:
        axis = Axis(info.batch_size, in_dims[1:])
        if not any(call.engine.parts(axis.mapped)[0]):
            return axis.on_more_rows(call, flat, run)
        if axis.fits_members(call):
            return axis.as_members(call, flat, run)
        return axis.one_by_one(flat, lambda each: run(call.again(), each))


class RunBack(Function):
    """The cotangents of the real tensors of a call, from those of its outs."""

    @staticmethod
    def forward(call: Call, *given: Tensor) -> Tensors:
        d_outs, flat = _halves(call, given)
        return call.engine.run_back(call, d_outs, call.plain(flat))

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Tensors) -> None:
        call, *given = inputs
        ctx.call = call
        ctx.save_for_backward(*given)
        ctx.save_for_forward(*given)

    @staticmethod
    def backward(ctx: Any, *moving: Tensor) -> tuple[Any, ...]:
        call, engine = ctx.call, ctx.call.engine
        d_outs, given = _halves(call, ctx.saved_tensors)
        flat, masks = call.apart(given)
        beside, tangents = [*engine.beside(flat, moving), *masks], call.of_tangents()
        _, d_d_outs = engine.outs_apart(run(tangents, beside))
        nothing = [torch.zeros_like(d) for d in d_outs]
        found = run_back(tangents, engine.outs_beside(nothing, d_outs), beside)
        d_flat = engine.everywhere(engine.primal(found))
        return None, *d_d_outs, *d_flat, *[None] * len(masks)

    @staticmethod
    def jvp(ctx: Any, _: None, *directions: Tensor | None) -> Tensors:
        call, engine = ctx.call, ctx.call.engine
        d_outs, given = _halves(call, ctx.saved_tensors)
        moving_outs, moving = _halves(call, directions)
        flat, masks = call.apart(given)
        moves = _directions(engine.real(flat), engine.real(call.apart(moving)[0]))
        beside = [*engine.beside(flat, moves), *masks]
        d_beside = engine.outs_beside(_directions(d_outs, moving_outs), d_outs)
        moved: Tensors = engine.primal(run_back(call.of_tangents(), d_beside, beside))
        return moved

    @staticmethod
    def vmap(info: Any, in_dims: Any, call: Call, *given: Tensor) -> Any:
        axis = Axis(info.batch_size, in_dims[1:])
        is_one_call = not any(_halves(call, axis.mapped)[1])  # then its tape holds for all
        if not is_one_call and axis.fits_members(call):
            return axis.back_as_members(call, given, run_back)
        return axis.one_by_one(
            given,
            lambda each: run_back(call if is_one_call else call.again(), *_halves(call, each)),
        )


def _halves(call: Call, given: Sequence[Any]) -> tuple[Sequence[Any], Sequence[Any]]:
    """The cotangents of outs, and the tensors."""
    return given[: call.engine.outs], given[call.engine.outs :]


def _directions(of: Sequence[Tensor], given: Sequence[Tensor | None]) -> list[Tensor]:
    """Those given, and zeros."""
    pairs = zip(of, given, strict=True)
    return [torch.zeros_like(each) if d is None else d for each, d in pairs]
