"""Where the states of a cell start, as programs of their own.

In: a cell. Out: scans without steps: one gives every state's initial value from the parameters,
the other its pullback. They are what a reset between calls runs.
"""

from __future__ import annotations

from .derive import by_node, vjp
from .ir import Cell, Node, Scan, Value, leaf, toposort


def initial(cell: Cell) -> Scan:
    """Every state's initial value, by name; without a batch axis.

    Its params are those that an initial value reads: none, most often.
    """
    outs = tuple(Value(s.name, s.initial) for s in cell.states)
    return Scan(f"{cell.name}.initial", _params_read(cell, outs), (), (), outs)


def initial_pullback(cell: Cell) -> Scan:
    """Cotangents of the parameters a learned initial value is made of.

    Inputs are `ct.<state>`, one for every state, summed over the batch; outs `ct.<param>`.
    """
    seeds = [leaf("input", f"ct.{s.name}", s.initial.type) for s in cell.states]
    trained = {p.node: p.name for p in cell.params if p.trained}
    cotangents = by_node(zip((s.initial for s in cell.states), seeds, strict=True))
    outs = tuple(Value(f"ct.{trained[p]}", ct) for p, ct in vjp(cotangents, trained).items())
    params = _params_read(cell, outs)
    return Scan(f"{cell.name}.initial.vjp", params, tuple(seeds), (), outs)


def _params_read(cell: Cell, outs: tuple[Value, ...]) -> tuple[Node, ...]:
    read = set(toposort([out.node for out in outs]))
    return tuple(p.node for p in cell.params if p.node in read)
