"""Initialisers: their shapes, scales and structure, and what a draw depends on."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

import rnnc
from rnnc.compiler.elaborate.parameters import INITIALISERS as LANGUAGES_INITIALISERS
from rnnc.compiler.ir import Cell, Init, Param, leaf
from rnnc.compiler.shapes import Type
from rnnc.runtime.arrays import Array
from rnnc.runtime.params import INITIALISERS, initialise
from tests.runtime.models import bound, close

FLOAT64 = np.dtype("float64")


def cell_of(*params: tuple[str, tuple[int, ...], Init]) -> Cell:
    """The Elman cell of 6 hidden units with parameters of its own choice."""
    cell = bound("Elman", 3, 6).cell
    made = tuple(Param(name, leaf("param", name, Type(shape)), i) for name, shape, i in params)
    return dataclasses.replace(cell, params=made)


def draw(name: str, shape: tuple[int, ...], *args: float, seed: int = 0) -> Array:
    return initialise(cell_of(("W", shape, Init(name, args))), seed, FLOAT64)["W"]


NUMBERS = {"constant": (3.0,), "uniform": (-1.0, 2.0), "normal": (0.5,),
           "linspace": (1.0, 4.0), "log_range": (1.0, 1000.0)}  # fmt: skip


@pytest.mark.parametrize("shape", [(), (4,), (3, 5), (5, 3), (2, 4, 4), (0, 3), (1, 1)])
@pytest.mark.parametrize("name", [*INITIALISERS, "torch_default"])
def test_every_initialiser_fills_every_shape(name: str, shape: tuple[int, ...]) -> None:
    array = draw(name, shape, *NUMBERS.get(name, ()))
    assert array.shape == shape and array.dtype == FLOAT64 and np.isfinite(array).all()
    assert not array.flags.writeable


@pytest.mark.parametrize(
    ("name", "deviation"),
    [
        ("glorot_uniform", np.sqrt(2 / (300 + 200))),
        ("glorot_normal", np.sqrt(2 / (300 + 200))),
        ("lecun_normal", np.sqrt(1 / 300)),
        ("he_normal", np.sqrt(2 / 300)),
        ("torch_default", 1 / np.sqrt(6) / np.sqrt(3)),
    ],
)
def test_random_ones_have_their_scale_per_matrix(name: str, deviation: float) -> None:
    stack = draw(name, (3, 200, 300))
    for matrix in stack:
        assert abs(matrix.mean()) < 0.02 * deviation
        assert abs(matrix.std() / deviation - 1) < 0.02
    if "normal" not in name:
        assert np.abs(stack).max() <= np.sqrt(3) * deviation


@pytest.mark.parametrize("shape", [(4, 4), (2, 5, 3), (3, 5)])
def test_orthogonal_matrices_are(shape: tuple[int, ...]) -> None:
    for matrix in draw("orthogonal", shape).reshape(-1, *shape[-2:]):
        rows, columns = matrix.shape
        product = matrix.T @ matrix if rows >= columns else matrix @ matrix.T
        close(product, np.eye(min(rows, columns)))


def test_orthogonal_matrices_have_no_preferred_sign() -> None:
    diagonal = np.array([draw("orthogonal", (3, 3), seed=seed)[0, 0] for seed in range(400)])
    assert abs((diagonal > 0).mean() - 0.5) < 0.1
    assert abs(diagonal.var() - 1 / 3) < 0.05


def test_structured_ones_are_what_they_say() -> None:
    close(draw("identity", (2, 2, 3)), np.broadcast_to(np.eye(2, 3), (2, 2, 3)), 0)
    close(draw("block_identity", (4, 2)), np.vstack([np.eye(2)] * 2), 0)
    close(draw("block_identity", (2, 6)), np.hstack([np.eye(2)] * 3), 0)
    close(draw("linspace", (2, 4), 1.0, 4.0), [[1, 2, 3, 4]] * 2)
    close(draw("log_range", (4,), 1.0, 1000.0), [1, 10, 100, 1000])
    close(draw("hippo_legs", (3, 3)), [[-1, 0, 0], [-(3**0.5), -2, 0], [-(5**0.5), -(15**0.5), -3]])
    close(draw("hippo_legs", (3,)), np.sqrt([1, 3, 5]))


def test_a_draw_depends_on_the_seed_and_the_path_alone() -> None:
    one = ("W", (3, 3), Init("normal", (1.0,)))
    other = ("V", (3, 3), Init("normal", (1.0,)))
    alone = initialise(cell_of(one), 7, FLOAT64)["W"]
    beside = initialise(cell_of(other, one), 7, FLOAT64)
    close(beside["W"], alone, 0)
    assert not np.allclose(beside["V"], alone)
    assert not np.allclose(initialise(cell_of(one), 8, FLOAT64)["W"], alone)


def test_the_numbers_of_a_seed_stay_what_they_are() -> None:
    array = initialise(cell_of(("W", (3,), Init("normal", (1.0,)))), 0, FLOAT64)["W"]
    close(array, [0.0464081728365473, -1.9159923927998974, 0.6633301087393418])


def test_float32_values_are_the_float64_ones_rounded() -> None:
    cell = bound("Elman", 3, 4).cell
    single, double = (initialise(cell, 3, np.dtype(d)) for d in ("float32", "float64"))
    close(single, {name: array.astype(np.float32) for name, array in double.items()}, 0)


def test_torchs_rule_is_the_hidden_size_or_the_input_size() -> None:
    dense = bound("Dense", 400, 3).cell
    weights, bias = (dataclasses.replace(p, init=Init("torch_default")) for p in dense.params)
    found = initialise(dataclasses.replace(dense, params=(weights, bias)), 0, FLOAT64)
    assert 0.045 < np.abs(found["W"]).max() <= 0.05
    assert np.abs(found["b"]).max() <= 0.05


def test_an_expression_of_sizes_and_options_is_computed() -> None:
    cells = rnnc.loads("""
    cell C(n, rate = 0.5): (h[n], x[n]) -> (h', h') {
        param A[2, n, n] = rate * eye(n)
        const k[n] = -1 / n
        h' = A[0] @ h + A[1] @ x + k
    }
    """)
    params = cells.C(3, rate=2.0, dtype="float64").params
    close(params["A"], np.stack([2 * np.eye(3)] * 2), 0)
    close(params["k"], np.full(3, -1 / 3), 0)


def test_the_language_and_the_runtime_know_the_same_initialisers() -> None:
    assert set(LANGUAGES_INITIALISERS) == {*INITIALISERS, "torch_default"}


def test_a_range_that_has_no_logarithm_is_refused() -> None:
    with pytest.raises(rnnc.Error, match="positive"):
        draw("log_range", (3,), 0.0, 1.0)
