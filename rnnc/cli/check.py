"""`rnnc check`: what is wrong with a file, and what its cells are.

In: files, and values for some sizes and options. Out: problems; of each cell its states, shapes,
recurrence and cost, and whether its compiled gradient is right.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..compiler.cost import Count, Sizes
from ..compiler.elaborate.witnesses import elaborate_at_witnesses
from ..compiler.ir import HIDDEN, Cell
from ..compiler.library import Library, Template
from ..compiler.summary import Summary, summarised
from ..grammar.problems import Collector, Error, Problem
from .environment import note_cache
from .errors import GradientError
from .gradients import ROUNDING, GradientCheck, check_gradients
from .printing import out, out_json, report, report_as_data
from .progress import followed
from .settings import Settings, check_names, own_settings, read_library
from .statuses import FINE, WRONG

LARGEST_CHECKED = 16  # a size of the gradient check; larger ones are replaced by small ones
FLOAT32 = 4  # bytes


@dataclass(frozen=True, slots=True)
class Checked:
    """What the command says of one cell."""

    summary: Summary
    gradient: GradientCheck


@dataclass(slots=True)
class _File:
    """What the command finds out about one file."""

    path: str
    library: Library | None = None
    warnings: Sequence[Problem] = ()
    errors: list[Error] = field(default_factory=list)
    cells: list[Checked] = field(default_factory=list)

    @property
    def said(self) -> list[Error]:
        return [*self.warnings, *self.errors]


def check(paths: Sequence[str], settings: Settings, *, as_json: bool, strict: bool) -> int:
    """Run the command.

    Args:
        paths: files, or "std".
        settings: for the cells that have them.
        as_json: print one JSON document instead of text.
        strict: warnings are errors.
    Returns:
        The exit status.
    """
    note_cache()
    files = [_read(path) for path in paths]
    templates = [t for file in files if file.library for t in _cells(file.library)]
    if templates:
        check_names(settings, templates)
    for file in files:
        if file.library:
            _look_into(file, file.library, settings)
        if not as_json:
            _print(file)
    wrong = any(file.errors or (strict and file.warnings) for file in files)
    status = WRONG if wrong else FINE
    if as_json:
        documents = [
            {
                "file": file.path,
                "problems": [item for error in file.said for item in report_as_data(error)],
                "cells": [_as_data(cell) for cell in file.cells],
            }
            for file in files
        ]
        out_json({"ok": status == FINE, "files": documents})
    return status


def _read(path: str) -> _File:
    file = _File(path)
    try:
        file.library = read_library(path)
    except Error as error:
        file.errors.append(error)
    return file


def _look_into(file: _File, found: Library, settings: Settings) -> None:
    try:
        file.warnings = found.check(settings)
        templates = followed("cells")(_cells(found))
        file.cells = [_checked(template, settings) for template in templates]
    except Error as error:
        file.errors.append(error)
    file.errors += [_gradient_error(cell) for cell in file.cells if not cell.gradient.passed]


def _print(file: _File) -> None:
    for cell in file.cells:
        out("\n".join(_lines(cell)) + "\n")
    for error in file.said:
        report(error)


def _cells(found: Library) -> list[Template]:
    return [found[name] for name in found]


def _checked(template: Template, settings: Settings) -> Checked:
    given = own_settings(settings, template)
    summary = summarised(template, given)
    return Checked(summary, check_gradients(_small(template, given, summary.cell)))


def _small(template: Template, given: Settings, cell: Cell) -> Cell:
    """The cell at small sizes; itself where they are small, or where it has none."""
    kept = {
        name: value
        for name, value in given.items()
        if isinstance(value, bool) or not isinstance(value, int) or value <= LARGEST_CHECKED
    }
    if kept == given:
        return cell
    problems = Collector()
    cells = elaborate_at_witnesses(template.definition, kept, problems)
    return cells[0] if cells and not problems.errors else cell


def _gradient_error(checked: Checked) -> GradientError:
    return GradientError(
        f"{checked.summary.template.signature}: {_gradient_words(checked.gradient)}"
    )


# -- text ----------------------------------------------------------------------------------------


def _lines(checked: Checked) -> list[str]:
    """What the command prints of a cell."""
    summary = checked.summary
    cell, template, cost = summary.cell, summary.template, summary.cost
    sizes = Sizes(cell)
    trained = [f"{p.name}{sizes.shape(p.node.type.shape)}" for p in cell.params if p.trained]
    consts = [f"{p.name}{sizes.shape(p.node.type.shape)}" for p in cell.params if not p.trained]
    states = _states(cell, sizes)
    inputs = [_value_text(sizes, x.name, x.node) for x in cell.inputs]
    outputs = [_value_text(sizes, y.name, y.node) for y in cell.outputs]
    traffic = cost.row.times(FLOAT32), cost.weights.times(FLOAT32)
    rows = [
        ("state", "  ".join(states) or "none"),
        ("input", "  ".join(inputs) or "none"),
        ("output", "  ".join(outputs) or "none"),
        ("parameters", "  ".join(trained) or "none"),
        ("", f"{_count_text(summary, cost.parameters)} numbers" if trained else ""),
        ("constants", "  ".join(consts)),
        ("recurrence", summary.recurrence.words),
        ("cost", f"{_count_text(summary, cost.flops)} FLOPs a step and row, forward"),
        ("", f"{_count_text(summary, traffic[0])} bytes a step and row, in and out (float32)"),
        ("", f"{_count_text(summary, traffic[1])} bytes of weights a step, for all rows"),
        ("gradient", _gradient_words(checked.gradient)),
    ]
    head = template.signature
    if summary.is_open and not summary.holds:
        head += f", counted at {_settings_text(cell.settings)}"
    elif not summary.is_open and cell.settings:
        head += f" at {_settings_text(cell.settings)}"
    lines = [head, *(f"  {line}" for line in template.documentation.splitlines())]
    return lines + [f"  {name:<11} {text}" for name, text in rows if text]


def _states(cell: Cell, sizes: Sizes) -> list[str]:
    """`h[n]`, and what `delay` keeps in a row: `x@1..x@64[n]`."""
    rows: list[tuple[str, str, str, str]] = []  # stem, shape, first and last name
    for state in cell.states:
        stem, mark, _ = state.name.partition(HIDDEN)
        shape = sizes.shape(state.node.type.shape)
        if mark and rows and rows[-1][:2] == (stem, shape):
            rows[-1] = (stem, shape, rows[-1][2], state.name)
        else:
            rows.append((stem if mark else "", shape, state.name, state.name))
    return [
        (first if first == last else f"{first}..{last}") + shape for _, shape, first, last in rows
    ]


def _value_text(sizes: Sizes, name: str, node: Any) -> str:
    return name + sizes.shape(node.type.shape) + (": int" if node.type.kind == "int" else "")


def _count_text(summary: Summary, count: Count) -> str:
    return str(count) if summary.is_open and summary.holds else f"{count.value:,}"


def _settings_text(settings: Mapping[str, Any]) -> str:
    words = {True: "true", False: "false"}
    return ", ".join(
        f"{name} = {words[value] if isinstance(value, bool) else value}"
        for name, value in settings.items()
    )


def _gradient_words(found: GradientCheck) -> str:
    if found.backward is None:
        return found.note
    verdict = "right" if found.passed else "wrong"
    compared = f"{verdict}: off by {found.backward:.0e} from the oracle's"
    if (found.forward or 0) > ROUNDING:
        compared += f", outputs by {found.forward:.0e}"
    if found.note:
        return f"{compared}; {found.note}"
    return f"{compared}, by {found.differences:.0e} from central differences"


# -- JSON ----------------------------------------------------------------------------------------


def _as_data(checked: Checked) -> dict[str, Any]:
    summary = checked.summary
    cell, template, cost = summary.cell, summary.template, summary.cost
    sizes = Sizes(cell)

    def shape(node: Any) -> dict[str, Any]:
        return {
            "shape": [int(dim) for dim in node.type.shape],
            "sizes": [sizes.name(dim) for dim in node.type.shape],
            "kind": node.type.kind,
        }

    def count(found: Count) -> dict[str, Any]:
        return {"value": found.value, "formula": str(found) if summary.holds else None}

    return {
        "name": template.name,
        "signature": template.signature,
        "documentation": template.documentation,
        "settings": dict(cell.settings),
        "settings_are_examples": summary.is_open,
        "states": [{"name": s.name, **shape(s.node)} for s in cell.states],
        "inputs": [{"name": x.name, **shape(x.node)} for x in cell.inputs],
        "outputs": [{"name": y.name, **shape(y.node)} for y in cell.outputs],
        "parameters": [
            {"name": p.name, **shape(p.node), "trained": p.trained, "initial": str(p.init)}
            for p in cell.params
        ],
        "recurrence": asdict(summary.recurrence),
        "cost": {
            "parameters": count(cost.parameters),
            "flops": count(cost.flops),
            "bytes_of_row": count(cost.row.times(FLOAT32)),
            "bytes_of_weights": count(cost.weights.times(FLOAT32)),
        },
        "gradient": {**asdict(checked.gradient), "passed": checked.gradient.passed},
    }
