"""A cell in training, and out of it.

In: a cell. Out: one that reads nothing beside its inputs: draws are inputs in training, and gone
out of it. Passes, backends and derivatives see no other cells.
"""

from __future__ import annotations

from dataclasses import replace

from .ir import Cell, Node, Value, apply, const, rebuild, toposort
from .text import roots


def in_mode(cell: Cell, *, training: bool) -> Cell:
    """The cell in one of the two modes.

    Before  y = where(training, where(u > 0.5, 2 * x, 0), x)
    After   y = where(u > 0.5, 2 * x, 0)   with an input u more, in training
            y = x                          out of it

    Returns:
        The cell itself where it does not depend on the mode. Inputs that are draws stand behind
        the cell's, in the order of `beside`; nothing is differentiated along them.
    """
    if not cell.beside:
        return cell
    found: dict[Node, Node] = {}
    for each in cell.beside:
        shape = tuple(each.node.type.shape)
        if each.source == "training":
            found[each.node] = const(float(training), shape, "bool")
        elif training:
            found[each.node] = apply("stop_gradient", each.node)
        else:
            found[each.node] = const(1.0, shape)
    for node in toposort([*roots(cell), *(value.node for value in cell.named)]):
        if node not in found:
            found[node] = _settled(rebuild(node, tuple(found[arg] for arg in node.args)))
    draws = tuple(Value(x.name, x.node) for x in cell.beside if x.source != "training")
    return replace(
        cell,
        states=tuple(
            replace(s, new=found[s.new], initial=found[s.initial]) for s in cell.states
        ),
        inputs=(*cell.inputs, *(draws if training else ())),
        outputs=tuple(replace(y, node=found[y.node]) for y in cell.outputs),
        named=tuple(replace(v, node=found[v.node]) for v in cell.named),
        input_is_tuple=cell.input_is_tuple or (training and bool(draws)),
        beside=(),
        ensemble=None,
        origin=None,
    )  # fmt: skip


def _settled(node: Node) -> Node:
    """What is left of a choice by a truth value that is known now."""
    known = [a.op.name == "const" and a.type.kind == "bool" for a in node.args]
    match node.op.name:
        case "reshape" | "broadcast" if known[0]:
            return const(node.args[0].attr[0], tuple(node.type.shape), "bool")
        case "not" if known[0]:
            return const(1.0 - node.args[0].attr[0], tuple(node.type.shape), "bool")
        case "and" | "or" if any(known):
            at = known.index(True)
            decides = bool(node.args[at].attr[0]) == (node.op.name == "or")
            return node.args[at if decides else 1 - at]
        case "where" if known[0]:
            return node.args[1 if node.args[0].attr[0] else 2]
    return node
