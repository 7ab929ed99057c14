"""What generated NumPy modules define for themselves: text, each piece only where it is used."""

from __future__ import annotations

import re

LEGEND = """\
# p parameters, s starts, x inputs; c carries, k what is kept of every step, a sums over the steps;
# v other values, w views of them, f filled arrays, m copies, n numbers; r the rows of one step,
# e either of two arrays, h rows before a choice of rows, i rows that a mask names.
"""

STEPS_OF_A_BLOCK = '''\
def steps_of_a_block(B, dtype, numbers, rows):
    """Steps to work on at a time: enough for a fast product, few enough for the cache."""
    return max(-(-rows // max(B, 1)), 2**19 // (dtype.itemsize * numbers * max(B, 1)))
'''

ALIGNED = '''\
def aligned(shape, dtype):
    """An uninitialised array that begins on a cache line."""
    count = np.empty(0, dtype).itemsize
    for dim in shape:
        count *= dim
    raw = np.empty(count + 64, np.uint8)
    start = -raw.ctypes.data % 64
    return raw[start : start + count].view(dtype).reshape(shape)
'''

PRODUCT = '''\
def product(B, rows, columns):
    """The fastest way for a step to multiply B rows by a matrix of rows x columns."""
    if 2 <= B <= 64 and rows * columns >= 2**17:
        return transposed
    return np.matmul if B * columns > 2**13 else np.dot  # dot clears the result first


def transposed(a, w, out):
    """`a @ w` as (w' @ a')': some rows, a matrix as it lies."""
    np.matmul(w.T, a.T, out.T)
'''

FOR_PRODUCT = '''\
def for_product(B, rows, columns, dtype):
    """An array for its result."""
    if product(B, rows, columns) is transposed:
        return aligned((columns, B), dtype).T
    return aligned((B, columns), dtype)
'''

PACKED = '''\
def packed(w, T, B):
    """`w` laid out for the loop's product, where T steps repay the copy."""
    if T < (8 if B > 1 else 32) or (B == 1 and w.nbytes > 2**20):
        return w
    if B > 1 and (w.flags.c_contiguous or (w.ndim == 2 and product(B, *w.shape) is transposed)):
        return w
    out = aligned(w.shape, w.dtype)
    for start in range(0, w.shape[1], 64):
        np.copyto(out[:, start : start + 64], w[:, start : start + 64])
    return out
'''

SUMMED = '''\
def summed(a, b, out):
    """`a @ b`, a sum over steps and rows; of a single one, where `matmul` is slow, a product."""
    (np.multiply if a.shape[-1] == 1 else np.matmul)(a, b, out)
'''

SCATTERED = '''\
def scattered(rows, index, values):
    """The sum of `values` by row: table[index[i]] += values[i]."""
    table = np.zeros((rows, values.shape[1]), values.dtype)
    if len(index):
        order = np.argsort(index, kind="stable")
        index, first = np.unique(index[order], return_index=True)
        table[index] = np.add.reduceat(values[order], first, axis=0)
    return table
'''

ROWS_NAMED = '''\
def rows_named(mask, some):
    """For every step of bool[T,B], `some` of which are true, its rows; None where it names none."""
    found = [None] * len(mask)
    if some:
        for t in mask.any(1).nonzero()[0].tolist():
            found[t] = mask[t].nonzero()[0]
    return found
'''

SOLVED = '''\
def solved(a, b):
    """The x of a @ x = b, matrix by matrix; NaN where there is none."""
    b = b[(None,) * (a.ndim - b.ndim)]  # no vectors
    try:
        return np.linalg.solve(a, b)
    except np.linalg.LinAlgError:
        if a.ndim == b.ndim == 2:
            return np.full_like(b, np.nan)
        lead = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
        a, b = np.broadcast_to(a, lead + a.shape[-2:]), np.broadcast_to(b, lead + b.shape[-2:])
        return np.stack([*map(solved, a, b)])
'''

# Each with the others it calls, in the order in which they are printed.
HELPERS: dict[str, tuple[str, tuple[str, ...]]] = {
    "steps_of_a_block": (STEPS_OF_A_BLOCK, ()),
    "packed": (PACKED, ("product", "aligned")),
    "product": (PRODUCT, ()),
    "for_product": (FOR_PRODUCT, ("product", "aligned")),
    "summed": (SUMMED, ()),
    "scattered": (SCATTERED, ()),
    "rows_named": (ROWS_NAMED, ()),
    "solved": (SOLVED, ()),
    "aligned": (ALIGNED, ()),
}


def helpers_for(body: str) -> str:
    """The functions that `body` calls, directly or not."""
    called = [name for name in HELPERS if re.search(rf"\b{name}\(", body)]
    needed = {*called, *(other for name in called for other in HELPERS[name][1])}
    return "\n\n".join(text for name, (text, _) in HELPERS.items() if name in needed).rstrip()


def with_short_names(text: str) -> tuple[str, list[str]]:
    """`np.tanh(...)` as `tanh(...)`; and the names this needs to import."""
    names = sorted(set(re.findall(r"\bnp\.(\w+)", text)))
    return re.sub(r"\bnp\.(\w+)", r"\1", text), names
