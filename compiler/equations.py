"""The equations of a cell and of the cells within it, as LaTeX.

In: definitions, each with the settings it is bound to. Out: blocks of lines, one for each cell.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..grammar.latex import aligned, equations
from ..grammar.latex_names import upright
from ..grammar.syntax import CellDeclaration, ChainDeclaration, Link, Use
from ..grammar.walk import statements_in, walk
from .elaborate.modules import CellDefinition


@dataclass(frozen=True, slots=True)
class Written:
    """A cell as it is written, and its sizes and options where they are bound."""

    definition: CellDefinition
    settings: Mapping[str, Any] = field(default_factory=dict)


def latex(cells: Sequence[Written]) -> str | None:
    """All equations as display mathematics; None where nothing is written.

    A cell within others comes after them, once, and with its options open: it may be there several
    times. Where there are several cells, each has its name above it.
    """
    blocks: list[list[str]] = []
    seen: list[tuple[CellDefinition, object]] = []
    todo = list(cells)
    while todo:
        cell = todo.pop(0)
        key = cell.definition, _options(cell.settings)
        if key in seen:
            continue
        seen.append(key)
        lines = equations(cell.definition.declaration, cell.settings)
        blocks.append([f"{upright(cell.definition.name)}\\colon &", *lines])
        todo += [Written(inner) for inner in _within(cell.definition)]
    if len(blocks) == 1:
        blocks[0].pop(0)
    return f"$${aligned([line for lines in blocks for line in lines])}$$" if blocks else None


def _options(settings: Mapping[str, Any]) -> object:
    """What tells two of one cell apart in their equations: sizes do not."""
    return sorted(
        (name, value) for name, value in settings.items() if isinstance(value, bool | str)
    )


def _within(definition: CellDefinition) -> Iterator[CellDefinition]:
    """The cells that a cell names, in its order."""
    declaration = definition.declaration
    links: list[Link] = []
    match declaration:
        case ChainDeclaration():
            links += declaration.links
        case CellDeclaration():
            for statement in statements_in(declaration.body):
                links += statement.links if isinstance(statement, Use) else ()
    for node in walk(links):
        if isinstance(node, Link):
            found = definition.module.definitions.get(node.cell.id)
            if isinstance(found, CellDefinition):
                yield found
