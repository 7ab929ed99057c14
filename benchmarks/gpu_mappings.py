"""The mappings of a loop against the clock, beside what the cost model expects of each.

`python -m benchmarks.gpu_mappings` (`--help` lists the options). Kernels are compiled first, by
several processes at a time: they leave them in Triton's cache. What a backward pass does after its
loop is timed with it. Without a CUDA device it says so and ends with status 69.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import statistics
import sys
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import Any, Final

from benchmarks.gpu import DTYPES, NO_DEVICE, QUICK, by_events, device_facts, has_device
from benchmarks.gpu_work import ITEMSIZES, Case, make_work
from benchmarks.harness import add_options, print_machine, protocol_of, start, table, write_json
from rnnc.compiler.duration import Ranked
from rnnc.compiler.mapping import Extent
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.runtime.program import Program
from rnnc.runtime.variants import Variant

WAYS: Final = ("forward", "backward")
FEW_STEPS: Final = 40  # enough for every kernel to be launched


@dataclass(frozen=True)
class Trial:
    """One mapping of one loop, for one case."""

    case: Case
    dtype: str
    way: str
    at: int  # in the order of the cost model


def first(case: Case, dtype: str, way: str, count: int) -> Iterator[Trial]:
    """The mappings that the model likes best."""
    options = choices(make_programs(case, dtype, way), way)
    yield from (Trial(case, dtype, way, at) for at in range(min(count, len(options))))


@cache
def make_programs(case: Case, dtype: str, way: str) -> Programs:
    """Of a forward pass alone, or of one that is recorded and of the pass back."""
    cell = make_work(replace(case, steps=1), dtype, "cpu").bound.cell
    extent = Extent(case.steps, case.rows, ITEMSIZES[dtype])
    return compile_cell(cell, Goal(record=way == WAYS[1], backend="triton", extent=extent))


def choices(programs: Programs, way: str) -> tuple[Ranked, ...]:
    """The mappings of the loop in question."""
    return programs.choices[WAYS.index(way)]


def milliseconds(trial: Trial, device: str, rounds: int) -> float:
    """The median of some runs; 0 rounds: run it once, on a few steps, to have it compiled."""
    case = trial.case if rounds else replace(trial.case, steps=min(trial.case.steps, FEW_STEPS))
    work = make_work(case, trial.dtype, device)
    programs = make_programs(trial.case, trial.dtype, trial.way)
    mappings = [options[0].mapping if options else None for options in programs.choices]
    at = WAYS.index(trial.way)
    mappings[at] = choices(programs, trial.way)[trial.at].mapping
    forward, backward = mappings
    assert forward is not None, "every cell has a forward loop"
    variant = Variant(programs.mapped(forward, backward))
    cell = work.bound.cell
    program = Program(cell, trial.dtype, backend="triton", only=variant)
    carry = {s.name: array for s, array in zip(cell.states, work.start, strict=True)}
    xs: Any = work.xs if cell.input_is_tuple else work.xs[0]
    run: partial[Any] = partial(program.forward, work.params, carry, xs, record=False)
    if trial.way == WAYS[1]:
        _, _, tape = program.forward(work.params, carry, xs, record=True)
        assert tape is not None, "the call was recorded"
        run = partial(program.backward, work.params, tape, work.d_ys)
    run()
    return 1e3 * statistics.median(by_events(run, 1) for _ in range(rounds)) if rounds else 0.0


def tried(trial: Trial, device: str, rounds: int) -> str:
    """How long it takes, or why it takes no part."""
    try:
        return f"{milliseconds(trial, device, rounds):.3g}"
    except Exception as failure:  # whatever Triton or torch have to say: one line of the table
        return f"{type(failure).__name__}: {str(failure).partition(chr(10))[0]}"[:100]


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu_mappings", description=__doc__)
    add_options(parser)
    known = sorted({case.cell for case in QUICK})
    parser.add_argument("--cell", nargs="+", choices=known, help="only these cells")
    parser.add_argument("--dtype", choices=DTYPES, default=DTYPES[0])
    parser.add_argument("--count", type=int, default=12, help="mappings of each loop")
    parser.add_argument("--jobs", type=int, default=os.cpu_count(), help="processes that compile")
    options = start(parser)
    if not has_device():
        print("there is no CUDA device: nothing to measure", file=sys.stderr)
        return NO_DEVICE
    count = 4 if options.quick else options.count
    cases = [case for case in QUICK if not options.cell or case.cell in options.cell]
    trials = [t for case in cases for way in WAYS for t in first(case, options.dtype, way, count)]
    with ProcessPoolExecutor(options.jobs, multiprocessing.get_context("spawn")) as pool:
        list(pool.map(partial(tried, device="cuda", rounds=0), trials))  # compile
    print_machine()
    rows, record = [], []
    for trial in trials:
        option = choices(make_programs(trial.case, trial.dtype, trial.way), trial.way)[trial.at]
        expected = f"{1e3 * option.seconds:.3g}"
        found = tried(trial, "cuda", options.rounds)
        rows.append([f"{trial.case}, {trial.way}", str(option.mapping), found, expected])
        record.append(dict(zip(("loop", "mapping", "measured", "model"), rows[-1], strict=True)))
    print(table(["loop", "mapping", "ms", "in the model"], rows))
    if options.json:
        more = {"device": device_facts(), "dtype": options.dtype, "mappings": record}
        write_json(options.json, [], protocol_of(options), **more)
    return 0


if __name__ == "__main__":
    sys.exit(main())
