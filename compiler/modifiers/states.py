"""Modifiers of states and outputs: bounds, and a way past the cell."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..ir import Cell, Node, Value, apply, const, label
from .borders import told_apart
from .kinds import BOUND
from .record import Modifier, ModifierError, Parameter, listed, sizes_of
from .rewriting import rebuilt, remade


def clip_state(cell: Cell, bounds: Mapping[str, float]) -> Cell:
    """Each state's new value within bounds, wherever it is read."""
    changing: dict[Node, float] = {}
    _, given = told_apart(cell)
    for state in cell.states:
        # What a link is given and becomes a state is itself elsewhere.
        if state.name in bounds and state.name not in given:
            changing.setdefault(state.new, bounds[state.name])

    unbounded: dict[Node, Node] = {}

    def change(old: Node, new: Node) -> Node:
        unbounded[old] = new
        return _clipped(new, changing[old]) if old in changing else new

    found = rebuilt(cell, {}, change)
    states = []
    for state in cell.states:
        new = found[state.new]
        bound = bounds.get(state.name)
        if bound is not None and state.name in given:
            new = _clipped(new, bound)
        elif bound is not None and changing[state.new] != bound:
            new = _clipped(unbounded[state.new], bound)
        states.append(replace(state, new=new, initial=found[state.initial]))
    return replace(remade(cell, found), states=tuple(states))


def _clipped(node: Node, bound: float) -> Node:
    new = node.then("maximum", -bound).then("minimum", bound)
    return label(new, node.label) if node.label else new


def residual(cell: Cell, _arguments: Mapping[str, object]) -> Cell:
    """Outputs with the inputs added."""
    inputs = [x.node for x in cell.inputs]
    fits = len(inputs) == len(cell.outputs) and all(
        (x.type.kind, x.type.shape) == ("real", tuple(y.node.type.shape))
        for x, y in zip(inputs, cell.outputs, strict=True)
    )
    if not fits:
        raise ModifierError(
            f"residual adds inputs to outputs, and {cell.name} takes {_shapes(cell.inputs)} "
            f"and returns {_shapes(cell.outputs)}"
            f"{sizes_of(*(v.node.type.shape for v in (*cell.inputs, *cell.outputs)))}"
        )
    outputs = (
        Value(y.name, apply("add", y.node, x)) for x, y in zip(inputs, cell.outputs, strict=True)
    )
    return replace(cell, outputs=tuple(outputs))


def _shapes(values: tuple[Value, ...]) -> str:
    texts = (f"{v.name}: {v.node.type.with_axes(frozenset())}" for v in values)
    return listed(list(texts)) or "nothing"


def clip_recurrent_gradient(cell: Cell, bounds: Mapping[str, float]) -> Cell:
    """States whose cotangents are kept within bounds on their way to the step before."""
    clipped = {}
    for state in cell.states:
        if state.name in bounds:
            shape, bound = state.node.type.shape, bounds[state.name]
            limits = const(-bound, shape), const(bound, shape)
            clipped[state.node] = apply("clip_gradient", state.node, *limits)
    return remade(cell, rebuilt(cell, clipped))


MODIFIERS = (
    Modifier(
        "clip_state",
        "each state's new value is kept within -bound and bound, wherever it is read",
        "Sak et al. 2014, arXiv:1402.1128",
        clip_state,
        each_state=Parameter("bound", BOUND),
    ),
    Modifier(
        "residual",
        "the input is added to the output, which has its shape",
        "He et al. 2016, arXiv:1512.03385",
        residual,
    ),
    Modifier(
        "clip_recurrent_gradient",
        "what comes back for each element of a state is kept within -bound and bound at every step",
        "Graves 2013, arXiv:1308.0850",
        clip_recurrent_gradient,
        each_state=Parameter("bound", BOUND),
    ),
)
