"""rnnc on a GPU beside cuDNN, a loop in a CUDA graph, torch.compile and jax.

`python -m benchmarks.gpu` (`--help` lists the options). Each contender's results are compared with
a float64 loop before it is timed; one that is wrong, cannot do the work or is not installed is a
line that says so. Without a CUDA device it says that in one line and ends with status 69.
"""

from __future__ import annotations

import argparse
import gc
import importlib.util
import itertools
import json
import multiprocessing
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Final

from benchmarks.gpu_contenders import (
    COMPILED,
    CONTENDERS,
    FOR_A_FEW_STEPS,
    UNROLLED,
    Unable,
)
from benchmarks.gpu_work import (
    ITEMSIZES,
    MODES,
    Case,
    Results,
    Work,
    error,
    make_work,
    reference,
    tolerance,
)
from benchmarks.harness import (
    Comparison,
    Contender,
    Protocol,
    Sampler,
    Timing,
    WrongResult,
    add_options,
    milliseconds,
    print_machine,
    protocol_of,
    start,
    table,
    time_in_turns,
    write_json,
)

NO_DEVICE: Final = 69  # exit status, as for a service that is not available

SHAPES: Final = (
    (1, 256, 1024),
    (16, 512, 1024),
    (16, 768, 1024),
    (64, 1024, 512),
    (128, 2048, 256),
)
HEADS: Final = ((48, 16), (24, 32), (12, 64), (6, 128), (3, 256))
SMALL: Final = ((1, 64), (8, 128), (62, 168), (256, 128))
DIAGONAL: Final = ((16, 2048, 4096), (1, 2048, 65536), (64, 1024, 512))
ALL: Final = (
    *(Case(cell, *shape) for cell in ("LSTM", "GRU", "SLSTM") for shape in SHAPES),
    *(Case("SLSTM", 16, heads * width, 1024, heads=heads) for heads, width in HEADS),
    *(Case("SLSTM", rows, 768, 1024, heads=12) for rows in (1, 64, 256)),
    *(Case(cell, rows, hidden, 1024) for cell in ("LSTM", "GRU") for rows, hidden in SMALL),
    *(Case(cell, *shape, inputs=0) for cell in ("Decay", "IndRNN") for shape in DIAGONAL),
    Case("MinGRU", 16, 2048, 4096, inputs=64),
    Case("DeltaNet", 4 * 16, 128, 2048),  # heads are rows
    Case("DeltaNet", 8 * 8, 64, 1024),
)
QUICK: Final = (
    Case("SLSTM", 16, 768, 1024, heads=12),
    Case("LSTM", 16, 512, 1024),
    Case("GRU", 16, 512, 1024),
    Case("LSTM", 8, 128, 1024),
    Case("Decay", 16, 2048, 4096, inputs=0),
    Case("DeltaNet", 8 * 8, 64, 1024),
)
DTYPES: Final = ("bfloat16", "float16", "float32")
# Where jax leaves what it compiled, if it is told before it is imported; the others do unasked.
CACHES: Final = {
    "JAX_COMPILATION_CACHE_DIR": str(Path(tempfile.gettempdir(), "rnnc-benchmarks-jax")),
    "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
}


@dataclass(frozen=True)
class Entry:
    """A contender that is right, and what became of its first run."""

    contender: Contender
    error: float
    first_seconds: float  # building and running it once; compiling, but what `--jobs` had compiled
    megabytes: float  # at most in use while it ran


@dataclass(frozen=True)
class Before:
    """What earlier runs left in a file: the whole takes hours, and a file is filled bit by bit."""

    comparisons: Sequence[dict[str, Any]] = ()
    heads: Sequence[dict[str, Any]] = ()  # date, machine, command and device of each

    @classmethod
    def of(cls, path: Path) -> Before:
        if not path.exists():
            return cls()
        record = json.loads(path.read_text(encoding="utf-8"))
        head = {key: record[key] for key in ("date", "machine", "command", "device")}
        return cls(record["comparisons"], [*record.get("before", ()), head])

    @property
    def names(self) -> set[str]:
        return {comparison["name"] for comparison in self.comparisons}


def by_events(run: Callable[[], object], repeats: int) -> float:
    """Seconds on the device between two events: the harness's way to take time here."""
    import torch

    events: Any = torch.cuda.Event  # published without types
    first, last = (events(enable_timing=True) for _ in range(2))
    torch.cuda.synchronize()
    first.record()
    for _ in range(repeats):
        run()
    last.record()
    last.synchronize()
    return float(first.elapsed_time(last)) / 1e3


def entered(
    name: str, build: Callable[[Work, str], Callable[[], Results]], work: Work, mode: str,
    wanted: Results,
) -> Entry | str:  # fmt: skip
    """A contender that did the work right, or why it did not."""
    import torch

    on_device = work.xs[0].device.type == "cuda"
    if on_device:
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats()
    begun = time.perf_counter()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of what a contender's library has to say
            run = build(work, mode)
            found = run()
            off = error(found, wanted)
    except (Unable, WrongResult) as reason:
        return str(reason)
    except Exception as failure:  # whatever a library raises: one line of the table
        return _line(failure)
    seconds = time.perf_counter() - begun
    most = tolerance(work.dtype, mode)
    if off > most:
        return f"wrong: off by {off:.1e}, allowed {most:.0e}"
    used = torch.cuda.max_memory_allocated() / 1e6 if on_device else 0.0
    return Entry(Contender(name, run), off, seconds, used)


