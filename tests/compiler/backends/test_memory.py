"""What a program returns is the caller's own: nothing else ever writes it, nor reads it."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from rnnc.compiler.passes.boundaries import MASKS
from rnnc.runtime.program import Program
from rnnc.runtime.tape import Tape
from tests.compiler.backends.sources import CELLS
from tests.compiler.hand_built import Array, Numbers, draw_masks
from tests.compiler.run_scans import Outcome
from tests.runtime.run_program import by_program


def arrays(outcome: Outcome) -> dict[str, Array]:
    groups = ("carry", "ys", "d_params", "d_carry", "d_xs")
    return {f"{g}.{name}": a for g in groups for name, a in getattr(outcome, g).items()}


def given(n: Numbers) -> dict[str, Array]:
    groups = ("params", "carry", "xs", "d_ys", "d_carry")
    return {f"given {g}.{name}": a for g in groups for name, a in getattr(n, g).items()}


def forward(program: Program, n: Numbers) -> tuple[dict[str, Array], Any, Tape]:
    xs = tuple(n.xs[x.name] for x in program.cell.inputs)
    given = xs if program.cell.input_is_tuple else xs[0]
    carry, ys, tape = program.forward(n.params, n.carry, given)
    assert tape is not None
    return carry, ys, tape


def assert_gradients(program: Program, n: Numbers, tape: Tape, wanted: dict[str, Array]) -> None:
    """Those of `tape` are the ones in `wanted`, bit for bit."""
    d_ys = tuple(n.d_ys[y.name] for y in program.cell.outputs)
    given = d_ys if program.cell.output_is_tuple else d_ys[0]
    d_params, d_carry, _ = program.backward(n.params, tape, given, n.d_carry)
    for group, found in (("d_params", d_params), ("d_carry", d_carry)):
        for name, array in found.items():
            np.testing.assert_array_equal(array, wanted[f"{group}.{name}"], name)


@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_no_result_shares_memory(name: str, masks: tuple[str, ...]) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell)
    results = arrays(by_program(Program(cell, "float64"), n, draw_masks(masks, n.steps, n.rows)))
    every = results | given(n)
    shared = [
        f"{a} and {b}"
        for a, b in combinations(every, 2)
        if (a in results or b in results) and np.shares_memory(every[a], every[b])
    ]
    assert not shared


@pytest.mark.parametrize("name", CELLS)
def test_a_later_call_leaves_earlier_results_alone(name: str) -> None:
    cell = CELLS[name]()
    program = Program(cell, "float64")
    first = arrays(by_program(program, Numbers.draw(cell, seed=1)))
    copies = {name: array.copy() for name, array in first.items()}
    by_program(program, Numbers.draw(cell, seed=2))
    changed = [name for name in first if not np.array_equal(first[name], copies[name])]
    assert not changed


@pytest.mark.parametrize("name", CELLS)
def test_two_tapes_of_one_program_are_apart(name: str) -> None:
    """Forward, forward, backward of the first: as if the second had never been."""
    cell = CELLS[name]()
    program = Program(cell, "float64")
    n = Numbers.draw(cell, seed=1)
    wanted = arrays(by_program(program, n))
    _, _, tape = forward(program, n)
    by_program(program, Numbers.draw(cell, seed=2))
    assert_gradients(program, n, tape, wanted)


@pytest.mark.parametrize("name", CELLS)
def test_writing_into_results_does_not_reach_the_tape(name: str) -> None:
    cell = CELLS[name]()
    program = Program(cell, "float64")
    n = Numbers.draw(cell)
    wanted = arrays(by_program(program, n))
    carry, ys, tape = forward(program, n)
    for array in (*carry.values(), *(ys if cell.output_is_tuple else (ys,))):
        array.fill(np.nan)
    assert_gradients(program, n, tape, wanted)
