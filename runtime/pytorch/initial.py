"""The state that a sequence begins with, as a function of the parameters it is learned by.

In: an engine, parameters, a number of rows. Out: every state, [B, ...]. What is made of parameters
has derivatives like everything else: it is the output of a cell without states.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch

from .call import Call
from .engine import Engine, Tensor
from .functions import applied
from .ops import compiled


def beginning(engine: Engine, params: Sequence[Tensor], rows: int, like: Tensor) -> list[Tensor]:
    """Every state before the first step."""
    if engine.begins is not None:
        return [
            torch.full((rows, *shape), number, dtype=engine.state_dtype, device=like.device)
            for shape, number in engine.begins
        ]
    start = engine.start
    flat = [*params, torch.zeros((1, rows, 1), dtype=like.dtype, device=like.device)]
    if torch.compiler.is_compiling():
        found = compiled(start, None, None, None, flat)
    else:
        found = applied(Call(start), flat)
    return [value[0].to(engine.state_dtype) for value in found]
