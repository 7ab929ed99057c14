"""Where each node of a scan lives: before the loop, in the step, or after the loop.

In: a scan's nodes. Out: their places, told by the border ops alone (see `ir`), and which of them
wait for the step before.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import IntEnum

from .ir import Node


class Place(IntEnum):
    """In the order in which a run computes them."""

    BEFORE = 0  # also what depends on parameters alone
    STEP = 1
    AFTER = 2


# The ops whose value is in another place than their operand.
BORDERS = {"at": Place.STEP, "stack": Place.AFTER, "accumulate": Place.AFTER}


def places(order: Iterable[Node]) -> dict[Node, Place]:
    """The place of each node of `order`, operands first: that of its latest operand."""
    found: dict[Node, Place] = {}
    for node in order:
        own = Place.STEP if node.op.name == "carry" else Place.BEFORE
        latest = max((found[a] for a in node.args), default=own)
        found[node] = BORDERS.get(node.op.name, latest)
    return found


def serial(order: Iterable[Node]) -> set[Node]:
    """The nodes of the step that read a carry: what must be done one step after the other."""
    found: set[Node] = set()
    for node in order:
        if node.op.name == "carry" or (
            node.op.name not in BORDERS and any(a in found for a in node.args)
        ):
            found.add(node)
    return found
