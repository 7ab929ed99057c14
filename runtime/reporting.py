"""`net.report()`: the compiler's report on the programs that a net runs.

In: a program, and how large calls are. Out: a report. What writes it is imported when one is asked
for, so that a net costs no more for having it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..compiler.mapping import Extent
from ..compiler.pipeline import USUAL as USUAL
from .errors import SettingError
from .program import Program

if TYPE_CHECKING:
    from ..compiler.report import Report


def report_of(program: Program, what: str, steps: int, rows: int) -> Report:
    """The report on a program that records, for calls without masks.

    Args:
        what: whose it is.
    Raises:
        SettingError: `steps` or `rows` is no number of them.
    """
    for name, number in (("steps", steps), ("rows", rows)):
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise SettingError(f"{name} is a number of {name}, at least 1, got {number!r}")
    from ..compiler.pipeline import Goal
    from ..compiler.report import report

    itemsize = program.arrays.element.itemsize
    near = Extent.near(rows, itemsize)
    goal = Goal((), True, program.exact, program.backend.name, program.fast, near)
    programs = program.variant(record=True, batch=rows)
    title = f"{what} on {program.backend.name}"
    extent = Extent(steps, rows, itemsize)
    return report(program.cell, programs, goal, title=title, dtype=program.dtype, extent=extent)
