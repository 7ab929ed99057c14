"""The products of a cell: of a weight matrix with an input, or with a state.

In: a cell. Out: its products, found by what they are made of and never by a name. A weight matrix
is made of parameters, and of no input or state, though it may be of draws; it has an axis of its
own in the product, over which its rows go. The other operand differs from row to row of the batch.
A product is recurrent if it leads from a state to a state: its operand follows from an old value,
and a new value of the same link of a chain follows from it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ..dependence import is_contraction
from ..ir import Cell, Node, toposort
from .record import ModifierError, states_by_link


@dataclass(frozen=True, slots=True)
class Product:
    """One of them. `weight` is the path of the first parameter that its matrix is made of."""

    node: Node
    weight: str
    at: int  # which operand is not the matrix
    recurrent: bool


def products_of(cell: Cell) -> list[Product]:
    """The products in the order of their computation."""
    order = _order(cell)
    loops, varying = list(_loops(cell)), _varying(cell, order)
    made_of: dict[Node, str] = {param.node: param.name for param in cell.params}
    found = []
    for node in order:
        first = next((made_of[arg] for arg in node.args if arg in made_of), None)
        if first is not None and node not in varying:
            made_of.setdefault(node, first)
        at = _weight_at(node, made_of)
        if at is not None:
            recurrent = any({node, node.args[1 - at]} <= loop for loop in loops)
            found.append(Product(node, made_of[node.args[at]], 1 - at, recurrent))
    return found


def weights_of(cell: Cell) -> set[str]:
    """The parameters that matrices or tables are made of: what is only added or scaled is none."""
    order = _order(cell)
    varying = _varying(cell, order)
    made_of: dict[Node, set[str]] = {param.node: {param.name} for param in cell.params}
    found: set[str] = set()
    for node in order:
        params = {name for arg in node.args for name in made_of.get(arg, ())}
        if node not in varying:
            made_of.setdefault(node, params)
        elif not node.op.pointwise:
            found |= params
    return found


def _order(cell: Cell) -> list[Node]:
    return toposort([*(s.new for s in cell.states), *(y.node for y in cell.outputs)])


def _loops(cell: Cell) -> Iterator[set[Node]]:
    """Of each link, what follows from its old states and leads to its new ones."""
    for states in states_by_link(cell).values():
        order = _leading(cell, {state.new for state in states})
        yield _following(cell, order, {state.node for state in states}) & {*order}


def _leading(cell: Cell, ends: set[Node]) -> list[Node]:
    """What any of `ends` follows from, in this step or through hidden states in earlier ones."""
    while True:
        order = toposort(ends)
        found = {*order}
        earlier = {s.new for s in cell.states if s.hidden and s.node in found} - ends
        if not earlier:
            return order
        ends = ends | earlier


def _varying(cell: Cell, order: Sequence[Node]) -> set[Node]:
    """What differs from step to step, draws aside."""
    inputs = {x.node for x in cell.inputs}
    kept = {state.node for state in cell.states} - _held(cell, order)
    return _following(cell, order, inputs | kept)


def _following(cell: Cell, order: Sequence[Node], sources: set[Node]) -> set[Node]:
    """What follows from any of `sources`, in this step or through hidden states in later ones."""
    found = set(sources)
    while True:
        for node in order:
            if any(arg in found for arg in node.args):
                found.add(node)
        later = {s.node for s in cell.states if s.hidden and s.new in found} - found
        if not later:
            return found
        found |= later


def _held(cell: Cell, order: Sequence[Node]) -> set[Node]:
    """The hidden states that keep draws, and nothing of an input or a state."""
    drawn = _following(cell, order, {each.node for each in cell.beside})
    read = {x.node for x in cell.inputs} | {s.node for s in cell.states if not s.hidden}
    others = _following(cell, order, read)
    return {s.node for s in cell.states if s.hidden and s.node in drawn - others}


def _weight_at(node: Node, made_of: dict[Node, str]) -> int | None:
    """Which operand of a product is the weight matrix; None if `node` is no such product."""
    if not is_contraction(node):
        return None
    letters = node.attr[0].split("->")[0].split(",")
    for at, weight in enumerate(node.args):
        own = set(letters[at]) - set(letters[1 - at])
        other = node.args[1 - at]
        if own and weight in made_of and other not in made_of and other.type.axes:
            return at
    return None


def some_products(cell: Cell, name: str, *, recurrent: bool = False) -> Sequence[Product]:
    """The products of a cell, or the recurrent ones alone.

    Raises:
        ModifierError: there is none.
    """
    found = [each for each in products_of(cell) if each.recurrent or not recurrent]
    if not found:
        what = "with an input or a state, such as W @ x"
        if recurrent:
            what = "with a state, such as U @ h, that a new state follows from"
        raise ModifierError(
            f"{name} looks for products of a weight matrix {what}, and {cell.name} has none"
        )
    return found
