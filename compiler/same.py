"""Whether two stages are structurally the same.

In: two cells, scans or scans of one cell, on leaves of their own. Out: yes or no.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from .ir import Cell, Node, Scan, Scans, toposort
from .shapes import Dim

Form = tuple[Any, list[Node]]  # what has no nodes, and the nodes in a fixed order


def same(a: Cell | Scan | Scans, b: Cell | Scan | Scans) -> bool:
    """Whether `a` and `b` are structurally equal: up to which leaves they use, spans and labels."""
    if isinstance(a, Scans) and isinstance(b, Scans):
        pairs = ((a.forward, b.forward), (a.backward, b.backward))
        return a.saved == b.saved and all(
            x is y is None or (x is not None and y is not None and same(x, y)) for x, y in pairs
        )
    if isinstance(a, Cell) and isinstance(b, Cell):
        return _same_form(_cell_form(a), _cell_form(b))
    if isinstance(a, Scan) and isinstance(b, Scan):
        return _same_form(_scan_form(a), _scan_form(b))
    return False


def _cell_form(cell: Cell) -> Form:
    tuples = cell.input_is_tuple, cell.output_is_tuple
    params = [(p.name, replace(p.init, value=None), p.trained) for p in cell.params]
    states = [s.name for s in cell.states]
    values = [v.name for v in (*cell.inputs, *cell.outputs)]
    nodes = [p.node for p in cell.params]
    nodes += [p.init.value for p in cell.params if p.init.value is not None]
    nodes += [n for s in cell.states for n in (s.node, s.initial, s.new)]
    nodes += [v.node for v in (*cell.inputs, *cell.outputs)] + [x.node for x in cell.beside]
    beside = [(x.name, x.source) for x in cell.beside]
    settings = {name: str(value) for name, value in cell.settings.items()}
    return (cell.name, settings, tuples, params, states, values, beside), nodes


def _scan_form(scan: Scan) -> Form:
    carries = [(c.name, c.initial is None) for c in scan.carries]
    nodes = [*scan.params, *scan.inputs]
    nodes += [n for c in scan.carries for n in (c.node, c.initial, c.next) if n is not None]
    nodes += [o.node for o in scan.outs]
    return (scan.name, carries, [o.name for o in scan.outs], scan.reverse), nodes


def _same_form(a: Form, b: Form) -> bool:
    if a[0] != b[0] or len(a[1]) != len(b[1]):
        return False
    pairs: dict[Node, Node] = {}
    for mine, other in zip(toposort(a[1]), toposort(b[1]), strict=False):
        alike = (mine.op, mine.type) == (other.op, other.type) and len(mine.args) == len(other.args)
        operands = zip(mine.args, other.args, strict=False)
        if not alike or any(pairs[x] is not y for x, y in operands):
            return False
        if repr(_plain(mine.attr)) != repr(_plain(other.attr)):
            return False
        pairs[mine] = other
    return [pairs.get(n) for n in a[1]] == b[1]


def _plain(attr: Any) -> Any:
    """`attr` without the texts of its sizes; its repr tells -0.0 from 0.0 and NaN from itself."""
    if isinstance(attr, tuple):
        return tuple(_plain(part) for part in attr)
    return int(attr) if isinstance(attr, Dim) else attr
