"""Scan -> Plan: which node is computed where, and in what order.

In: a scan. Out: the same nodes, listed by place. What a backend does with the list (blocks of
steps, tiles, buffers) is its own business; that the list says nothing of arrays is what lets two
backends share it.
"""

from __future__ import annotations

from ..ir import Node, Plan, Scan

SECTIONS = ("once", "whole", "block", "step", "kept", "tail", "late")

# Ops that do for each step what they do for all, besides the elementwise ones.
VIEWS = ("slice", "reshape", "transpose", "broadcast", "flip")
BY_STEP = (*VIEWS, "concat", "pad")


def schedule(scan: Scan, private: frozenset[str] = frozenset()) -> Plan:
    """Sort the nodes of a scan by when they are computed.

    once    from parameters alone: weight transforms
    whole   for all t before the loop, because something besides the step reads it
    block   for all t before the loop, read by step and tail alone: may be done for some steps at
            a time
    step    in the loop
    kept    what the loop leaves behind: stacks and sums
    tail    for all t after the loop, elementwise: may be done for some steps at a time
    late    after the loop

    Args:
        scan: verified.
        private: the outs that only another program reads.
    Returns:
        A plan in which every node stands behind its operands. Leaves and consts stand nowhere.
    """
    order = list(scan)
    place: dict[Node, str] = {}
    for node in order:
        place[node] = _place(node, place)
    beyond = {o.node for o in scan.outs}  # what is read when the loop is over
    used = {a for n in order if place[n] == "tail" and not _is_view(n) for a in n.args}
    for node in reversed(order):
        if place[node] == "tail" and _is_view(node):
            place[node] = "tail" if node in used else "late"
            used.update(node.args if node in used else ())
        if place[node] == "block" and node in beyond:
            place[node] = "whole"
        if place[node] in ("whole", "late"):
            beyond.update(node.args)
    lists = {name: tuple(n for n in order if place[n] == name and n.args) for name in SECTIONS}
    return Plan(scan=scan, private=private, **lists)


def _place(node: Node, place: dict[Node, str]) -> str:
    operands = {place[a] for a in node.args}
    if node.op.name in ("stack", "accumulate"):
        return "kept"
    if operands & {"kept", "tail", "late"}:
        waiting = any(place[a] == "late" or a.op.name == "accumulate" for a in node.args)
        return "tail" if _is_by_step(node) and not waiting else "late"
    if node.op.name in ("carry", "at") or "step" in operands:
        return "step"
    if "T" in node.type.axes:
        return "block"
    return "whole" if operands & {"block", "whole"} else "once"  # a sum over time needs all of it


def _is_view(node: Node) -> bool:
    return node.op.name in VIEWS


def _is_by_step(node: Node) -> bool:
    return "T" in node.type.axes and (node.op.pointwise or node.op.name in BY_STEP)
