"""Work that does not read a carry leaves the step, to be done for all t at once.

In: a scan. Out: a scan whose step holds only what depends on a carry, and `at` reads of the rest.
"""

from __future__ import annotations

from ..ir import Node, Scan, apply, rebuild
from ..rewrite import elements

# A value may be stored for all t if it has at most this many times the numbers it is made of;
# an outer product, say, is cheaper to make anew in every step than to write and read back.
GROWTH = 4


def hoist(scan: Scan) -> Scan:
    """Move what does not read the carry in front of the loop.

    Before  step:  a = W @ x[t] + U @ h       x[t]: real[B,I]   W: real[4,H,I]
    After   before the loop: p = W @ x        p: real[T,B,4,H]  one GEMM of T*B rows
            step:  a = p[t] + U @ h

    As a law: op(at(a), at(b), W) -> at(op(a, b, W)).

    Args:
        scan: verified.
    Returns:
        A scan with equal outputs up to rounding: sums of products are reassociated.
    Cost: T - 1 calls fewer for each moved op; its result times T more scratch.
    Source: Appleyard, Kocisky, Blunsom 2016, arXiv:1604.01946.
    """
    found: dict[Node, Node] = {}
    serial: set[Node] = set()  # what reads a carry, or stays in the step as if it did
    for node in scan:
        new = rebuild(node, tuple(found[a] for a in node.args))
        if node.op.name == "carry" or (
            node.op.name not in BORDER and any(a in serial for a in node.args)
        ):
            serial.add(node)
        elif node.op.name not in BORDER and any(a.op.name == "at" for a in new.args):
            if _is_small(new):
                new = apply("at", rebuild(new, tuple(_before(a) for a in new.args)))
            else:
                serial.add(node)
        found[node] = new
    return scan.rebuilt(found)


BORDER = ("at", "stack", "accumulate")
WIDENING = ("broadcast", "reshape")


def _before(node: Node) -> Node:
    """`at(v)` seen from before the loop: `v`."""
    return node.args[0] if node.op.name == "at" else node


def _is_small(node: Node) -> bool:
    """Whether the value for all t is worth its memory.

    Another view of a value costs none, and one product with a weight beats T small ones.
    """
    if node.op.name in WIDENING:
        return True
    if node.op.name == "einsum" and any(not a.type.axes for a in node.args):
        return True
    made_of = max(elements(_unwidened(_before(a))) for a in node.args if a.op.name == "at")
    return elements(node) <= GROWTH * made_of


def _unwidened(node: Node) -> Node:
    while node.op.name in WIDENING:
        node = node.args[0]
    return node
