"""Answer to spoilt sources: `python -m tests.fuzz.sources --seed 0 --count 100000`.

Prints one source for each sort of mistake that is found: its seed, what is wrong, and the text,
made smaller as far as it goes. Exits with 1 if there is any. The same seeds give the same sources
on every machine. `--log FILE` writes down what became of all of them.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from datetime import date
from multiprocessing import get_context
from pathlib import Path

import lark
import numpy as np

import rnnc
from tests.fuzz.answers import MEGABYTES, SECONDS, Answer, answer
from tests.fuzz.mutants import Mutant, mutant
from tests.fuzz.reduce import reduced_text

AT_ONCE = 200  # seeds that a process is given


@dataclass
class Tally:
    """What became of some sources."""

    count: int = 0
    outcomes: Counter[str] = field(default_factory=Counter)
    mutations: Counter[str] = field(default_factory=Counter)
    failures: dict[str, list[int]] = field(default_factory=dict)  # seeds by sort of mistake
    slowest: tuple[float, int] = (0.0, -1)  # seconds, seed
    largest: tuple[float, int] = (0.0, -1)  # megabytes, seed

    def add(self, tried: Mutant, found: Answer) -> None:
        self.count += 1
        self.outcomes[found.outcome] += 1
        self.mutations.update(tried.kind.split())
        for kind in dict.fromkeys(map(kind_of, found.failures)):
            self.failures.setdefault(kind, []).append(tried.seed)
        self.slowest = max(self.slowest, (found.seconds, tried.seed))
        self.largest = max(self.largest, (found.megabytes, tried.seed))

    def merge(self, other: Tally) -> None:
        self.count += other.count
        self.outcomes += other.outcomes
        self.mutations += other.mutations
        for kind, seeds in other.failures.items():
            self.failures.setdefault(kind, []).extend(seeds)
        self.slowest = max(self.slowest, other.slowest)
        self.largest = max(self.largest, other.largest)

    def lines(self) -> Iterator[str]:
        """The log."""
        yield f"{self.count:,} sources, {len(self.failures)} sorts of mistakes"
        for kind, seeds in self.failures.items():
            yield f"  WRONG {kind}: {len(seeds)}, seeds {', '.join(map(str, seeds[:8]))}"
        yield f"slowest: {self.slowest[0]:.2f} s of the processor, seed {self.slowest[1]}"
        yield f"largest: the process grew by {self.largest[0]:.0f} MB, seed {self.largest[1]}"
        yield f"allowed: {SECONDS:.0f} s, {MEGABYTES:.0f} MB"
        yield "answers:"
        yield from (f"  {number:7,} {code}" for code, number in self.outcomes.most_common())
        yield "mutations:"
        yield from (f"  {number:7,} {name}" for name, number in self.mutations.most_common())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.sources", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of the first source")
    parser.add_argument("--count", type=int, default=2000, help="how many sources")
    parser.add_argument("--jobs", type=int, default=1, help="how many processes")
    parser.add_argument("--minutes", type=float, default=1e9, help="after which it ends early")
    parser.add_argument("--log", type=Path, help="a file for what became of them")
    parser.add_argument("--show", action="store_true", help="print every source, do not try it")
    options = parser.parse_args()
    seeds = range(options.seed, options.seed + options.count)
    if options.show:
        for seed in seeds:
            shown = mutant(seed)
            print(f"# seed {seed}: {shown.kind} {' '.join(shown.settings)}\n{shown.text}")
        return 0
    begun = time.perf_counter()
    total = Tally()
    for part in _tallies(seeds, options.jobs, begun + 60 * options.minutes):
        for kind in part.failures.keys() - total.failures.keys():
            print(f"\n{kind}: seed {part.failures[kind][0]}", flush=True)
            print(_smaller(part.failures[kind][0], kind), flush=True)
        total.merge(part)
    lines = [*_heading(time.perf_counter() - begun), *total.lines()]
    print("\n".join(["", *lines]))
    if options.log:
        options.log.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return 1 if total.failures else 0


def tally(seeds: Iterable[int]) -> Tally:
    """What becomes of the sources of some seeds."""
    total = Tally()
    for seed in seeds:
        tried = mutant(seed)
        total.add(tried, answer(tried))
    return total


def _tallies(seeds: range, jobs: int, until: float) -> Iterator[Tally]:
    """Of all the seeds, or of the first ones that there is time for."""
    parts = [seeds[at : at + AT_ONCE] for at in range(0, len(seeds), AT_ONCE)]
    with ExitStack() as stack:
        found: Iterable[Tally] = map(tally, parts)
        if jobs > 1:
            pool = ProcessPoolExecutor(jobs, mp_context=get_context("spawn"))
            stack.callback(pool.shutdown, cancel_futures=True)
            found = pool.map(tally, parts)
        for part in with_progress(found, len(parts)):
            yield part
            if time.perf_counter() > until:
                return


def with_progress(parts: Iterable[Tally], count: int) -> Iterable[Tally]:
    """The parts, with a bar where somebody watches and tqdm is there."""
    try:
        from tqdm import tqdm
    except ImportError:
        return parts
    watched: Iterable[Tally] = tqdm(
        parts, total=count, disable=None, file=sys.stderr, unit=f"x{AT_ONCE}"
    )
    return watched


def kind_of(failure: str) -> str:
    """What sort of mistake it is: those of one sort are taken for one."""
    first = failure.partition("\n")[0]
    return first if first.startswith(("caret", "no ")) else first.partition(": ")[0]


def _smaller(seed: int, kind: str) -> str:
    """The report of a smaller source that is answered wrongly in the same way."""
    whole = mutant(seed)

    def fails(text: str) -> bool:
        tried = replace(whole, data=text.encode("utf-8", errors="surrogatepass"))
        return kind in map(kind_of, answer(tried).failures)

    text = reduced_text(whole.text, fails) if fails(whole.text) else whole.text
    found = answer(replace(whole, data=text.encode("utf-8", errors="surrogatepass")))
    said = [each for each in found.failures if kind_of(each) == kind] or [kind]
    settings = " ".join(f"--set {each}" for each in whole.settings)
    return f"seed {seed}: {whole.kind} {settings}\n{said[0]}\n{text!r:.2000}"


def _heading(seconds: float) -> list[str]:
    return [
        f"python -m tests.fuzz.sources {' '.join(sys.argv[1:])}",
        f"{date.today()}, rnnc {rnnc.__version__}, Python {platform.python_version()}, "
        f"NumPy {np.__version__}, Lark {lark.__version__}; {seconds:.0f} s",
    ]


if __name__ == "__main__":
    sys.exit(main())
