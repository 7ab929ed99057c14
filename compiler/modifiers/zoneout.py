"""Zoneout: units of states that keep their old values, drawn at every step in training.

In: a cell. Out: a cell whose states become, unit by unit, what they were or their new values; out
of training, the mean of both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..ir import Cell, Node, State, Value, apply, const, label
from .borders import link_of, told_apart
from .kinds import PROBABILITY
from .random import Draws
from .record import Modifier, ModifierError, Parameter, states_by_link, unit_of
from .rewriting import rebuilt


def zoneout(cell: Cell, rates: Mapping[str, float]) -> Cell:
    """Units of states keep their old values.

    Other states of the same link of a chain read the new ones; outputs and later links do not.
    """
    _check_units(cell, rates)
    cell, given = told_apart(cell)
    draws, drawn = Draws(cell, "zoneout"), dict[Any, Node]()
    links = states_by_link(cell)
    made_in: dict[str | None, list[Node]] = {None: [y.node for y in cell.outputs]}
    for name, node in _values(cell):
        made_in.setdefault(link_of(name, links), []).append(node)
    becomes: dict[Node, Node] = {}  # a new value -> what the next step reads in its place
    read: dict[str | None, Mapping[Node, Node]] = {}  # by link, what its values become
    states: dict[str, State] = {}
    for link, members in links.items():
        values = [given.get(state.name, state.new) for state in members]
        read[link] = rebuilt(cell, becomes, roots=[*made_in[link], *values])
        kept: dict[Node, Node] = {}
        for state, value in zip(members, values, strict=True):
            new = read[link][value]
            if state.name in rates:
                shape, rate = tuple(state.node.type.shape), rates[state.name]
                unit = unit_of(cell, state.name)
                if (unit, shape) not in drawn:
                    drawn[unit, shape] = draws.uniform(link, shape)
                stays = apply("le", drawn[unit, shape], const(rate, shape))
                picked = apply("where", stays, state.node, new)
                mean = state.node * rate + new * (1 - rate)
                new = apply("where", draws.trains(link, shape), picked, mean)
                new = label(new, state.new.label or f"{state.name}'")
            kept.setdefault(state.new, new)
            states[state.name] = replace(state, new=new)
        becomes = kept | becomes
    read[None] = rebuilt(cell, becomes, roots=made_in[None])

    def now(name: str, node: Node) -> Node:
        return becomes.get(node) or read[link_of(name, links)][node]

    for state in cell.states:
        if state.hidden:
            new = read[link_of(state.name, links)][state.new]
            states[state.name] = replace(state, new=new)
    changed = replace(
        cell,
        states=tuple(states[state.name] for state in cell.states),
        outputs=tuple(Value(y.name, read[None][y.node]) for y in cell.outputs),
        named=tuple(Value(v.name, now(v.name, v.node)) for v in cell.named),
    )
    return draws.beneath(changed)


def _check_units(cell: Cell, rates: Mapping[str, float]) -> None:
    """Raise what says that both parts of a complex unit have one rate."""
    units: dict[str, list[str]] = {}
    for state in cell.states:
        if not state.hidden:
            units.setdefault(unit_of(cell, state.name), []).append(state.name)
    for unit, parts in units.items():
        if len({rates.get(part) for part in parts}) > 1:
            at = next(part for part in parts if part in rates)
            raise ModifierError(
                f"{unit} is complex, and both its parts stay or go together: zoneout takes a "
                f"probability of {unit}, not of {at}",
                at,
            )


def _values(cell: Cell) -> Iterator[tuple[str, Node]]:
    yield from ((state.name, state.new) for state in cell.states)
    yield from ((value.name, value.node) for value in cell.named)


MODIFIERS = (
    Modifier(
        "zoneout",
        "in training each unit of a state keeps its old value with this probability, drawn at "
        "every step; out of it, it is the mean of both",
        "Krueger et al. 2017, arXiv:1606.01305",
        zoneout,
        each_state=Parameter("p", PROBABILITY),
    ),
)
