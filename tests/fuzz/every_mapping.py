"""One random program in every mapping of the Triton backend, beside NumPy, against the oracle.

In: a seed, of a program of the language or of a cell built node by node. Out: a `Tried`.
"""

from __future__ import annotations

import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from random import Random

import numpy as np

import rnnc
from rnnc.compiler import choose
from tests.compiler.backends.random_cells import random_cell
from tests.compiler.backends.triton_runs import (
    by_triton,
    forced,
    programs_of,
    way_of,
    ways_of,
)
from tests.compiler.run_scans import NO_MASKS, by_oracle
from tests.fuzz.check import (
    SENSITIVE,
    Run,
    by_steps,
    draw,
    draw_masks,
    excesses_of_float32,
    excesses_of_float64,
    run_of,
    sensitivity_of,
)
from tests.fuzz.generator import Source, generate
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import Bound

SIZES_OF_CELLS = ((5, 2), (3, 17), (4, 1))  # steps, rows


@dataclass(frozen=True)
class Tried:
    """What became of one program."""

    source: Source  # a cell built node by node has no text
    words: str
    ways: tuple[str, ...]  # forward, backward and dtype of every run on Triton
    failures: tuple[str, ...]

    def __str__(self) -> str:
        head = f"{'program' if self.source.text else 'cell'} {self.source.seed}: {self.words}"
        return "\n".join([head, *self.failures, "", self.source.text])


def try_program(source: Source) -> Tried:
    """A program of the language."""
    return _try(source, lambda: run_of(source))


def try_seed(seed: int) -> Tried:
    return try_program(generate(seed))


def try_cell(seed: int) -> Tried:
    """A cell built node by node."""
    source = Source(seed, "", "", (), {}, 1)
    return _try(source, lambda: _run_of_cell(source))


def _run_of_cell(source: Source) -> Run:
    cell, (steps, rows) = random_cell(source.seed), SIZES_OF_CELLS[source.seed % 3]
    numbers = rounded(draw(cell, source, steps, rows))
    masks = draw_masks(source.seed, steps, rows, [0, 1, 2]) if source.seed % 2 else NO_MASKS
    return Run(cell, numbers, masks, source.seed % 5 == 0, source.seed % 3 == 0)


def _try(source: Source, make: Callable[[], Run]) -> Tried:
    words, ways, failures = "", list[str](), list[str]()
    try:
        run = make()
        words, sensitivity = run.words, sensitivity_of(run)
        if max(sensitivity.values, sensitivity.gradients) > SENSITIVE:
            run = by_steps(run)
            sensitivity = sensitivity_of(run)
        failures += _failures(run, sensitivity, Random(source.seed), ways)
    except Exception as error:
        failures.append(_told(error))
    return Tried(source, words, tuple(ways), tuple(failures))


def _failures(run: Run, sensitivity: Bound, random: Random, ways: list[str]) -> Iterator[str]:
    wanted = by_oracle(run.cell, run.numbers, run.masks)
    program = rnnc.compile(run.cell, "numpy", "float64", exact=run.exact)
    with np.errstate(all="ignore"):
        on_numpy = by_program(program, run.numbers, run.masks)
    yield from (f"numpy: {line}" for line in excesses_of_float64(run, on_numpy, wanted))
    with products_of_any_size():
        programs = programs_of(run.cell, run.masks, exact=run.exact)
    n = run.numbers
    for way in sorted({way for choices in programs.choices for way in ways_of(choices)}):
        pair = forced(programs, way, random.randrange(100), steps=n.steps, rows=n.rows)
        for dtype in ("float64", *(["float32"] if run.narrow else [])):
            ways.append(f"{way_of(pair.forward)}, {way_of(pair.backward)}, {dtype}")
            try:
                found = by_triton(run.cell, programs, pair, n, run.masks, dtype)
            except Exception as error:
                yield f"{way} in {dtype}: {_told(error)}, as {pair}"
                continue
            if dtype == "float64":
                lines = excesses_of_float64(run, found, wanted)
            else:
                lines = excesses_of_float32(run, found, wanted, sensitivity)
            yield from (f"{way} in {dtype}: {line}, as {pair}" for line in lines)


@contextmanager
def products_of_any_size() -> Iterator[None]:
    """Steps are divided however few rows of a weight that leaves: it is slow, and must be right."""
    usual = choose.LEAST_ROWS
    choose.LEAST_ROWS = 1
    try:
        yield
    finally:
        choose.LEAST_ROWS = usual


def _told(error: BaseException) -> str:
    """The first cause of an error, and where it was."""
    while error.__cause__ is not None:
        error = error.__cause__
    where = traceback.extract_tb(error.__traceback__)[-1]
    head, _, _ = str(error).partition("\n")
    return f"{type(error).__name__} in {where.name}: {head}"
