"""One program of the fuzzer, compiled and held against the oracle.

In: a source. Out: a `Report`. Sensitivity is measured first: a program that amplifies rounding
errors is compared step by step, each step from the state the oracle has come to.
"""

from __future__ import annotations

import traceback
from dataclasses import dataclass, fields, replace
from random import Random
from zlib import crc32

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell, Node, toposort
from rnnc.compiler.oracle import Masks
from tests.central_differences import SMALLEST, slope
from tests.compiler.hand_built import Array, Numbers, draw_places
from tests.compiler.run_scans import NO_MASKS, Outcome, by_oracle
from tests.fuzz.generator import Source
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import (
    BESIDES_PLAIN,
    CENTRAL_DIFFERENCES,
    FLOAT32,
    FLOAT64,
    Bound,
    adaptive_bound,
    excesses,
    larger,
    worst,
)

USUAL_SIZES = ((5, 2), (5, 2), (4, 3), (8, 1), (2, 2), (1, 3))  # steps, rows
RARE_SIZES = ((0, 2), (3, 0), (1, 1))

NUDGE = 1e-7  # the relative change that sensitivity is measured with
SENSITIVE = 30.0  # times that change: more is compared step by step
KINK = 1e-4  # where the slopes to both sides differ by more, there is none
# What cancels to nearly nothing by accident is all rounding error: in float32 an array is held
# against this share of the largest one at least.
FLOOR_FLOAT32 = 0.1
ULP = 1.2e-7  # of a float32 near 1


@dataclass(frozen=True)
class Run:
    """A cell and what it is run on."""

    cell: Cell
    numbers: Numbers
    masks: Masks
    exact: bool
    narrow: bool  # in float32 too

    @property
    def words(self) -> str:
        """What is special about it."""
        given = {f.name: getattr(self.masks, f.name) for f in fields(self.masks)}
        used = [name for name, mask in given.items() if isinstance(mask, np.ndarray)]
        sizes = [f"T={self.numbers.steps}", f"B={self.numbers.rows}"]
        return " ".join([*sizes, *used, *["exact"] * self.exact])


@dataclass(frozen=True)
class Report:
    """What became of one program."""

    source: Source
    run: Run | None
    sensitivity: float
    failures: tuple[str, ...]

    @property
    def sensitive(self) -> bool:
        return self.sensitivity > SENSITIVE

    def __str__(self) -> str:
        words = self.run.words if self.run else ""
        text = [f"seed {self.source.seed}: {words} sensitivity {self.sensitivity:.1f}"]
        return "\n".join([*text, *self.failures, "", self.source.text])


def build(source: Source) -> Cell:
    """The cell of a source."""
    bound = rnnc.loads(source.text)[source.cell](*source.sizes, **source.options)
    cell: Cell = bound.cell
    return cell


def run_of(source: Source) -> Run:
    """The cell with numbers, masks and settings, all drawn from the seed."""
    cell, random = build(source), Random(f"run {source.seed}")
    steps, rows = random.choice((*USUAL_SIZES * 3, *RARE_SIZES))
    numbers = rounded(draw(cell, source, steps, rows))
    masks = NO_MASKS
    if random.random() < 0.5:
        masks = draw_masks(
            source.seed, steps, rows, random.sample(range(3), random.randrange(1, 4))
        )
    return Run(cell, numbers, masks, random.random() < 0.25, random.random() < 0.35)


def draw(cell: Cell, source: Source, steps: int, rows: int) -> Numbers:
    """Numbers by name, so that taking one away leaves the others."""

    def one(kind: str, name: str, node: Node, *lead: int) -> Array:
        draws = np.random.default_rng([source.seed, crc32(f"{kind}.{name}".encode())])
        shape = (*lead, *map(int, node.type.shape))
        if node.type.kind == "int":
            tokens: Array = draws.integers(0, source.rows, shape)
            return tokens
        if kind == "param":
            gain = (0.5, 0.9, 1.2)[source.seed % 3]
            scale = gain * (shape[-1] if shape else 1) ** -0.5
            return np.asarray(draws.uniform(-scale, scale, shape))
        return np.asarray(draws.normal(0.0, 0.8, shape))

    return Numbers(
        {p.name: one("param", p.name, p.node) for p in cell.params},
        {s.name: one("carry", s.name, s.node, rows) for s in cell.states},
        {x.name: one("input", x.name, x.node, steps, rows) for x in cell.inputs},
        {y.name: one("d_ys", y.name, y.node, steps, rows) for y in cell.outputs},
        {s.name: one("d_carry", s.name, s.node, rows) for s in cell.states},
    )


