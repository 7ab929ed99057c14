"""`net.report()`: the compiler's report on the programs that a net runs.

In: a program, and how large calls are. Out: a report. What writes it is imported when one is asked
for, so that a net costs no more for having it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

from ..compiler.mapping import Extent
from ..compiler.pipeline import USUAL as USUAL
from .errors import SettingError
from .program import Program

if TYPE_CHECKING:
    from ..compiler.report import Report
    from .recur import Recur


def report_of(program: Program, what: str, steps: int, rows: int) -> Report:
    """The report on a program that records, for calls without masks.

    Args:
        what: whose it is.
    Raises:
        SettingError: `steps` or `rows` is no number of them.
    """
    _check_sizes(steps, rows)
    from ..compiler.pipeline import Goal
    from ..compiler.report import report

    itemsize = program.arrays.element.itemsize
    near = Extent.near(rows, itemsize)
    goal = Goal((), True, program.exact, program.backend.name, program.fast, near)
    programs = program.variant(record=True, batch=rows)
    title = f"{what} on {program.backend.name}"
    extent = Extent(steps, rows, itemsize)
    return report(program.cell, programs, goal, title=title, dtype=program.dtype, extent=extent)


def report_of_layers(
    nets: Mapping[str, Recur], what: str, facts: Mapping[str, str], steps: int, rows: int
) -> Report:
    """One report on the programs of several nets, which have their numbers in common.

    Args:
        nets: by path.
        what: whose they are; `facts` are further lines about it.
    Raises:
        As `report_of`.
    """
    _check_sizes(steps, rows)
    from ..compiler.report import Report, recorded_bytes

    first = next(iter(nets.values()))._program
    itemsize = first.arrays.element.itemsize
    near = Extent.near(rows, itemsize)
    sections, recorded = [], 0
    for path, net in nets.items():
        one = report_of(net._program, f"{net}", steps, rows)
        (_, general), *sides = one.sections
        numbers, *others = general
        sections.append((f"{path}: {net._bound}", tuple(others)))
        sections += [(f"{path}: {side} pass", lines) for side, lines in sides]
        recorded += recorded_bytes(net._program.variant(record=True, batch=rows).scans, near)
    count = sum(math.prod(p.node.type.shape) for net in nets.values() for p in net._cell.params)
    whole = (
        numbers,
        ("parameters", f"{count:,} numbers, {count * itemsize:,} bytes"),
        ("recorded", f"{recorded:,} bytes a step and row"),
        *facts.items(),
    )
    return Report(f"{what} on {first.backend.name}", (("", whole), *sections))


def _check_sizes(steps: int, rows: int) -> None:
    for name, number in (("steps", steps), ("rows", rows)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise SettingError(f"{name} is a number of {name}, at least 1, got {number!r}")
