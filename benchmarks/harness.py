"""The one way this project measures time: contenders on one work, checked, then timed in turns.

In: contenders, each a name and a function of no arguments that does the work once and returns what
it computed.
Out: for each contender the times of its samples and its paired ratios; a table; a JSON file.

A ratio of two medians taken one after the other measures the machine's mood as much as the
programs. Here every round times every contender once, in an order drawn anew, and a ratio is formed
inside a round: what slows the machine for a while slows both sides. The first contender is the
reference: the others must compute what it computes before anybody is timed, and a ratio is the
reference's time over the contender's (2 means twice as fast).
"""

from __future__ import annotations

import argparse
import gc
import json
import os
import platform
import random
import shlex
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

# The seconds that so many runs of a work take.
Sampler: TypeAlias = Callable[[Callable[[], object], int], float]

THREAD_VARIABLES = ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS")
SMALLEST_SCALE = 1e-30  # an array of zeros is compared absolutely, and may differ by nothing


@dataclass(frozen=True)
class Contender:
    """A program that does the work once per call and returns arrays, in dicts and sequences."""

    name: str
    run: Callable[[], object]


@dataclass(frozen=True)
class Protocol:
    """How long to measure.

    Args:
        rounds: samples of each contender.
        minimum_time: a sample repeats the work until it lasts this long, in seconds.
        seed: of the order inside the rounds.
    """

    rounds: int = 15
    minimum_time: float = 0.05
    seed: int = 0


