"""Types of IR values: element kind, trailing shape, and the leading axes a value varies over.

In: sizes and element kinds. Out: `Type`s, or a `TypeProblem` that says why there is none.

Shapes in the language are the trailing axes and every op acts on those alone. Which of the
leading axes {T time, B batch} a value has follows from its operands (a parameter has
none, an input {T, B}, a state {B}); hoisting, weight transforms and batching read that set and
nothing else in the compiler knows about batching.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

LEADING = "TB"  # their order in every array: time, batch

Kind: TypeAlias = Literal["real", "int", "bool"]  # a program binds `real` to float32 or float64
Shape: TypeAlias = tuple[int, ...]


class Dim(int):
    """A size that remembers the expression it came from, for messages and printing only.

    `outer` is what the cell around gave for it, where it is a size of a sub-cell.
    """

    text: str
    outer: Dim | None

    def __new__(cls, value: int, text: str = "", outer: Dim | None = None) -> Dim:
        self = super().__new__(cls, value)
        self.text = text or str(int(value))
        self.outer = outer
        return self

    @property
    def is_named(self) -> bool:
        """Whether it came from more than a number."""
        return self.text != str(int(self))


class TypeProblem(ValueError):
    """A type rule refused its operands. It knows no spans: whoever applied the op adds them.

    `operand` is the index of the operand at fault, or None.
    """

    def __init__(self, message: str, operand: int | None = None) -> None:
        super().__init__(message)
        self.operand = operand


@dataclass(frozen=True, slots=True)
class Type:
    """`real[T,B,4,H]`: leading axes in the order of `LEADING`, then the trailing shape."""

    shape: Shape = ()
    kind: Kind = "real"
    axes: frozenset[str] = frozenset()

    @property
    def lead(self) -> str:
        """The leading axes as a word in array order: "", "B", "TB"."""
        return "".join(axis for axis in LEADING if axis in self.axes)

    @property
    def rank(self) -> int:
        return len(self.shape)

    def __str__(self) -> str:
        dims = [*self.lead, *(str(getattr(d, "text", int(d))) for d in self.shape)]
        return f"{self.kind}[{','.join(dims)}]"

    def with_shape(self, shape: Shape) -> Type:
        return Type(tuple(shape), self.kind, self.axes)

    def with_axes(self, axes: frozenset[str]) -> Type:
        return Type(self.shape, self.kind, axes)


def axes_of(*types: Type) -> frozenset[str]:
    """The leading axes a value has that is computed from values of these types."""
    return frozenset().union(*(t.axes for t in types))


def size(shape: Shape) -> int:
    """Number of elements."""
    total = 1
    for dim in shape:
        total *= int(dim)
    return total


def broadcast(*shapes: Shape) -> Shape:
    """NumPy's rule over trailing axes: aligned at the end, equal or 1."""
    rank = max(map(len, shapes), default=0)
    result: list[int] = []
    for axis in range(rank):
        dim: int = 1
        for shape in shapes:
            at = axis - rank + len(shape)
            if at < 0 or shape[at] == 1:
                continue
            if dim not in (1, shape[at]):
                raise TypeProblem(f"sizes {dim} and {shape[at]} differ")
            if dim == 1:
                dim = shape[at]
        result.append(dim)
    return tuple(result)
