"""Hold standard cells in every mapping against the oracle: `python -m tests.library.exhaustive`.

Each row of the table, at the sizes of the suite and at those at which blocks are legal, in every
way that the cost model offers, with and without masks, in three dtypes, for calls of each number of
steps with each number of rows. Prints what fails, and the worst errors of each cell. Exits with 1
if anything failed.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice, product, repeat
from operator import or_
from pathlib import Path

import numpy as np

from rnnc.runtime.backends import has_cuda

if not has_cuda():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton

from rnnc.compiler.ir import Cell
from rnnc.compiler.oracle import Masks
from rnnc.runtime.tolerance import BOUNDS, ROUNDING
from tests.compiler.backends.triton_runs import (
    EXTENT,
    by_triton,
    forced,
    programs_of,
    rounded_to,
    ways_of,
)
from tests.compiler.hand_built import Array, Numbers, draw_masks
from tests.compiler.rounding import after_rounding
from tests.compiler.run_scans import by_oracle
from tests.fuzz.log import Log, versions
from tests.library.subject import ROWS, STEPS, SUBJECTS, Subject, plainly
from tests.tolerance import Bound, adaptive_bound, is_within, larger, worst

WIDE = {"I": 5, "H": 32, "K": 8, "Vd": 16, "N": 8, "P": 16, "M": 8}
NEIGHBOURS = 8
NO_ERROR = Bound(0.0, 0.0)
FLOAT64 = Bound(1e-12, 1e-11)  # the oracle has rounding errors of its own
DTYPES = ("float32", "bfloat16", "float64")
MASKED = {"both": (False, True), "all": (True,), "none": (False,)}


@dataclass(frozen=True)
class Run:
    """One run of a cell."""

    subject: Subject
    masked: bool
    dtype: str
    way: str

    def __str__(self) -> str:
        hidden = self.subject.sizes.get("H", self.subject.sizes.get("Vd"))
        masks = " masked" * self.masked
        call = f"T={self.subject.steps} B={self.subject.rows}"
        return f"{self.subject} of {hidden} {call}{masks} {self.dtype} {self.way}"


def runs_of(
    subject: Subject, dtypes: Sequence[str], masked: Sequence[bool]
) -> Iterator[tuple[Run, Bound, Bound]]:
    """Each run with its errors and with what is allowed."""
    cell = subject.cell
    for is_masked in masked:
        steps, rows = subject.steps, subject.rows
        masks = draw_masks(("starts", "boundaries", "valid") * is_masked, steps, rows)
        for dtype in dtypes:
            n = rounded_to(subject.numbers(), dtype)
            wanted = by_oracle(cell, n, masks)
            itemsize = 2 if dtype in ROUNDING else 4
            programs = programs_of(cell, masks, extent=replace(EXTENT, itemsize=itemsize))
            ways = {way for choices in programs.choices for way in ways_of(choices)}
            for way in sorted(ways):
                pair = forced(programs, way, steps=steps, rows=rows)
                found = by_triton(cell, programs, pair, n, masks, dtype)
                off = worst(found, wanted)
                allowed = FLOAT64 if dtype == "float64" else BOUNDS[dtype]
                if dtype != "float64" and not is_within(off, allowed):
                    allowed = _wider(cell, n, masks, dtype, allowed, off)
                yield Run(subject, is_masked, dtype, way), off, allowed


def _wider(cell: Cell, n: Numbers, masks: Masks, dtype: str, fixed: Bound, off: Bound) -> Bound:
    """What is allowed where a plain evaluation is further off as well."""
    if dtype == "float32":
        near = [n, *(_beside(n, seed) for seed in range(NEIGHBOURS))]
        plain = [adaptive_bound(plainly(cell, m, masks), by_oracle(cell, m, masks)) for m in near]
    else:
        plain = [after_rounding(cell, n, masks, by_oracle(cell, n, masks), dtype, off)]
    return larger(fixed, *plain)


def _beside(n: Numbers, seed: int) -> Numbers:
    """The same but for their last bits: where sums cancel, one evaluation may be near by luck."""
    draws = np.random.default_rng(seed)

    def nudged(array: Array) -> Array:
        up = draws.choice(np.array([-np.inf, np.inf], np.float32), array.shape)
        return np.asarray(np.nextafter(array.astype(np.float32), up), array.dtype)

    real = {name: x for name, x in n.xs.items() if np.issubdtype(x.dtype, np.floating)}
    return replace(
        n, params={name: nudged(p) for name, p in n.params.items()},
        xs=n.xs | {name: nudged(x) for name, x in real.items()},
    )  # fmt: skip


@dataclass(frozen=True)
class Verdict:
    """What came of some runs of a cell; `worst` are the errors in float32."""

    count: int = 0
    worst: Bound = NO_ERROR
    ways: frozenset[str] = frozenset()
    failures: tuple[str, ...] = ()

    def __or__(self, other: Verdict) -> Verdict:
        """Of the runs of both."""
        return Verdict(
            self.count + other.count, larger(self.worst, other.worst), self.ways | other.ways,
            self.failures + other.failures,
        )  # fmt: skip

    def __str__(self) -> str:
        errors_ = f"{self.worst.values:.1e}  {self.worst.gradients:.1e}"
        return f"{errors_}  {self.count:4} runs  {'; '.join(sorted(self.ways))}"


def verdict_on(subject: Subject, dtypes: Sequence[str], masked: Sequence[bool]) -> Verdict:
    """Run a cell in every way."""
    found = Verdict()
    try:
        for run, off, allowed in runs_of(subject, dtypes, masked):
            of_float32 = off if run.dtype == "float32" else NO_ERROR
            wrong = f"{run}: off by {off}, allowed are {allowed}"
            failures = () if is_within(off, allowed) else (wrong,)
            found |= Verdict(1, of_float32, frozenset([run.way]), failures)
    except Exception as error:  # the rest is worth knowing
        wrong = f"{subject}: {type(error).__name__}: {error.__cause__ or error}"
        found |= Verdict(failures=(wrong,))
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.library.exhaustive", description=__doc__)
    cells = {s.row.cell for s in SUBJECTS}
    parser.add_argument(
        "--only", metavar="CELL", action="append", choices=sorted(cells), help="this cell"
    )
    parser.add_argument("--dtype", choices=DTYPES, nargs="+", default=DTYPES, help="these alone")
    parser.add_argument("--steps", type=int, nargs="+", default=[STEPS], help="of the calls")
    parser.add_argument("--rows", type=int, nargs="+", default=[ROWS], help="of the calls")
    parser.add_argument(
        "--masks", choices=MASKED, default="both", help="starts, boundaries and lengths, or none"
    )
    parser.add_argument("--jobs", type=int, default=1, help="processes (default: 1)")
    parser.add_argument("--log", type=Path, metavar="FILE", help="keep what is printed")
    options = parser.parse_args(arguments)
    log, begun = Log(options.log), time.perf_counter()
    named = " ".join(sys.argv[1:] if arguments is None else arguments)
    log(f"{versions('numpy', 'triton', 'torch')}\npython -m tests.library.exhaustive {named}\n")
    log(f"{'cell':50} worst errors in float32, of values and of gradients\n")
    chosen = [s for s in SUBJECTS if options.only is None or s.row.cell in options.only]
    subjects = [s for each in chosen for s in (each, replace(each, wider=WIDE))]
    calls = list(product(options.steps, options.rows))
    called = [replace(s, steps=steps, rows=rows) for s in subjects for steps, rows in calls]
    every, fresh = Verdict(), multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(options.jobs, fresh) as pool:
        given = repeat(options.dtype), repeat(MASKED[options.masks])
        verdicts = pool.map(verdict_on, called, *given)
        for subject in subjects:
            verdict = reduce(or_, islice(verdicts, len(calls)))
            for wrong in verdict.failures:
                log(f"FAILED {wrong}")
            sizes = ", ".join(f"{name} {size}" for name, size in subject.sizes.items())
            log(f"{f'{subject}: {sizes}':50} {verdict}")
            every |= verdict
    failed = len(every.failures)
    log(f"\n{every.count} runs, {failed} failed; {time.perf_counter() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
