"""`rnnc graph`: a picture of a cell.

In: a file, a cell, sizes, and what to draw. Out: SVG, or text for Mermaid, on standard output or in
a file.
"""

from __future__ import annotations

from ..compiler.drawing import draw
from ..compiler.pipeline import Goal
from .output import write
from .printing import out, out_json
from .settings import Settings, bind, pick, read_library
from .stages import read_masks
from .statuses import FINE


def graph(
    path: str, name: str | None, settings: Settings, *, unrolled: bool, backward: bool, form: str,
    target: str, masks: str, exact: bool, backend: str, as_json: bool,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path, name, settings: a file or "std", a cell, its sizes and options.
        unrolled: draw three steps rather than one.
        backward: draw the backward scan.
        form: "svg" or "mermaid".
        target: a file that is written, or "-".
        masks, exact, backend: what the cell is compiled for, as for `show`.
        as_json: print the picture as a JSON document; with a file, where it is.
    Returns:
        The exit status.
    """
    goal = Goal(read_masks(masks), record=True, exact=exact, backend=backend)
    cell = bind(pick(read_library(path), name), settings)
    text = draw(cell, goal, backward=backward, unrolled=unrolled, form=form)
    if target != "-":
        write(target, text.encode())
    if as_json:
        where = {"text": text} if target == "-" else {"file": target}
        out_json({"ok": True, "cell": cell.name, "format": form, **where})
    elif target == "-":
        out(text.rstrip("\n"))
    return FINE
