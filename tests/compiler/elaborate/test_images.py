"""`conv2d`: what loops over places give, and torch; differentiable, in any program."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.tangent import tangent
from rnnc.runtime.program import Program
from tests.compiler.elaborate.sources import value
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import by_oracle
from tests.compiler.topics import cell_of, names_of
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

BOUND = Bound(1e-12, 1e-11)


def by_loops(kernel: Array, image: Array) -> Array:
    """Every output by itself: the sum of the kernel times what lies around it."""
    made, channels, tall, wide = kernel.shape
    _, height, width = image.shape
    found = np.zeros((made, height, width))
    for c, d, row, column in np.ndindex(made, channels, height, width):
        for i, j in np.ndindex(tall, wide):
            at = row + i - tall // 2, column + j - wide // 2
            if 0 <= at[0] < height and 0 <= at[1] < width:
                found[c, row, column] += kernel[c, d, i, j] * image[d, *at]
    return found


# Kernel and image; also a kernel larger than the image, and images of a single place or line.
SHAPES = [
    ((2, 3, 3, 3), (3, 4, 5)), ((1, 1, 1, 1), (1, 2, 3)), ((4, 2, 5, 5), (2, 6, 7)),
    ((2, 2, 1, 3), (2, 3, 4)), ((2, 1, 3, 1), (1, 3, 4)), ((1, 2, 5, 5), (2, 1, 2)),
    ((3, 2, 3, 3), (2, 1, 1)), ((1, 1, 7, 3), (1, 9, 1)),
]  # fmt: skip


@pytest.mark.parametrize(("kernel", "image"), SHAPES, ids=str)
def test_every_place_sums_what_is_around_it(
    kernel: tuple[int, ...], image: tuple[int, ...]
) -> None:
    draws = np.random.default_rng(0)
    K, X = draws.standard_normal(kernel), draws.standard_normal(image)
    found = value("conv2d(K, X)", {"K": K, "X": X})
    np.testing.assert_allclose(found, by_loops(K, X), rtol=1e-13, atol=1e-13)


@pytest.mark.torch
@pytest.mark.parametrize(("kernel", "image"), SHAPES, ids=str)
def test_values_and_gradients_are_torchs(kernel: tuple[int, ...], image: tuple[int, ...]) -> None:
    torch = pytest.importorskip("torch")
    draws = np.random.default_rng(1)
    K, X = draws.standard_normal(kernel), draws.standard_normal(image)
    weights = draws.standard_normal((kernel[0], *image[1:]))
    k, x = (torch.tensor(array, requires_grad=True) for array in (K, X))
    y = torch.nn.functional.conv2d(x[None], k, padding=(kernel[2] // 2, kernel[3] // 2))[0]
    (y * torch.tensor(weights)).sum().backward()
    given = {"K": K, "X": X, "w": weights}
    np.testing.assert_allclose(value("conv2d(K, X)", given), y.detach().numpy(), atol=1e-12)
    of = "grad(sum(reshape(conv2d(K, X) * w, [{}])), {})".format
    count = weights.size
    np.testing.assert_allclose(value(of(count, "K"), given), k.grad.numpy(), atol=1e-12)
    np.testing.assert_allclose(value(of(count, "X"), given), x.grad.numpy(), atol=1e-12)


@pytest.mark.parametrize("name", names_of("images"))
def test_programs_are_the_oracles(name: str) -> None:
    for cell in (cell_of(name), tangent(cell_of(name))):
        n = Numbers.draw(cell, steps=4, rows=3)
        assert_within(by_program(Program(cell, "float64"), n), by_oracle(cell, n), BOUND)


def test_several_kernels_of_one_image_are_one_product() -> None:
    text = """
    cell C(n): (h[n, 4, 4], x[n, 4, 4]) -> (h', h') {
        param A[n, n, 3, 3], D[n, n, 3, 3]
        h' = sigmoid(conv2d(A, h)) * tanh(conv2d(D, h)) + x
    }
    """
    plan, _ = compile_cell(loads(text).C(3), Goal(record=False)).plans
    assert sum(node.op.name == "einsum" for node in plan.step) == 1


def test_no_image_is_kept_many_times_over_for_all_steps() -> None:
    """Its nine shifted copies are made again, step by step, for the gradient of the kernel."""
    _, plan = compile_cell(cell_of("ConvLSTM"), Goal()).plans
    assert plan is not None
    of_all = [node for node in plan.scan if node.op.name == "concat" and "T" in node.type.axes]
    assert not [node for node in of_all if node.type.shape[0] in (9 * 2, 9 * 3)]
