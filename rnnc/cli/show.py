"""`rnnc show`: one cell at one stage of the compiler.

In: a file, a cell, sizes and the name of a stage. Out: its syntax tree, its IR after any pass, its
plan, or its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

from ..compiler.ir import Cell
from ..compiler.pipeline import Goal, compile_cell, stages
from ..compiler.text import show as text_of
from ..grammar.syntax import Syntax
from .errors import UsageError
from .printing import out, out_json
from .stages import View, pass_number, passes_of, text_after
from .statuses import FINE

DEEPEST_INDENT: Final = 60  # of a syntax tree: deeper parts stay in line
OTHER_STAGES: Final = ("syntax", "cell", "derivative", "plan", "source", "report")


def show(view: View, *, stage: str, as_json: bool) -> int:
    """Run the command.

    Args:
        view: of which cell, and compiled for what.
        stage: "syntax", "cell", "derivative", "plan", "source", "report", a pass, or its number.
            Of a pass that runs several times, the last time.
        as_json: print one JSON document instead of the text alone.
    Returns:
        The exit status.
    """
    template = view.template()
    if stage == "syntax":
        text = "\n".join(syntax_lines(template.definition.declaration))
    else:
        goal = view.goal()
        wanted = 0 if stage in OTHER_STAGES else pass_number(stage, goal, OTHER_STAGES)
        text = _text(view.bound(template), goal, stage, wanted, view.backward).rstrip("\n")
    if as_json:
        out_json({"ok": True, "cell": template.name, "stage": stage, "text": text})
    else:
        out(text)
    return FINE


def _text(cell: Cell, goal: Goal, stage: str, number: int, backward: bool) -> str:
    if stage == "cell":
        return text_of(cell)
    if stage == "report":
        from ..compiler.report import report  # with the pictures' words, which others do without

        title = f"{cell.name} on {goal.backend}"
        programs = compile_cell(cell, goal)
        return str(report(cell, programs, goal, title=title, dtype="float32", extent=goal.extent))
    if stage == "source":
        programs = compile_cell(cell, goal)
        module = programs.backward if backward else programs.forward
        assert module is not None, "a recording program runs back"
        return module.source
    for at, done in zip(passes_of(goal), stages(cell, goal), strict=False):
        if at == number or (stage == "derivative" and done.pass_.name == "differentiate"):
            break
    text = text_after(done.value, backward=backward or stage == "derivative")
    if text is None:
        raise UsageError(f"there is no backward scan before 'differentiate' ({stage} is)")
    return text


def syntax_lines(tree: Syntax) -> Iterator[str]:
    """A syntax tree, a node a line with what it is made of beneath it.

    Without recursion: a sum of a thousand terms is a thousand deep.
    """
    todo: list[tuple[int, str, Any]] = [(0, "", tree)]
    while todo:
        depth, label, value = todo.pop()
        head = "  " * min(depth, DEEPEST_INDENT) + (f"{label}: " if label else "")
        parts: list[tuple[str, Any]] = []
        if is_dataclass(value) and not isinstance(value, type):
            words = [type(value).__name__]
            for field in fields(value):
                part = getattr(value, field.name)
                if "span" in field.name:
                    continue
                if isinstance(part, str | int | float | bool) or part is None:
                    words.append(f"{field.name}={part!r}")
                else:
                    parts.append((field.name, part))
            yield head + " ".join(words)
        elif isinstance(value, tuple):
            if value:
                yield f"{head}({len(value)})"
            else:
                yield f"{head}()"
            parts = [("", part) for part in value]
        else:
            yield f"{head}{value!r}"
        todo += [(depth + 1, name, part) for name, part in reversed(parts)]
