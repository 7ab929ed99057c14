"""What an expression of the language can be worth while a cell is elaborated.

A number, a size or a truth value stays a Python one (`int`, `Dim`, `float`, `bool`) until it meets
a tensor; a tensor is an `ir.Node`. Everything else stands only as an argument, or right of `=`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, TypeAlias, TypeGuard, final

from ...grammar.source import Span
from ..ir import Node
from ..shapes import Dim, Shape, Type

if TYPE_CHECKING:
    from .functions import Function
    from .modules import CellDefinition, FunctionDefinition
    from .scope import Scope


@final
class Bad:
    """The value of an expression with a problem. What reads it is bad too, and says nothing."""

    def __repr__(self) -> str:
        return "BAD"


BAD: Final = Bad()


@final
class Sizes(tuple[Dim, ...]):
    """`[d1, d2]` as an argument."""

    __slots__ = ()


# A piece of work that asks for others by `yield` and gets their results back: see `work.py`.
Work: TypeAlias = Generator["Work", Any, Any]


class SubCell(ABC):
    """What `use` makes: a cell with its sizes bound, and the path of its parameters."""

    noun: ClassVar[str] = "sub-cell"

    @abstractmethod
    def call(self, scope: Scope, span: Span, arguments: tuple[Operand, ...]) -> Work:
        """One step of the cell, written out: a tensor, or a tuple of operands."""


Known: TypeAlias = bool | int | float
Callee: TypeAlias = "Function | FunctionDefinition | SubCell | CellDefinition"
Value: TypeAlias = "Node | Known | Bad | Callee | str | Sizes | tuple[Operand, ...]"


@dataclass(frozen=True, slots=True)
class Operand:
    """A value and where it stands."""

    value: Value
    span: Span


@dataclass(frozen=True, slots=True)
class Slot:
    """A state or an input of a cell: its path, and what may fill it."""

    name: str
    type: Type
    span: Span


Slots: TypeAlias = "Slot | tuple[Slots, ...]"


def is_known(value: Value) -> TypeGuard[Known]:
    """Whether `value` is a number or truth value that is known while compiling."""
    return isinstance(value, bool | int | float)


def shape_of(value: Value) -> Shape:
    """The trailing shape of a tensor; a number fills any shape, so it has none of its own."""
    return value.type.shape if isinstance(value, Node) else ()


def describe(value: Value) -> str:
    """`value` in the words of a message: "this is ..."."""
    if isinstance(value, Node):
        return str(value.type)
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sizes):
        return f"a list of {len(value)} sizes"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} parts"
    if isinstance(value, str):
        return "a string"
    if isinstance(value, Bad):
        return "not known"
    if isinstance(value, int | float):
        return f"the number {value!r}"
    return f"a {value.noun}"


def sizes_note(*shapes: Shape) -> list[str]:
    """What the named sizes of `shapes` are bound to: ["here hidden = 5 and inputs = 7"]."""
    dims = [dim for shape in shapes for dim in shape if isinstance(dim, Dim)]
    named = dict.fromkeys(f"{dim.text} = {int(dim)}" for dim in dims if not dim.text.isdigit())
    *first, last = named or [""]
    return [f"here {', '.join(first)}{' and ' * bool(first)}{last}"] if last else []
