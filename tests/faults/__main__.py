"""Faults, many of them: `python -m tests.faults allocations --seed 0 --count 1000 --log FILE`.

In: kinds of faults, all by default, each with a count. Out: a line for each on standard output, or
in a file, with what was found; exits with 1 if anything was.
"""

from __future__ import annotations

import argparse
import platform
import sys
import time
from collections.abc import Callable, Mapping
from datetime import date
from pathlib import Path
from typing import Final

import lark
import numpy as np

import rnnc
from tests.faults import allocations, audit, cache, interrupts, soak, threads

Run = Callable[[int, int], tuple[str, list[str]]]  # (count, seed) -> what was done, what is wrong

KINDS: Final[Mapping[str, tuple[Run, int]]] = {
    "first": (interrupts.first_times, 60),  # before a kind that compiles in this process
    "allocations": (allocations.all_of_them, 1),
    "audit": (audit.sources, 300),
    "cold-cache": (cache.cold_rounds, 50),
    "interrupts": (interrupts.many, 5000),
    "killed": (cache.kills, 100),
    "signals": (interrupts.signals, 5000),
    "soak": (soak.calls, 10_000),
    "threads": (threads.side_by_side, 2000),
}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("kinds", nargs="*", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, help="of each kind; its own by default")
    parser.add_argument("--log", type=Path, help="a file to write to, instead")
    options = parser.parse_args()
    unknown = set(options.kinds) - set(KINDS)
    if unknown:
        parser.error(f"there is no {', '.join(sorted(unknown))}")
    lines = [
        f"$ python -m tests.faults {' '.join(sys.argv[1:])}",
        f"{date.today()}, rnnc {rnnc.__version__}, Python {platform.python_version()}, NumPy "
        f"{np.__version__}, lark {lark.__version__}, {platform.system()} {platform.machine()}",
    ]
    found = False
    for kind in options.kinds or KINDS:
        run, usual = KINDS[kind]
        begun = time.perf_counter()
        done, wrong = run(usual if options.count is None else options.count, options.seed)
        lines.append(f"{done}: {len(wrong)} wrong, {time.perf_counter() - begun:.0f} s")
        lines += [f"  {line}" for line in wrong]
        found = found or bool(wrong)
    text = "".join(f"{line}\n" for line in lines)
    if options.log:
        options.log.write_text(text, "utf-8")
    else:
        print(text, end="")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
