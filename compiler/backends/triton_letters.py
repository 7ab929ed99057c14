"""What the operands of a product on tiles are: its axes by letter, and which one is a weight.

In: an einsum. Out: `Letters` and `Weighted`, which the emitters of products read.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import prod

from ..ir import Node
from ..mapping import MATRIX_UNIT, padded
from .triton_frame import Frame
from .triton_values import Dims, extents


@dataclass(frozen=True, slots=True)
class Letters:
    """The axes of an einsum by name: which operand, and the result, has which."""

    a: str
    b: str
    out: str
    sizes: dict[str, int]

    @staticmethod
    def of(node: Node) -> Letters:
        letters, out = node.attr[0].split("->")
        a, b = letters.split(",")
        sizes: dict[str, int] = {}
        for names, operand in ((a, node.args[0]), (b, node.args[1])):
            sizes |= dict(zip(names, extents(operand), strict=True))
        return Letters(a, b, out, sizes)

    @property
    def contracted(self) -> str:
        return "".join(x for x in self.a if x in self.b and x not in self.out)

    def dims(self, names: str) -> Dims:
        return tuple(padded(self.sizes[x]) for x in names)


@dataclass(frozen=True, slots=True)
class Weighted:
    """A product of a weight and a value of the step: [batch, own, summed] @ [batch, summed, rest].

    Each field names axes; `rest` are the value's own, which stand beside the rows.
    """

    weight: Node
    value: Node
    weight_letters: str
    value_letters: str
    batch: str
    own: str
    summed: str
    rest: str


def weighted(f: Frame, node: Node) -> Weighted | None:
    """`node` as a product with a weight, if it is large enough a one for the matrix unit."""
    if node.attr[1]:
        return None
    names = Letters.of(node)
    pairs = [(node.args[0], names.a, node.args[1], names.b),
             (node.args[1], names.b, node.args[0], names.a)]  # fmt: skip
    for weight, mine, value, theirs in pairs:
        place = f.place(weight)
        if place is None or place.timed or place.rows or not value.type.axes:
            continue
        large = {x for x in names.sizes if names.sizes[x] > 1}
        both = "".join(x for x in names.out if x in mine and x in theirs and x in large)
        own = "".join(x for x in names.out if x in mine and x not in both)
        summed = "".join(x for x in theirs if x in mine and x not in names.out)
        rest = "".join(x for x in names.out if x in theirs and x not in both and x not in own)
        if min(prod(names.dims(own)), prod(names.dims(summed))) >= MATRIX_UNIT:
            return Weighted(weight, value, mine, theirs, both, own, summed, rest)
    return None
