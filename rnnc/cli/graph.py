"""`rnnc graph`: a picture of a cell.

In: a file, a cell, sizes, and what to draw. Out: SVG, or text for Mermaid, on standard output or in
a file.
"""

from __future__ import annotations

from ..compiler.drawing import draw
from .output import write
from .printing import out, out_json
from .stages import View
from .statuses import FINE


def graph(view: View, *, unrolled: bool, form: str, target: str, as_json: bool) -> int:
    """Run the command.

    Args:
        view: of which cell, and compiled for what.
        unrolled: draw three steps rather than one.
        form: "svg" or "mermaid".
        target: a file that is written, or "-".
        as_json: print the picture as a JSON document; with a file, where it is.
    Returns:
        The exit status.
    """
    goal, cell = view.goal(), view.bound(view.template())
    text = draw(cell, goal, backward=view.backward, unrolled=unrolled, form=form)
    if target != "-":
        write(target, text.encode())
    if as_json:
        where = {"text": text} if target == "-" else {"file": target}
        out_json({"ok": True, "cell": cell.name, "format": form, **where})
    elif target == "-":
        out(text.rstrip("\n"))
    return FINE
