"""Syntax to IR: the cell that a definition makes with its sizes bound.

In: a `CellDefinition`, checked by `names.py`, and a value for each of its settings. Out: an
`ir.Cell`, or `Problems`. Read it from here: `cells.py` (one step of a cell), then
`statements.py`, `expressions.py`, `calls.py` and `functions.py` (the built-in ones), each beneath
the one before. `tensors.py` is where nodes are made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ...grammar.problems import Collector
from ...grammar.source import Span
from ..ir import Cell
from . import links, values
from .modules import CellDefinition as CellDefinition
from .modules import FunctionDefinition as FunctionDefinition
from .modules import Module as Module
from .run import Run, TooManyOperations
from .standing import Standing, standing
from .values import Bad, Work
from .work import finish


def elaborate(
    definition: CellDefinition,
    settings: Mapping[str, values.Value],
    problems: Collector,
    worth: dict[Span, values.Value] | None = None,
) -> Cell | None:
    """The cell, one step of it as nodes; None if it has problems, which are added to `problems`.

    Args:
        definition: the cell; every name in it resolves.
        settings: sizes (`Dim`), options and functions, by name; all of them.
        problems: where problems are added.
        worth: where it is told what each name is worth, by the place that binds it.
    """
    run = Run(problems) if worth is None else Run(problems, worth=worth)
    try:
        cell = finish(_cell(definition, settings, run))
    except TooManyOperations as stop:
        problems.add(stop.problem)
        return None
    assert cell is None or isinstance(cell, Cell)
    return None if problems.errors else cell


def _cell(definition: CellDefinition, settings: Mapping[str, values.Value], run: Run) -> Work:
    instance = yield links.instance_of(definition, settings, run)
    if isinstance(instance, Bad):
        return None
    found = yield standing(instance, run)
    if isinstance(found, Bad):
        return None
    assert isinstance(found, Standing)
    return replace(
        found.cell,
        name=definition.name,
        settings={name: _plain(value) for name, value in settings.items()},
        documentation=definition.declaration.documentation,
        span=definition.name_span,
    )


def _plain(value: values.Value) -> object:
    """A setting as users see it: functions by name."""
    return getattr(value, "name", value)
