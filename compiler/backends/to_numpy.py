"""Plan -> NumPy source: one flat module with one function, `build`.

In: a plan. Out: text without a word of the user's. `build(B, dtype)` allocates every buffer that
does not grow with T, and returns `run(T, ...)`, which does the work:

    once      weight transforms
    whole     what is needed for all t
    blocks of N steps:  what is hoisted, for the block;  then the steps, one by one
    late      what was sunk

In the loop there is nothing but ufuncs with an output, `dot`, and a `zip` over views that were
made before it. Values with gates lie gate-major ([4,B,H]), so that one gate is contiguous.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from ..ir import Node, Plan, Value
from ..shapes import size
from .numpy_emit import Emitter
from .writer import Writer

PRELUDE = '''\
import numpy as np
from numpy import copyto, dot, matmul

BLOCK_ROWS = 512  # a product of fewer rows wastes time
BLOCK_BYTES = 2**19  # what a block computes should stay in the second-level cache
PACKED_BYTES = 2**20  # a matrix above this is read from memory either way


def aligned(shape, dtype):
    """An uninitialised array on a cache line."""
    dtype = np.dtype(dtype)
    count = dtype.itemsize
    for dim in shape:
        count *= dim
    raw = np.empty(count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count].view(dtype).reshape(shape)


def packed(w, T, B):
    """`w` laid out for the loop's product, where T steps repay the copy."""
    if T < (8 if B > 1 else 32) or (B == 1 and w.nbytes > PACKED_BYTES):
        return w
    if w.flags.c_contiguous and B > 1:
        return w
    out = aligned(w.shape, w.dtype)
    for start in range(0, w.shape[1], 64):
        copyto(out[:, start : start + 64], w[:, start : start + 64])
    return out


def scattered(rows, index, values):
    """The sum of `values` by row: table[index[i]] += values[i]."""
    table = np.zeros((rows, values.shape[1]), values.dtype)
    if len(index):
        order = np.argsort(index, kind="stable")
        index, first = np.unique(index[order], return_index=True)
        table[index] = np.add.reduceat(values[order], first, axis=0)
    return table
'''


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


def to_numpy(plan: Plan, *, exact: bool = False) -> Module:
    """Generate the module of a plan.

    Args:
        plan: of a verified scan.
        exact: never pack a matrix, so that a product has one bit pattern at any T.
    """
    scan = plan.scan
    emitter = Emitter(plan, exact=exact)
    emitter.emit()
    writer = Writer()
    header = PRELUDE
    names = sorted(set(re.findall(r"\bnp\.(\w+)\(", str(emitter.loop))) - {"broadcast_to"})
    loop = re.sub(r"\bnp\.(\w+)\(", r"\1(", str(emitter.loop))
    if names:
        header = header.replace(
            "from numpy import copyto, dot, matmul",
            "from numpy import " + ", ".join(sorted({"copyto", "dot", "matmul", *names})),
        )
    writer(header.rstrip("\n"))
    writer("\n")
    with writer.block("def build(B, dtype):"):
        writer.extend(emitter.build)
        writer("")
        with writer.block(f"def run({', '.join(['T', *emitter.arguments])}):"):
            writer.extend(emitter.before)
            for line in loop.rstrip("\n").split("\n"):
                writer(line)
            writer.extend(emitter.after)
            writer(f"return ({', '.join(emitter.results)},)")
        writer("")
        writer("return run")
    return Module(
        str(writer),
        tuple(str(p.attr) for p in scan.params),
        tuple(c.name for c in scan.carries),
        tuple(str(i.attr) for i in scan.inputs),
        tuple(c.name for c in scan.carries),
        tuple(o.name for o in scan.outs),
    )


_ = (Node, Value, size)
