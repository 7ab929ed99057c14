"""States that read each other, choose and change places, under masks: what shares memory with what.

A choice of rows is another name of its usual operand, and a carry's successor is written where the
carry was, so these cells are where one could be read after the other is written.
"""

from __future__ import annotations

import itertools
import re

import numpy as np
import pytest

from rnnc import cells
from rnnc.compiler.ir import Cell
from rnnc.compiler.library import loads
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Numbers, draw_masks, draw_places
from tests.compiler.run_scans import by_oracle
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

PARTS = (
    "h", "g", "x", "h * x", "tanh(g)", "h + g", "where(x > 0, h, g)", "where(g > 0, x, h)",
    "maximum(h, g)", "where(x > 0, g, x - 1)", "softmax(h)",
)  # fmt: skip
EVERY = list(itertools.product(PARTS, repeat=3))
SOME = [EVERY[at] for at in np.random.default_rng(0).permutation(len(EVERY))[:90]]
BOUND = Bound(1e-11, 1e-9)


def of_two_states(h: str, g: str, y: str) -> Cell:
    """A cell of these equations."""
    return loads(
        f"cell D(n): ((h[n], g[n]), x[n]) -> ((h', g'), y) {{ h' = {h}\n g' = {g}\n y = {y} }}"
    ).D(2)


@pytest.mark.parametrize("masks", [("starts",), ("valid",), ("starts", "boundaries", "valid")])
@pytest.mark.parametrize("swapped", [("g", "h", "x"), ("tanh(g)", "h", "x"), *SOME])
def test_no_state_is_read_once_it_is_replaced(
    swapped: tuple[str, str, str], masks: tuple[str, ...]
) -> None:
    cell = of_two_states(*swapped)
    n, said = Numbers.draw(cell, steps=5, rows=3), draw_masks(masks, 5, 3)
    assert_within(by_program(Program(cell, "float64"), n, said), by_oracle(cell, n, said), BOUND)


@pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])
@pytest.mark.parametrize("masks", [(), ("valid",), ("starts", "boundaries", "valid")], ids="+".join)
@pytest.mark.parametrize("swapped", [("g", "h", "x"), ("tanh(g)", "h", "x"), *SOME[:28]])
def test_no_state_is_read_once_it_is_replaced_by_a_value_of_the_users(
    swapped: tuple[str, str, str], masks: tuple[str, ...], exact: bool
) -> None:
    cell = of_two_states(*swapped)
    n = Numbers.draw(cell, steps=5, rows=3)
    said = draw_places(draw_masks(masks, 5, 3), cell, 5, 3)
    found = by_program(Program(cell, "float64", exact=exact), n, said)
    assert_within(found, by_oracle(cell, n, said), BOUND)


@pytest.mark.parametrize("name", ["LSTM", "GRU"])
def test_blocks_in_which_no_row_differs_write_to_no_more_buffers(name: str) -> None:
    program = Program(getattr(cells, name)(3, 4).cell)

    def written(*masks: str) -> int:
        backward = program.variant(masks).backward
        assert backward is not None
        lines = [
            line for line in backward.source.splitlines() if not line.lstrip().startswith("if")
        ]
        return len(set(re.findall(r"\bv\d+\[:q\]", "\n".join(lines))))

    assert written("starts", "valid") == written() > 1
