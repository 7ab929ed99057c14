"""Scan -> Plan: which node is computed where, and in what order.

In: a scan. Out: the same nodes, listed by place. What a backend does with the list (blocks of
steps, tiles, buffers) is its own business; that the list says nothing of arrays is what lets two
backends share it.
"""

from __future__ import annotations

from ..ir import Node, Plan, Scan


def schedule(scan: Scan, private: frozenset[str] = frozenset()) -> Plan:
    """Sort the nodes of a scan by when they are computed.

    once    from parameters alone: weight transforms
    whole   for all t before the loop, because something besides the step reads it
    block   for all t before the loop, read by the step alone: may be done for some steps at a time
    step    in the loop
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
    beyond = {o.node for o in scan.outs}  # read by something besides the step
    for node in reversed(order):
        if place[node] == "block" and node in beyond:
            place[node] = "whole"
        if place[node] in ("whole", "late"):
            beyond.update(node.args)
    lists = {
        name: tuple(n for n in order if place[n] == name and n.args)
        for name in ("once", "whole", "block", "step", "late")
    }
    return Plan(scan=scan, private=private, **lists)


def _place(node: Node, place: dict[Node, str]) -> str:
    operands = {place[a] for a in node.args}
    if node.op.name in ("stack", "accumulate") or "late" in operands:
        return "late"
    if node.op.name in ("carry", "at") or "step" in operands:
        return "step"
    if "T" in node.type.axes:
        return "block"
    return "whole" if operands & {"block", "whole"} else "once"  # a sum over time needs all of it

