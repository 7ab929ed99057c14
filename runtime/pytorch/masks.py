"""The masks of a sequence as tensors.

In: what a user passes as `starts`, `lengths` and `boundaries`. Out: bool[T,B], int64[B], and
bool[T,B] or real[T,B]. `runtime/truncation.py` reads them and says what is wrong with them: where
`vmap` maps one, it reads that of each sample. Where a graph is made nobody can look at what they
hold: `plain_masks` reads the same in lines that Dynamo can read, and leaves integers that stand for
truth values to what runs the graph.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ...grammar.problems import Error
from ..arrays import dtype_name
from ..errors import DTypeError, RangeError, SettingError, ShapeError
from ..inputs import Call as Sizes
from ..numpy_arrays import not_flags
from ..tensors import stacked
from .call import Masks
from .engine import Tensor

_functorch = torch._C._functorch
LISTS = (list, tuple)  # Dynamo of torch 2.6 reads no `list | tuple`


def plain_masks(
    sizes: Sizes, like: Tensor, starts: Any, lengths: Any, boundaries: Any, begins: bool
) -> Masks:
    """Masks of a call that begins with the initial state, or with another.

    Raises:
        SettingError, DTypeError, ShapeError: one is of no such kind.
    """
    resets = _by_step_and_row(sizes, like, starts, "starts")
    if resets is not None and resets.is_floating_point():
        raise _no_flags("starts", resets)
    cuts = _by_step_and_row(sizes, like, _at_steps(sizes, like, boundaries), "boundaries")
    if cuts is not None and cuts.is_floating_point() and not _is_of_tensors(boundaries):
        cuts = cuts.to(like.dtype)  # numbers of Python or NumPy have no dtype of their own
    if cuts is not None and cuts.is_floating_point() and cuts.dtype != like.dtype:
        held, wanted = dtype_name(cuts.dtype), dtype_name(like.dtype)
        raise DTypeError(f"boundaries holds {held}; as weights it holds {wanted}")
    if cuts is not None and begins:
        cuts[:1] = cuts.is_floating_point()
    counts = None if lengths is None else _tensor(lengths, like)
    if counts is not None and (counts.is_floating_point() or counts.dtype == torch.bool):
        raise DTypeError("lengths holds an integer for each row")
    if counts is not None and not sizes.batched:
        counts = counts.reshape(1)
    return Masks(resets, counts, cuts)


def read_each(given: Any, name: str, read: Callable[[Any], Any]) -> Any:
    """A mask as `read` reads it; where `vmap` maps it, that of each sample as it reads that."""
    given = stacked(given, name)
    with beneath():
        whole, levels = _beneath_maps(given)
        if not levels:
            return read(whole)
        lead = whole.shape[: len(levels)]
        samples = whole.flatten(0, len(levels) - 1)
        some = samples if len(samples) else [_for_none(samples, name)]
        found = []
        for at, sample in enumerate(some):
            try:
                found.append(torch.as_tensor(read(sample)))
            except Error as error:
                error.add_note(
                    f"That is {name} of sample {at} of the {len(samples)} that vmap maps: a mapped "
                    "axis is not one of its axes."
                )
                raise
        mask = torch.stack(found)[: len(samples)].reshape(*lead, *found[0].shape)
    for level in levels:
        mask = _functorch._add_batch_dim(mask, 0, level)
    return mask


def _for_none(samples: Tensor, name: str) -> Tensor:
    """What is legal where `vmap` maps no sample: of what is read of it only the sizes are kept."""
    if name == "boundaries" and samples.ndim < 3 and not _is_mask(samples):
        return samples.new_zeros(0)  # neither a period nor numbers of steps may all be 0
    return samples.new_zeros(samples.shape[1:])


def is_mapped(given: Any) -> bool:
    """Whether `vmap` has an axis of it, at any level."""
    while is_wrapped(given):
        if _functorch.is_batchedtensor(given):
            return True
        given = _functorch.get_unwrapped(given)
    return False


def _beneath_maps(given: Any) -> tuple[Any, list[int]]:
    """Without what transforms put around it, mapped axes in front, and the levels of these.

    What `grad` and `jvp` put there is lost: a mask has no derivative.
    """
    if not is_wrapped(given):
        return given, []
    whole, levels = _beneath_maps(_functorch.get_unwrapped(given))
    if not _functorch.is_batchedtensor(given):
        return whole, levels
    front = len(levels)
    whole = whole.movedim(front + _functorch.maybe_get_bdim(given), front)
    return whole, [*levels, _functorch.maybe_get_level(given)]


def beneath() -> AbstractContextManager[Any]:
    """Where tensors that no transform wraps can be looked at while one is at work."""
    if torch.compiler.is_compiling():
        return nullcontext()
    beneath_all: AbstractContextManager[Any] = torch._C._DisableFuncTorch()
    return beneath_all


def is_wrapped(given: Any) -> bool:
    """Whether a transform has put something around it."""
    if torch.compiler.is_compiling():  # a part of a call that no graph takes whole
        return False
    return isinstance(given, Tensor) and _functorch.is_functorch_wrapped_tensor(given)


def _at_steps(sizes: Sizes, like: Tensor, given: Any) -> Any:
    """A period or numbers of steps -> bool[T]; anything else as it is."""
    steps = torch.arange(sizes.steps, device=like.device)
    if isinstance(given, int):
        if given < 1:
            raise SettingError("the period of boundaries is at least 1 step")
        return steps % given == 0
    if given is None:
        return None
    if isinstance(given, LISTS):
        for at in given:
            if isinstance(at, int) and not isinstance(at, bool) and not 0 <= at < sizes.steps:
                raise RangeError(
                    f"boundaries names step {at}, but the sequence has {sizes.steps} steps"
                )
    found = _tensor(given, like)
    if found.ndim == 1 and not len(found):  # no step, whatever the dtype of nothing
        return steps < 0
    if _is_mask(found) or found.is_complex():
        return found
    # A graph takes no look at the number, and so cannot know whether a period is at least 1.
    if not found.ndim and not torch.compiler.is_compiling():
        return steps % found.reshape(1) == 0  # torch maps no number over nothing
    return (steps.unsqueeze(1) == found).any(1) if found.ndim == 1 else found


def _by_step_and_row(sizes: Sizes, like: Tensor, given: Any, name: str) -> Tensor | None:
    if given is None:
        return None
    mask = _tensor(given, like)
    if mask.is_complex():
        raise _no_flags(name, mask)
    if mask.ndim not in (1, 2):
        raise ShapeError(f"{name} says something of each step, or of each step and row")
    if mask.requires_grad:
        raise DTypeError(f"{name} has no gradient: pass {name}.detach()")
    if mask.ndim == 1:
        return mask.unsqueeze(1).expand(sizes.steps, sizes.batch).clone()
    return (mask.swapaxes(0, 1) if sizes.swapped else mask).clone()


def _no_flags(name: str, mask: Tensor) -> DTypeError:
    return DTypeError(not_flags(name, dtype_name(mask.dtype)))


def _is_of_tensors(given: Any) -> bool:
    """Whether it is a tensor, or a list of them."""
    is_list = isinstance(given, LISTS) and len(given) > 0
    return isinstance(given[0] if is_list else given, Tensor)


def _is_mask(mask: Tensor) -> bool:
    return mask.dtype == torch.bool or mask.is_floating_point()


def _tensor(given: Any, like: Tensor) -> Tensor:
    """As a tensor, int64 of integers: torch neither compares nor, in 2.6, picks unsigned ones."""
    found: Tensor
    if isinstance(given, Tensor):
        found = given
    elif _is_of_tensors(given):
        found = torch.stack(tuple(given))
    else:
        whole = list(given) if isinstance(given, range) else given
        found = torch.as_tensor(whole, device=like.device)
    return found if _is_mask(found) or found.is_complex() else found.long()
