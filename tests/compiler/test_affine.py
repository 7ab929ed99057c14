"""Which steps are affine in their states, element by element, and with which coefficients."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.affine import affine
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import Goal, stages
from tests.compiler.test_partition import plans

SOURCE = "cell C(): (h[4], x[4]) -> (h', h') { param a[4]\n h' = %s }"


@pytest.mark.parametrize(
    "equation",
    [
        "a * h + x",
        "sigmoid(x) * h - x",
        "h / (1 + x * x)",
        "where(x > 0, h, x)",
        "x",
        "-h",
        "2 * h",
    ],
)
def test_affine(equation: str) -> None:
    forward, _ = plans(SOURCE % equation)
    found = affine(forward)
    assert found is not None
    carry = forward.scan.carries[0].node
    for step in found:
        assert carry not in {*step.factor.args, *step.rest.args}


@pytest.mark.parametrize(
    "equation",
    # The derivative of `floor` is 0, and that of a comparison there is none: they are not affine.
    ["floor(h) + x", "sign(h)", "where(h > 0, x, a)", "h * h", "tanh(h)", "x / h", "abs(h)",
     "relu(h)", "flip(h) + x", "cumsum(h)", "h + sum(h)"],
)  # fmt: skip
def test_not_affine(equation: str) -> None:
    forward, _ = plans(SOURCE % equation)
    assert affine(forward) is None


def test_a_cell_whose_states_read_each_other_is_not() -> None:
    source = "cell C(): ((h[4], g[4]), x[4]) -> ((h', g'), h') { h' = h + g\n g' = 0.5 * g + x }"
    assert affine(plans(source)[0]) is None


def test_resets_lengths_and_boundaries_keep_a_cell_affine() -> None:
    *_, last = stages(library.std().MinGRU(3, 4), Goal(MASKS, backend="triton"))
    _, forward, backward = last.value
    assert affine(forward) is not None
    assert affine(backward) is not None
