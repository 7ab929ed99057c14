"""Hold random programs against the oracle: `python -m tests.fuzz --seed 0 --count 2000`.

Prints what fails: its seed, what is wrong, and the program, made smaller as far as it goes. Exits
with 1 if any did. The same seeds give the same programs and numbers on every machine.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path

import rnnc
from tests.fuzz.check import Report, check
from tests.fuzz.generator import Source, generate
from tests.fuzz.log import Log, versions
from tests.fuzz.reduce import reduced


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first program")
    parser.add_argument("--count", type=int, default=2000, help="how many programs")
    parser.add_argument("--show", action="store_true", help="print every program, do not run it")
    parser.add_argument("--no-reduce", action="store_true", help="print failing programs whole")
    parser.add_argument("--log", type=Path, help="a file for all that is printed")
    parser.add_argument("--keep", type=Path, help="a folder for the failing programs")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    if options.show:
        print("\n".join(f"# seed {seed}\n{generate(seed).text}" for seed in seeds))
        return 0
    log, begun = Log(options.log), time.perf_counter()
    log(" ".join(["python -m tests.fuzz", *sys.argv[1:]]))
    log(versions())
    with tempfile.TemporaryDirectory() as cache, rnnc.options(cache=cache):
        failed = sensitive = 0
        for seed in with_progress(seeds):
            report = check(generate(seed))
            sensitive += report.sensitive
            if report.failures:
                failed += 1
                shown = report if options.no_reduce else smaller(report)
                log(f"\n{shown}")
                if options.keep:
                    options.keep.mkdir(parents=True, exist_ok=True)
                    (options.keep / f"seed_{seed}.rnn").write_text(as_file(shown), "utf-8")
    log(
        f"{len(seeds)} programs, {failed} failed; {sensitive} were sensitive and compared step by "
        f"step; {time.perf_counter() - begun:.0f} s"
    )
    return 1 if failed else 0


def with_progress(seeds: range) -> Iterable[int]:
    """The seeds, with a bar where somebody watches and tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return seeds
    watched: Iterable[int] = tqdm(seeds, disable=None, file=sys.stderr, unit="program")
    return watched


def kind_of(failure: str) -> str:
    """What sort of failure it is: those of one sort are taken for one mistake."""
    return failure.partition(":")[0]


def smaller(report: Report) -> Report:
    """The report of a smaller program that fails in the same way."""
    kind = kind_of(report.failures[0])

    def fails(source: Source) -> bool:
        return any(kind_of(failure) == kind for failure in check(source).failures)

    return check(reduced(report.source, fails))


def as_file(report: Report) -> str:
    """The program under what is wrong with it."""
    told, _, text = str(report).partition("\n\n")
    sizes, settings = report.source.sizes, report.source.options
    return "".join(f"# {line}\n" for line in [*told.splitlines(), f"{sizes} {settings}"]) + text


if __name__ == "__main__":
    sys.exit(main())
