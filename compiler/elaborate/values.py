"""What an expression of the language can be worth while a cell is elaborated.

A number, a size or a truth value stays a Python one (`int`, `Dim`, `float`, `bool`) until it meets
a tensor; a tensor is an `ir.Node`, a complex one a pair of them. Everything else stands only as an
argument, or right of `=`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Final, Literal, TypeAlias, TypeGuard, final

from ...grammar.source import Span
from ..ir import Node
from ..shapes import Dim, Kind, Shape, Type, axes_of

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


@final
@dataclass(frozen=True, slots=True, eq=False)
class Complex:
    """A complex tensor: its real and its imaginary part, of one trailing shape."""

    re: Node
    im: Node

    @property
    def type(self) -> Type:
        """That of its parts, over the leading axes of both."""
        return self.re.type.with_axes(axes_of(self.re.type, self.im.type))


Tensor: TypeAlias = Node | Complex
ValueKind: TypeAlias = Kind | Literal["complex"]

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
Value: TypeAlias = "Tensor | Known | Bad | Callee | str | Sizes | tuple[Operand, ...]"


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
    is_complex: bool = False  # the type is then that of either part

    @property
    def kind(self) -> ValueKind:
        return "complex" if self.is_complex else self.type.kind

    def __str__(self) -> str:
        """`complex[B,hidden]`."""
        return _type_text(self.type, self.kind)


Slots: TypeAlias = "Slot | tuple[Slots, ...]"


def is_known(value: Value) -> TypeGuard[Known]:
    """Whether `value` is a number or truth value that is known while compiling."""
    return isinstance(value, bool | int | float)


def kind_of(value: Value) -> ValueKind | None:
    """The element kind of a tensor, number or truth value; None for anything else."""
    if isinstance(value, Complex):
        return "complex"
    if isinstance(value, Node):
        return value.type.kind
    if isinstance(value, bool):
        return "bool"
    return "real" if is_known(value) else None


def shape_of(value: Value) -> Shape:
    """The trailing shape of a tensor; a number fills any shape, so it has none of its own."""
    return value.type.shape if isinstance(value, Tensor) else ()


def parts_of(value: Tensor) -> tuple[Node, ...]:
    """The nodes of a tensor: itself, or its real and its imaginary part."""
    return (value.re, value.im) if isinstance(value, Complex) else (value,)


def tensor_of(parts: Iterable[Node]) -> Tensor:
    """The tensor of such nodes."""
    first, *others = parts
    return Complex(first, *others) if others else first


def part_names(name: str, is_complex: bool) -> tuple[str, ...]:
    """What the nodes of a tensor are called: `L`, or `L.re` and `L.im`.

    No other name of a cell is one of these: a point stands behind the name of a sub-cell only, and
    a body gives each name once.
    """
    plain, primes = name.rstrip("'"), "'" * name.endswith("'")
    return (f"{plain}.re{primes}", f"{plain}.im{primes}") if is_complex else (name,)


LONGEST_SHOWN = 40  # letters of a string in a message


def describe(value: Value) -> str:
    """`value` in the words of a message: "this is ..."."""
    if isinstance(value, Tensor):
        return _type_text(value.type, kind_of(value))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Sizes):
        return f"a list of {len(value)} sizes"
    if isinstance(value, tuple):
        return f"a tuple of {len(value)} parts"
    if isinstance(value, str):
        return f"the string {value!r}" if len(value) < LONGEST_SHOWN else "a string"
    if isinstance(value, Bad):
        return "not known"
    if isinstance(value, int | float):
        return f"the number {value!r}"
    return f"a {value.noun}"


def _type_text(type_: Type, kind: ValueKind | None) -> str:
    return f"{kind}{str(type_).removeprefix(type_.kind)}"


def sizes_note(*shapes: Shape) -> list[str]:
    """What the named sizes of `shapes` are bound to: ["here hidden = 5 and inputs = 7"]."""
    dims = [dim for shape in shapes for dim in shape if isinstance(dim, Dim)]
    named = dict.fromkeys(f"{dim.text} = {int(dim)}" for dim in dims if not dim.text.isdigit())
    *first, last = named or [""]
    return [f"here {', '.join(first)}{' and ' * bool(first)}{last}"] if last else []
