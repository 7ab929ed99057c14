"""Functions of whole matrices: solving linear equations, the exponential.

In: operands. Out: nodes.
"""

from __future__ import annotations

from ...grammar.problems_of_values import RankMismatch, ShapeMismatch
from ..ir import Node, toposort
from ..matrices import exponential, identity
from .products import product
from .tensors import Site, real_tensor
from .values import Operand, Value, describe, shape_of, sizes_note


def solve(site: Site, matrix: Operand, right: Operand) -> Value:
    """The x of `matrix @ x = right`, for a vector or for every column of a matrix.

    Raises:
        RankMismatch, ShapeMismatch: no square matrix, or no right side that fits.
    """
    a = square(site, matrix)
    b = real_tensor(site, right)
    if b.type.rank not in (1, 2):
        raise RankMismatch(
            f"'{site.name}' needs a vector or a matrix on the right side",
            right.span,
            f"this is {describe(b)}",
        )
    if b.type.shape[0] != a.type.shape[0]:
        raise ShapeMismatch(
            f"'{site.name}' needs as many rows on the right side as the matrix has",
            matrix.span,
            f"this is {describe(a)}",
            related=[(right.span, f"this is {describe(b)}")],
            notes=sizes_note(a.type.shape, b.type.shape),
        )
    shape = b.type.shape
    if b.type.rank == 1:
        b = site.apply("reshape", b, attr=(*shape, 1))
    if _is_known_before(a, b):
        inverse = site.apply("solve", a, site.run.adopt(identity(a.type.shape[0]), site.span))
        found = product(site, inverse, b, "ab,bc->ac")
    else:
        found = site.apply("solve", a, b)
    return found if len(shape) == 2 else site.apply("reshape", found, attr=shape)


def _is_known_before(a: Node, b: Node) -> bool:
    """Whether the matrix is, where the right side is not: before the loop, or once for all rows.

    Then it is inverted there, and what is left is a product. An inverse that LAPACK has found
    column by column is as accurate a solution: Druinsky & Toledo 2012, arXiv:1201.6035.
    """
    return a.type.axes < b.type.axes or (_reads_state(b) and not _reads_state(a))


def _reads_state(node: Node) -> bool:
    return any(n.op.name == "carry" for n in toposort([node]))


def square(site: Site, matrix: Operand) -> Node:
    """An operand that is a square matrix.

    Raises:
        RankMismatch, ShapeMismatch: it is none.
    """
    node = real_tensor(site, matrix)
    if node.type.rank != 2:
        raise RankMismatch(
            f"'{site.name}' needs a matrix", matrix.span, f"this is {describe(node)}"
        )
    if node.type.shape[0] != node.type.shape[1]:
        raise ShapeMismatch(
            f"'{site.name}' needs a square matrix",
            matrix.span,
            f"this is {describe(node)}",
            notes=sizes_note(shape_of(node)),
        )
    return node


def matrix_exp(site: Site, matrix: Operand) -> Value:
    """e^A of a square matrix A.

    Raises:
        RankMismatch, ShapeMismatch: it is none.
    """
    return site.run.adopt(exponential(square(site, matrix)), site.span)
