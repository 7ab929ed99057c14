"""`tangent`: forward mode as a cell, the transpose of reverse mode, under every mask."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.same import same
from rnnc.compiler.tangent import prefix_of, tangent
from rnnc.compiler.text import read, show
from rnnc.runtime.program import Program
from tests.compiler.hand_built import CELLS, Array, Numbers, draw_masks
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

STEPS, ROWS, WIDTH = 5, 3, 1e-6
Arrays = dict[str, Array]


def directions(cell: Cell, n: Numbers) -> tuple[Arrays, Arrays, Arrays]:
    """For each trained parameter, state and real input."""
    draws = np.random.default_rng(3)

    def like(arrays: Arrays) -> Arrays:
        real = {name: array for name, array in arrays.items() if array.dtype.kind == "f"}
        return {name: draws.standard_normal(array.shape) for name, array in real.items()}

    trained = {p.name: n.params[p.name] for p in cell.params if p.trained}
    return like(trained), like(n.carry), like(n.xs)


def pushed(
    cell: Cell, n: Numbers, masks: Masks | None, moving: tuple[Arrays, Arrays, Arrays]
) -> tuple[Arrays, Arrays]:
    """The tangents of the last state and of the outputs, by the oracle."""
    whole = tangent(cell)
    prefix = prefix_of(cell)
    params, carry, xs = (
        own | {prefix + name: d for name, d in ds.items()}
        for own, ds in zip((n.params, n.carry, n.xs), moving, strict=True)
    )
    last, ys = oracle.run(whole, params, carry, xs, masks)
    return tuple(
        {k.removeprefix(prefix): v for k, v in found.items() if k.startswith(prefix)}
        for found in (last, ys)
    )  # type: ignore[return-value]


def along(arrays: Mapping[str, Array], others: Mapping[str, Array]) -> float:
    return float(sum(np.vdot(array, others[name]) for name, array in arrays.items()))


@pytest.mark.parametrize("name", CELLS)
def test_tangents_are_central_differences(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, STEPS, ROWS)
    moving = directions(cell, n)

    def moved(sign: int) -> tuple[Arrays, Arrays]:
        params, carry, xs = (
            {k: v + sign * WIDTH * ds[k] if k in ds else v for k, v in own.items()}
            for own, ds in zip((n.params, n.carry, n.xs), moving, strict=True)
        )
        return oracle.run(cell, params, carry, xs)

    for found, ahead, behind in zip(
        pushed(cell, n, None, moving), moved(1), moved(-1), strict=True
    ):
        for key, d in found.items():
            np.testing.assert_allclose(d, (ahead[key] - behind[key]) / (2 * WIDTH), atol=1e-7)


@pytest.mark.parametrize("masks", [("starts",), ("boundaries",), ("weights",), ("valid",), MASKS])
@pytest.mark.parametrize("name", CELLS)
def test_forward_mode_is_the_transpose_of_reverse_mode(name: str, masks: tuple[str, ...]) -> None:
    """<g, J v> = <J' g, v>: where a boundary cuts the one, it cuts the other."""
    cell = CELLS[name]()
    n = Numbers.draw(cell, STEPS, ROWS)
    said = draw_masks(masks, STEPS, ROWS)
    moving = directions(cell, n)
    d_last, d_ys = pushed(cell, n, said, moving)
    ahead = along(d_last, n.d_carry) + along(d_ys, n.d_ys)
    back = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, said)
    found = (back.params, back.carry, back.inputs)
    behind = sum(along(own, ds) for own, ds in zip(found, moving, strict=True))
    assert abs(ahead - behind) < 1e-12 * max(1, abs(ahead))


@pytest.mark.parametrize("times", [1, 2])
def test_scans_of_tangents_read_back_after_every_pass(times: int) -> None:
    """Their names have colons, and those of what is kept a prefix in front."""
    cell = CELLS["elman"]()
    for _ in range(times):
        cell = tangent(cell)
    with rnnc.options(verify=2):
        compile_cell(cell, Goal())


@pytest.mark.parametrize("masks", [(), ("starts", "valid"), MASKS])
@pytest.mark.parametrize("name", CELLS)
def test_programs_of_tangents_are_right_in_values_and_gradients(
    name: str, masks: tuple[str, ...]
) -> None:
    """Their gradients are second derivatives."""
    cell = tangent(CELLS[name]())
    n = Numbers.draw(cell, STEPS, ROWS)
    said = draw_masks(masks, STEPS, ROWS)
    found = by_program(Program(cell, "float64"), n, said)
    assert_within(found, by_oracle(cell, n, said), Bound(1e-12, 1e-11))


def test_tangents_of_tangents_have_names_of_their_own() -> None:
    once = tangent(CELLS["elman"]())
    twice = tangent(once)
    names = [p.name for p in twice.params]
    assert len(set(names)) == len(names) == 4 * len(CELLS["elman"]().params)
    assert {"W", "d1:W", "d2:W", "d2:d1:W"} <= set(names)


@pytest.mark.parametrize("name", CELLS)
def test_the_text_of_a_tangent_reads_back(name: str) -> None:
    cell = tangent(tangent(CELLS[name]()))
    assert same(read(show(cell)), cell)
