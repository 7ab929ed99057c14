"""`rnnc show`: one cell at one stage of the compiler.

In: a file, a cell, sizes and the name of a stage. Out: its syntax tree, its IR after any pass, its
plan, or its source.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, is_dataclass
from typing import Any, Final

from .cli_errors import FINE, UsageError
from .cli_print import out
from .cli_settings import Settings, bind, pick, read_library
from .compiler.elaborate.hints import closest
from .compiler.ir import Cell, Scans
from .compiler.pipeline import PIPELINE, Goal, compile_cell, stages
from .compiler.text import show as text_of
from .compiler.text import show_plan
from .grammar.syntax import Syntax

MASKS: Final = {"starts": "starts", "boundaries": "boundaries", "lengths": "valid"}
DEEPEST_INDENT: Final = 60  # of a syntax tree: deeper parts stay in line
OTHER_STAGES: Final = ("syntax", "cell", "derivative", "plan", "source", "report")


def show(
    path: str, name: str | None, settings: Settings, *, stage: str, backward: bool, masks: str,
    exact: bool, backend: str,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path: a file, or "std".
        name: a cell; None for the only one.
        settings: its sizes and options.
        stage: "syntax", "cell", "derivative", "plan", "source", "report", a pass, or its number.
            Of a pass that runs several times, the last time.
        backward: show the backward scan instead of the forward one.
        masks: words of "starts,boundaries,lengths", what the program's calls use.
        exact: for programs that are exact.
        backend: whose passes, plan and source; nothing is run.
    Returns:
        The exit status.
    """
    template = pick(read_library(path), name)
    if stage == "syntax":
        for line in syntax_lines(template.definition.declaration):
            out(line)
        return FINE
    goal = Goal(read_masks(masks), record=True, exact=exact, backend=backend)
    wanted = _stage_number(stage, goal)
    cell = bind(template, settings)
    out(_text(cell, goal, stage, wanted, backward).rstrip("\n"))
    return FINE


def read_masks(text: str) -> tuple[str, ...]:
    words = [word for word in text.replace(",", " ").split() if word]
    for word in words:
        if word not in MASKS:
            raise UsageError(f"--masks takes {', '.join(MASKS)}, not {word!r}")
    return tuple(inner for outer, inner in MASKS.items() if outer in words)


def _stage_number(stage: str, goal: Goal) -> int:
    """How many passes to run; 0 where it is none that is shown."""
    names = [
        step.name
        for step in PIPELINE
        if (step.exact or not goal.exact) and goal.backend in step.backends
    ]
    if stage in OTHER_STAGES:
        return 0
    if stage.isdigit() and 1 <= int(stage) <= len(names):
        return int(stage)
    if stage in names:
        return len(names) - names[::-1].index(stage)
    near = closest(stage, [*OTHER_STAGES, *names])
    known = ", ".join(dict.fromkeys([*OTHER_STAGES, *names]))
    advice = f"did you mean {near}?" if near else f"there are {known}, and 1 to {len(names)}"
    raise UsageError(f"there is no stage {stage!r}; {advice}")


def _text(cell: Cell, goal: Goal, stage: str, number: int, backward: bool) -> str:
    if stage == "cell":
        return text_of(cell)
    if stage == "report":
        from .compiler.report import report  # with the pictures' words, which others do without

        title = f"{cell.name} on {goal.backend}"
        programs = compile_cell(cell, goal)
        return str(report(cell, programs, goal, title=title, dtype="float32", extent=goal.extent))
    if stage == "source":
        programs = compile_cell(cell, goal)
        module = programs.backward if backward else programs.forward
        assert module is not None, "a recording program runs back"
        return module.source
    at = 0
    for done in stages(cell, goal):
        at += 1
        if at == number or (stage == "derivative" and done.pass_.name == "differentiate"):
            break
    value: Any = done.value
    if isinstance(value, Scans):
        scan = value.backward if backward or stage == "derivative" else value.forward
        if scan is None:
            raise UsageError(f"there is no backward scan before 'differentiate' ({stage} is)")
        return text_of(scan)
    _, forward_plan, backward_plan = value
    return show_plan(backward_plan if backward else forward_plan)


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
