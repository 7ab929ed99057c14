"""The same program as opaque custom ops: for `torch.compile` and `torch.export`.

In: an engine's name and tensors. Out: tensors. A graph holds one op for a whole sequence, whatever
its length; Dynamo looks into neither. What a run leaves for running back are outputs of the op, as
a graph knows no other way to keep them.

    rnnc::run        name, masks, tensors -> outs, and what is kept where gradients are wanted
    rnnc::run_back   name, masks, cotangents, tensors and what is kept -> cotangents

An op has its derivative registered with it. An `autograd.Function` around it would do for
`torch.compile`, and not for `torch.export` of sizes that vary: torch 2.6 and 2.8 fail there.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import torch

from ..errors import DTypeError, NoGradientError
from ..tape import Tape
from ..truncation import check_weights
from .call import Call, Masks
from .engine import Engine, Tensor, Tensors, engine_named


def compiled(
    engine: Engine, starts: Tensor | None, lengths: Tensor | None, boundaries: Tensor | None,
    flat: Sequence[Tensor],
) -> Tensors:  # fmt: skip
    """Run an engine within a graph that is being made; Dynamo reads these lines."""
    kinds, masks = "", []
    if starts is not None:
        kinds, masks = "starts,", [starts]
    if lengths is not None:
        kinds, masks = kinds + "lengths,", [*masks, lengths]
    if boundaries is not None:
        kinds, masks = kinds + "boundaries,", [*masks, boundaries]
    found = run(engine.name, kinds, masks, list(flat), torch.is_grad_enabled())
    return tuple(found[: engine.outs])


# Said here, as torch 2.6 cannot read `list[Tensor]` in an annotation.
RUN: Final = "(str name, str kinds, Tensor[] masks, Tensor[] flat, bool records) -> Tensor[]"
RUN_BACK: Final = (
    "(str name, str kinds, Tensor[] masks, Tensor[] d_outs, Tensor[] flat, Tensor[] found)"
    " -> Tensor[]"
)


@torch.library.custom_op("rnnc::run", mutates_args=(), schema=RUN)
def run(
    name: str, kinds: str, masks: Sequence[Tensor], flat: Sequence[Tensor], records: bool
) -> list[Tensor]:
    engine = engine_named(name)
    if engine.refusal is not None:
        raise engine.refusal.with_traceback(None)
    call = _call(engine, kinds, masks)
    weights = call.masks.boundaries
    if weights is not None and weights.is_floating_point():  # no graph knows their values
        check_weights(weights.numpy(force=True))
    call.records = records
    _check_no_duals()
    _check_dtypes(engine, flat)
    outs = engine.run(call, flat)
    if call.tape is None:
        return [_apart(tensor) for tensor in outs]
    kept = [call.tape.arrays[each] for each in engine.kept(_variant(engine, kinds, masks))]
    return [_apart(tensor) for tensor in (*outs, *map(engine.tensor, kept))]


@run.register_fake
def _(
    name: str, kinds: str, masks: Sequence[Tensor], flat: Sequence[Tensor], records: bool
) -> list[Tensor]:
    _check_no_duals()
    engine = engine_named(name)
    x = engine.parts(flat)[2][0]
    steps, rows = x.shape[:2]
    cell, found = engine.program.cell, []
    for y in cell.outputs:
        found.append(_empty(flat, (steps, rows, *map(int, y.node.type.shape))))
    for state, given in zip(cell.states, engine.parts(flat)[1], strict=True):
        found.append(given.new_empty((rows, *map(int, state.node.type.shape))))
    kept = engine.kept(_variant(engine, kinds, masks)).values() if records else ()
    found += [x.new_empty((steps, rows, *shape), dtype=dtype) for shape, dtype in kept]
    return found


@torch.library.custom_op("rnnc::run_back", mutates_args=(), schema=RUN_BACK)
def run_back(
    name: str, kinds: str, masks: Sequence[Tensor], d_outs: Sequence[Tensor],
    flat: Sequence[Tensor], found: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    engine = engine_named(name)
    call = _call(engine, kinds, masks)
    variant = _variant(engine, kinds, masks)
    call.tape = _tape(engine, call, variant, flat, found)
    return [_apart(d) for d in engine.run_back(call, d_outs, flat)]


@run_back.register_fake
def _(
    name: str, kinds: str, masks: Sequence[Tensor], d_outs: Sequence[Tensor],
    flat: Sequence[Tensor], found: Sequence[Tensor],
) -> list[Tensor]:  # fmt: skip
    return [each.new_empty(each.shape) for each in engine_named(name).real(flat)]


def _keep(ctx: Any, inputs: tuple[Any, ...], output: list[Tensor]) -> None:
    name, kinds, masks, flat, records = inputs
    ctx.said, ctx.masks, ctx.records = (name, kinds), len(masks), records
    ctx.save_for_backward(*masks, *flat, *output)


def _back(ctx: Any, d_found: Sequence[Tensor | None]) -> tuple[Any, ...]:
    """The first derivative, and no other: `run_back` has none."""
    engine, saved = engine_named(ctx.said[0]), ctx.saved_tensors
    end = ctx.masks + len(engine.is_real)
    masks, flat, found = list(saved[: ctx.masks]), list(saved[ctx.masks : end]), list(saved[end:])
    if not ctx.records:
        found = run(*ctx.said, masks, flat, True)
    pairs = zip(found[: engine.outs], d_found, strict=False)
    d_outs = [torch.zeros_like(y) if d is None else d.contiguous() for y, d in pairs]
    ds = engine.everywhere(run_back(*ctx.said, masks, d_outs, flat, found))
    return None, None, [None] * len(masks), list(ds), None


run.register_autograd(_back, setup_context=_keep)


def _check_no_duals() -> None:
    """Raise an error where a graph would lose the tangents of dual tensors without a word."""
    if torch.autograd.forward_ad._current_level >= 0:
        raise NoGradientError(
            "a graph of torch.compile or torch.export has no derivative in forward mode: call the "
            "module itself"
        )


def _call(engine: Engine, kinds: str, masks: Sequence[Tensor]) -> Call:
    return Call(engine, Masks(**_named(kinds, masks)))


def _check_dtypes(engine: Engine, flat: Sequence[Tensor]) -> None:
    """Raise a `DTypeError` where what a module would refuse has come through a graph."""
    _, states, inputs = engine.parts(list(zip(flat, engine.is_real, strict=True)))
    width = getattr(torch, engine.program.dtype)
    names = [*engine.states, *engine.inputs]
    wanted = [*[engine.state_dtype] * len(states), *[width] * len(inputs)]
    for name, (tensor, is_real), dtype in zip(names, [*states, *inputs], wanted, strict=True):
        if is_real and tensor.dtype != dtype:
            raise DTypeError(f"{name} is {tensor.dtype}, and the module takes {dtype}")


def _named(kinds: str, masks: Sequence[Tensor]) -> dict[str, Tensor]:
    return dict(zip(filter(None, kinds.split(",")), masks, strict=True))


def _variant(engine: Engine, kinds: str, masks: Sequence[Tensor]) -> tuple[str, ...]:
    """The masks as a program names them."""
    given = _named(kinds, masks)
    found = []
    if "starts" in given:
        found.append("starts")
    if "boundaries" in given:
        found.append("weights" if given["boundaries"].is_floating_point() else "boundaries")
    return (*found, *["valid"] * ("lengths" in given))


def _tape(
    engine: Engine, call: Call, variant: tuple[str, ...], flat: Sequence[Tensor],
    found: Sequence[Tensor],
) -> Tape:  # fmt: skip
    """What a run left, of what the op was given, returned, and keeps."""
    inputs = engine.parts(flat)[2]
    steps, rows = inputs[0].shape[:2]
    known: dict[str, Any] = dict(zip(engine.inputs, inputs, strict=True))
    known |= dict(zip(engine.outputs, found, strict=False))
    known |= dict(zip(engine.kept(variant), found[engine.outs :], strict=True))
    masks = call.masks
    if masks.lengths is not None:
        steps_of = torch.arange(steps, device=masks.lengths.device)
        known["mask.valid"] = steps_of[:, None] < masks.lengths
    if masks.starts is not None:
        known["mask.starts"] = masks.starts.bool()
    if masks.boundaries is not None:
        known |= {"mask.weights": masks.boundaries, "mask.boundaries": masks.boundaries.bool()}
    arrays = {name: engine.array(known[name]) for name in engine.read_back(variant)}
    return Tape(variant, int(steps), int(rows), arrays)


def _empty(flat: Sequence[Tensor], shape: tuple[Any, ...]) -> Tensor:
    real = next(each for each in flat if each.is_floating_point())
    return real.new_empty(shape)


def _apart(tensor: Tensor) -> Tensor:
    """A result as a graph expects it: contiguous."""
    return tensor.contiguous()
