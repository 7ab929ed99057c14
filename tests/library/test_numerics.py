"""What every standard cell promises as a program: second derivatives, float32, cuts and masks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.oracle import Masks
from rnnc.compiler.tangent import prefix_of, tangent
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.run_scans import Outcome
from tests.compiler.test_catalogue import MADE_UP
from tests.library.subject import ROWS, STEPS, SUBJECTS, Subject
from tests.runtime.run_program import by_program
from tests.tolerance import FLOAT64, assert_within

WIDTH = 1e-6  # for central differences
CUTS = {"steps": range(STEPS + 1), "chunks": (0, 2, STEPS)}


@pytest.fixture(params=SUBJECTS, ids=str)
def subject(request: pytest.FixtureRequest) -> Subject:
    found: Subject = request.param
    return found


@pytest.mark.parametrize(
    "subject", [each for each in SUBJECTS if each.row.id not in MADE_UP], ids=str
)
def test_second_derivatives_are_slopes_of_gradients(subject: Subject) -> None:
    """The gradient of the tangents: forward mode in a program, reversed.

    Where derivatives are made up, `test_surrogates` says what second ones are.
    """
    cell, n = subject.cell, subject.numbers()
    whole, prefix = tangent(cell), prefix_of(cell)
    draws = np.random.default_rng(3)
    trained = {param.name for param in cell.params if param.trained}

    def directions(arrays: dict[str, Array]) -> dict[str, Array]:
        return {name: draws.standard_normal(array.shape) for name, array in arrays.items()}

    params = {name: value for name, value in n.params.items() if name in trained}
    carried = {state.name: n.carry[state.name] for state in subject.states}
    moving = [directions(arrays) for arrays in (params, carried, n.xs)]
    given = [
        own | {prefix + name: d for name, d in along.items()}
        for own, along in zip((n.params, n.carry, n.xs), moving, strict=True)
    ]
    wanted = {name: n.d_carry[name] for name in carried}
    nothing = [{name: np.zeros_like(d) for name, d in own.items()} for own in (n.d_ys, n.d_carry)]
    weights = [
        zeros | {prefix + name: d for name, d in own.items()}
        for zeros, own in zip(nothing, (n.d_ys, wanted), strict=True)
    ]
    found = by_program(Program(whole, "float64"), Numbers(*given, *weights))

    def gradients(sign: int) -> Outcome:
        moved = [
            own | {name: own[name] + sign * WIDTH * d for name, d in along.items()}
            for own, along in zip((n.params, n.carry, n.xs), moving, strict=True)
        ]
        params, carry, xs = moved
        return by_program(subject.program, Numbers(params, carry, xs, n.d_ys, n.d_carry))

    ahead, behind = gradients(1), gradients(-1)
    for part in ("d_params", "d_carry", "d_xs"):
        for name, above in getattr(ahead, part).items():
            slope = (above - getattr(behind, part)[name]) / (2 * WIDTH)
            second = getattr(found, part)[name]
            scale = max(float(np.max(np.abs(slope))), 1.0)
            error = float(np.max(np.abs(second - slope))) / scale
            assert error <= 1e-6, f"the derivative of {part}.{name} is off by {error:.1e}"


def test_float32_is_within_its_bound_and_as_good_as_a_plain_evaluation(subject: Subject) -> None:
    program = rnnc.compile(subject.cell, "numpy", "float32")
    subject.narrow.assert_met_by(by_program(program, subject.narrow.numbers))


@pytest.mark.parametrize("cuts", CUTS)
def test_steps_and_chunks_are_the_whole(subject: Subject, cuts: str) -> None:
    """Values, and gradients that go from piece to piece."""
    n, carry, done = subject.numbers(), subject.numbers().carry, []
    for start, stop in pairwise(CUTS[cuts]):
        part = replace(n, carry=carry, **{
            group: {name: array[start:stop] for name, array in getattr(n, group).items()}
            for group in ("xs", "d_ys")
        })  # fmt: skip
        done.append(part)
        carry, _, _ = subject.program.forward(n.params, part.carry, _given(part.xs))
    parts: list[Outcome] = []
    d_carry: Mapping[str, Array] = n.d_carry
    for part in reversed(done):
        parts.insert(0, by_program(subject.program, replace(part, d_carry=dict(d_carry))))
        d_carry = parts[0].d_carry
    joined = Outcome(
        parts[-1].carry,
        _joined([part.ys for part in parts]),
        {name: np.sum([p.d_params[name] for p in parts], 0) for name in parts[0].d_params},
        parts[0].d_carry,
        _joined([part.d_xs for part in parts]),
    )
    assert_within(joined, subject.found, FLOAT64)


def _given(xs: dict[str, Array]) -> Any:
    return tuple(xs.values()) if len(xs) > 1 else next(iter(xs.values()))


def _joined(parts: list[Any]) -> dict[str, Array]:
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def test_resets_and_lengths_are_separate_runs(subject: Subject) -> None:
    """One row is reset in the middle; the other ends before."""
    assert (STEPS, ROWS) == (5, 2)
    starts = np.zeros((STEPS, ROWS), bool)
    starts[2, 0] = True
    masks = Masks(starts=starts, lengths=np.array([STEPS, 3]))
    n = subject.numbers()
    found = by_program(rnnc.compile(subject.cell, "numpy", "float64"), n, masks)
    start = oracle.initial(subject.cell, n.params, 1)
    before, after = _row(n, 0, 0, 2), replace(_row(n, 0, 2, STEPS), carry=start)
    nothing = {name: np.zeros_like(d) for name, d in before.d_carry.items()}
    reset = [by_program(subject.program, part)
             for part in (replace(before, d_carry=nothing), after)]  # fmt: skip
    short = by_program(subject.program, _row(n, 1, 0, 3))

    def rows(group: str) -> dict[str, Array]:
        whole = _joined([getattr(part, group) for part in reset])
        ended = {
            name: np.concatenate([array, np.zeros((2, *array.shape[1:]))])
            for name, array in getattr(short, group).items()
        }
        return {name: np.concatenate([whole[name], ended[name]], 1) for name in whole}

    def beside(first: Any, second: Any) -> dict[str, Array]:
        return {name: np.concatenate([first[name], second[name]]) for name in first}

    wanted = Outcome(
        beside(reset[1].carry, short.carry),
        rows("ys"),
        {name: np.sum([p.d_params[name] for p in (*reset, short)], 0) for name in short.d_params},
        beside(reset[0].d_carry, short.d_carry),
        rows("d_xs"),
    )
    assert_within(found, wanted, FLOAT64)


def _row(n: Numbers, row: int, begin: int, end: int) -> Numbers:
    """One row of some steps, as a batch of one."""
    one = slice(row, row + 1)
    return Numbers(
        n.params,
        {name: array[one] for name, array in n.carry.items()},
        {name: array[begin:end, one] for name, array in n.xs.items()},
        {name: array[begin:end, one] for name, array in n.d_ys.items()},
        {name: array[one] for name, array in n.d_carry.items()},
    )
