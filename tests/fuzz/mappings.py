"""Hold every mapping of the Triton backend against the oracle: `python -m tests.fuzz.mappings`.

Three parts: random programs of the language, random cells built node by node, and the standard
cells in the full product of sizes, steps, rows, masks, dtypes and mappings. Prints what fails, how
often each mapping was run, and its worst errors. Exits with 1 if anything failed. The same seeds
give the same programs and numbers on every machine; without a CUDA device, kernels are interpreted.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TypeVar

from rnnc.runtime.backends import has_cuda

if not has_cuda():
    os.environ["TRITON_INTERPRET"] = "1"  # before anything imports triton

import rnnc
from tests.compiler.backends.mapping_cases import (
    CASES,
    Case,
    Verdict,
    all_cases,
    check,
    selection,
)
from tests.fuzz.every_mapping import Tried, try_cell, try_program, try_seed
from tests.fuzz.generator import Source
from tests.fuzz.log import Log
from tests.fuzz.reduce import reduced

STANDARD: dict[str, Callable[[], Sequence[Case]]] = {
    "all": lambda: tuple(all_cases()), "pairs": selection, "none": lambda: (),
}  # fmt: skip
TOGETHER = 8  # runs that a process takes at a time
Item = TypeVar("Item")
Result = TypeVar("Result")


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mappings", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first program and cell")
    parser.add_argument("--count", type=int, default=300, help="how many programs, and cells")
    parser.add_argument(
        "--standard", choices=list(STANDARD), default="all",
        help="which runs of the standard cells: all, those in which every two choices meet, none",
    )  # fmt: skip
    parser.add_argument("--only", choices=sorted({name for name, _ in CASES}), help="one cell")
    parser.add_argument("--no-reduce", action="store_true", help="print failing programs whole")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--log", type=Path, help="a file for all that is printed")
    options = parser.parse_args(arguments)
    seeds = range(options.seed, options.seed + options.count)
    cases = [c for c in STANDARD[options.standard]() if options.only in (None, c.cell)]
    log, begun = Log(options.log), time.perf_counter()
    given = sys.argv[1:] if arguments is None else arguments
    log(" ".join(["python -m tests.fuzz.mappings", *given]))
    log(where())
    with tempfile.TemporaryDirectory() as cache, rnnc.options(cache=cache):
        run = partial(in_order, jobs=options.jobs)
        tried = run(try_seed, seeds, "programs of the language")
        shown = str if options.no_reduce else smaller
        failed = report_random("programs of the language", seeds, tried, shown, log)
        tried = run(try_cell, seeds, "cells built node by node")
        failed += report_random("cells built node by node", seeds, tried, str, log)
        failed += report_standard(cases, run(checked, cases, "standard cells"), log)
    log(f"\n{failed} failed; {time.perf_counter() - begun:.0f} s")
    return 1 if failed else 0


def where() -> str:
    """The versions, and what kernels run on."""
    import torch
    import triton

    interpreted = triton.knobs.runtime.interpret
    device = "Triton's interpreter" if interpreted else torch.cuda.get_device_name()
    versions = f"torch {torch.__version__}, triton {triton.__version__}"
    return f"{time.strftime('%Y-%m-%d')}, rnnc {rnnc.__version__}, {versions}, on {device}"


def in_order(
    function: Callable[[Item], Result], items: Sequence[Item], what: str, *, jobs: int
) -> Iterator[Result]:
    """The result of each item, with a bar where somebody watches and tqdm is there."""
    try:
        from tqdm import tqdm

        bar: Callable[[Iterable[Result]], Iterable[Result]]
        bar = partial(tqdm, total=len(items), disable=None, file=sys.stderr, unit="run", desc=what)
    except ImportError:
        bar = iter
    if jobs == 1:
        yield from bar(map(function, items))
        return
    # Forked, so that the cache's folder is that of the options; each of them on one thread.
    with multiprocessing.get_context("fork").Pool(jobs, _alone) as pool:
        yield from bar(pool.imap(function, items, TOGETHER))


def _alone() -> None:
    import torch

    torch.set_num_threads(1)


# -- random programs -------------------------------------------------------------------------------


def report_random(
    what: str, seeds: range, results: Iterator[Tried], shown: Callable[[Tried], str], log: Log
) -> int:
    """Tell what became of a program for each seed; how many failed."""
    failed, runs = 0, Counter[str]()
    for tried in results:
        runs.update(tried.ways)
        if tried.failures:
            failed += 1
            log(f"\n{shown(tried)}")
    if seeds:
        span = f"seeds {seeds.start} to {seeds.stop - 1}"
        log(f"\n{len(seeds)} {what}, {span}: {failed} failed; runs, forward and backward")
    for way, count in sorted(runs.items()):
        log(f"  {count:5}  {way}")
    return failed


def smaller(tried: Tried) -> str:
    """A smaller program that fails in the same way."""
    kind = tried.failures[0].partition(":")[0]

    def fails(source: Source) -> bool:
        return any(f.partition(":")[0] == kind for f in try_program(source).failures)

    return str(try_program(reduced(tried.source, fails)))


# -- standard cells --------------------------------------------------------------------------------


def checked(case: Case) -> Verdict | str:
    """How far off a case is, or the error it ended in."""
    try:
        return check(case)
    except Exception as error:
        return f"{type(error).__name__}: {error.__cause__ or error}"


def report_standard(cases: Sequence[Case], results: Iterator[Verdict | str], log: Log) -> int:
    """Tell what became of the cases; how many failed."""
    failed = 0
    worst: dict[tuple[str, str, str], tuple[int, int, float, float]] = {}
    for case, verdict in zip(cases, results, strict=True):
        key = (case.cell, case.way, case.dtype)
        count, wider, values, gradients = worst.get(key, (0, 0, 0.0, 0.0))
        if isinstance(verdict, str) or not verdict.is_right:
            failed += 1
            log(f"\n{case}: {verdict}")
        if not isinstance(verdict, str):
            found = verdict.found
            largest = max(values, found.values), max(gradients, found.gradients)
            worst[key] = (count + 1, wider + verdict.amplifies, *largest)
    if cases:
        log(f"\n{len(cases)} runs of standard cells: {failed} failed; runs, how many of them were")
        log("allowed more because the cell amplifies rounding errors there, and the worst errors")
        log(f"  {'cell':10} {'mapping':17} {'dtype':9} {'runs':>5} {'more':>5}   values  gradients")
    for (cell, way, dtype), (count, wider, values, gradients) in sorted(worst.items()):
        counts = f"{count:5} {wider:5}"
        log(f"  {cell:10} {way:17} {dtype:9} {counts}  {values:.1e}   {gradients:.1e}")
    return failed


if __name__ == "__main__":
    sys.exit(main())
