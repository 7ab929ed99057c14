"""Ensembles and maps in every mapping of the Triton backend, which knows nothing of them."""

from __future__ import annotations

import pytest

from rnnc.compiler.ensemble import ensembled, mapped
from rnnc.compiler.ir import Cell
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.tangent import tangent
from tests.compiler.backends.mapping_cases import FLOAT64
from tests.compiler.backends.triton_runs import by_triton, forced, programs_of, ways_of
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.members import TRIED, away_from_zero
from tests.compiler.run_scans import by_oracle
from tests.tolerance import assert_within

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

COUNT = 3
CELLS = ("GRU", "SLSTM", "MinGRU", "DeltaNet", "Tables", "Learned")


@pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])
@pytest.mark.parametrize("name", CELLS)
def test_every_mapping_agrees_with_the_oracle(name: str, shared: bool) -> None:
    assert_agrees(ensembled(TRIED[name](), COUNT, shared_inputs=shared))


@pytest.mark.parametrize("name", CELLS)
def test_of_many_tangents_of_one_parameter_too(name: str) -> None:
    cell = tangent(TRIED[name]())
    own = next(param.node for param in cell.params if param.name.startswith("d1:"))
    assert_agrees(mapped(cell, COUNT, [own]))


def assert_agrees(whole: Cell) -> None:
    """In every mapping, and under every mask."""
    n = away_from_zero(Numbers.draw(whole, steps=2, rows=3))
    masks = draw_masks(MASKS, n.steps, n.rows)
    programs, wanted = programs_of(whole, masks), by_oracle(whole, n, masks)
    for way in dict.fromkeys(way for c in programs.choices for way in ways_of(c)):
        pair = forced(programs, way, steps=n.steps, rows=n.rows)
        found = by_triton(whole, programs, pair, n, masks, "float64")
        try:
            assert_within(found, wanted, FLOAT64)
        except AssertionError as error:
            error.add_note(f"mapped as {pair}")
            raise


@pytest.mark.parametrize("name", CELLS)
def test_members_are_blocks_that_never_read_each_other(name: str) -> None:
    """Whatever a member's step is like, forward and backward."""
    programs = programs_of(ensembled(TRIED[name](), COUNT))
    for choices in programs.choices:
        blocks = ways_of(choices)["loop in blocks"]
        assert COUNT in {mapping.blocks for mapping in blocks}
