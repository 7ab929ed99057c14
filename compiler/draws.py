"""What is made of random draws, whoever writes it: a function of the language, or a modifier.

In: how a node is made, and nodes. Out: nodes that choose what is drawn in training, and the mean
out of it.
"""

from __future__ import annotations

from .ir import HIDDEN, Apply, Node, State, const


def dropped(apply: Apply, node: Node, rate: float, drawn: Node, trains: Node) -> Node:
    """In training, elements are 0 with probability `rate`, and x / (1 - rate) else.

    Args:
        drawn: uniform numbers, of the shape of `node`.
        trains: whether the net is in training mode, in that shape.
    """
    shape = tuple(node.type.shape)
    drops = apply("and", trains, apply("le", drawn, const(rate, shape)))
    # The value is read once, so that it can be all that a link of a chain reads; and what is
    # dropped is 0 even if it is infinite.
    kept = apply("where", drops, const(0.0, shape), node)
    scale = const(1 / (1 - rate) if rate < 1 else 1.0, shape)
    return apply("mul", kept, apply("where", trains, scale, const(1.0, shape)))


def for_a_sequence(apply: Apply, drawn: Node, held: Node, trains: Node) -> tuple[Node, State]:
    """Numbers drawn where a sequence begins, and the hidden state that keeps them.

    Args:
        held: the state's leaf; it is 0 as long as nothing is drawn.
    """
    shape = tuple(drawn.type.shape)
    begins = apply("eq", held, const(0.0, shape))
    now = apply("where", begins, drawn, held)
    new = apply("where", trains, now, held)
    return now, State(str(held.attr), held, new, const(0.0, shape))


def held_name(name: str) -> str:
    """`held@2`: what keeps the numbers that are drawn as `dropout@2`."""
    return f"held{HIDDEN}{name.rpartition(HIDDEN)[2]}"
