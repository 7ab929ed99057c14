"""Every standard cell means what its entry of the catalogue says, computed without the compiler."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

import rnnc
from tests.compiler.test_catalogue import MADE_UP, NUDGE, TINY
from tests.library.subject import ENTRIES, SUBJECTS, Array, Subject
from tests.library.table import STATELESS, TABLE


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


def test_every_entry_is_a_cell_and_every_cell_an_entry() -> None:
    assert {row.id for row in TABLE} == ENTRIES.keys()
    assert {row.cell for row in TABLE} | set(STATELESS) == set(rnnc.cells)


def test_what_is_not_the_entrys_says_why() -> None:
    assert all(row.why for row in TABLE if row.says or row.recurrence)


def test_values_are_those_of_the_equations(subject: Subject) -> None:
    carry, ys = subject.evaluate()
    assert {state.name for state in subject.states} == carry.keys()
    first = next(iter(subject.found.ys.values()))
    for name, got, wanted in (
        ("ys", first, ys), *((name, subject.found.carry[name], carry[name]) for name in carry),
    ):  # fmt: skip
        assert got.shape == wanted.shape, name
        error = np.max(np.abs(got - wanted)) / np.max(np.abs(wanted))
        assert error <= 1e-12, f"{name} is off by {error:.1e}"


def test_gradients_are_slopes_of_the_equations(subject: Subject) -> None:
    """Along a direction of each of the catalogue's names, wherever ours have it."""
    n, cell = subject.numbers(), subject.cell
    # Outputs beyond the first are not the entry's.
    others = [y.name for y in cell.outputs[1:]]
    found = subject.found if not others else subject.without(others)
    gradients = {**found.d_params, **found.d_carry, **found.d_xs}
    gradients = {name: array for name, array in gradients.items() if name in subject.names}
    draws = np.random.default_rng(subject.row.id)
    checked: set[str] = set()
    first = n.d_ys[cell.outputs[0].name]

    for name, value in subject.drawn.items():
        direction = draws.standard_normal(value.shape)
        if np.iscomplexobj(value):
            direction = direction + 1j * draws.standard_normal(value.shape)
        nudged = [{**subject.drawn, name: value + step * direction} for step in steps_of(subject)]
        moved = {own: slope_of(subject, [subject.ours(own, drawn) for drawn in nudged])
                 for own in subject.names}  # fmt: skip
        moved = {own: move for own, move in moved.items() if np.any(move)}
        if not moved.keys() <= gradients.keys():
            continue  # of a tensor that is not trained
        checked |= moved.keys()
        carries, ys = zip(*map(subject.evaluate, nudged), strict=True)
        # Slopes first, then weights: what the nudge leaves alone cancels exactly.
        wanted = np.sum(first * slope_of(subject, ys)) + sum(
            np.sum(n.d_carry[own] * slope_of(subject, [carry[own] for carry in carries]))
            for own in carries[0]
        )
        slope = sum(np.sum(gradients[own] * move) for own, move in moved.items())
        size = max((float(np.linalg.norm(gradients[own])) for own in moved), default=0.0)
        error = abs(slope - wanted) / max(abs(wanted), size, 1e-3)
        assert error <= 1e-6, f"d_{name} is off by {error:.1e}"
    assert checked == gradients.keys()


def steps_of(subject: Subject) -> tuple[complex, ...]:
    """Ahead and behind; one that is complex where derivatives are made up, far from differences."""
    return (TINY * 1j,) if subject.row.id in MADE_UP else (NUDGE, -NUDGE)


def slope_of(subject: Subject, values: Sequence[Array]) -> Array:
    """Along the direction, of what there is after each of the steps."""
    if subject.row.id in MADE_UP:
        return np.imag(values[0]) / TINY
    ahead, behind = values
    return (ahead - behind) / (2 * NUDGE)


def test_recurrence_class_is_the_stated_one(subject: Subject) -> None:
    derived = (subject.program.recurrence.kind, subject.program.recurrence.serial_products)
    stated = (subject.entry.recurrence, subject.entry.serial_products)
    assert derived == (subject.row.recurrence or stated)
