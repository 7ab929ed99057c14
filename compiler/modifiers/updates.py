"""A modifier of what is added to a state: the candidate of a gated unit is dropped, in training.

In: a cell. Out: a cell in which each state's new value that is a sum with the old one has elements
of the other terms dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..ir import Cell, Node, State, rebuild, toposort
from .kinds import PROBABILITY, one_of
from .random import Draws
from .record import Modifier, ModifierError, Parameter, path_of, unit_of
from .rewriting import rebuilt, remade

_SUMS = frozenset({"add", "sub"})
_PRODUCTS = frozenset({"mul", "einsum"})
_THROUGH = frozenset({"neg", "slice", "reshape", "broadcast", "transpose", "flip"})


def update_dropout(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """f * c + i * g -> f * c + dropout(i * g, p), for every state with such a sum."""
    states = [state for state in cell.states if not state.hidden]
    trains = {each.node for each in cell.beside if each.source == "training"}
    becomes = {state: _update(state, trains) for state in states}
    units: dict[str, set[Node]] = {}
    for state in states:
        units.setdefault(unit_of(cell, state.name), set()).add(state.node)
    news = set(becomes.values())
    sums: dict[Node, tuple[str, dict[Node, bool]]] = {}  # a new value -> its unit, and its terms
    for state in states:
        unit, new = unit_of(cell, state.name), becomes[state]
        keeps = _terms(new, units[unit], news - {new})
        if set(keeps.values()) == {True, False}:
            sums.setdefault(new, (unit, keeps))
    if not sums:
        raise ModifierError(
            "update_dropout looks for states whose new value is a sum with the old one, such as "
            f"c' = f * c + i * g, and {cell.name} has none"
        )
    draws, drawn, found = Draws(cell, "update_dropout"), dict[Any, Node](), dict[Node, Node]()

    def change(old: Node, new: Node) -> Node:
        if old in sums:
            unit, keeps = sums[old]
            key = unit, tuple(old.type.shape)
            if key not in drawn:
                lasts = given["per"] == "sequence"
                drawn[key] = draws.uniform(path_of(unit), key[1], per_sequence=lasts)
            new = dropped_in(old, keeps, path_of(unit), drawn[key])
        found[old] = new
        return new

    def dropped_in(new: Node, keeps: Mapping[Node, bool], path: str, numbers: Node) -> Node:
        """The sum with its updates dropped."""
        parts = dict[Node, Node]()
        for node in toposort([new], keeps.__contains__):
            if node not in keeps:
                parts[node] = rebuild(node, tuple(parts[arg] for arg in node.args))
            elif keeps[node]:
                parts[node] = found[node]
            else:
                parts[node] = draws.dropped_by(path, found[node], given["p"], numbers)
        return parts[new]

    return draws.beneath(remade(cell, rebuilt(cell, {}, change)))


def _update(state: State, trains: set[Node]) -> Node:
    """What a new value is in training, where it is not the old one, before bounds keep it."""
    new = state.new
    while True:
        match new.op.name:
            case "maximum" | "minimum" if new.args[1].op.name == "const":
                new = new.args[0]
            case "maximum" | "minimum" if new.args[0].op.name == "const":
                new = new.args[1]
            case "where" if _tested(new) in trains:
                new = new.args[1]
            case "where" if state.node in new.args[1:]:
                new = new.args[1 if new.args[2] is state.node else 2]
            case _:
                return new


def _tested(choice: Node) -> Node:
    """The truth value that decides for all elements of a choice."""
    test = choice.args[0]
    while test.op.name in ("broadcast", "reshape"):
        test = test.args[0]
    return test


def _terms(new: Node, unit: set[Node], others: set[Node]) -> dict[Node, bool]:
    """What a new value adds: whether each term is the old value, scaled or mixed.

    Args:
        others: what is one term, whatever it is made of: the new values of other states.
    """
    known = dict[Node, bool]()

    def is_term(node: Node) -> bool:
        return node.op.name not in _SUMS or node in others

    return {n: _keeps(n, unit, known) for n in toposort([new], is_term) if is_term(n)}


def _keeps(term: Node, unit: set[Node], known: dict[Node, bool]) -> bool:
    todo = [term]
    while todo:
        at = todo[-1]
        parts = _parts(at)
        missing = [part for part in parts if part not in known]
        todo += missing
        if not missing:
            of = all if at.op.name in _SUMS else any
            known[todo.pop()] = at in unit or of(known[part] for part in parts)
    return known[term]


def _parts(node: Node) -> tuple[Node, ...]:
    """The operands that a node scales or mixes."""
    if node.op.name == "div" or node.op.value_of == 0:
        return node.args[:1]
    return node.args if node.op.name in _SUMS | _PRODUCTS | _THROUGH else ()


MODIFIERS = (
    Modifier(
        "update_dropout",
        "of a new value that is a sum with the old one, c' = f * c + i * g, elements of the other "
        "terms are dropped: drawn at each step, or once for a sequence",
        "Semeniuta et al. 2016, arXiv:1603.05118",
        update_dropout,
        (Parameter("p", PROBABILITY), Parameter("per", one_of("step", "sequence"), "step")),
    ),
)