def _line(failure: Exception) -> str:
    """What a library raised, in a line of the table."""
    if "out of memory" in str(failure).lower() or type(failure).__name__ == "OutOfMemoryError":
        return "out of memory"
    first, _, _ = str(failure).strip().partition("\n")
    return f"{type(failure).__name__}: {first}"[:120]


def compile_ahead(
    works: Sequence[tuple[Case, str, str]], names: Sequence[str], jobs: int, device: str
) -> None:
    """Have several processes fill the caches of what compiles; one that fails leaves nothing."""
    with ProcessPoolExecutor(jobs, multiprocessing.get_context("spawn")) as pool:
        compiled = pool.map(partial(_compile, names, device), works)
        for work, failures in zip(works, compiled, strict=True):
            for failed in failures:
                print(f"{name_of(*work)}, ahead: {failed}")


def _compile(names: Sequence[str], device: str, given: tuple[Case, str, str]) -> list[str]:
    """Run contenders once, on all steps: how many there are decides which kernels rnnc takes."""
    import torch

    (case, dtype, mode), failed = given, []
    for name in names:
        try:
            work = make_work(case, dtype, device)
            CONTENDERS[name](work.first(_steps(name, case)), mode)()
        except Exception as failure:
            failed.append(f"{name}: {_line(failure)}")
        finally:
            torch.cuda.empty_cache()  # other processes need it too
    return failed


def measure(
    work: Work, mode: str, names: Sequence[str], protocol: Protocol, sample: Sampler
) -> Comparison:
    """All contenders on one work; those that take part only for a few steps, on those."""
    by_steps: dict[int, list[str]] = {work.case.steps: []}
    for name in names:
        by_steps.setdefault(_steps(name, work.case), []).append(name)
    parts = [
        _timed(work.first(steps), mode, some, protocol, sample) for steps, some in by_steps.items()
    ]
    timings = [timing for mine, _ in parts for timing in mine]
    facts: dict[str, Any] = {
        **vars(work.case), "dtype": work.dtype, "mode": mode, "steps_of": {}, "cannot": {},
        "first_seconds": {}, "megabytes": {}, "floor": work.floor(mode).terms,
        "bound": work.floor(mode).bound, "mapping": _mapping(work, mode),
    }  # fmt: skip
    for _, more in parts:
        for key, named in more.items():
            facts[key] |= named
    return Comparison(name_of(work.case, work.dtype, mode), facts, timings)


def _steps(name: str, case: Case) -> int:
    """Of how many steps a contender takes part."""
    return min(UNROLLED, case.steps) if name in FOR_A_FEW_STEPS else case.steps


def name_of(case: Case, dtype: str, mode: str) -> str:
    """What a work is called in tables and files."""
    return f"{case}, {dtype}, {mode}"


def _timed(
    work: Work, mode: str, names: Sequence[str], protocol: Protocol, sample: Sampler
) -> tuple[list[Timing], dict[str, dict[str, Any]]]:
    """Timings, and facts by contender."""
    if not names:
        return [], {}
    try:
        wanted = reference(work, mode)
    except Exception as failure:
        cannot = dict.fromkeys(names, f"not compared with float64: {_line(failure)}")
        return [], {"cannot": cannot}
    found = {name: entered(name, CONTENDERS[name], work, mode, wanted) for name in names}
    del wanted
    gc.collect()
    ready = [entry for entry in found.values() if isinstance(entry, Entry)]
    facts: dict[str, dict[str, Any]] = {
        "steps_of": dict.fromkeys(names, work.case.steps),
        "cannot": {name: why for name, why in found.items() if isinstance(why, str)},
        "first_seconds": {entry.contender.name: entry.first_seconds for entry in ready},
        "megabytes": {entry.contender.name: entry.megabytes for entry in ready},
    }
    contenders, errors = [e.contender for e in ready], [e.error for e in ready]
    return time_in_turns(contenders, errors, protocol, sample) if ready else [], facts


def _mapping(work: Work, mode: str) -> list[str]:
    """How rnnc runs the loops of a work, and the seconds that its cost model expects."""
    import rnnc
    from rnnc.compiler.mapping import Extent
    from rnnc.compiler.pipeline import Goal, compile_cell

    case, record = work.case, mode != MODES[0]
    program = rnnc.compile(work.bound, backend="triton", dtype=work.dtype)
    try:
        taken = program.variant(record=record, batch=case.rows).mappings
    except rnnc.Error as error:
        return [str(error)]
    extent = Extent(case.steps, case.rows, ITEMSIZES[work.dtype])
    choices = compile_cell(work.bound.cell, Goal(record=record, backend="triton", extent=extent))
    return [
        next((str(option) for option in options if option.mapping == mapping), str(mapping))
        for mapping, options in zip(taken, choices.choices, strict=True)
        if mapping
    ]


