"""How BLAS computes an `einsum`: which axes are rows, columns, contracted, looped over.

In: a spec and the axes its operands really have. Out: a `Product`. Per batch every binary einsum is
a matrix product [rows, contracted] @ [contracted, columns].
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Node
from ..shapes import size


@dataclass(frozen=True, slots=True)
class Product:
    """Axes by letter; leading axes are the letters "T" and "B".

    The result's natural order is `batch + rows + columns`.
    """

    a: str  # the letters of each operand
    b: str
    batch: str  # in both operands and the result
    rows: str  # of the first operand alone
    columns: str  # of the second operand alone
    contracted: str  # in both operands, not in the result
    swapped: bool  # the node's second operand comes first

    @property
    def natural(self) -> str:
        return self.batch + self.rows + self.columns


def product(spec: str, lead_a: str, lead_b: str, lead_out: str) -> Product:
    """Classify the axes of an einsum.

    Args:
        spec: of the trailing axes, "ab,b->a".
        lead_a, lead_b, lead_out: the leading axes of the operands and the result, "", "B", "TB".
    Returns:
        A product whose first operand is the one with leading axes of its own, so that time and
        batch are rows.
    """
    letters, out = spec.split("->")
    a, b = letters.split(",")
    a, b, out = lead_a + a, lead_b + b, lead_out + out
    swapped = _leads(b, a, out) > _leads(a, b, out)
    if swapped:
        a, b = b, a
    return Product(
        a=a,
        b=b,
        batch="".join(x for x in out if x in a and x in b),
        rows="".join(x for x in out if x in a and x not in b),
        columns="".join(x for x in out if x in b and x not in a),
        contracted="".join(x for x in a if x in b and x not in out),
        swapped=swapped,
    )


def _leads(a: str, b: str, out: str) -> int:
    return sum(x in a and x not in b and x in out for x in "TB")


def row_product(node: Node) -> tuple[int, int] | None:
    """Rows and columns of the matrix, if each example's value is multiplied by the same one."""
    if node.op.name != "einsum" or node.attr[1]:
        return None
    letters, out = node.attr[0].split("->")
    operands = list(zip(letters.split(","), node.args, strict=True))
    (_, weight), (names, value) = sorted(operands, key=lambda o: len(o[1].type.axes))
    if weight.type.axes or value.type.axes != {"B"} or set(names) & set(out) or not names:
        return None
    return size(value.type.shape), size(node.type.shape)
