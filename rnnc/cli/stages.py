"""How commands name what the compiler does: masks and passes; and what a pass leaves behind.

In: words of a call. Out: what a program is compiled for, the numbers of passes, and text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from ..compiler.elaborate.hints import closest
from ..compiler.ir import Scans
from ..compiler.pipeline import PIPELINE, Goal
from ..compiler.text import show as text_of
from ..compiler.text import show_plan
from .errors import UsageError

MASKS: Final = {"starts": "starts", "boundaries": "boundaries", "lengths": "valid"}


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
    return {
        number: step.name
        for number, step in enumerate(PIPELINE, 1)
        if (step.exact or not goal.exact) and goal.backend in step.backends
    }


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
