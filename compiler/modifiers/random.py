"""Modifiers that draw: states that stay, and states and weights that are dropped, in training.

In: a cell. Out: a cell with draws of its own, which out of training are their means.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..draws import dropped, for_a_sequence, held_name
from ..ir import (
    HIDDEN,
    STEP,
    TRAINING,
    Beside,
    Cell,
    Node,
    State,
    apply,
    leaf,
    rebuild,
)
from ..shapes import Shape, Type
from .kinds import PATHS, PROBABILITY, one_of
from .products import some_products
from .record import Modifier, Parameter, params_at, path_of
from .rewriting import Names, rebuilt, remade


class Draws:
    """What a modifier draws for a cell, under names that the cell has not."""

    def __init__(self, cell: Cell, modifier: str) -> None:
        self.cell = cell
        self.modifier = modifier
        self.names = Names(cell)
        self.beside = list(cell.beside)
        self.held: list[State] = []

    def trains(self, path: str, shape: Shape) -> Node:
        """Whether the net trains, in this shape. Every link of a chain has a word of its own."""
        name = f"{path}{TRAINING}"
        known = next((each.node for each in self.beside if each.name == name), None)
        if known is None:
            known = leaf("input", name, Type((), "bool", STEP))
            self.beside.append(Beside(name, known, "training"))
        if not shape:
            return known
        one = apply("reshape", known, attr=(1,) * len(shape))
        return one if one.type.shape == tuple(shape) else apply("broadcast", one, attr=tuple(shape))

    def uniform(self, path: str, shape: Shape, *, per_sequence: bool = False) -> Node:
        """Numbers of (0, 1] for each step, or for each sequence."""
        name = self.names.free(f"{path}{self.modifier}{HIDDEN}0")
        drawn = leaf("input", name, Type(tuple(shape), axes=STEP))
        self.beside.append(Beside(name, drawn, "uniform"))
        if not per_sequence:
            return drawn
        held = leaf("carry", self.names.free(path + held_name(name)), drawn.type)
        now, state = for_a_sequence(apply, drawn, held, self.trains(path, shape))
        self.held.append(state)
        return now

    def dropped(self, path: str, node: Node, rate: float, *, per_sequence: bool) -> Node:
        """The node with elements dropped."""
        drawn = self.uniform(path, tuple(node.type.shape), per_sequence=per_sequence)
        return self.dropped_by(path, node, rate, drawn)

    def dropped_by(self, path: str, node: Node, rate: float, drawn: Node) -> Node:
        """The node with those elements dropped whose number is small."""
        return dropped(apply, node, rate, drawn, self.trains(path, tuple(node.type.shape)))

    def beneath(self, cell: Cell) -> Cell:
        """The cell with what was drawn for it."""
        return replace(cell, beside=tuple(self.beside), states=(*cell.states, *self.held))


def recurrent_dropout(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U @ h -> U @ dropout(h, p), for every recurrent product."""
    products = {
        each.node: each for each in some_products(cell, "recurrent_dropout", recurrent=True)
    }
    draws = Draws(cell, "recurrent_dropout")
    masked: dict[Node, Node] = {}

    def change(old: Node, new: Node) -> Node:
        if old not in products:
            return new
        args, at = list(new.args), products[old].at
        if args[at] not in masked:
            path, held = path_of(products[old].weight), given["per"] == "sequence"
            masked[args[at]] = draws.dropped(path, args[at], given["p"], per_sequence=held)
        args[at] = masked[args[at]]
        return rebuild(new, tuple(args))

    return draws.beneath(remade(cell, rebuilt(cell, {}, change)))


def drop_connect(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> dropout(U, p, per=sequence). What states and parameters start with reads U itself."""
    draws = Draws(cell, "drop_connect")
    masked = {
        param.node: draws.dropped(path_of(param.name), param.node, given["p"], per_sequence=True)
        for param in params_at(cell, given["on"])
    }
    changed = remade(cell, rebuilt(cell, masked))
    states = (
        replace(new, initial=old.initial)
        for new, old in zip(changed.states, cell.states, strict=True)
    )
    return draws.beneath(replace(changed, params=cell.params, states=tuple(states)))


MODIFIERS = (
    Modifier(
        "recurrent_dropout",
        "in every recurrent product of a weight matrix, U @ h, elements of h are dropped: drawn at "
        "each step, or once for a sequence",
        "Gal & Ghahramani 2016, arXiv:1512.05287",
        recurrent_dropout,
        (Parameter("p", PROBABILITY), Parameter("per", one_of("step", "sequence"), "step")),
    ),
    Modifier(
        "drop_connect",
        "elements of U are dropped, drawn once for each sequence",
        "Wan et al. 2013, proceedings.mlr.press/v28/wan13",
        drop_connect,
        (Parameter("on", PATHS), Parameter("p", PROBABILITY)),
    ),
)
