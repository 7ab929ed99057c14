"""The identity, and the exponential in products and one solution, so that its derivative is theirs.

In: a size, or a square matrix. Out: nodes.
"""

from __future__ import annotations

from .ir import Node, apply, const


def identity(n: int) -> Node:
    """The identity matrix, as the nodes it is made of."""
    row, column = (apply("iota", attr=((n, n), axis)) for axis in (0, 1))
    return row.then("eq", column).then("where", 1.0, 0.0)


# Coefficients of the [13/13] Pade approximant of e^x, the first one made 1; its bound is where its
# error leaves float64's rounding. Higham 2005, doi:10.1137/04061101X.
PADE = (
    64764752532480000, 32382376266240000, 7771770303897600, 1187353796428800, 129060195264000,
    10559470521600, 670442572800, 33522128640, 1323241920, 40840800, 960960, 16380, 182, 1,
)  # fmt: skip
BOUND = 5.371920351148152
MOST_SQUARINGS = 5  # a 1-norm of 2^5 times the bound, 171, keeps full precision


def exponential(a: Node) -> Node:
    """By scaling and squaring: e^A = (e^(A / 2^s))^(2^s), with no more s than the norm asks for.

    Every squaring is in the graph, and a choice whether it counts, as norms are known later. They
    have no part in the derivative, since the value does not depend on s.
    """
    n = a.type.shape[0]
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
    one = identity(a.type.shape[0])
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
