"""Kernels of standard cells, compiled for devices that are not here: `python -m` NAMES prints JSON.

A process of its own, since the tests' one has imported Triton as an interpreter.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator

from rnnc.compiler.ir import Cell
from rnnc.compiler.library import std
from rnnc.compiler.mapping import ALTERNATING, Extent
from rnnc.compiler.pipeline import Goal, Programs, compile_cell
from rnnc.compiler.summary import sample_sizes
from rnnc.runtime.aot import compile_fitting, fits

TARGETS = ("sm_80", "sm_90")  # of the others `tests/runtime/test_aot.py` compiles a loop each


def faults(cell: Cell) -> dict[str, list[str]]:
    """By target, what is wrong with the kernels that are taken; the plainest may spill."""
    programs = compile_cell(cell, Goal(backend="triton", extent=Extent(itemsize=2)))
    return {target: list(_faults(programs, target)) for target in TARGETS}


def _faults(programs: Programs, target: str) -> Iterator[str]:
    for taken in compile_fitting(programs, "bfloat16", target):
        for report in taken.reports:
            if report.problem or not (fits(report) or taken.mapping == ALTERNATING):
                yield f"{taken.mapping}, {report.kernel}: {report.problem or 'spills in a step'}"


def main(names: list[str]) -> None:
    library = std()
    cells = {name: library[name](**sample_sizes(library[name])) for name in names}
    json.dump({name: faults(cell) for name, cell in cells.items()}, sys.stdout)


if __name__ == "__main__":
    main(sys.argv[1:])
