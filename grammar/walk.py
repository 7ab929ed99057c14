"""Going through syntax trees without recursion proportional to them.

In: syntax. Out: what is in it, in the order of the source.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import fields

from .syntax import (
    Attribute,
    Binary,
    Bind,
    Call,
    Chained,
    Const,
    For,
    Group,
    If,
    Index,
    Item,
    Items,
    Keyword,
    Link,
    Name,
    Output,
    Outputs,
    Param,
    Pattern,
    Primed,
    Shape,
    Slice,
    Statement,
    Syntax,
    TuplePattern,
    Unary,
)


def parts_of(node: Syntax) -> Sequence[Syntax]:
    """What an expression, an argument or a link is made of, in order."""
    match node:
        case Unary(operand=operand):
            return (operand,)
        case Binary(left=left, right=right):
            return (left, right)
        case Attribute(value=value) | Keyword(value=value):
            return (value,)
        case Index(value=value, items=items):
            return (value, *items)
        case Slice(start=start, stop=stop):
            return [end for end in (start, stop) if end is not None]
        case Shape(dims=dims):
            return dims
        case Group(items=items):
            return items
        case Chained(links=links):
            return links
        case Call(arguments=arguments) | Link(arguments=arguments):
            return arguments
    return ()


def walk(roots: Iterable[Syntax]) -> Iterator[Syntax]:
    """Every node of some expressions, each before its parts."""
    todo = list(roots)[::-1]
    while todo:
        node = todo.pop()
        yield node
        todo += reversed(parts_of(node))


def is_equal(one: Syntax, other: Syntax) -> bool:
    """Whether two trees are equal, as `==` says where they are not too deep for it."""
    todo: list[tuple[object, object]] = [(one, other)]
    while todo:
        left, right = todo.pop()
        if isinstance(left, Syntax) and type(left) is type(right):
            todo += [
                (getattr(left, part.name), getattr(right, part.name))
                for part in fields(left)
                if part.compare
            ]
        elif isinstance(left, tuple) and isinstance(right, tuple) and len(left) == len(right):
            todo += zip(left, right, strict=True)
        elif left != right:
            return False
    return True


def names_in(pattern: Pattern) -> list[Name | Primed]:
    """The names and new states that a pattern binds."""
    if isinstance(pattern, TuplePattern):
        return [name for item in pattern.items for name in names_in(item)]
    return [pattern]


def statements_in(body: Sequence[Statement]) -> Iterator[Statement]:
    """Every statement of a body, those of its blocks included."""
    todo = list(body)[::-1]
    while todo:
        statement = todo.pop()
        yield statement
        if isinstance(statement, For):
            todo += reversed(statement.body)
        elif isinstance(statement, If):
            todo += reversed((*statement.body, *statement.orelse))


def expressions_in(statement: Statement) -> Iterator[Syntax]:
    """The expressions and links of a statement itself, not those of its blocks."""
    match statement:
        case Bind(value=value):
            yield value
        case For(start=start, stop=stop):
            yield from (start, stop)
        case If(condition=condition):
            yield condition
        case Param(items=items) | Const(items=items):
            for item in items:
                yield from (part for part in (item.shape, item.initial) if part is not None)
        case _:
            yield from statement.links


def items_in(items: Items) -> list[Item]:
    """The items of a header, flat and in order."""
    if isinstance(items, Item):
        return [items]
    return [item for part in items.items for item in items_in(part)]


def outputs_in(outputs: Outputs) -> list[Output]:
    """The outputs of a header, flat and in order."""
    if isinstance(outputs, Output):
        return [outputs]
    return [output for part in outputs.items for output in outputs_in(part)]
