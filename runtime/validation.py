"""Kernels are compared with the oracle before they are used on a device for the first time.

In: a program of a backend that generates kernels. Out: what is wrong with it here. Small random
inputs run through it twice, forward and backward: the results must be the oracle's to rounding, and
the same bits both times.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from ..compiler import oracle
from ..compiler.ir import Cell, Param, Value
from ..compiler.passes.boundaries import PLACED
from ..compiler.pipeline import Programs
from .arrays import AnyArray, Array, Arrays
from .inputs import table_rows
from .params import initialise
from .places import Places
from .tolerance import (
    BOUNDS,
    NUDGES,
    ROUNDING,
    TIMES_ROUNDING,
    adaptive,
    error,
    nudged,
    scale_of,
)

if TYPE_CHECKING:
    from .program import Program

STEPS: Final = 3  # to run, where nothing depends on how many there are
# What a module has -> steps that reach all of it.
REACHED: Final = {"every_step(": 36, "def scanned": 35, "loop_unroll_factor": 31}
# Elements of a parameter beyond which its gradient is compared over `STEPS` steps alone: the oracle
# adds to each of them in every step, half a minute for an LSTM of 2048 units.
LARGE: Final = 1 << 18
ROWS: Final = 2
SETTLING: Final = 3  # steps until a state is one that the cell comes to by itself

FLOAT64: Final = 2.0**-29  # its rounding error, in that of float32
LARGEST: Final = {"float64": 1.79e308, "float32": 3.4e38, "float16": 65504.0, "bfloat16": 3.38e38}

Named = Mapping[str, AnyArray]


@dataclass(frozen=True, slots=True)
class Mistakes:
    """A line for everything that is wrong with a pair of programs."""

    forward: tuple[str, ...] = ()
    backward: tuple[str, ...] = ()
    raised: tuple[str, ...] = ()  # the type of what was raised, if nothing could be compared

    def __bool__(self) -> bool:
        return bool(self.forward or self.backward)


def compare(program: Program, masks: tuple[str, ...] = (), *, record: bool = True) -> Mistakes:
    """Run a program twice, and compare it with the oracle and with itself.

    Over as many steps as reach all that its kernels do. Gradients of large parameters are compared
    with themselves there, and with the oracle over `STEPS` steps, in runs of their own.

    Args:
        masks: what the calls use, by the names of `passes.boundaries`.
        record: whether to run it back too.
    Raises:
        MemoryError, or torch's OutOfMemoryError, which say nothing of a kernel.
    """
    most = _steps(program.variant(masks, record=record))
    trained = [p for p in program.cell.params if p.trained]
    small = [p for p in trained if math.prod(map(int, p.node.type.shape)) <= LARGE]
    params = _parameters(program.cell, program.arrays)
    if record and most > STEPS and len(small) < len(trained):
        found = _mistakes(program, _drawn(program, params, masks, most, small), record)
        if found:
            return found
        most = STEPS
    return _mistakes(program, _drawn(program, params, masks, most, trained), record)


def _mistakes(program: Program, numbers: _Numbers, record: bool) -> Mistakes:
    runs = []
    for _ in range(2):
        run = _Run(program, numbers, record=record)
        for side, step in run.steps.items():
            try:
                step()
            except Exception as problem:
                if isinstance(problem, MemoryError) or "OutOfMemory" in type(problem).__name__:
                    raise
                head, _, _ = str(problem).strip().partition("\n")
                raised = type(problem).__name__
                return Mistakes(**{side: (f"{raised}: {head}",), "raised": (raised,)})
        runs.append(run.found)
    return Mistakes(**_wrong(program, numbers, *runs, record=record))


def _steps(programs: Programs) -> int:
    """Steps that reach all that a mapping does.

    A graph is replayed, a scan has several chunks, and a loop that fetches ahead comes to where it
    reads again the buffers that it began with.
    """
    modules = (programs.forward, programs.backward)
    texts = [module.source for module in modules if module is not None]
    found = [n for mark, n in REACHED.items() for text in texts if mark in text]
    ahead = [m.stages for m in programs.mappings if m is not None and m.kind == "loop"]
    found += [min(2 * stages + 1, max(REACHED.values())) for stages in ahead]
    return max(found, default=STEPS)


@dataclass(frozen=True, slots=True)
class _Numbers:
    """Everything a run and its reversal read, as float64 arrays of NumPy by name."""

    params: dict[str, Array]
    carry: dict[str, Array]
    xs: dict[str, Array]
    d_ys: dict[str, Array]
    d_carry: dict[str, Array]
    masks: oracle.Masks
    compared: frozenset[str]  # parameters whose gradients are, with the oracle's


@dataclass(frozen=True, slots=True)
class _Results:
    """What they give, by name, as arrays of NumPy."""

    values: dict[str, Array]
    gradients: dict[str, Array]


def _rounded(array: Array, arrays: Arrays, *, state: bool = False) -> Array:
    """As a program's dtype has it."""
    return arrays.to_numpy(arrays.own(array, state=state)).astype(float)


