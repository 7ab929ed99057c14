"""`scan` adds time to a cell and changes nothing of what it computes."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler import oracle
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import CELLS, Numbers, decay, lstm
from tests.compiler.interpret_scan import interpret


@pytest.mark.parametrize("name", CELLS)
def test_values_are_those_of_the_cell_step_by_step(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell)
    along_time = scan(cell)
    verify(along_time)
    got = interpret(along_time, n.params, n.carry, n.xs, steps=n.steps, rows=n.rows)
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs)
    for name, wanted in carry.items():
        np.testing.assert_allclose(got.carries[name], wanted, rtol=1e-14)
    for name, wanted in ys.items():
        np.testing.assert_allclose(got.outs[name], wanted, rtol=1e-14)


def test_inputs_become_sequences_and_outputs_stacks() -> None:
    along_time = scan(lstm())
    assert [str(i.type) for i in along_time.inputs] == ["real[T,B,3]"]
    assert [str(o.node.type) for o in along_time.outs] == ["real[T,B,4]"]
    assert [c.name for c in along_time.carries] == ["h", "c"]
    assert not along_time.reverse


def test_an_output_of_parameters_alone_is_still_one_for_every_step_and_row() -> None:
    rate = scan(decay()).outs[1]
    assert (rate.name, str(rate.node.type)) == ("rate", "real[T,B,3]")


def test_no_steps_leave_the_carry_as_it_was() -> None:
    cell = lstm()
    n = Numbers.draw(cell, steps=0)
    got = interpret(scan(cell), n.params, n.carry, n.xs, steps=0, rows=n.rows)
    np.testing.assert_array_equal(got.carries["c"], n.carry["c"])
    assert got.outs["h"].shape == (0, 2, 4)
