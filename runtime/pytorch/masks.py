"""The masks of a sequence as tensors, without a look at what they hold.

In: what a user passes as `starts`, `lengths` and `boundaries`. Out: bool[T,B], int64[B], and
bool[T,B] or real[T,B], in lines that Dynamo can read. `runtime/truncation.py` reads the same and
says what is wrong with it.
"""

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch

from ..errors import DTypeError, RangeError, SettingError
from ..inputs import Call as Sizes
from ..truncation import check_weights
from .call import Masks
from .engine import Tensor

_functorch = torch._C._functorch
LISTS = (list, tuple)  # Dynamo of torch 2.6 reads no `list | tuple`


def plain_masks(
    sizes: Sizes, like: Tensor, starts: Any, lengths: Any, boundaries: Any, begins: bool
) -> Masks:
    """Masks of a call that begins with the initial state, or with another.

    Raises:
        SettingError, DTypeError: one is of no such kind.
    """
    resets = _by_step_and_row(sizes, like, starts, "starts")
    if resets is not None and resets.dtype != torch.bool:
        raise DTypeError("starts holds truth values")
    cuts = _by_step_and_row(sizes, like, _at_steps(sizes, like, boundaries), "boundaries")
    if cuts is not None and cuts.is_floating_point() and cuts.dtype != like.dtype:
        raise DTypeError(f"boundaries holds {cuts.dtype}; as weights it holds {like.dtype}")
    if cuts is not None and is_mapped(cuts) and cuts.is_floating_point():
        _check_weights(cuts)
    if cuts is not None and begins:
        cuts[:1] = cuts.is_floating_point()
    counts = None if lengths is None else _tensor(lengths, like)
    if counts is not None and (counts.is_floating_point() or counts.dtype == torch.bool):
        raise DTypeError("lengths holds an integer for each row")
    if counts is not None and not sizes.batched:
        counts = counts.reshape(1)
    return Masks(resets, counts, cuts)


def is_mapped(given: Any) -> bool:
    """Whether `vmap` has an axis of it, at any level."""
    while _is_wrapped(given):
        if _functorch.is_batchedtensor(given):
            return True
        given = _functorch.get_unwrapped(given)
    return False


def unwrapped(given: Any) -> Any:
    """Without what `grad` and `jvp` put around it: a mask has no derivative."""
    while _is_wrapped(given):
        given = _functorch.get_unwrapped(given)
    return given


def beneath() -> AbstractContextManager[Any]:
    """Where tensors that no transform wraps can be looked at while one is at work."""
    if torch.compiler.is_compiling():
        return nullcontext()
    beneath_all: AbstractContextManager[Any] = torch._C._DisableFuncTorch()
    return beneath_all


def _check_weights(mapped: Tensor) -> None:
    """Raise what a plain call raises: beneath a map nobody looks at the numbers again."""
    while _is_wrapped(mapped):
        mapped = _functorch.get_unwrapped(mapped)
    if type(mapped) is Tensor:  # fake ones have no numbers
        with beneath():
            check_weights(mapped.detach().double().cpu().numpy())


def _is_wrapped(given: Any) -> bool:
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
    return torch.isin(steps, found) if found.ndim == 1 and not _is_mask(found) else found


def _by_step_and_row(sizes: Sizes, like: Tensor, given: Any, name: str) -> Tensor | None:
    if given is None:
        return None
    mask = _tensor(given, like)
    if not _is_mask(mask):
        raise DTypeError(f"{name} holds truth values")
    if mask.requires_grad:
        raise DTypeError(f"{name} has no gradient: pass {name}.detach()")
    if mask.ndim == 1:
        return mask.unsqueeze(1).expand(sizes.steps, sizes.batch).clone()
    return (mask.swapaxes(0, 1) if sizes.swapped else mask).clone()


def _is_mask(mask: Tensor) -> bool:
    return mask.dtype == torch.bool or mask.is_floating_point()


def _tensor(given: Any, like: Tensor) -> Tensor:
    if isinstance(given, Tensor):
        return given
    return torch.as_tensor(list(given) if isinstance(given, range) else given, device=like.device)