def _parameters(cell: Cell, arrays: Arrays) -> dict[str, Array]:
    """What a net starts with, and a little more, so that none is 0."""
    rng = np.random.default_rng(0)
    params = initialise(cell, 0, np.dtype("float64"))
    for p in cell.params:
        if p.trained:
            shape = params[p.name].shape
            summed = shape[-1] if len(shape) > 1 else 1  # axis of W @ x
            scale = min(0.1, max(1, summed) ** -0.5)  # a product with more is chaos, step by step
            params[p.name] = params[p.name] + scale * rng.standard_normal(shape)
        params[p.name] = _rounded(params[p.name], arrays)
    return params


def _drawn(
    program: Program, params: dict[str, Array], masks: tuple[str, ...], steps: int,
    compared: Sequence[Param],
) -> _Numbers:  # fmt: skip
    """Random values as the program's dtype has them; states that the cell comes to by itself."""
    cell, arrays, rng = program.cell, program.arrays, np.random.default_rng(1)

    def rounded(array: Array, *, state: bool = False) -> Array:
        return _rounded(array, arrays, state=state)

    def draw(*shape: int, state: bool = False) -> Array:
        return rounded(rng.standard_normal(shape), state=state)

    rows, lead = table_rows(cell), (steps, ROWS)

    def inputs(steps: int) -> dict[str, Array]:
        found = {}
        for x in cell.inputs:
            shape = (steps, ROWS, *map(int, x.node.type.shape))
            is_index = x.node.type.kind == "int"
            found[x.name] = (
                rng.integers(0, rows.get(x.name, 2), shape) if is_index else draw(*shape)
            )
        return found

    # Any numbers will not do for a state: where one divides by another, say, it amplifies at will.
    begun = oracle.initial(cell, params, ROWS)
    carry, _ = oracle.run(cell, params, begun, inputs(SETTLING))
    states = {s.name: (ROWS, *map(int, s.node.type.shape)) for s in cell.states}

    def settled(steps: int) -> dict[str, Array]:
        """States that it comes to after those, one for each step."""
        now, found = carry, []
        for _ in range(steps):
            now, _ = oracle.run(cell, params, now, inputs(1))
            found.append(now)
        return {name: rounded(np.stack([each[name] for each in found])) for name in states}

    return _Numbers(
        params,
        {name: rounded(carry[name], state=True) for name in states},
        inputs(steps),
        {y.name: draw(*lead, *map(int, y.node.type.shape)) for y in cell.outputs},
        {name: draw(*shape, state=True) for name, shape in states.items()},
        oracle.Masks(
            rng.random(lead) < 0.3 if "starts" in masks else None,
            rng.random(lead) < 0.3 if "boundaries" in masks else None,
            np.array([steps, steps - 1]) if "valid" in masks else None,
            rng.choice([0.0, 1.0, 1.25], lead) if "weights" in masks else None,
            rng.random(lead) < 0.3 if PLACED in masks else None,
            settled(steps) if PLACED in masks else {},
        ),
        frozenset(p.name for p in compared),
    )


class _Run:
    """What a program makes of them."""

    def __init__(self, program: Program, n: _Numbers, *, record: bool) -> None:
        self.program, self.cell, self.n, self.record = program, program.cell, n, record
        self.tape: Any = None
        self.found = _Results({}, {})
        self.steps = {"forward": self.forward} | ({"backward": self.backward} if record else {})

    def forward(self) -> None:
        cell, n, arrays = self.cell, self.n, self.program.arrays
        boundaries = n.masks.boundaries if n.masks.weights is None else n.masks.weights
        inputs = tuple(n.xs[x.name] for x in cell.inputs)
        carry, ys, self.tape = self.program.forward(
            n.params, n.carry, inputs if cell.input_is_tuple else inputs[0],
            starts=n.masks.starts, boundaries=boundaries, lengths=n.masks.lengths,
            placed=None if n.masks.placed is None else Places(n.masks.placed, n.masks.places),
            record=self.record,
        )  # fmt: skip
        outputs = _by_name(cell.outputs, ys, cell.output_is_tuple)
        self.found.values.update(_named("state", carry, arrays))
        self.found.values.update(_named("output", outputs, arrays))

    def backward(self) -> None:
        cell, n, arrays = self.cell, self.n, self.program.arrays
        d_ys: Any = tuple(n.d_ys[y.name] for y in cell.outputs)
        if not cell.output_is_tuple:
            d_ys = d_ys[0] if d_ys else ()
        back = self.program.run_back(n.params, self.tape, d_ys, n.d_carry)
        for named in (back.params, back.carry, _by_name(cell.inputs, back.inputs, True)):
            self.found.gradients.update(_named("gradient of", named, arrays))
        self.found.gradients.update(_named("gradient of a reset to", back.placed, arrays))


def _by_name(values: Sequence[Value], given: Any, is_tuple: bool) -> dict[str, AnyArray]:
    parts = given if is_tuple or not values else (given,)
    pairs = zip(values, parts, strict=True)
    return {value.name: array for value, array in pairs if array is not None}


