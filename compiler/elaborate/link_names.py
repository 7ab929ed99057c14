"""The names in the links of a chain: cells, modifiers, labels, and what their arguments read.

In: links, as they are written. Out: problems.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...grammar import std_names
from ...grammar.problems_of_names import DuplicateName, UnknownCell
from ...grammar.problems_of_values import CannotModify
from ...grammar.syntax import Chained, Link, Name
from ..modifiers import MODIFIERS
from . import modified
from .functions import FUNCTIONS
from .hints import did_you_mean
from .modules import CellDefinition
from .read_names import ReadNames


def check_links(links: Sequence[Link], reads: ReadNames) -> None:
    """Check the cells and the arguments of a chain, and that no two members have one path."""
    todo = [*reversed(_unlike(links, reads))]
    while todo:
        link = todo.pop()
        if modified.is_modifier(link, reads.module):
            todo += _check_modifier(link, reads)
            continue
        if not (link.cell.id == "repeat" and "repeat" not in reads.module.definitions):
            _check_cell(link.cell, reads)
        for argument in link.arguments:
            if isinstance(argument, Link):
                todo.append(argument)
            elif isinstance(argument, Chained):
                todo += reversed(_unlike(argument.links, reads))
            else:
                reads.check([argument], "a size or an option")


def _unlike(links: Sequence[Link], reads: ReadNames) -> Sequence[Link]:
    """The links, which are told if two of them have one name."""
    labels: dict[str, Link] = {}
    for link in links:
        first = link if link.label is None else labels.setdefault(link.label, link)
        if first is not link:
            reads.problems.add(
                DuplicateName(
                    f"two members of the chain are called '{link.label}'",
                    link.span,
                    related=[(first.span, "the first one")],
                    hints=["their parameters need different paths: rename one of them"],
                )
            )
    return links


def _check_modifier(link: Link, reads: ReadNames) -> list[Link]:
    """Check the arguments of a modifier; the links that it stands around, the last first."""
    inner = modified.within(link)
    for _, argument, kind in modified.arguments_of(link):
        if kind is not None and not kind.is_named and not isinstance(argument, Link):
            reads.check([argument], "an argument of a modifier")
    if not inner:
        modifier = MODIFIERS[link.cell.id]
        reads.problems.add(
            CannotModify(
                f"'{modifier.name}' stands around a cell",
                link.span,
                notes=[f"it is '{modifier.signature}'"],
                hints=[f"write '{modifier.example}'"],
            )
        )
    return [*reversed(_unlike(inner, reads))]


def _check_cell(cell: Name, reads: ReadNames) -> None:
    name = cell.id
    if name in reads.module.unknown or isinstance(
        reads.module.definitions.get(name), CellDefinition
    ):
        return
    known = [n for n, d in reads.module.definitions.items() if isinstance(d, CellDefinition)]
    if name in std_names():
        advice = [f"write 'import {name} from std' at the top"]
    elif name in FUNCTIONS or name in reads.module.definitions:
        advice = [f"a function is no cell; 'Dense(n, n, act = {name})' applies one"]
    else:
        advice = (
            [] if reads.problems.is_full else did_you_mean(name, [*known, *std_names(), *MODIFIERS])
        )
    reads.problems.add(UnknownCell(f"there is no cell '{name}' here", cell.span, hints=advice))
