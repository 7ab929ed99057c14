"""Forward mode as a cell: a cell beside its tangents.

In: a cell. Out: a cell with twice the parameters, states, inputs and outputs, whose step is the
step and its derivative in a direction. As it is a cell, everything there is for cells is there for
derivatives: masks, backends, and its own derivatives, which are the second ones of the first.
"""

from __future__ import annotations

from collections.abc import Mapping

from .derive import jvp, onto
from .ir import TANGENT, Cell, Node, Param, State, Value, const, leaf


def tangent(cell: Cell) -> Cell:
    """The cell and its derivative in a direction.

    Before  h' = f(h, x, W),                              y = g(h, x, W)
    After   h' = f(h, x, W), d1:h' = df(h, x, W)(d1:h, d1:x, d1:W), and so on for y

    Returns:
        A cell that takes a tuple of inputs, `x`, `d1:x`, and returns one of outputs, `y`, `d1:y`;
        what belongs to the derivative stands behind all that belongs to the cell. Integers and
        consts have no tangents. A boundary stops a tangent, as it stops a cotangent. The tangent
        of a cell beside its tangents has names with `d2:` in front, and so on.
    Source: Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3.
    """
    prefix = prefix_of(cell)
    params = [p for p in cell.params if p.trained]
    inputs = [x for x in cell.inputs if x.node.type.kind == "real"]
    leaves = {p.name: p.node for p in params} | {x.name: x.node for x in inputs}
    leaves |= {s.name: s.node for s in cell.states}
    moving = {node: leaf(node.op.name, prefix + name, node.type) for name, node in leaves.items()}
    roots = [o.node for o in cell.outputs]
    roots += [node for s in cell.states for node in (s.new, s.initial)]
    found = jvp(moving, roots)
    return Cell(
        name=f"{cell.name}.jvp",
        settings=cell.settings,
        params=(
            *cell.params, *(Param(prefix + p.name, moving[p.node], p.init) for p in params)
        ),
        states=(
            *cell.states,
            *(
                State(
                    prefix + s.name, moving[s.node],
                    _tangent(found, s.new), _tangent(found, s.initial),
                )
                for s in cell.states
            ),
        ),
        inputs=(*cell.inputs, *(Value(prefix + x.name, moving[x.node]) for x in inputs)),
        outputs=(
            *cell.outputs,
            *(Value(prefix + o.name, _tangent(found, o.node)) for o in cell.outputs),
        ),
        beside=cell.beside,
        span=cell.span,
        input_is_tuple=True,
        output_is_tuple=True,
    )  # fmt: skip


def prefix_of(cell: Cell) -> str:
    """What the names of its tangents begin with."""
    names = [value.name for value in (*cell.inputs, *cell.outputs)]
    return f"d{1 + max(name.count(TANGENT) for name in names)}{TANGENT}"


def _tangent(found: Mapping[Node, Node], node: Node) -> Node:
    return onto(found[node], node) if node in found else const(0.0, node.type.shape)
