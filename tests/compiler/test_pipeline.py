"""Every stage of the pipeline keeps values and gradients, and reads back from its text."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell, Node, Scans, State, Value, apply, const
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.pipeline import BACKENDS, PIPELINE, Goal, stages
from rnnc.compiler.text import read, same, show
from tests.compiler.hand_built import CELLS, Numbers, carry, draw_masks, one_input, param
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("exact", [False, True], ids=["", "exact"])
@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
@pytest.mark.parametrize("name", CELLS)
def test_every_stage_keeps_values_and_gradients(
    name: str, masks: tuple[str, ...], exact: bool, backend: str
) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=4, rows=3)
    drawn = draw_masks(masks, n.steps, n.rows)
    wanted = by_oracle(cell, n, drawn)
    compared = 0
    for stage in stages(cell, Goal(masks, record=True, exact=exact, backend=backend)):
        if isinstance(stage.value, Scans) and stage.value.saved:
            try:
                assert_alike(by_scans(cell, stage.value, n, drawn), wanted)
            except AssertionError as error:
                error.add_note(f"after '{stage.pass_.name}':\n{show(stage.value)}")
                raise
            compared += 1
        passed = [p for p in PIPELINE if p.serves(Goal(exact=exact, backend=backend))]
    first = [p.name for p in passed].index("residuals")
    if CELLS[name] is not CELLS["dense"]:
        assert compared == len(passed) - first - 1  # the last one's is a plan


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("name", CELLS)
def test_every_stage_reads_back(name: str, backend: str) -> None:
    for stage in stages(CELLS[name](), Goal(MASKS, backend=backend)):
        if isinstance(stage.value, Scans):
            text = show(stage.value, comments=False)
            again = read(text)
            assert same(again, stage.value), stage.pass_.name
            assert show(again, comments=False) == text, stage.pass_.name


def test_programs_that_record_nothing_have_no_backward_scan() -> None:
    for stage in stages(CELLS["lstm"](), Goal(record=False)):
        if isinstance(stage.value, Scans):
            assert stage.value.backward is None


def chain_of(count: int) -> Cell:
    """h' = h times `count` factors, every other one a gate of the input."""
    x, h = one_input("x", 2), carry("h", 2)
    factors = [param(f"p{at}", 2) for at in range(count)]
    new: Node = h
    for at, factor in enumerate(factors):
        gate = factor.node * x.node if at % 2 else factor.node
        new = new * gate
    states = (State("h", h, new, const(0.0, (2,))),)
    return Cell("Chain", {}, tuple(factors), states, (x,), (Value("h", new),))


@pytest.mark.parametrize("backend", BACKENDS)
def test_long_equations_are_no_problem(backend: str) -> None:
    """No pass recurses, and none makes more nodes than a constant times what it is given."""
    count = 1500  # more than Python's stack is deep
    for stage in stages(chain_of(count), Goal(backend=backend)):
        if isinstance(stage.value, Scans):
            scans = [s for s in (stage.value.forward, stage.value.backward) if s is not None]
            assert sum(len(list(s)) for s in scans) <= 30 * count, stage.pass_.name


@pytest.mark.parametrize("backend", BACKENDS)
def test_doubling_lets_stay_small(backend: str) -> None:
    x, h = one_input("x"), carry("h")
    new = apply("tanh", h + x.node)
    for _ in range(60):
        new = new * new
    cell = Cell(
        "Lets", {}, (), (State("h", h, new, const(0.0)),), (x,), (Value("h", new),)
    )  # fmt: skip
    for stage in stages(cell, Goal(backend=backend)):
        if isinstance(stage.value, Scans) and stage.value.backward is not None:
            assert len(list(stage.value.backward)) <= 20 * 60, stage.pass_.name


def passes(backend: str) -> list[str]:
    """Those of a backend with their numbers, but for the last, which leaves a plan."""
    mine = [step.name for step in PIPELINE if step.serves(Goal(backend=backend))]
    return [f"{at:02}-{name}" for at, name in enumerate(mine[:-1], 1)]


@pytest.mark.parametrize("number", range(len(passes("numpy"))), ids=passes("numpy"))
def test_the_lstm_after_every_pass(number: int, golden: Callable[[str], None]) -> None:
    found = list(stages(library.std().LSTM(3, 4), Goal()))
    golden(show(found[number].value, comments=False))


def test_the_lstm_as_triton_gets_it(golden: Callable[[str], None]) -> None:
    *_, last, _plans = stages(library.std().LSTM(3, 4), Goal(backend="triton"))
    golden(show(last.value, comments=False))
