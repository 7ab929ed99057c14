"""Backends: plan -> source text. None of them knows a pass.

Each is one function, `to_numpy` or `to_triton`, from a plan to a `Module`.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Module:
    """Source of one program, and the order of what it takes and gives.

    `run(T, *params, *starts, *inputs)` returns `(*last carries, *outs)`.
    """

    source: str
    params: tuple[str, ...]
    starts: tuple[str, ...]
    inputs: tuple[str, ...]
    carries: tuple[str, ...]
    outs: tuple[str, ...]