def draw_masks(seed: int, steps: int, rows: int, used: list[int]) -> Masks:
    """Resets, boundaries and lengths, those whose number is among `used`."""
    draws = np.random.default_rng(seed)
    starts, cuts = draws.random((2, steps, rows)) < 0.3
    lengths = draws.integers(0, steps + 1, rows)
    return Masks(
        starts if 0 in used else None, cuts if 1 in used else None, lengths if 2 in used else None
    )


def with_rarer_masks(run: Run) -> Run:
    """With weights for boundaries every other time, and, of cells with states, places."""
    n, masks = run.numbers, run.masks
    drawn = crc32(b"".join(x.tobytes() for x in n.xs.values()))
    if masks.boundaries is not None and drawn % 2:
        weights = np.random.default_rng(drawn).choice([0.0, 1.0, 1.25], masks.boundaries.shape)
        masks = replace(masks, boundaries=None, weights=weights)
    if run.cell.states and not drawn % 3:
        masks = draw_places(masks, run.cell, n.steps, n.rows)
    return replace(run, masks=masks)


def check(source: Source) -> Report:
    """Compile a program, run it, and hold it against the oracle and against its own slopes."""
    run, sensitivity = None, Bound(0.0, 0.0)
    try:
        run = with_rarer_masks(run_of(source))
        sensitivity = sensitivity_of(run)
        if max(sensitivity.values, sensitivity.gradients) > SENSITIVE:
            stepwise = by_steps(run)
            failures = _failures(stepwise, sensitivity_of(stepwise))
        else:
            failures = _failures(run, sensitivity)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        failures = (f"{type(error).__name__} in {where.name}: {error}",)
    return Report(source, run, max(sensitivity.values, sensitivity.gradients), failures)


def sensitivity_of(run: Run) -> Bound:
    """How many times larger a relative change of all inputs is in the results."""
    n, cell = run.numbers, run.cell
    draws = np.random.default_rng(11)

    def nudged(arrays: dict[str, Array]) -> dict[str, Array]:
        return {
            name: array * (1 + NUDGE * draws.standard_normal(array.shape))
            if array.dtype.kind == "f"
            else array
            for name, array in arrays.items()
        }

    near = replace(n, params=nudged(n.params), carry=nudged(n.carry), xs=nudged(n.xs))
    here, there = (by_oracle(cell, at, run.masks) for at in (n, near))
    off = worst(there, here)
    return Bound(off.values / NUDGE, off.gradients / NUDGE)


def by_steps(run: Run) -> Run:
    """Every step of a run as a row of its own: one step from the state the oracle has come to."""
    n, masks, cell = run.numbers, run.masks, run.cell
    carry = n.carry
    reached: dict[str, list[Array]] = {name: [] for name in carry}
    holding = []
    for t in range(n.steps):
        for name, state in carry.items():
            reached[name].append(state)
        now = Masks(
            None if masks.starts is None else masks.starts[t : t + 1],
            None if masks.boundaries is None else masks.boundaries[t : t + 1],
            None if masks.lengths is None else np.clip(masks.lengths - t, 0, 1),
            None if masks.weights is None else masks.weights[t : t + 1],
            None if masks.placed is None else masks.placed[t : t + 1],
            {name: values[t : t + 1] for name, values in masks.places.items()},
        )
        if now.lengths is not None:
            holding.append(now.lengths)
        xs = {name: x[t : t + 1] for name, x in n.xs.items()}
        carry, _ = oracle.run(cell, n.params, carry, xs, now)

    def as_rows(array: Array) -> Array:
        return array.reshape(1, -1, *array.shape[2:])

    rows = n.steps * n.rows
    draws = np.random.default_rng(13)
    numbers = Numbers(
        n.params,
        {name: np.concatenate(states) for name, states in reached.items()},
        {name: as_rows(x) for name, x in n.xs.items()},
        {name: as_rows(d) for name, d in n.d_ys.items()},
        {name: draws.normal(size=(rows, *d.shape[1:])) for name, d in n.d_carry.items()},
    )
    stepwise = Masks(
        None if masks.starts is None else as_rows(masks.starts),
        None if masks.boundaries is None else as_rows(masks.boundaries),
        None if masks.lengths is None else np.concatenate(holding),
        None if masks.weights is None else as_rows(masks.weights),
        None if masks.placed is None else as_rows(masks.placed),
        {name: as_rows(values) for name, values in masks.places.items()},
    )
    return replace(run, numbers=rounded(numbers), masks=stepwise)


