"""`rnnc diff`: what a pass changes in a cell.

In: a cell, its sizes and a pass. Out: the IR before and after the pass, as a unified diff.
"""

from __future__ import annotations

import sys

from ..compiler.pipeline import stages
from ..compiler.text import show as text_of
from .differences import out_diff, unified
from .errors import UsageError
from .printing import out_json
from .stages import View, pass_number, passes_of, text_after
from .statuses import FINE


def diff(view: View, *, stage: str, as_json: bool) -> int:
    """Run the command.

    Args:
        view: of which cell, and compiled for what.
        stage: a pass, or its number. A pass that runs several times has a diff for each time that
            it changes something.
        as_json: print one JSON document instead of the diff alone.
    Returns:
        The exit status: 0, whether the pass changes anything or not.
    """
    template, goal, backward = view.template(), view.goal(), view.backward
    number = pass_number(stage, goal)
    cell = view.bound(template)
    before, done_before = "" if backward else text_of(cell), "the cell"
    lines: list[str] = []
    for at, done in zip(passes_of(goal), stages(cell, goal), strict=False):
        after = text_after(done.value, backward=backward)
        if at == number or done.pass_.name == stage:
            names = f"after {done_before}", f"after {at} {done.pass_.name}"
            lines += unified(before, after or "", *names)
        before, done_before = after or "", f"{at} {done.pass_.name}"
        if at == number:
            break
    if after is None:
        raise UsageError(f"there is no backward scan before 'differentiate' ({stage} is)")
    if as_json:
        text = "\n".join(lines)
        out_json({"ok": True, "cell": template.name, "pass": done.pass_.name, "diff": text})
    else:
        out_diff(lines)
        if not lines:
            print(f"rnnc: {done.pass_.name} changes nothing here", file=sys.stderr)
    return FINE
