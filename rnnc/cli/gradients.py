"""The gradient check of `rnnc check`: the compiled backward pass against what it should give.

In: a cell with small sizes. Out: how far compiled outputs and gradients are from the interpreter
(`compiler/oracle.py`), and gradients from central differences along random directions, in float64.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any, Final

import numpy as np

from ..compiler import oracle
from ..compiler.ir import CLOCK, Cell, toposort
from ..compiler.mode import in_mode
from ..runtime.arrays import Array
from ..runtime.inputs import table_rows
from ..runtime.params import initialise
from ..runtime.program import Program

STEPS, BATCH, DIRECTIONS = 4, 2, 3
NUDGES: Final = (1e-5, 1e-6, 1e-7)  # steps of a central difference: smaller ones near a pole
ROUNDING: Final = 1e-11  # most that compiled and interpreted may differ by
TRUNCATION: Final = 1e-6  # most that a gradient and a central difference may differ by

Arrays = dict[str, Array]


@dataclass(frozen=True, slots=True)
class GradientCheck:
    """Errors relative to the size of what is compared; None where nothing could be."""

    forward: float | None = None
    backward: float | None = None
    differences: float | None = None
    note: str = ""

    @property
    def passed(self) -> bool:
        """Whether what was compared agrees; a note says what was not."""
        return (
            (self.forward or 0) <= ROUNDING
            and (self.backward or 0) <= ROUNDING
            and ((self.differences or 0) <= TRUNCATION or bool(self.note))
        )


@dataclass(slots=True)
class _Point:
    """Where a cell is evaluated: everything it reads, by name, and its cotangents."""

    params: Arrays
    carry: Arrays
    xs: Arrays
    d_ys: Arrays
    d_carry: Arrays
    fixed: frozenset[str] = frozenset()  # the names of what has no derivative

    def moved(self, by: Mapping[str, Arrays], step: float) -> _Point:
        """The point `step` times the direction `by` further on."""

        def along(kind: str, arrays: Arrays) -> Arrays:
            return {n: a + step * by[kind][n] if n in by[kind] else a for n, a in arrays.items()}

        return replace(
            self,
            params=along("params", self.params),
            carry=along("carry", self.carry),
            xs=along("xs", self.xs),
        )


def check_gradients(cell: Cell) -> GradientCheck:
    """Compare a cell's compiled gradient with the interpreter's and with central differences.

    Returns:
        The largest errors. A cell whose values are not finite at two sorts of random inputs is
        not compared at all.
    """
    if not cell.inputs:
        return GradientCheck(note="not checked: the cell has no input")
    fixed, cell = _fixed(cell), in_mode(cell, training=True)
    program = Program(cell, "float64", backend="numpy")
    for positive in (False, True):
        point = replace(_point(cell, program, positive), fixed=fixed)
        if _is_finite(oracle.run(cell, point.params, point.carry, point.xs)):
            return _compare(cell, program, point)
    return GradientCheck(note="not checked: the cell's values are not finite at random inputs")


def _point(cell: Cell, program: Program, positive: bool) -> _Point:
    """Random values near where the cell starts: zeros, where kinks lie, are left."""
    rng = np.random.default_rng(0)

    def draw(*shape: int) -> Array:
        if positive:
            return rng.uniform(0.2, 1.0, shape)
        return 0.5 * rng.standard_normal(shape)

    params = initialise(cell, 0, np.dtype("float64"))
    for p in cell.params:
        if p.trained:
            value = params[p.name]
            scale = np.where(value == 0, 0.2, 0.2 * np.abs(value))
            params[p.name] = value + scale * draw(*value.shape)
    carry = program.initial(params, BATCH) if cell.states else {}
    carry = {name: value + 0.5 * draw(*value.shape) for name, value in carry.items()}
    rows = table_rows(cell)
    xs = {}
    for x in cell.inputs:
        shape = (STEPS, BATCH, *map(int, x.node.type.shape))
        is_index = x.node.type.kind == "int"
        xs[x.name] = rng.integers(0, rows.get(x.name, 2), shape) if is_index else draw(*shape)
    d_ys = {
        o.name: rng.standard_normal((STEPS, BATCH, *map(int, o.node.type.shape)))
        for o in cell.outputs
    }
    d_carry = {n: np.asarray(rng.standard_normal(a.shape)) for n, a in carry.items()}
    return _Point(params, carry, xs, d_ys, d_carry)


def _compare(cell: Cell, program: Program, point: _Point) -> GradientCheck:
    carry, ys, tape = _run(cell, program, point)
    wanted = oracle.run(cell, point.params, point.carry, point.xs)
    forward = max(_distance(carry, wanted[0]), _distance(ys, wanted[1]))

    d_outputs = tuple(point.d_ys[o.name] for o in cell.outputs)
    given = d_outputs if cell.output_is_tuple else d_outputs[0] if d_outputs else ()
    d_params, d_carry, d_xs = program.backward(point.params, tape, given, point.d_carry)
    parts = d_xs if cell.input_is_tuple else (d_xs,)
    d_inputs = {x.name: d for x, d in zip(cell.inputs, parts, strict=True) if d is not None}
    found: dict[str, Arrays] = {"params": d_params, "carry": d_carry, "xs": d_inputs}

    exact = oracle.gradients(cell, point.params, point.carry, point.xs, point.d_ys, point.d_carry)
    backward = max(
        _distance(d_params, exact.params),
        _distance(d_carry, exact.carry),
        _distance(d_inputs, exact.inputs),
    )
    differences = max(_along(cell, program, point, found, seed) for seed in range(DIRECTIONS))
    note = ""
    if not differences <= TRUNCATION and (words := _made_up(cell)):
        names = " and ".join(words)
        why = f"the derivative of {names} is not the slope of its values"
        if len(words) > 1:
            why = f"the derivatives of {names} are not the slopes of their values"
        note = f"not compared with central differences: {why}"
    return GradientCheck(forward, backward, differences, note)


def _run(cell: Cell, program: Program, point: _Point) -> tuple[Arrays, Arrays, Any]:
    inputs = tuple(point.xs[x.name] for x in cell.inputs)
    carry, returned, tape = program.forward(
        point.params, point.carry, inputs if cell.input_is_tuple else inputs[0]
    )
    ys = returned if cell.output_is_tuple else (returned,) if cell.outputs else ()
    return carry, {o.name: y for o, y in zip(cell.outputs, ys, strict=True)}, tape


def _along(
    cell: Cell, program: Program, point: _Point, found: Mapping[str, Arrays], seed: int
) -> float:
    """How far the derivative along one random direction is from its best central difference."""
    rng = np.random.default_rng(seed)
    by: dict[str, Arrays] = {
        kind: {name: np.asarray(rng.standard_normal(value.shape)) for name, value in arrays.items()}
        for kind, arrays in found.items()
    }
    for arrays in by.values():
        for name in point.fixed & arrays.keys():
            arrays[name] = np.zeros_like(arrays[name])
    slope = sum(
        float(np.sum(value * by[kind][name]))
        for kind, arrays in found.items()
        for name, value in arrays.items()
    )
    scale = max(abs(slope), sqrt(sum(float(np.sum(v * v)) for v in _arrays(found.values()))), 1e-3)
    best = np.inf
    for nudge in NUDGES:
        after, before = (
            _weighted(*_run(cell, program, point.moved(by, way * nudge))[:2], point)
            for way in (1, -1)
        )
        best = min(best, abs((after - before) / (2 * nudge) - slope) / scale)
        if best <= TRUNCATION:
            break
    return float(best)


def _fixed(cell: Cell) -> frozenset[str]:
    """Draws, and the numbers of steps: nothing is differentiated along them."""
    clocks = (s.name for s in cell.states if s.name.rpartition(".")[2] == CLOCK)
    return frozenset({*(x.name for x in cell.beside), *clocks})


def _weighted(carry: Arrays, ys: Arrays, point: _Point) -> float:
    # A state that starts at -inf stays there under any nudge, so it says nothing.
    pairs = [(ys[n], d) for n, d in point.d_ys.items()]
    pairs += [(carry[n], d) for n, d in point.d_carry.items()]
    return sum(float(np.sum(np.where(np.isfinite(v), v, 0) * d)) for v, d in pairs)


def _distance(found: Mapping[str, Array], wanted: Mapping[str, Array]) -> float:
    """The largest error, relative to the root mean square of what is wanted."""
    worst = 0.0
    for name, array in wanted.items():
        finite = np.isfinite(array)
        if not np.array_equal(np.where(finite, 0, found[name]), np.where(finite, 0, array)):
            return np.inf
        if finite.any():
            scale = max(float(np.sqrt(np.mean(np.square(array[finite])))), 1e-3)
            worst = max(worst, float(np.max(np.abs(found[name] - array)[finite])) / scale)
    return worst


def _is_finite(results: tuple[Arrays, Arrays]) -> bool:
    return all(bool(np.isfinite(array).all()) for array in _arrays(results))


def _arrays(groups: Iterable[Mapping[str, Array]]) -> Iterator[Array]:
    return (array for group in groups for array in group.values())


def _made_up(cell: Cell) -> list[str]:
    """The operations of the cell whose derivative is not the slope of their values.

    Those that somebody wrote, if there are any, and not those of a built-in function.
    """
    roots = [*(s.new for s in cell.states), *(o.node for o in cell.outputs)]
    nodes = [node for node in toposort(roots) if node.op.made_up]
    written = [n for n in nodes if n.span is None or n.span.text.startswith(n.op.name)]
    return sorted({node.op.name for node in written or nodes})
