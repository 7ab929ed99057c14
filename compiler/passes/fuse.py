"""Elementwise work beside the loop joins the step, where that saves memory traffic.

In: a scan, hoisted and sunk. Out: a scan whose step computes anew, from what it reads anyway, what
`hoist` and `regroup` had moved in front of it, and stores results rather than what they are made
of. On a GPU the step's arithmetic is free beside a pass over [T,B,...]; NumPy has it the other way.
"""

from __future__ import annotations

from ..ir import Node, Scan, apply, rebuild
from ..places import Place, places
from ..rewrite import elements

# Structured ops that a step does with values on chip as well as before the loop with arrays.
VIEWS = ("slice", "reshape", "transpose", "broadcast", "flip", "stop_gradient")


def fuse(scan: Scan) -> Scan:
    """Undo hoisting and sinking for elementwise operations.

    Before  p = b + W @ x;  step: a = p[t] + U @ h        y = stack(i) * stack(c)
    After   p = W @ x;      step: a = (b + p[t]) + U @ h  y = stack(i * c)

    As laws: at(op(a, b)) -> op(at(a), at(b)), and op(stack(a), at'(v)) -> stack(op(a, v)).

    Args:
        scan: verified.
    Returns:
        A scan with equal outputs; up to rounding in programs of a narrow dtype, whose arrays are
        less exact than their steps. What something else than the step needs for all t
        is still computed for all t, and read.
    Cost: arithmetic of the step; saves a write and a read of the value for all t.
    """
    order = list(scan)
    place = places(order)
    joining = _joining(order, place)
    needed = _needed_for_all_t(scan, order, place, joining)
    found: dict[Node, Node] = {}
    now: dict[Node, Node] = {}  # a value for all t -> the step's own
    for node in order:
        if node.op.name == "at":
            found[node] = now[node.args[0]]
            continue
        new = rebuild(node, tuple(found[a] for a in node.args))
        found[node] = new
        if "T" not in node.type.axes:
            continue
        if place[node] is Place.BEFORE:
            joins = _is_elementwise(node) and node not in needed
            now[node] = _of_a_step(node, now, found) if joins else apply("at", new)
        elif node.op.name == "stack":
            now[node] = new.args[0]
        elif node in joining:
            now[node] = _of_a_step(node, now, found)
            if node.op.name not in VIEWS:
                found[node] = apply("stack", now[node])
    return scan.rebuilt(found)


def _joining(order: list[Node], place: dict[Node, Place]) -> set[Node]:
    """The nodes after the loop that a step can compute, where that is no more to store.

    A view of a stack costs nothing where it is: it joins for the sake of what reads it.
    """
    found: set[Node] = set()
    for node in order:
        if place[node] is not Place.AFTER or "T" not in node.type.axes:
            continue
        behind = [a for a in node.args if place[a] is Place.AFTER]
        if not all(a.op.name == "stack" or a in found for a in behind):
            continue
        pays = elements(node) <= sum(map(elements, behind))
        if node.op.name in VIEWS or (node.op.pointwise and pays):
            found.add(node)
    return found


def _needed_for_all_t(
    scan: Scan, order: list[Node], place: dict[Node, Place], joining: set[Node]
) -> set[Node]:
    """The values before the loop that something besides the step, or a view for it, reads."""
    found = set(scan.roots())
    for node in reversed(order):
        is_before = place[node] is Place.BEFORE and _is_elementwise(node) and node not in found
        if node.op.name == "at" or is_before or (node in joining and node.op.name not in VIEWS):
            continue
        found.update(node.args)
    return found


def _is_elementwise(node: Node) -> bool:
    return node.op.pointwise or node.op.name in VIEWS


def _of_a_step(node: Node, now: dict[Node, Node], found: dict[Node, Node]) -> Node:
    return rebuild(node, tuple(now.get(a) or found[a] for a in node.args))
