"""The initial state of a cell as a cell of its own, that it may be differentiated like one.

In: a program. Out: one whose outputs are the states that a sequence begins with.
"""

from __future__ import annotations

from dataclasses import replace

from ...compiler.ir import Cell, Value, leaf
from ...compiler.shapes import Type
from ..program import Program


def start_of(program: Program) -> Program:
    """A program that computes the initial state of every row, whatever its input is."""
    cell = program.cell
    outputs = tuple(Value(state.name, state.initial) for state in cell.states)
    row = Value("row", leaf("input", "row", Type((1,), axes=frozenset("B"))))
    of_start: Cell = replace(
        cell, name=f"{cell.name}.start", states=(), inputs=(row,), outputs=outputs, named=(),
        input_is_tuple=False, output_is_tuple=True, origin=None,
    )  # fmt: skip
    return Program(
        of_start, program.dtype, exact=program.exact, fast=program.fast, backend=program.backend
    )
