"""Backends: plan -> source text. None of them knows a pass.

Each is one function, `to_numpy` or `to_triton`, from a plan to a `Module`.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

# How a launch of a kernel stands to the steps of the loop: beside them, once in a call; in one of
# them; or it goes through them by itself.
Runs: TypeAlias = Literal["once", "each step", "all steps"]


@dataclass(frozen=True, slots=True)
class KernelSignature:
    """A Triton kernel of a module, as the compiler wants to know it.

    `pointers` have the element types "real" (the program's dtype), "wide" (float32 where that is a
    half width, else the same), "bool" and "int"; `scalars` are "int32", or "int64" if they may pass
    2^31. `constants` are those beside `numbers`, which follow from the dtype: REAL, NARROW, FED,
    IEEE.
    """

    name: str
    pointers: tuple[tuple[str, str], ...]
    scalars: tuple[tuple[str, str], ...]
    constants: tuple[tuple[str, int], ...]
    numbers: tuple[str, ...]
    warps: int
    runs: Runs = "once"
    fuses: bool = True  # a product and a sum, into one operation that rounds once


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
    kernels: tuple[KernelSignature, ...] = ()  # none of NumPy's