# -- what is printed -----------------------------------------------------------------------------

HEADERS: Final = [
    "work", "contender", "ms: median (quartiles)", "us a step", "error", "of the floor",
    "rnnc is faster by",
]  # fmt: skip


def rows_of(comparison: Comparison) -> Iterator[list[str]]:
    """Lines of the table: who was timed, then who could not."""
    facts = comparison.facts
    floor = max(facts["floor"].values()) / facts["steps"]
    ours = next((t for t in comparison.timings if t.name == "rnnc"), None)
    per_step = {t.name: t.spread.median / facts["steps_of"][t.name] for t in comparison.timings}
    for timing in comparison.timings:
        step = per_step[timing.name]
        faster = f"{step / per_step['rnnc']:.2f}" if ours else ""
        few = facts["steps_of"][timing.name]
        note = f", {few} steps" if few != facts["steps"] else ""
        yield [
            comparison.name, timing.name + note, milliseconds(timing.spread), f"{1e6 * step:.3g}",
            f"{timing.error:.1e}", f"{floor / step:.0%}", faster,
        ]  # fmt: skip
    for name, why in facts["cannot"].items():
        yield [comparison.name, name, why, "", "", "", ""]


def chosen(options: argparse.Namespace) -> Iterator[tuple[Case, str]]:
    """Which works, in which dtypes."""
    for case in QUICK if options.quick else ALL:
        if case.steps > options.longest or (options.cell and case.cell not in options.cell):
            continue
        for dtype in options.dtype or (DTYPES[:1] if options.quick else DTYPES):
            yield case, dtype


def has_device() -> bool:
    """Whether there is anything to measure."""
    if importlib.util.find_spec("torch") is None:
        return False
    import torch

    return bool(torch.cuda.is_available())


def device_facts() -> dict[str, str]:
    """The device and its libraries."""
    import torch

    cudnn: Any = torch.backends.cudnn
    found = {"gpu": torch.cuda.get_device_name(), "torch": torch.__version__}
    found |= {"cuda": str(torch.version.cuda), "cudnn": str(cudnn.version())}
    for name in ("triton", "jax"):
        if importlib.util.find_spec(name):
            found[name] = str(importlib.import_module(name).__version__)
    return found


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__)
    add_options(parser)
    parser.add_argument("--cell", nargs="+", help="only these cells")
    parser.add_argument("--dtype", nargs="+", choices=DTYPES, help="only these")
    parser.add_argument("--mode", nargs="+", choices=MODES, default=MODES)
    parser.add_argument("--without", nargs="+", default=[], choices=list(CONTENDERS))
    parser.add_argument("--longest", type=int, default=1 << 30, help="no works of more steps")
    parser.add_argument("--minutes", type=float, default=1e9, help="begin no work after so many")
    parser.add_argument("--resume", action="store_true", help="keep the works that --json FILE has")
    parser.add_argument("--jobs", type=int, default=0, help="processes that compile ahead")
    options = start(parser)
    if options.resume and not options.json:
        parser.error("--resume takes up the file of --json")
    if not has_device():
        print("there is no CUDA device: nothing to measure", file=sys.stderr)
        return NO_DEVICE
    import torch

    os.environ |= CACHES
    torch.backends.cuda.matmul.allow_tf32 = False  # float32 is IEEE, but where a name says TF32
    print_machine()
    facts = device_facts()
    print("\n".join(f"{key}: {value}" for key, value in facts.items()))
    without = {*options.without, *(["torch.compile"] if options.quick else [])}
    names = [name for name in CONTENDERS if name not in without]
    protocol = replace(protocol_of(options), rounds=5 if options.quick else options.rounds)
    begun, comparisons = time.perf_counter(), []
    before = Before.of(options.json) if options.resume else Before()
    works = [(case, dtype, mode) for case, dtype in chosen(options) for mode in options.mode]
    works = [work for work in works if name_of(*work) not in before.names]
    if options.jobs:
        compile_ahead(works, [n for n in names if n in COMPILED], options.jobs, "cuda")
        print(f"compiled ahead: {time.perf_counter() - begun:.0f} s")
    for (case, dtype), group in itertools.groupby(works, key=lambda work: work[:2]):
        if time.perf_counter() - begun > 60 * options.minutes:
            print(f"\nno time left for {case}, {dtype}")
            continue
        work = make_work(case, dtype, "cuda")
        for _, _, mode in group:
            comparison = measure(work, mode, names, protocol, by_events)
            comparisons.append(comparison)
            print("\n" + table(HEADERS, list(rows_of(comparison))), flush=True)
            print(f"floor: {comparison.facts['bound']}; {', '.join(comparison.facts['mapping'])}")
            if options.json:  # after every work: a run that is cut short keeps what it has
                write_json(
                    options.json, comparisons, protocol, kept=before.comparisons,
                    device=facts, before=before.heads,
                )  # fmt: skip
    print("\n" + table(HEADERS, [row for c in comparisons for row in rows_of(c)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
