"""Runs of standard cells on the Triton backend, each a point in the product of all that can differ.

In: a cell, sizes, steps, rows, masks, a dtype, a way to map the loops. Out: how far off it is.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import product
from typing import Any

import numpy as np

from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.compiler.pipeline import Programs
from rnnc.runtime.params import initialise
from rnnc.runtime.tolerance import BOUNDS, ROUNDING
from tests.compiler.backends.sources import STANDARD
from tests.compiler.backends.triton_runs import (
    EXTENT,
    by_triton,
    forced,
    programs_of,
    rounded_to,
    ways_of,
)
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.rounding import after_rounding
from tests.compiler.run_scans import Outcome, by_oracle
from tests.pairwise import Row, pairwise
from tests.tolerance import Bound, adaptive_bound, is_within, larger, worst

# Of each cell: every size a power of two; none, yet in blocks; and small odd ones. With each what
# the cost model offers, forward or backward.
HOST, LOOP, BLOCKS = "alternating", "loop", "loop in blocks"
FLAT, FLAT_BLOCKS = "loop, elementwise", "loop in blocks, elementwise"
STEP, STAGED, SCAN = "step in blocks", "staged in blocks", "scan"
DENSE = (HOST, LOOP, FLAT, STEP, STAGED)
HEADS = (HOST, LOOP, FLAT, BLOCKS, FLAT_BLOCKS, STEP, STAGED)
CASES: dict[tuple[str, tuple[int, ...]], tuple[str, ...]] = {
    ("RNN", (4, 32)): DENSE,
    ("RNN", (5, 48)): DENSE,
    ("RNN", (3, 5)): (HOST, LOOP),
    ("LSTM", (4, 32)): DENSE,
    ("LSTM", (5, 48)): DENSE,
    ("LSTM", (3, 5)): (HOST, LOOP),
    ("LSTMP", (4, 32, 16)): (HOST, LOOP, FLAT),
    ("LSTMP", (5, 48, 48)): (HOST, LOOP, FLAT, STAGED),
    ("LSTMP", (3, 5, 2)): (HOST, LOOP),
    ("GRU", (4, 32)): DENSE,
    ("GRU", (5, 48)): DENSE,
    ("GRU", (3, 5)): (HOST, LOOP),
    ("SLSTM", (4, 32, 2)): HEADS,
    ("SLSTM", (5, 60, 3)): HEADS,
    ("SLSTM", (3, 6, 2)): (HOST, LOOP, BLOCKS),
    ("DeltaNet", (4, 8, 4)): (HOST, LOOP, BLOCKS, STEP),
    ("DeltaNet", (5, 6, 3)): (HOST, LOOP, BLOCKS, STEP),
    ("DeltaNet", (3, 5, 3)): (HOST, LOOP, BLOCKS, STEP),
    ("MinGRU", (4, 32)): (HOST, LOOP, BLOCKS, STEP, SCAN),
    ("MinGRU", (5, 12)): (HOST, LOOP, BLOCKS, STEP, SCAN),
    ("MinGRU", (3, 5)): (HOST, LOOP, BLOCKS, STEP, SCAN),
    ("RWKV4", (32,)): (HOST, LOOP, FLAT, STEP, STAGED, SCAN),
    ("RWKV4", (5,)): (HOST, LOOP, SCAN),
    ("Dense", (4, 8)): (HOST, LOOP),
    ("Dense", (5, 6)): (HOST, LOOP),
    ("Dense", (3, 5)): (HOST, LOOP),
    ("Embedding", (8, 4)): (HOST, LOOP),
    ("Embedding", (6, 12)): (HOST, LOOP),
    ("Embedding", (5, 3)): (HOST, LOOP),
}
STEPS, ROWS = (0, 1, 5, 33), (1, 3, 17)
VARIANTS = 3  # of a way: other numbers of blocks and of rows
DTYPES = ("float32", "bfloat16", "float64")
MASKS = ("starts", "boundaries", "valid")
BFLOAT16 = BOUNDS["bfloat16"]
FLOAT64 = Bound(1e-12, 1e-11)  # the oracle has rounding errors of its own
SETTLING = 2  # steps until a state is one that the cell comes to by itself
GAIN, NOISE = 0.9, 0.1  # of parameters: below 1, and what moves them from zeros and ones


@dataclass(frozen=True)
class Case:
    """One run."""

    cell: str
    sizes: tuple[int, ...]
    steps: int
    rows: int
    starts: bool
    boundaries: bool
    valid: bool
    dtype: str
    way: str
    variant: int = 0

    def __str__(self) -> str:
        masks = [f.name for f in fields(self) if f.name in MASKS and getattr(self, f.name)]
        sizes = f"{self.cell}({', '.join(map(str, self.sizes))})"
        words = [sizes, f"T={self.steps}", f"B={self.rows}", *masks, self.dtype, self.way]
        return " ".join([*words, *([f"#{self.variant}"] if self.variant else [])])


@dataclass(frozen=True)
class Verdict:
    """The largest errors of a run, and what is allowed."""

    found: Bound
    allowed: Bound
    amplifies: bool = False  # more is allowed than of a cell that does not

    @property
    def is_right(self) -> bool:
        return is_within(self.found, self.allowed)

    def __str__(self) -> str:
        return (
            f"values off by {self.found.values:.1e} of {self.allowed.values:.1e} allowed, "
            f"gradients by {self.found.gradients:.1e} of {self.allowed.gradients:.1e}"
        )


FACTORS: dict[str, Sequence[Any]] = {
    "cell": tuple(CASES),
    "steps": STEPS,
    "rows": ROWS,
    "dtype": DTYPES,
    "way": (*HEADS, SCAN),
    **{name: (False, True) for name in MASKS},
    "variant": tuple(range(VARIANTS)),
}


def selection() -> list[Case]:
    """Cases in which every two choices meet, the quick ones where it does not matter.

    They meet once among the short runs and once among the long ones, of which each says more.
    """
    short = {"steps": [n for n in STEPS if n <= 1], "dtype": ("float32", "bfloat16", "float16")}
    long = {"steps": [n for n in STEPS if n > 1]}
    chosen = (pairwise({**FACTORS, **part}, _is_legal, _seconds) for part in (short, long))
    return [_case(**row) for rows in chosen for row in rows]


def all_cases() -> Iterator[Case]:
    """The full product of the runs with resets, cuts and lengths, and of the shorter ones without.

    In an order in which what the oracle computes once comes in a row. Masks apart, the longest runs
    without masks, and float64 are in `selection`.
    """
    shared = ("cell", "steps", "rows", "masked", "dtype")
    factors = {**FACTORS, "masked": (False, True), "dtype": ("float32", "bfloat16")}
    for number, values in enumerate(product(*(factors[name] for name in shared))):
        row = dict(zip(shared, values, strict=True))
        masked = row.pop("masked")
        if row["steps"] == max(STEPS) and not masked:
            continue
        for way in CASES[row["cell"]]:
            if not _is_for_dtype(way, row["dtype"]):
                continue
            variant = number // len(factors["dtype"]) % VARIANTS
            yield _case(**row, **dict.fromkeys(MASKS, masked), way=way, variant=variant)


def _case(cell: tuple[str, tuple[int, ...]], **others: Any) -> Case:
    return Case(*cell, **others)


def _is_legal(row: Row) -> bool:
    way = row.get("way", HOST)
    is_offered = "cell" not in row or way == HOST or way in CASES[row["cell"]]
    return is_offered and _is_for_dtype(way, row.get("dtype", DTYPES[0]))


def _is_for_dtype(way: str, dtype: str) -> bool:
    """Whether the way is one for it: matrices of 16-bit numbers go through the matrix unit."""
    return way not in (FLAT, FLAT_BLOCKS) or dtype not in ROUNDING


def _seconds(row: Row) -> float:
    """About how long the interpreter takes."""
    step = {STEP: 4, STAGED: 4, BLOCKS: 3}.get(row["way"], 1) * (1 + row["rows"] // 16)
    step *= 0.3 if row["cell"][0] in ("Dense", "Embedding", "MinGRU", "RNN") else 1
    return 0.1 + 0.015 * float(row["steps"] * step)


def legal_ways(name: str, sizes: tuple[int, ...]) -> set[str]:
    """What the cost model offers for a cell, without masks or with all of them."""
    programs = [_programs(name, sizes, *(used,) * len(MASKS)) for used in (False, True)]
    return {way for p in programs for choices in p.choices for way in ways_of(choices)}


def check(case: Case) -> Verdict:
    """Run a case, and hold it against the oracle."""
    cell = cell_of(case.cell, case.sizes)
    given = _given(case.cell, case.sizes, case.steps, case.rows, case.dtype)
    masks = masks_of(case)
    itemsize = 2 if case.dtype in ROUNDING else 4  # of narrow dtypes, products are summed in parts
    masks_used = (case.starts, case.boundaries, case.valid)
    programs = _programs(case.cell, case.sizes, *masks_used, itemsize)
    pair = forced(programs, case.way, case.variant, steps=case.steps, rows=case.rows)
    found = by_triton(cell, programs, pair, given, masks, case.dtype)
    wanted = _wanted(*_key(case), "float64")
    off = worst(found, wanted)
    fixed = FLOAT64 if case.dtype == "float64" else BOUNDS[case.dtype]
    if case.dtype == "float64" or Verdict(off, fixed).is_right:
        return Verdict(off, fixed)
    return Verdict(off, _wider(case, fixed, wanted, off), amplifies=True)


def _wider(case: Case, fixed: Bound, wanted: Outcome, off: Bound) -> Bound:
    """What is allowed where a plain evaluation is further off as well."""
    if case.dtype == "float32":
        plain = adaptive_bound(_wanted(*_key(case), "float32"), wanted)
    else:
        cell, n = cell_of(case.cell, case.sizes), _given(*_key(case)[:5])
        plain = after_rounding(cell, n, masks_of(case), wanted, case.dtype, off)
    return larger(fixed, plain)


@lru_cache(maxsize=64)
def cell_of(name: str, sizes: tuple[int, ...]) -> Cell:
    cell: Cell = STANDARD[name](*sizes)
    return cell


@lru_cache(maxsize=64)
def _programs(
    name: str, sizes: tuple[int, ...], starts: bool, boundaries: bool, valid: bool,
    itemsize: int = 4,
) -> Programs:  # fmt: skip
    given = Case(name, sizes, 0, 0, starts, boundaries, valid, "", "")
    extent = replace(EXTENT, itemsize=itemsize)
    return programs_of(cell_of(name, sizes), masks_of(given), extent=extent)


def _key(case: Case) -> tuple[str, tuple[int, ...], int, int, str, bool, bool, bool]:
    """What the numbers of a case depend on."""
    masks = (case.starts, case.boundaries, case.valid)
    return (case.cell, case.sizes, case.steps, case.rows, case.dtype, *masks)


@lru_cache(maxsize=64)
def _wanted(
    name: str, sizes: tuple[int, ...], steps: int, rows: int, dtype: str, starts: bool,
    boundaries: bool, valid: bool, width: str,
) -> Outcome:  # fmt: skip
    """What the oracle gives in this width."""
    cell, n = cell_of(name, sizes), _given(name, sizes, steps, rows, dtype)
    masks = masks_of(Case(name, sizes, steps, rows, starts, boundaries, valid, dtype, ""))
    if width == "float64":
        return by_oracle(cell, n, masks)
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs, masks, width)
    g = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, masks, width)
    return Outcome(carry, ys, g.params, g.carry, g.inputs)


@lru_cache(maxsize=64)
def _given(name: str, sizes: tuple[int, ...], steps: int, rows: int, dtype: str) -> Numbers:
    """Numbers near where a net starts, as the dtype has them; states that the cell has come to."""
    cell = cell_of(name, sizes)
    draws = np.random.default_rng(5)
    n = Numbers.draw(cell, SETTLING + steps, rows)
    params: dict[str, Array] = {
        path: GAIN * start + NOISE * draws.standard_normal(start.shape) / _width(start)
        for path, start in initialise(cell, 0, np.dtype("float64")).items()
    }
    settling = {name: x[:SETTLING] for name, x in n.xs.items()}
    carry, _ = oracle.run(cell, params, oracle.initial(cell, params, rows), settling)
    rest = {name: x[SETTLING:] for name, x in n.xs.items()}
    d_ys = {name: d[SETTLING:] for name, d in n.d_ys.items()}
    return rounded_to(Numbers(params, carry, rest, d_ys, n.d_carry), dtype)


def _width(weight: Array) -> float:
    """What keeps the norm of a random matrix where it is, whatever its size."""
    return float(np.sqrt(weight.shape[-1])) if weight.ndim else 1.0


def masks_of(case: Case) -> Masks:
    """Resets and cuts here and there; rows of all lengths, one of them whole, one of them 0."""
    draws = np.random.default_rng(7)
    starts, cuts = draws.random((2, case.steps, case.rows)) < 0.3
    lengths = draws.integers(0, case.steps + 1, case.rows)
    lengths[:2] = (case.steps, 0)[: case.rows]
    return Masks(
        starts if case.starts else None,
        cuts if case.boundaries else None,
        lengths if case.valid else None,
    )
