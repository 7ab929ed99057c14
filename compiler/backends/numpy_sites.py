"""Where the statements of a NumPy module stand, and from where the values of a plan are read.

In: a plan. Out: the sites of its module; which values are read in which section.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..ir import Node, Plan


@dataclass(frozen=True, slots=True)
class Site:
    """Where statements stand, and how time looks from there."""

    name: str
    writer: str  # the frame's
    rows: str = ""  # of new values that vary over time
    count: str = ""  # of these rows


BUILD = Site("build", "build")
ONCE = Site("once", "before")
WHOLE = Site("whole", "before", "T", "T")
BLOCK = Site("block", "block", "q", "q")
STEP = Site("step", "step")
TAIL = Site("tail", "tail", "q", "q")
LATE = Site("late", "after", "T", "T")

SECTIONS = ("once", "whole", "block", "step", "kept", "tail", "late")
BY_BLOCK = (BLOCK, TAIL)
KEPT = (BUILD, ONCE, BLOCK, STEP, TAIL)  # their buffers are made once for a batch size


def lasting(plan: Plan) -> set[Node]:
    """The values that are read when the loop is over, so that all their rows must be there."""
    found = {a for n in (*plan.whole, *plan.late) for a in n.args}
    found |= {o.node for o in plan.scan.outs}
    for node in reversed(plan.tail):
        if node in found and not node.op.pointwise:
            found.update(node.args)  # it may be a view of them
    return found


def readers(plan: Plan) -> dict[Node, set[str]]:
    """Node -> the sections that read it."""
    found: dict[Node, set[str]] = {}
    for name in SECTIONS:
        for node in getattr(plan, name):
            for arg in node.args:
                found.setdefault(arg, set()).add(name)
    for node in plan.scan.roots():
        found.setdefault(node, set()).add("results")
    return found
