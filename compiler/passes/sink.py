"""What feeds no carry leaves the step, to be done once after the last one.

In: a scan. Out: a scan whose step holds what a carry needs, and little more.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from ..ir import Node, Scan, apply, rebuild, toposort
from ..rewrite import elements

# A step's value may be kept for all t, for work after the loop, if that work makes at least this
# share of it: an output of 16 numbers does not keep a state of 16 x 16.
SHRINKING = 4

# Ops whose sum over time is the op on the sums over time of its operands.
LINEAR = ("add", "sub", "neg", "pad", "reshape", "transpose", "concat", "sum", "broadcast",
          "slice", "diag", "diagonal", "flip", "cumsum")  # fmt: skip

PARTING = ("slice", "reshape")  # views of one value
RESHAPING = ("reshape", "transpose", "flip", "stop_gradient")  # all of a value, seen in another way


def sink(scan: Scan, *, next_is_kept: bool = True) -> Scan:
    """Move outputs, and sums over time, behind the loop.

    Before  step:  dW += g x[t]'             g: real[B,4,H]   x[t]: real[B,I]
    After   after the loop: dW = g x'        one product that contracts over T*B

    As laws: stack(op(a, W)) -> op(stack(a), W), stack(at(v)) -> v, and
    accumulate(einsum(a, b)) -> einsum(stack(a), stack(b)) that sums over T as well.

    Args:
        scan: verified.
        next_is_kept: whether a state that is kept before every step is after every step, too, in
            the same array. The Triton backend would need a second one.
    Returns:
        A scan with equal outputs up to rounding: sums are reassociated.
    Cost: T - 1 calls fewer for each moved op; what the moved work reads of the step, times T.
    Source: Appleyard, Kocisky, Blunsom 2016, arXiv:1604.01946.
    """
    order = list(scan)
    step = _in_step(order)
    serial = set(toposort((c.next for c in scan.carries), lambda n: n.op.name == "at"))
    kept = _kept_anyway(scan, order, next_is_kept=next_is_kept)
    parted = _kept_whole(kept, step)
    after: dict[Node, Node] = {}  # a step's value -> the same for all t
    needs: dict[Node, set[Node]] = {}  # what is kept for that, and for nothing else yet
    for node in order:
        needs[node] = set().union(*(needs[a] for a in node.args))
        if node not in step:
            if node.op.name == "at":
                after[node] = node.args[0]
            elif node.op.name not in ("stack", "accumulate"):
                after[node] = node
        elif node in parted or (node.op.name in RESHAPING and node.args[0] in step):
            after[node] = rebuild(node, tuple(after[a] for a in node.args))
        elif node in serial or node.op.name == "carry" or not _shrinks(node, needs[node]):
            after[node] = apply("stack", node)
            needs[node] = set() if node in kept else {node}
        else:
            after[node] = rebuild(node, tuple(after[a] for a in node.args))
            if _is_of_a_weight(node):  # what it reads is kept whatever becomes of the result
                needs[node] = set()
    sums = _sums(order, step, after)
    found: dict[Node, Node] = {}
    for node in order:
        if node.op.name == "stack":
            value = after[node.args[0]]
            found[node] = value if "T" in value.type.axes else apply("stack", node.args[0])
        elif node.op.name == "accumulate":
            found[node] = sums[node.args[0]]
        elif node in step:
            found[node] = node  # a carry's next is not touched; the rest dies if nothing reads it
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _in_step(order: list[Node]) -> set[Node]:
    """The nodes computed in every step: what reads a carry or an `at`, short of a border."""
    step: set[Node] = set()
    for node in order:
        if node.op.name == "carry":
            step.add(node)
        elif node.op.name not in ("at", "stack", "accumulate"):
            if any(a in step or a.op.name == "at" for a in node.args):
                step.add(node)
    return step


def _kept_anyway(scan: Scan, order: list[Node], *, next_is_kept: bool) -> set[Node]:
    """Step values that are stacked whatever happens."""
    kept = {n.args[0] for n in order if n.op.name == "stack"}
    return kept | {c.next for c in scan.carries if next_is_kept and c.node in kept}


def _kept_whole(kept: set[Node], step: set[Node]) -> set[Node]:
    """Parts that are kept as parts of their whole: where kept parts make up half of it."""
    parts: dict[Node, list[Node]] = {}
    for node in kept:
        root = node
        while root.op.name in PARTING and root.args[0] in step:
            root = root.args[0]
        if root is not node and root.op.name != "carry":
            parts.setdefault(root, []).append(node)
    found: set[Node] = set()
    for root, nodes in parts.items():
        if 2 * sum(elements(n) for n in nodes) >= elements(root):
            for node in nodes:
                while node is not root:
                    found.add(node)
                    node = node.args[0]
    return found


def _shrinks(node: Node, needed: set[Node]) -> bool:
    """Whether doing `node` after the loop keeps little that would not be kept otherwise.

    A product with a weight always moves: one large product beats T small ones.
    """
    if _is_of_a_weight(node):
        return True
    # A vector costs little, and its sum would hold together the channels of a loop in blocks.
    large = (a for a in needed if a.type.rank > 1 or a in node.args)
    return all(elements(a) <= SHRINKING * elements(node) for a in large)


def _is_of_a_weight(node: Node) -> bool:
    return node.op.name == "einsum" and any(not a.type.axes for a in node.args)


def _sums(order: list[Node], step: set[Node], after: dict[Node, Node]) -> dict[Node, Node]:
    """Step value -> its sum over time, for those an `accumulate` asks for."""
    asked = {n.args[0] for n in order if n.op.name == "accumulate"}
    for node in reversed(order):
        if node in asked and node.op.name in LINEAR:
            asked |= set(node.args)
    sums: dict[Node, Node] = {}
    for node in order:
        if node not in asked:
            continue
        stacked = tuple(after[a] for a in node.args)
        if node in step and node.op.name in LINEAR:
            sums[node] = rebuild(node, tuple(sums[a] for a in node.args))
        elif any(_repeats(a, step) for a in node.args):
            sums[node] = apply("accumulate", node)
        elif node in step and node.op.name in SUMMING and _over_time(stacked):
            sums[node] = apply(node.op, *stacked, attr=SUMMING[node.op.name](node.attr))
        elif node.op.name == "at":
            sums[node] = apply("total", node.args[0], attr="T")
        elif node in step and "T" in after[node].type.axes and after[node].op.name != "stack":
            sums[node] = apply("total", after[node], attr="T")
        else:
            sums[node] = apply("accumulate", node)
    return sums


def _repeats(node: Node, step: set[Node]) -> bool:
    """Whether a value of the step has some other value many times over, as a convolution's places.

    For all t it would be as many times what is kept; a step has it in the cache.
    """
    while node.op.view and node.args:
        node = node.args[0]
    if node.op.name != "concat" or node not in step:
        return False
    sources = {_source(piece) for piece in node.args}
    return elements(node) > SHRINKING * sum(map(elements, sources))


def _source(node: Node) -> Node:
    """The value that `node` is a part of, or that it has with zeros around."""
    while node.args and (node.op.view or node.op.name in ("at", "pad")):
        node = node.args[0]
    return node


def _over_time(operands: tuple[Node, ...]) -> bool:
    return any("T" in a.type.axes for a in operands)


# Ops that can sum over a leading axis themselves: how their attr says so.
SUMMING: dict[str, Callable[[Any], Any]] = {
    "einsum": lambda attr: (attr[0], "".join(sorted({*attr[1], "T"}))),
    "scatter": lambda attr: (attr[0], "".join(sorted({*attr[1], "T"}))),
    "total": lambda attr: "".join(sorted({*attr, "T"})),
}
