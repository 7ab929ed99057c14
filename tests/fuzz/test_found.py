"""Programs that once failed, each reduced to what it took. New ones are added as they are found."""

from __future__ import annotations

import pytest

from tests.fuzz.check import check
from tests.fuzz.generator import Source

FOUND = {
    "a matrix of places in the step": """
cell C(): (h[3, 3], x[3]) -> (h', h') { h' = tril(outer(x, x)) + eye(3) * triu(h) }""",
    "one value joined to itself": """
cell C(): (h[4], x[2]) -> (h', h') { h' = concat(x, x) * tanh(h) }""",
    "a state handed to another": """
cell C(): ((a[2], b[2], c[2]), x[2]) -> ((a', b', c'), (a', b')) {
    a' = b
    b' = c
    c' = tanh(a + x)
}""",
    "a state handed over and a constant in its place": """
cell C(): ((a[2], b[2]), x[2]) -> ((a', b'), a') {
    a' = b
    b' = 0.5
}""",
    "a state that becomes two": """
cell C(): ((a[2], b[2], c[2]), x[2]) -> ((a', b', c'), b') {
    a' = b
    c' = c
    b' = c
}""",
    "an output of parameters alone": """
cell C(): ((), x[2]) -> ((), (y, z)) {
    param w[4, 3]
    y, z = split(w, 2)
}""",
    "an output of numbers alone": """
cell C(): ((), x[2]) -> ((), y) { y = 2.3 }""",
    "a parameter that is one number": """
cell C(): (h[2, 3], x[3]) -> (h', h') {
    param w[]
    h' = where(h < x, h, w) * w
}""",
    "a parameter repeated along an axis": """
cell C(): (h[2], x[2]) -> (h', h') {
    param w[3, 2]
    h' = tanh(mean(h * w, axis=0) - x)
}""",
    "one element of a parameter": """
cell C(): (h[3], x[3]) -> (h', h') {
    param w[2]
    scale = 0.4
    for i in 0..2 { scale = (w[i] + scale) }
    h' = tanh(broadcast(scale, [3]) * x - h)
}""",
    "a product of two parameters": """
cell C(): (h[2], x[3]) -> (h', h') {
    param U[2, 3], W[3, 2], b[3]
    h' = tanh(U @ (b - W @ h))
}""",
    "letters that one operand alone has": """
cell C(): (h[], x[3]) -> (h', y) {
    param A[2, 3], B[1, 2]
    h' = einsum("ac,ba->a", A, B)[-1] + 0.3 * tanh(h)
    y = einsum("c,ba->ab", x, A)
}""",
    "a maximum of what is computed twice": """
cell C(): (h[2], x[2]) -> (h', h') {
    param w[3, 2]
    h' = min(0.9 * (h * w) + 0.01 * x, axis=0)
}""",
    "a product by a stack of matrices": """
cell C(): (h[2], x[4]) -> (h', h') {
    param w[2, 1, 2]
    h' = tanh(mean(mean(w @ broadcast(x[0:2], [2, 2, 2]))) + h)
}""",
    "a row of a learned initial state": """
cell C(): (h[4] = start, x[]: int) -> (h', y) {
    param start[4]
    h' = 0.5 * h
    y = start - start[x]
}""",
}


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("name", FOUND)
def test_agrees_with_the_oracle(name: str, seed: int) -> None:
    """With various masks and sizes, exact or not, as the seeds have it."""
    report = check(Source(seed, FOUND[name], "C", (), {}, rows=4))
    if report.failures:
        pytest.fail(str(report), pytrace=False)