def _failures(run: Run, sensitivity: Bound) -> tuple[str, ...]:
    cell, n, masks = run.cell, run.numbers, run.masks
    wanted = by_oracle(cell, n, masks)
    found = by_program(rnnc.compile(cell, "numpy", "float64", exact=run.exact), n, masks)
    failures = [f"float64: {line}" for line in excesses_of_float64(run, found, wanted)]
    if run.narrow:
        narrow = by_program(rnnc.compile(cell, "numpy", "float32", exact=run.exact), n, masks)
        lines = excesses_of_float32(run, narrow, wanted, sensitivity)
        failures += [f"float32: {line}" for line in lines]
    if _differentiable(run):
        failures += _slope_failures(run, wanted)
    return tuple(failures)


def excesses_of_float64(run: Run, found: Outcome, wanted: Outcome) -> list[str]:
    """Where the fixed bound does not hold, the oracle's own error decides, as for float32."""
    lines = excesses(found, wanted, FLOAT64)
    if not lines:
        return []
    wider = plainly(run, np.longdouble)
    own = adaptive_bound(wanted, wider)
    bound = Bound(
        FLOAT64.values + own.values - BESIDES_PLAIN,
        FLOAT64.gradients + own.gradients - BESIDES_PLAIN,
    )
    return excesses(found, wider, bound)


def excesses_of_float32(run: Run, found: Outcome, wanted: Outcome, sensitivity: Bound) -> list[str]:
    """A plain evaluation may be lucky: how sensitive the program is counts as well."""
    plain = adaptive_bound(plainly(run, np.float32), wanted, FLOOR_FLOAT32)
    rounded = Bound(sensitivity.values * ULP, sensitivity.gradients * ULP)
    return excesses(found, wanted, larger(FLOAT32, plain, rounded), FLOOR_FLOAT32)


def plainly(run: Run, dtype: npt.DTypeLike) -> Outcome:
    """What an unfused evaluation in another width gives."""
    cell, n = run.cell, run.numbers
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs, run.masks, dtype)
    g = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, run.masks, dtype)
    return Outcome(carry, ys, g.params, g.carry, g.inputs)


def _differentiable(run: Run) -> bool:
    """Whether the gradient is the slope of the values: nothing stops or cuts it."""
    roots = [*(s.new for s in run.cell.states), *(y.node for y in run.cell.outputs)]
    made_up = any(node.op.made_up for node in toposort(roots))
    return run.masks.boundaries is None and run.masks.weights is None and not made_up


def _slope_failures(run: Run, wanted: Outcome) -> list[str]:
    """The oracle's own gradients, along one direction of everything at once."""
    n, draws = run.numbers, np.random.default_rng(17)
    gradients = {"params": wanted.d_params, "carry": wanted.d_carry, "xs": wanted.d_xs}
    along = {
        group: {name: draws.standard_normal(array.shape) for name, array in arrays.items()}
        for group, arrays in gradients.items()
    }
    mine = sum(
        float(np.sum(array * along[group][name]))
        for group, arrays in gradients.items()
        for name, array in arrays.items()
    )
    size = np.sqrt(sum(np.sum(a**2) for arrays in gradients.values() for a in arrays.values()))
    theirs = slope(run.cell, n, along, run.masks)
    scale = max(abs(theirs), float(size), SMALLEST)
    off = abs(mine - theirs) / scale
    if off <= CENTRAL_DIFFERENCES:
        return []
    ahead, behind = (slope(run.cell, n, along, run.masks, side) for side in ("ahead", "behind"))
    if abs(ahead - behind) / scale > KINK:
        return []
    return [f"the oracle's gradient is off its slope by {off:.1e}"]
