"""Functions of whole matrices: solving linear equations, the exponential.

In: operands. Out: nodes. The exponential is written in products and one solution, so that its
derivative is that of these.
"""

from __future__ import annotations

from ...grammar.problems_of_values import RankMismatch, ShapeMismatch
from ..ir import Node, const, toposort
from .arrange import identity
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
        inverse = site.apply("solve", a, site.run.adopt(identity(int(a.type.shape[0])), site.span))
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
    return site.run.adopt(_exponential(square(site, matrix)), site.span)


# Coefficients of the [13/13] Pade approximant of e^x, the first one made 1; its bound is where its
# error leaves float64's rounding. Higham 2005, doi:10.1137/04061101X.
PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
BOUND = 5.371920351148152
MOST_SQUARINGS = 5  # a 1-norm of 2^5 times the bound, 171, keeps full precision


def _exponential(a: Node) -> Node:
    """By scaling and squaring: e^A = (e^(A / 2^s))^(2^s), with no more s than the norm asks for.

    Every squaring is in the graph, and a choice whether it counts, as norms are known later. They
    have no part in the derivative, since the value does not depend on s.
    """
    n = int(a.type.shape[0])
    norm = a.then("abs").then("sum", attr=0).then("amax", attr=0)
    scale = const(1.0)
    is_above = [norm.then("gt", BOUND * 2.0**at) for at in range(MOST_SQUARINGS)]
    for above in is_above:
        scale = above.then("where", scale * 0.5, scale)
    found = _pade(a * _all_over(scale, n))
    for above in is_above:
        found = _all_over(above, n).then("where", _times(found, found), found)
    return found


def _pade(a: Node) -> Node:
    """(V - U)^-1 (V + U), where V has the even powers and U the odd ones; six products."""
    c = [coefficient / PADE[0] for coefficient in PADE]
    one = identity(int(a.type.shape[0]))
    a2 = _times(a, a)
    a4 = _times(a2, a2)
    a6 = _times(a2, a4)
    high = _times(a6, a6 * c[13] + a4 * c[11] + a2 * c[9])
    u = _times(a, high + a6 * c[7] + a4 * c[5] + a2 * c[3] + one * c[1])
    high = _times(a6, a6 * c[12] + a4 * c[10] + a2 * c[8])
    v = high + a6 * c[6] + a4 * c[4] + a2 * c[2] + one
    return (v - u).then("solve", v + u)


def _times(a: Node, b: Node) -> Node:
    return a.then("einsum", b, attr=("ab,bc->ac", ""))


def _all_over(number: Node, n: int) -> Node:
    """A single number, or truth value, for every element of a matrix."""
    return number.then("reshape", attr=(1, 1)).then("broadcast", attr=(n, n))
