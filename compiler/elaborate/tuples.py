"""Tuples: of a cell's states and inputs, of arguments, of names on the left of `=`.

They nest as in a cell's header, `(carry, input)`. Empty parts are left out and a part alone is
just itself, on both sides; so a stateless cell is called as a function.

In: operands, slots, patterns. Out: the pairs that match, or the problem of what does not.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, TypeAlias

from ...grammar.problems_of_values import TupleMismatch
from ...grammar.source import Span
from ...grammar.syntax import Name, Pattern, Primed, TuplePattern
from .values import Operand, Sizes, Slot, Slots, Value

Tree: TypeAlias = Any  # a leaf, or a tuple of trees

DISCARDED = "_"  # on the left of `=`: takes a part, or a whole tuple, and binds nothing


def tidy(tree: Tree) -> Tree:
    """`tree` without empty parts, and without brackets around one thing."""
    if not isinstance(tree, tuple):
        return tree
    parts = [part for part in map(tidy, tree) if part != ()]
    return parts[0] if len(parts) == 1 else tuple(parts)


def flatten(tree: Tree) -> list[Any]:
    """The leaves of `tree`, in order."""
    if not isinstance(tree, tuple):
        return [tree]
    return [leaf for part in tree for leaf in flatten(part)]


def rebuild(tree: Tree, leaves: Iterator[Any]) -> Tree:
    """A tree shaped like `tree` with other leaves."""
    if not isinstance(tree, tuple):
        return next(leaves)
    return tuple([rebuild(part, leaves) for part in tree])


def text_of(tree: Tree) -> str:
    """`((h, c), x)`: the names of slots or patterns."""
    match tree:
        case tuple():
            return f"({', '.join(map(text_of, tree))})"
        case Slot(name=name):
            return name.rpartition(".")[2]
        case Primed(id=name):
            return f"{name}'"
        case Name(id=name):
            return name
    return "..."


def of_operand(operand: Operand) -> Tree:
    """The tree of operands that a value holds."""
    if isinstance(operand.value, tuple) and not isinstance(operand.value, Sizes):
        return tuple([of_operand(part) for part in operand.value])
    return operand


def _of_pattern(pattern: Pattern) -> Tree:
    if isinstance(pattern, TuplePattern):
        return tuple([_of_pattern(item) for item in pattern.items])
    return pattern


def only_name(target: TuplePattern) -> Name | Primed | None:
    """The one name of `((), y)`, which takes a whole value; None where there are several."""
    tree = tidy(_of_pattern(target))
    return tree if isinstance(tree, Name | Primed) else None


def match_pattern(target: TuplePattern, value: Operand) -> list[tuple[Pattern, Operand]]:
    """Each name of `target` with its part of a tuple.

    Raises:
        TupleMismatch: the two nest differently.
    """
    names, parts = tidy(_of_pattern(target)), tidy(of_operand(value))
    pairs: list[tuple[Pattern, Operand]] = []
    if not _pair(names, parts, pairs):
        raise TupleMismatch(
            f"'{text_of(names)}' does not nest like the value",
            target.span,
            related=[(value.span, f"this is {_like(parts)}")],
            notes=["a tuple nests as in the header of the cell: '((h', c'), y)'"],
        )
    return pairs


def match_slots(
    slots: Slots, given: tuple[Operand, ...], span: Span, name: str
) -> list[tuple[Slot, Operand]]:
    """Each slot of a cell with what a call fills it with.

    Raises:
        TupleMismatch: the arguments nest differently.
    """
    wanted, parts = tidy(slots), tidy(tuple([of_operand(part) for part in given]))
    pairs: list[tuple[Slot, Operand]] = []
    if not _pair(wanted, parts, pairs):
        call = text_of(wanted) if isinstance(wanted, tuple) else f"({text_of(wanted)})"
        raise TupleMismatch(
            f"'{name}' takes other arguments",
            span,
            hints=[f"call it as '{name}{call}'"],
        )
    return pairs


def _pair(left: Tree, right: Tree, pairs: list[Any]) -> bool:
    """Collect the pairs of leaves; False if the trees nest differently."""
    if isinstance(left, tuple) != isinstance(right, tuple):
        return isinstance(left, Name) and left.id == DISCARDED
    if not isinstance(left, tuple):
        pairs.append((left, right))
        return True
    return len(left) == len(right) and all(
        _pair(a, b, pairs) for a, b in zip(left, right, strict=True)
    )


def _like(parts: Tree) -> str:
    """`(., (., .))`: how a value nests."""
    if not isinstance(parts, tuple):
        return "."
    return f"({', '.join(map(_like, parts))})"


def nesting(value: Operand) -> str:
    """`((., .), .)`: how a value nests, for a message."""
    return _like(tidy(of_operand(value)))


def as_value(tree: Tree, span: Span) -> Value:
    """The value of a tree of values: a tuple of operands, or the one value there is."""
    tree = tidy(tree)
    if not isinstance(tree, tuple):
        return tree  # type: ignore[no-any-return]
    return tuple([Operand(as_value(part, span), span) for part in tree])
