"""Random programs as ensembles, against their members run apart: `python -m tests.fuzz.ensembles`.

In: a seed, of a program of the language and of a cell built node by node. Out: what of its ensemble
is not what the members give. What amplifies errors is compared step by step, as `check` does.
Exits with 1 if anything differs.
"""

from __future__ import annotations

import argparse
import sys
import time
import traceback
from random import Random

import rnnc
from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.ir import Cell
from rnnc.compiler.verify import verify
from tests.compiler.backends.random_cells import random_cell
from tests.compiler.members import member_of, together
from tests.compiler.run_scans import NO_MASKS
from tests.fuzz.check import SENSITIVE, Run, build, by_steps, draw, draw_masks, sensitivity_of
from tests.fuzz.generator import Source, generate
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import Bound, excesses

COUNT = 2
SEPARATE_RUNS = Bound(1e-12, 1e-11)
SIZES = ((5, 2), (3, 3), (4, 1), (1, 2))  # steps, rows


def failures(source: Source) -> list[str]:
    """What differs; nothing if all is right. A source without text is a cell built node by node."""
    try:
        cell = build(source) if source.text else random_cell(source.seed)
        return _differences(cell, source)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return [f"{type(error).__name__} in {where.name}: {error}"]


def sources(seed: int) -> tuple[Source, Source]:
    """The program and the cell of a seed; a row of a table that every cell has."""
    return generate(seed), Source(seed, "", "", (), {}, 3)


def _differences(cell: Cell, source: Source) -> list[str]:
    random = Random(f"ensemble {source.seed}")
    shared, exact = random.random() < 0.5, random.random() < 0.2
    steps, rows = random.choice(SIZES)
    used = random.sample(range(3), random.randrange(4))
    masks = draw_masks(source.seed, steps, rows, used) if used else NO_MASKS
    whole = ensembled(cell, COUNT, shared_inputs=shared)
    verify(whole)
    run = Run(whole, rounded(draw(whole, source, steps, rows)), masks, exact, narrow=False)
    sensitivity = sensitivity_of(run)
    if max(sensitivity.values, sensitivity.gradients) > SENSITIVE:
        run = by_steps(run)
    found = by_program(rnnc.compile(whole, "numpy", "float64", exact=exact), run.numbers, run.masks)
    member = rnnc.compile(cell, "numpy", "float64", exact=exact)
    apart = [member_of(run.numbers, at, shared_inputs=shared) for at in range(COUNT)]
    runs = [by_program(member, numbers, run.masks) for numbers in apart]
    return excesses(found, together(runs, shared_inputs=shared), SEPARATE_RUNS)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.ensembles", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="the first")
    parser.add_argument("--count", type=int, default=500, help="how many seeds")
    options = parser.parse_args()
    begun, failed = time.perf_counter(), 0
    for seed in range(options.seed, options.seed + options.count):
        for source in sources(seed):
            lines = failures(source)
            if lines:
                failed += 1
                what = "program" if source.text else "cell"
                print("\n".join([f"{what} {seed}", *lines, source.text]), flush=True)
    print(f"{2 * options.count} ensembles, {failed} failed; {time.perf_counter() - begun:.0f} s")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