def _by_oracle(cell: Cell, n: _Numbers, record: bool, dtype: Any) -> _Results:
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs, n.masks, dtype)
    found = _Results({**_named("state", carry), **_named("output", ys)}, {})
    if record:
        given = n.params, n.carry, n.xs, n.d_ys, n.d_carry, n.masks
        g = oracle.gradients(cell, *given, dtype, n.compared)
        for named in (g.params, g.carry, g.inputs):
            found.gradients.update(_named("gradient of", named))
        found.gradients.update(_named("gradient of a reset to", g.places))
    return found


def _named(what: str, named: Named, arrays: Arrays | None = None) -> dict[str, Array]:
    """With longer names, and as arrays of NumPy."""
    return {
        f"the {what} {name}": arrays.to_numpy(array) if arrays else array
        for name, array in named.items()
    }


# -- how far off ---------------------------------------------------------------------------------


def _wrong(
    program: Program, numbers: _Numbers, first: _Results, second: _Results, *, record: bool
) -> dict[str, tuple[str, ...]]:
    """The lines of `Mistakes`, by side."""
    dtype = program.dtype
    if program.fast and dtype not in ROUNDING:
        dtype = "float16"  # which products in TF32 count as
    wanted = _by_oracle(program.cell, numbers, record, np.float64)
    beside = _Beside(program.cell, numbers, record, dtype)
    found: dict[str, tuple[str, ...]] = {}
    for side, part in (("forward", "values"), ("backward", "gradients")):
        mine, again, theirs = (getattr(r, part) for r in (first, second, wanted))
        off = _errors(mine, theirs, LARGEST[program.dtype])
        is_finite = all(np.isfinite(array).all() for array in theirs.values())
        allowed = getattr(BOUNDS[dtype], part)
        most, worst = max(off.values(), default=0.0), 0.0
        if allowed < most < np.inf:  # the cell may amplify rounding errors: see by how much
            for each in beside:
                usual = _errors(getattr(each, part), theirs, LARGEST["float32"])
                worst = max(worst, *usual.values())
                if not np.isfinite(worst):  # nothing is to be learnt from it
                    break
                allowed = max(allowed, _times(dtype, worst))
                if most <= allowed:
                    break
        found[side] = (
            *(
                f"{name} has other bits the second time"
                for name, array in mine.items()
                if array.tobytes() != again[name].tobytes()
            ),
            *(
                f"{name} is not finite"
                for name, array in mine.items()
                if name not in theirs and is_finite and not np.isfinite(array).all()
            ),
            *(
                f"{name} is off by {value:.1e}, allowed are {allowed:.1e}"
                for name, value in off.items()
                if not value <= allowed
            ),
        )
    return found


class _Beside:
    """What rounding makes of the results: in a narrow dtype of one in all that is given, as some
    draws have it, else of every operation in float32. Each is computed when it is first looked at.
    """

    def __init__(self, cell: Cell, numbers: _Numbers, record: bool, dtype: str) -> None:
        self._cell, self._numbers, self._record, self._dtype = cell, numbers, record, dtype
        self._draws = np.random.default_rng(1)
        self._known: list[_Results] = []

    def __iter__(self) -> Iterator[_Results]:
        for at in range(NUDGES if self._dtype in ROUNDING else 1):
            if at == len(self._known):
                self._known.append(self._another())
            yield self._known[at]

    def _another(self) -> _Results:
        if self._dtype not in ROUNDING:
            return _by_oracle(self._cell, self._numbers, self._record, np.float32)
        n = self._numbers
        params, carry, xs = map(self._nudged, (n.params, n.carry, n.xs))
        masks = replace(n.masks, places=self._nudged(dict(n.masks.places)))
        given = replace(
            n, params=params, carry=carry, xs=xs, d_ys=self._nudged(n.d_ys),
            d_carry=self._nudged(n.d_carry), masks=masks,
        )  # fmt: skip
        return _by_oracle(self._cell, given, self._record, np.float64)

    def _nudged(self, named: dict[str, Array]) -> dict[str, Array]:
        return {name: nudged(array, self._dtype, self._draws) for name, array in named.items()}


def _times(dtype: str, worst: float) -> float:
    """What is allowed, from these errors."""
    if dtype in ROUNDING:
        return TIMES_ROUNDING * worst
    return (FLOAT64 if dtype == "float64" else 1.0) * adaptive(worst)


def _errors(found: dict[str, Array], wanted: dict[str, Array], largest: float) -> dict[str, float]:
    """Of each array that is wanted; infinite rather than NaN."""
    scale = scale_of(wanted.values())
    return {name: error(*_compared(found[name], wanted[name], largest), scale) for name in wanted}


def _compared(found: Array, wanted: Array, largest: float) -> tuple[Array, Array]:
    """Without what agrees though it is no number: random inputs may lie where a cell has none."""
    if found.shape != wanted.shape:
        return found, wanted
    agree = np.isnan(found) & np.isnan(wanted)
    agree |= np.isinf(found) & (np.abs(wanted) > largest) & (np.sign(found) == np.sign(wanted))
    return np.where(agree, 0.0, found), np.where(agree, 0.0, wanted)
