# mypy: allow-untyped-defs, allow-incomplete-defs, allow-untyped-decorators
"""Small Triton kernels, each of which waits for one thing. Imported only where triton is."""

from __future__ import annotations

import triton
import triton.language as tl


@triton.jit
def chase(table, out, count):
    """Loads, each of which says where the next one is; `out` says where the first one is."""
    at = tl.load(out)
    for _ in tl.range(0, count):
        at = tl.load(table + at)
    tl.store(out, at)


@triton.jit
def wait(out, count):
    """Barriers of a program's threads."""
    for _ in tl.range(0, count):
        tl.debug_barrier()
    tl.store(out, count)


@triton.jit
def exponentials(out, count, BLOCK: tl.constexpr):
    """Results of the special-function unit, four chains side by side in each thread."""
    x = tl.arange(0, BLOCK).to(tl.float32) * 1e-6
    for _ in tl.range(0, count):
        x = tl.exp2(x - 1.0)
    tl.store(out + tl.arange(0, BLOCK), x)


@triton.jit
def nothing(out):
    """A launch."""
    tl.store(out, 1)
