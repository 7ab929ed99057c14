"""Cell -> Scan: the step applied along time.

In: a cell, whose inputs are one step's. Out: a scan, whose inputs are whole sequences that the
step reads with `at(x)` and whose outputs are `stack(y)`.
"""

from __future__ import annotations

from ..ir import STEP, Carry, Cell, Node, Scan, Value, apply, leaf
from ..rewrite import substitute

SEQUENCE = frozenset("TB")


def scan(cell: Cell) -> Scan:
    """Add time.

    Before  h' = tanh(x @ W + h @ U)         x: real[B,I]
    After   step:  h' = tanh(x[t] @ W + h @ U), ys = stack(h')      x: real[T,B,I]

    Args:
        cell: verified.
    Returns:
        A forward scan named after the cell; `inputs` in the cell's order.
    """
    sequences = [leaf("input", v.name, v.node.type.with_axes(SEQUENCE)) for v in cell.inputs]
    reads = {v.node: apply("at", s) for v, s in zip(cell.inputs, sequences, strict=True)}
    roots = [*(s.new for s in cell.states), *(o.node for o in cell.outputs)]
    found = substitute(roots, reads)
    carries = tuple(
        Carry(s.name, s.node, leaf("input", s.name, s.node.type), _per_row(found[s.new]), s.initial)
        for s in cell.states
    )
    outs = tuple(Value(o.name, apply("stack", _per_row(found[o.node]))) for o in cell.outputs)
    params = tuple(p.node for p in cell.params)
    return Scan(cell.name, params, tuple(sequences), carries, outs)


def _per_row(node: Node) -> Node:
    """A state or output that reads neither state nor input is still one value for every row."""
    missing = STEP - node.type.axes
    return apply("spread", node, attr="".join(sorted(missing))) if missing else node
