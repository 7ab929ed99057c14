"""How commands name what the compiler does: programs, masks and passes; and what a pass leaves.

In: words of a call. Out: a cell and what it is compiled for, the numbers of passes, and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

from ..compiler.elaborate.hints import closest
from ..compiler.ir import Cell, Scans
from ..compiler.library import Template
from ..compiler.pipeline import PIPELINE, Goal
from ..compiler.text import show as text_of
from ..compiler.text import show_plan
from .errors import UsageError
from .parser import MASKS
from .settings import Settings, bind, pick, read_library


@dataclass(frozen=True, slots=True)
class View:
    """Which program of which cell a command looks at."""

    path: str  # a file, "-", or "std"
    name: str | None  # of a cell; None for the only one
    settings: Settings  # its sizes and options
    backward: bool  # the backward program instead of the forward one
    masks: str  # what its calls use: words of `MASKS`
    exact: bool  # as exact programs are compiled
    backend: str  # whose passes, plan and source; nothing is run

    def template(self) -> Template:
        """The cell as it is written."""
        return pick(read_library(self.path), self.name)

    def bound(self, template: Template) -> Cell:
        """The cell with its sizes."""
        return bind(template, self.settings)

    def goal(self) -> Goal:
        """What it is compiled for.

        Raises:
            UsageError: there is no such mask.
        """
        return Goal(read_masks(self.masks), record=True, exact=self.exact, backend=self.backend)


def read_view(given: dict[str, Any]) -> View:
    """The view among the arguments of a command, which are taken out."""
    return View(**{field.name: given.pop(field.name) for field in fields(View)})


def read_masks(text: str) -> tuple[str, ...]:
    """The masks of `--masks starts,lengths`, as a `Goal` names them.

    Raises:
        UsageError: there is no such mask.
    """
    words = [word for word in text.replace(",", " ").split() if word]
    for word in words:
        if word not in MASKS:
            raise UsageError(f"--masks takes {', '.join(MASKS)}, not {word!r}")
    return tuple(inner for outer, inner in MASKS.items() if outer in words)


def passes_of(goal: Goal) -> dict[int, str]:
    """The passes that run, in order: number, as `rnnc passes` has it, and name."""
    return {number: step.name for number, step in enumerate(PIPELINE, 1) if step.serves(goal)}


def pass_number(name: str, goal: Goal, others: Sequence[str] = ()) -> int:
    """The number of the pass `name`: of several, of the last one. Or the pass of that number.

    Raises:
        UsageError: there is none, or it does not run; `others` are also offered.
    """
    numbers = passes_of(goal)
    found = [number for number, known in numbers.items() if name in (known, str(number))]
    if found:
        return found[-1]
    what, known = "stage" if others else "pass", [*others, *dict.fromkeys(numbers.values())]
    near = closest(name, known)
    advice = f"did you mean {near}?" if near else f"there are {', '.join(known)}, and their numbers"
    raise UsageError(f"there is no {what} {name!r} for {goal.backend}; {advice}")


def text_after(value: Any, *, backward: bool) -> str | None:
    """What a pass leaves behind, as text: a scan or a plan; None where there is no backward one."""
    if isinstance(value, Scans):
        scan = value.backward if backward else value.forward
        return None if scan is None else text_of(scan)
    _, forward_plan, backward_plan = value
    return show_plan(backward_plan if backward else forward_plan)
