"""What holds of the IR at each stage; checked after every pass.

In: a cell, a scan, or the scans of one cell. Out: nothing, or an `AssertionError` that shows the
node at fault. What is checked here cannot happen, whatever a user wrote: it is a pass that erred.
"""

from __future__ import annotations

import weakref
from collections.abc import Iterable, Mapping
from typing import NoReturn

from .ir import LEAVES, Cell, Node, Scan, Scans, toposort
from .places import BORDERS, Place, places
from .shapes import TypeProblem
from .text import excerpt, roots


def verify(stage: Cell | Scan | Scans) -> None:
    """What holds of `stage`, whichever it is.

    Raises:
        AssertionError: with the node at fault and what it is made of, as text.
    Cost: linear in the number of nodes.
    """
    match stage:
        case Cell():
            verify_cell(stage)
        case Scan():
            verify_scan(stage)
        case Scans():
            verify_scans(stage)


def verify_cell(cell: Cell) -> None:
    """Types follow from the ops; leaves are the cell's; there is no time in one step."""
    where = f"cell {cell.name}"
    order = toposort(roots(cell))
    params = {p.node: p.name for p in cell.params}
    states = {s.node: s.name for s in cell.states}
    inputs = {x.node: x.name for x in cell.inputs} | {x.node: x.name for x in cell.beside}
    _check_nodes(where, order, params | states | inputs)
    _check_leaves(where, params, states, inputs)
    _check_unique(where, "output", (y.name for y in cell.outputs))
    for node in order:
        if node.op.name in BORDERS:
            _fail(where, node, "a cell has no time to read or leave")
        if "T" in node.type.axes:
            _fail(where, node, "a cell's value does not vary over time")
    for state in cell.states:
        _check_successor(where, state.name, state.node, state.new, exactly=False)
        _check_initial(where, state.name, state.node, state.initial)
    for param in cell.params:
        if param.init.value is not None:
            _check_initial(where, param.name, param.node, param.init.value)


def verify_scan(scan: Scan) -> None:
    """What `verify_cell` says of a step, and that every value stays in its place in time.

    A value before the loop, in the step, or after it (see `ir`): the step reads what was before
    it by `at` alone and leaves nothing behind but by `stack` and `accumulate`.
    """
    where = f"scan {scan.name}"
    order = toposort(roots(scan))
    params = {p: str(p.attr) for p in scan.params}
    carries = {c.node: c.name for c in scan.carries}
    inputs = {i: str(i.attr) for i in scan.inputs}
    _check_nodes(where, order, params | carries | inputs)
    _check_leaves(where, params, carries, inputs)
    _check_unique(where, "out", (o.name for o in scan.outs))

    place = places(order)
    for node in order:
        _check_place(where, node, place)
    for carry in scan.carries:
        if place[carry.next] is Place.AFTER:
            _fail(where, carry.next, f"the next {carry.name} is known after the loop only")
        _check_successor(where, carry.name, carry.node, carry.next)
        _check_initial(where, carry.name, carry.node, carry.initial)
        if (carry.start.op.name, carry.start.type) != ("input", carry.node.type):
            _fail(where, carry.start, f"state {carry.name} starts as another type")
    for out in scan.outs:
        if place[out.node] is Place.STEP:
            _fail(where, out.node, f"out {out.name} is a value of one step")


def verify_scans(scans: Scans) -> None:
    """Each scan by itself; what forward saves is an out of it, and backward's alone to read."""
    verify_scan(scans.forward)
    given = {o.name: o.node for o in scans.forward.outs}
    for name in scans.saved:
        assert name in given, f"scan {scans.forward.name}: no out is named {name}, yet it is saved"
    if scans.backward is None:
        return
    verify_scan(scans.backward)
    where = f"scan {scans.backward.name}"
    read = {str(i.attr): i for i in scans.backward.inputs}
    for name in scans.saved:
        if name in read and given[name].type != read[name].type:
            _fail(where, read[name], f"{name} was saved as {given[name].type}")


def _fail(where: str, node: Node, message: str) -> NoReturn:
    raise AssertionError(f"{where}: {message}\n{excerpt(node)}")


def _check_nodes(where: str, order: Iterable[Node], leaves: Mapping[Node, str]) -> None:
    """Every leaf is one of `leaves`; every other node has the type its op gives it."""
    for node in order:
        if node.op.name in LEAVES:
            if node not in leaves:
                _fail(where, node, f"{node!r} is nobody's {node.op.name}")
        elif node not in _checked:
            _check_type(where, node)
            _checked.add(node)


# Nodes never change: the type of one is checked once, however many passes hand it on.
_checked: weakref.WeakSet[Node] = weakref.WeakSet()


def _check_type(where: str, node: Node) -> None:
    count = node.op.arity
    if len(node.args) != count and (count >= 0 or not node.args):
        _fail(where, node, f"{node.op.name} takes {count}, not {len(node.args)}")
    try:
        type_ = node.op.type(node.attr, *(a.type for a in node.args))
    except TypeProblem as problem:
        _fail(where, node, f"{node.op.name} refuses its operands: {problem}")
    if type_ != node.type:
        _fail(where, node, f"this is {type_}")


def _check_leaves(
    where: str,
    params: Mapping[Node, str],
    carries: Mapping[Node, str],
    inputs: Mapping[Node, str],
) -> None:
    """Leaves are of their kind, have the axes they may have, and names of their own."""
    for kind, nodes in (("param", params), ("carry", carries), ("input", inputs)):
        for node, name in nodes.items():
            if node.op.name != kind:
                _fail(where, node, f"{name} is no {kind}")
            if node.attr != name:
                _fail(where, node, f"{name} is the leaf of {node.attr}")
    for node in params:
        if node.type.axes:
            _fail(where, node, f"{node!r} varies with the data")
    for node in carries:
        if "T" in node.type.axes:
            _fail(where, node, f"{node!r} varies over time")
    _check_unique(where, "leaf", (*params.values(), *carries.values(), *inputs.values()))


def _check_unique(where: str, kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        assert name not in seen, f"{where}: two {kind}s are named {name}"
        seen.add(name)


def _check_place(where: str, node: Node, place: Mapping[Node, Place]) -> None:
    match node.op.name:
        case "at":
            if place[node.args[0]] is not Place.BEFORE:
                _fail(where, node, "a step reads what is known before the loop only")
        case "stack" | "accumulate":
            if place[node.args[0]] is Place.AFTER:
                _fail(where, node, "what is left behind is no value of a step")
        case _ if any(place[a] is Place.STEP for a in node.args):
            for arg in node.args:
                if place[arg] is Place.AFTER or "T" in arg.type.axes:
                    _fail(where, node, f"a step's value mixed with {arg!r}, which is none")


def _check_successor(where: str, name: str, old: Node, new: Node, *, exactly: bool = True) -> None:
    """A state's next value is of its type; in a cell it may lack the leading axis."""
    axes = new.type.axes == old.type.axes or (not exactly and new.type.axes < old.type.axes)
    if not axes or (new.type.shape, new.type.kind) != (old.type.shape, old.type.kind):
        _fail(where, new, f"state {name} is {old.type}, but the next one is {new.type}")


def _check_initial(where: str, name: str, node: Node, initial: Node | None) -> None:
    if initial is not None and initial.type != node.type.with_axes(frozenset()):
        _fail(where, initial, f"{name} is {node.type}, but it begins as {initial.type}")