@dataclass(frozen=True)
class Spread:
    """Five numbers of a sample."""

    median: float
    minimum: float
    lower_quartile: float
    upper_quartile: float
    maximum: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value."""
        lower, median, upper = (float(q) for q in np.quantile(values, (0.25, 0.5, 0.75)))
        return cls(median, min(values), lower, upper, max(values))


@dataclass(frozen=True)
class Timing:
    """What one contender took."""

    name: str
    inner_loops: int  # runs per sample
    seconds: list[float]  # per run, one entry a round
    spread: Spread
    error: float  # largest relative difference from the reference's results
    ratios: list[float]  # reference's time over this one's, round by round
    ratio: Spread


@dataclass(frozen=True)
class Comparison:
    """One piece of work, measured."""

    name: str
    facts: Mapping[str, Any]  # what the work was: sizes, data type
    timings: list[Timing]
    targets: Mapping[str, float] = field(default_factory=dict)  # contender -> least ratio wanted


class WrongResult(Exception):
    """A contender computes something else than the reference; it is not timed."""


def leaves(value: object, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every array of a result with the path that leads to it: `("1.W", array)`."""
    if isinstance(value, Mapping):
        for key in sorted(value):
            yield from leaves(value[key], f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, part in enumerate(value):
            yield from leaves(part, f"{path}.{index}" if path else str(index))
    elif value is not None:
        yield path or "result", np.asarray(value)


def relative_error(found: object, expected: object) -> float:
    """The largest difference between two results, relative to the largest entry of its array.

    Args:
        found, expected: arrays, or dicts and sequences of arrays, of the same structure.
    Returns:
        The maximum over arrays of `max |found - expected| / max |expected|`.
    Raises:
        WrongResult: the structure or a shape differs, or one of them is not finite.
    """
    ours, theirs = dict(leaves(found)), dict(leaves(expected))
    if ours.keys() != theirs.keys():
        raise WrongResult(f"returns {sorted(ours)}, the reference {sorted(theirs)}")
    worst = 0.0
    for path, reference in theirs.items():
        value = ours[path]
        if value.shape != reference.shape:
            raise WrongResult(f"{path} has shape {value.shape}, the reference's {reference.shape}")
        if not (np.isfinite(value).all() and np.isfinite(reference).all()):
            raise WrongResult(f"{path} is not finite")
        if value.size:
            difference = float(np.abs(value.astype("float64") - reference).max())
            worst = max(worst, difference / max(float(np.abs(reference).max()), SMALLEST_SCALE))
    return worst


def check(contenders: Sequence[Contender], tolerance: float) -> list[float]:
    """Run every contender once and compare it with the first.

    Args:
        contenders: the reference first.
        tolerance: largest relative error allowed.
    Returns:
        The errors, in order; the reference's is 0.
    Raises:
        WrongResult: names the contender and what is wrong with it.
    """
    expected = contenders[0].run()
    errors = [0.0]
    for contender in contenders[1:]:
        try:
            error = relative_error(contender.run(), expected)
        except WrongResult as problem:
            raise WrongResult(f"{contender.name}: {problem}") from None
        if error > tolerance:
            raise WrongResult(
                f"{contender.name}: off by {error:.2g} relative to {contenders[0].name}, "
                f"allowed {tolerance:.2g}"
            )
        errors.append(error)
    return errors


def by_clock(clock: Callable[[], float] = time.perf_counter) -> Sampler:
    """Samples by a clock that says the seconds since some moment; tests put their own here."""

    def sample(run: Callable[[], object], repeats: int) -> float:
        start = clock()
        for _ in range(repeats):
            run()
        return clock() - start

    return sample


def compare(
    name: str,
    contenders: Sequence[Contender],
    *,
    tolerance: float,
    protocol: Protocol,
    facts: Mapping[str, Any] | None = None,
    targets: Mapping[str, float] | None = None,
    sample: Sampler | None = None,
) -> Comparison:
    """Check the contenders against the first one, then time them in turns.

    Args:
        name: of the work.
        contenders: at least one, the reference first, names distinct.
        tolerance: largest relative error allowed before anything is timed.
        protocol: rounds, time per sample and seed.
        facts: what the work was, for the record.
        targets: least ratios wanted, by contender.
        sample: how time is taken; by the clock unless told otherwise.
    Returns:
        Times and paired ratios.
    Raises:
        WrongResult: a contender is wrong; then none was timed.
    Cost: about `rounds * len(contenders) * minimum_time` seconds; more where one run is longer.
    """
    errors = check(contenders, tolerance)
    timings = time_in_turns(contenders, errors, protocol, sample or by_clock())
    return Comparison(name, dict(facts or {}), timings, dict(targets or {}))


def time_in_turns(
    contenders: Sequence[Contender], errors: Sequence[float], protocol: Protocol, sample: Sampler
) -> list[Timing]:
    """Time contenders that are right, as `compare` does.

    Args:
        contenders: at least one, the reference first.
        errors: of each, for the record.
    """
    collecting = gc.isenabled()
    gc.disable()
    gc.freeze()  # what there is already is not looked through in every round
    try:
        loops = [
            _calibrate(contender.run, protocol.minimum_time, sample) for contender in contenders
        ]
        seconds: list[list[float]] = [[] for _ in contenders]
        order = list(range(len(contenders)))
        shuffler = random.Random(protocol.seed)
        for _ in range(protocol.rounds):
            gc.collect()
            shuffler.shuffle(order)
            for index in order:
                run, repeats = contenders[index].run, loops[index]
                seconds[index].append(sample(run, repeats) / repeats)
    finally:
        gc.unfreeze()
        if collecting:
            gc.enable()

    timings = []
    for index, contender in enumerate(contenders):
        pairs = zip(seconds[0], seconds[index], strict=True)
        ratios = [reference / own for reference, own in pairs]
        spread, ratio = Spread.of(seconds[index]), Spread.of(ratios)
        timings.append(
            Timing(
                contender.name, loops[index], seconds[index], spread, errors[index], ratios, ratio
            )
        )
    return timings


def merged(comparisons: Sequence[Comparison]) -> Comparison:
    """Rounds of the same contenders on the same work, one comparison after the other, as one."""
    first = comparisons[0]
    timings = []
    for of_one in zip(*(comparison.timings for comparison in comparisons), strict=True):
        assert len({timing.name for timing in of_one}) == 1, "the same contenders"
        seconds = [each for timing in of_one for each in timing.seconds]
        ratios = [each for timing in of_one for each in timing.ratios]
        timings.append(
            replace(
                of_one[0], seconds=seconds, spread=Spread.of(seconds), ratios=ratios,
                ratio=Spread.of(ratios), error=max(timing.error for timing in of_one),
            )
        )  # fmt: skip
    return replace(first, timings=timings)


def _calibrate(run: Callable[[], object], minimum_time: float, sample: Sampler) -> int:
    """How often to run in one sample; trying it out is the warm-up too."""
    repeats = 1
    while (elapsed := sample(run, repeats)) < minimum_time:
        # Aim a little beyond, but never trust one short sample for more than a tenfold step.
        aim = 1.2 * repeats * minimum_time / max(elapsed, 1e-9)
        repeats = min(10 * repeats, max(repeats + 1, round(aim)))
    return repeats


def describe_machine() -> dict[str, Any]:
    """The machine and the libraries in plain words, as they belong beside any figure."""
    processor = platform.processor() or platform.machine()
    if (cpuinfo := Path("/proc/cpuinfo")).exists():
        models = [
            line for line in cpuinfo.read_text().splitlines() if line.startswith("model name")
        ]
        processor = models[0].split(":", 1)[1].strip() if models else processor
    config: Any = np.show_config(mode="dicts")
    blas = config["Build Dependencies"]["blas"]
    threads = [f"{name}={os.environ[name]}" for name in THREAD_VARIABLES if name in os.environ]
    return {
        "processor": processor,
        "cores": len(os.sched_getaffinity(0)) if sys.platform == "linux" else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
        "blas": f"{blas['name']} {blas['version']}",
        "blas threads": " ".join(threads) or "not set: the library's own choice",
        "load at the start": round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None,
    }


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options every benchmark has."""
    defaults = Protocol()
    parser.add_argument(
        "--quick", action="store_true", help="a small part of the work, less surely"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample to FILE")
    parser.add_argument("--rounds", type=int, default=defaults.rounds, help="samples of each")
    parser.add_argument(
        "--sample", type=float, default=defaults.minimum_time, metavar="SECONDS",
        help="that each lasts at least",
    )  # fmt: skip
    parser.add_argument("--seed", type=int, default=defaults.seed, help="order inside the rounds")
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of BLAS (default: its own)"
    )


def start(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Parse the command line; where `--threads` asks for it, begin anew with that many.

    BLAS reads its number of threads when it is loaded, which has happened by now: only a fresh
    process can have another one.
    """
    options = parser.parse_args()
    if options.threads is not None:
        wanted = dict.fromkeys(THREAD_VARIABLES, f"{options.threads}")
        if any(os.environ.get(name) != value for name, value in wanted.items()):
            sys.stdout.flush()
            command = [sys.executable, *sys.orig_argv[1:]]
            os.execve(sys.executable, command, {**os.environ, **wanted})
    return options


def protocol_of(options: argparse.Namespace) -> Protocol:
    """What the common options ask for."""
    if options.quick:
        return Protocol(min(options.rounds, 5), 0.02, options.seed)
    return Protocol(options.rounds, options.sample, options.seed)


def write_json(
    path: Path, comparisons: Sequence[Comparison], protocol: Protocol, *,
    kept: Sequence[Mapping[str, Any]] = (), **more: object,
) -> None:  # fmt: skip
    """Every sample, with the date, the machine and the command that repeats it.

    Args:
        kept: comparisons that a file had before, which stay in front.
    """
    record = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": describe_machine(),
        "command": shlex.join(["python", *sys.orig_argv[1:]]),
        "protocol": asdict(protocol),
        "comparisons": [*kept, *(asdict(comparison) for comparison in comparisons)],
        **more,
    }
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Columns of text: the first one to the left, figures to the right."""
    widths = [max(map(len, column)) for column in zip(headers, *rows, strict=True)]
    lines = []
    for row in (headers, ["-" * width for width in widths], *rows):
        first, *others = zip(row, widths, strict=True)
        cells = [first[0].ljust(first[1]), *(cell.rjust(width) for cell, width in others)]
        lines.append("  ".join(cells).rstrip())
    return "\n".join(lines)


def milliseconds(spread: Spread) -> str:
    """`1.23 (1.20 to 1.31)`: median and quartiles, in ms."""
    seconds = (spread.median, spread.lower_quartile, spread.upper_quartile)
    middle, low, high = (f"{1e3 * s:.0f}" if s >= 1 else f"{1e3 * s:.3g}" for s in seconds)
    return f"{middle} ({low} to {high})"


def print_machine() -> None:
    """The machine, one fact a line."""
    for key, value in describe_machine().items():
        print(f"{key}: {value}")
    print()
