"""The declarations of a text, and what is declared in each: what editors list as its symbols.

In: an analysis. Out: `Symbol`s, nested.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..compiler.elaborate.modules import Definition
from ..grammar.source import Span
from ..grammar.syntax import CellDeclaration, Const, Param, Use
from ..grammar.walk import items_in, statements_in
from .analysis import Analysis
from .hover import worth_text
from .meaning import Sort, worth


@dataclass(frozen=True, slots=True)
class Symbol:
    """One declaration: the whole of it, and its name within."""

    name: str
    sort: Sort
    detail: str
    span: Span
    name_span: Span
    inside: tuple[Symbol, ...] = ()


def symbols(analysis: Analysis) -> list[Symbol]:
    """Cells and functions in the order of the text; in cells, states, inputs and parameters."""
    return [_declared(analysis, definition) for definition in analysis.module.declared]


def _declared(analysis: Analysis, definition: Definition) -> Symbol:
    declaration = definition.declaration
    sort: Sort = "cell" if definition.noun == "cell" else "function"
    inside = tuple(_inside(analysis, declaration)) if isinstance(
        declaration, CellDeclaration) else ()  # fmt: skip
    detail = definition.signature.removeprefix(definition.name)
    span, name_span = analysis.place(declaration.span), analysis.place(declaration.name_span)
    return Symbol(definition.name, sort, detail, span, name_span, inside)


def _inside(analysis: Analysis, cell: CellDeclaration) -> Iterator[Symbol]:
    def symbol(name: str, sort: Sort, span: Span) -> Symbol:
        found, place = worth(analysis, span), analysis.place(span)
        detail = worth_text(*found).lstrip(" :=") if found else ""
        return Symbol(name, sort, detail, place, place)

    for item in items_in(cell.carry):
        yield symbol(item.name, "state", item.name_span)
    for item in items_in(cell.input):
        yield symbol(item.name, "input", item.name_span)
    for statement in statements_in(cell.body):
        if isinstance(statement, Use):
            yield symbol(statement.name, "sub-cell", statement.name_span)
        elif isinstance(statement, Param | Const):
            sort: Sort = "parameter" if isinstance(statement, Param) else "constant"
            for item in statement.items:
                yield symbol(item.name, sort, item.name_span)
