"""Random draws of a cell as tensors: torch's operations, so that graphs hold them too.

In: what a cell draws, sizes, a seed, a path. Out: one tensor for each draw, the numbers of
`runtime/draws.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import torch

from ..checks import check_whole, describe
from ..draws import WORD, Draw, blocks_of, key_of, numbers, philox, site_of
from ..errors import SettingError
from .engine import Tensor

LARGEST = 2**63 - 1


def _site(name: str) -> int:
    return site_of(name)


# Dynamo does not look into zlib: it takes the number as it is, for names are constants to it. This
# is all that `torch.compiler.assume_constant_result` does, but that imports Dynamo.
_site._dynamo_marked_constant = True  # type: ignore[attr-defined]


class Seeded(NamedTuple):
    """A seed, and where its stream stands."""

    seed: Any
    step: Tensor  # int64[]: of the stream, at which a call begins
    begun: Tensor  # the same; or that at which the whole did that the call is a part of


def check_seed(seed: Any) -> None:
    """Raise a `SettingError` unless it is None, an integer or a tensor of one."""
    if isinstance(seed, Seeded):
        seed = seed.seed
    if isinstance(seed, Tensor):
        kind = seed.dtype
        if seed.ndim or kind.is_floating_point or kind.is_complex or kind == torch.bool:
            raise SettingError(
                f"seed is an integer or a tensor of one, got {describe(seed.shape)} of {kind}"
            )
    elif torch.compiler.is_compiling():  # an integer may be a symbol of the graph there
        if seed is not None and (not isinstance(seed, int) or isinstance(seed, bool)):
            raise SettingError("seed is an integer")
    elif seed is not None:
        check_whole(seed, "seed")


def check_generator() -> None:
    """Raise a `SettingError` where a transform forbids draws from torch's generator."""
    if torch.compiler.is_compiling():  # there is no transform in a graph
        return
    functorch = torch._C._functorch
    for level in functorch.get_interpreter_stack() or ():
        if level.key() == functorch.TransformType.Vmap:
            if functorch.CVmapInterpreterPtr(level).randomness() == functorch.RandomnessType.Error:
                raise SettingError(
                    "a module that draws is mapped, and no one says whether all draw alike: pass "
                    "seed= to the module, as hessian needs, or randomness='same' or 'different' to "
                    "vmap or jacfwd"
                )


def draws(
    what: Sequence[Draw], like: Tensor, lead: Sequence[int], seed: Any, path: str
) -> list[Tensor]:
    """What a sequence draws, [T, B, ...] each.

    Args:
        what: they are.
        lead: T and B.
        seed: an integer, of which the stream begins with the call, or `Seeded`; None takes one from
            torch's generator, once for the whole call.
        path: where in a larger module the cell stands, "0.".
    """
    if what and seed is None:
        check_generator()
        seed = torch.randint(LARGEST, (), device="cpu")
    return [drawn(each, like, lead, seed, path).to(like.dtype) for each in what]


def drawn(what: Draw, like: Tensor, lead: Sequence[int], seed: Any, path: str) -> Tensor:
    """One of the draws, float64[T, B, ...], of a seed or of `Seeded`."""
    step: Any = 0
    if isinstance(seed, Seeded):
        seed, step, _ = seed
    if isinstance(seed, Tensor):
        seed = seed.to(like.device, torch.int64)
    steps, rows = lead
    axes = steps, rows, blocks_of(what)
    at, row, block = (
        torch.arange(count, device=like.device).reshape([-1, *[1] * behind])
        for count, behind in zip(axes, (2, 1, 0), strict=True)
    )
    at = at + step
    counter = [part.expand(axes) for part in (at & WORD, (at >> 32) & WORD, row, block)]
    words = torch.stack(philox(counter, key_of(seed, _site(f"{path}{what.name}"))), -1)
    found: Tensor = numbers(what, words)
    return found
