"""`rnnc diff`: what a pass changes in a cell.

In: a cell, its sizes and a pass. Out: the IR before and after the pass, as a unified diff.
"""

from __future__ import annotations

import sys

from ..compiler.pipeline import Goal, stages
from ..compiler.text import show as text_of
from .differences import out_diff, unified
from .errors import UsageError
from .printing import out_json
from .settings import Settings, bind, pick, read_library
from .stages import pass_number, passes_of, read_masks, text_after
from .statuses import FINE


def diff(
    path: str, name: str | None, settings: Settings, *, stage: str, backward: bool, masks: str,
    exact: bool, backend: str, as_json: bool,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path: a file, or "std".
        name: a cell; None for the only one.
        settings: its sizes and options.
        stage: a pass, or its number. A pass that runs several times has a diff for each time that
            it changes something.
        backward: of the backward scan instead of the forward one.
        masks: words of "starts,boundaries,lengths", what the program's calls use.
        exact: as exact programs are compiled.
        backend: whose passes; nothing is run.
        as_json: print one JSON document instead of the diff alone.
    Returns:
        The exit status: 0, whether the pass changes anything or not.
    """
    template = pick(read_library(path), name)
    goal = Goal(read_masks(masks), record=True, exact=exact, backend=backend)
    number = pass_number(stage, goal)
    cell = bind(template, settings)
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
