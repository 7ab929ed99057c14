"""Cells that contain themselves, functions that call themselves.

In: a module. Out: a problem for each circle, at the place that closes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from ...grammar.problems import Collector
from ...grammar.problems_of_names import RecursiveCell, RecursiveFunction
from ...grammar.syntax import (
    Call,
    ChainDeclaration,
    FunctionDeclaration,
    Link,
    Name,
    Syntax,
)
from ...grammar.walk import expressions_in, statements_in, walk
from ..modifiers import MODIFIERS
from .modified import within
from .modules import CellDefinition, Definition, Module

MOST_NAMED = 6  # members of one circle


def check_recursion(module: Module, problems: Collector) -> None:
    """Find circles among the definitions of one file; files cannot form one."""
    own = {definition.name: definition for definition in module.own()}
    edges = {definition: list(_mentioned(definition, own)) for definition in own.values()}
    done: set[Definition] = set()
    for start in edges:
        path: dict[Definition, Iterator[tuple[Name, Definition]]] = {}
        if start not in done:
            path[start] = iter(edges[start])
        while path:
            current = next(reversed(path))
            name, target = next(path[current], (None, None))
            if name is None or target is None:
                del path[current]
                done.add(current)
            elif target in path:
                names = list(path)
                _report(name, names[names.index(target) :], problems)
            elif target not in done:
                path[target] = iter(edges[target])


def _mentioned(
    definition: Definition, own: Mapping[str, Definition]
) -> Iterator[tuple[Name, Definition]]:
    """The definitions of its own file that one mentions, each with its name there."""
    declaration = definition.declaration
    roots: list[Syntax] = []
    if isinstance(declaration, ChainDeclaration):
        roots += declaration.links
    else:
        for statement in statements_in(declaration.body):
            roots += expressions_in(statement)
    if isinstance(declaration, FunctionDeclaration):
        roots.append(declaration.result)
    for node in _with_modified(walk(roots)):
        match node:
            case Link(cell=name) | Call(function=name) | (Name() as name):
                target = own.get(name.id)
                same_kind = isinstance(target, CellDefinition) == isinstance(node, Link)
                if target is not None and same_kind:
                    yield name, target


def _with_modified(nodes: Iterable[Syntax]) -> Iterator[Syntax]:
    """The nodes, and the links that modifiers stand around, which are written as calls."""
    for each in nodes:
        todo = [each]
        while todo:
            node = todo.pop()
            yield node
            if isinstance(node, Link) and node.cell.id in MODIFIERS:
                todo += reversed(within(node))


def _report(name: Name, circle: list[Definition], problems: Collector) -> None:
    kind = RecursiveCell if isinstance(circle[0], CellDefinition) else RecursiveFunction
    verb = "contains" if kind is RecursiveCell else "calls"
    names = [definition.name for definition in circle[:MOST_NAMED]]
    more = ["..."] if len(circle) > MOST_NAMED else []
    words = " -> ".join([*names, *more, circle[0].name])
    problems.add(
        kind(
            f"'{circle[0].name}' {verb} itself",
            name.span,
            notes=[words] if len(circle) > 1 else [],
            hints=["write 'repeat(3, ...)' for a number of copies"]
            if kind is RecursiveCell
            else ["use 'for i in 0..n { ... }' for a fixed number of repetitions"],
        )
    )
