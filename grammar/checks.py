"""What the grammar lets through and the language does not: shapes, primes, functions, depth.

In: a tree. Out: problems. Needs no names resolved: what names mean is for the compiler.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from . import problems_of_syntax as kinds
from . import syntax
from .limits import DEEPEST
from .problems import Collector, Problem
from .source import Span
from .walk import items_in, outputs_in, statements_in


def check_form(file: syntax.File, collector: Collector) -> None:
    """Add what is wrong with the form of each declaration that was read without a problem."""
    for declaration in file.declarations:
        span = declaration.span
        if any(span.start <= known.span.start < span.stop for known in collector.problems):
            continue
        if (deep := _too_deep(declaration)) is not None:
            headline = f"this is nested more than {DEEPEST} deep"
            hints = ["give inner parts names of their own"]
            collector.add(kinds.TooDeep(headline, deep, hints=hints))
            continue
        match declaration:
            case syntax.CellDeclaration():
                problems = _check_cell(declaration)
            case syntax.FunctionDeclaration():
                problems = _check_function(declaration)
            case _:
                problems = iter(())
        for problem in problems:
            collector.add(problem)


def _check_cell(cell: syntax.CellDeclaration) -> Iterator[Problem]:
    for part in (cell.carry, cell.input):
        yield from _check_shapes(items_in(part), "a state" if part is cell.carry else "an input")
    for statement in statements_in(cell.body):
        if isinstance(statement, syntax.Param | syntax.Const):
            word = "a parameter" if isinstance(statement, syntax.Param) else "a constant"
            yield from _check_shapes(statement.items, word)
    states = items_in(cell.carry)
    for at, output in enumerate(outputs_in(cell.new_carry)):
        if isinstance(output.variable, syntax.Name):
            yield _missing_prime(output.variable, states, at)


def _check_shapes(items: Iterable[syntax.Item], what: str) -> Iterator[Problem]:
    for item in items:
        if item.shape is None:
            yield kinds.MissingShape(
                f"'{item.name}' is {what} and needs a shape",
                item.name_span,
                hints=[f"write '{item.name}[size]' for a vector, '{item.name}[]' for one number"],
            )


def _missing_prime(name: syntax.Name, states: list[syntax.Item], at: int) -> Problem:
    if name.id not in [state.name for state in states] and at < len(states):
        hint = f"write {states[at].name}' here, and {name.id} as the output"
    else:
        hint = f"write {name.id}'"
    return kinds.MissingPrime(
        f"the new carry lists states, primed, and '{name.id}' has no prime",
        name.span,
        notes=["the header of a cell is (carry, input) -> (carry', output)"],
        hints=[hint],
    )


def _check_function(function: syntax.FunctionDeclaration) -> Iterator[Problem]:
    for statement in statements_in(function.body):
        if isinstance(statement, syntax.Param | syntax.Const | syntax.Use):
            word = type(statement).__name__.lower()
            span = statement.span
            yield kinds.UnexpectedToken(
                f"a function has no '{word}'",
                Span(span.source, span.start, span.start + len(word)),
                hints=["declare it in the cell, and pass it to the function as an argument"],
            )


def _too_deep(tree: syntax.Syntax) -> Span | None:
    """Where the tree is deeper than 200; the left spine of a chain `a + b + ...` does not count."""
    stack: list[tuple[object, int]] = [(tree, 0)]
    while stack:
        node, depth = stack.pop()
        if isinstance(node, tuple):
            stack += [(part, depth) for part in node]
        elif isinstance(node, syntax.Syntax):
            if depth > DEEPEST:
                return node.span
            left = node.left if isinstance(node, syntax.Binary) else None
            for name in node.__dataclass_fields__:
                part = getattr(node, name)
                if isinstance(part, tuple | syntax.Syntax):
                    stack.append((part, depth if part is left else depth + 1))
    return None
