"""Random draws of a cell as tensors: torch's operations, so that graphs hold them too.

In: a cell, sizes, a seed. Out: one tensor for each draw, the numbers of `runtime/draws.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch

from ...compiler.ir import Beside, Cell
from ..checks import check_whole
from ..draws import blocks_of, key_of, numbers, philox, site_of
from .engine import Tensor

LARGEST = 2**63 - 1


def sites_of(cell: Cell, path: str) -> tuple[int, ...]:
    """The sites of a cell's draws that stands at a path: "0." in a module of several."""
    return tuple(site_of(path + each.name) for each in _drawn(cell))


def _drawn(cell: Cell) -> list[Beside]:
    return [each for each in cell.beside if each.source != "training"]


def draws(
    cell: Cell, like: Tensor, lead: Sequence[int], seed: Any, sites: Sequence[int]
) -> list[Tensor]:
    """What a sequence draws, [T, B, ...] each.

    Args:
        lead: T and B.
        seed: an integer; None takes one from torch's generator, once for the whole call.
        sites: of its draws, in their order.
    """
    if not sites:
        return []
    if not torch.compiler.is_compiling() and not (seed is None or isinstance(seed, Tensor)):
        seed = check_whole(seed, "seed")
    if seed is None:
        seed = torch.randint(LARGEST, (), device="cpu").to(like.device)
    steps, rows = lead
    found = []
    for each, site in zip(_drawn(cell), sites, strict=True):
        axes = steps, 1, rows, blocks_of(each)
        low, high, row, block = (
            torch.arange(count, device=like.device).reshape([-1, *[1] * behind])
            for count, behind in zip(axes, (2, 2, 1, 0), strict=True)
        )
        shape = (steps, rows, axes[-1])
        counter = [part.expand(shape) for part in (low, high, row, block)]
        words = torch.stack(philox(counter, key_of(seed, site)), -1)
        found.append(numbers(each, words).to(like.dtype))
    return found
