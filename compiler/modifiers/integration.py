"""Multiplicative integration: what an input and a state give is multiplied as well as added.

In: a cell. Out: a cell in which each sum of a product with an input and one with a state has their
product beside them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import Any

from ..ir import Cell, Init, Node, Param, apply, toposort
from .kinds import NUMBER
from .products import Product, products_of
from .record import Modifier, ModifierError, Parameter
from .rewriting import Names, rebuilt, remade, started

# A part of a sum, or a sum in another shape, is the sum of the parts.
_THROUGH = frozenset({"slice", "reshape", "broadcast", "transpose", "flip"})
MOST_TERMS = 64  # of one sum: a sum that is added to itself has twice as many each time


@dataclass(frozen=True, slots=True)
class _Term:
    """One of the values that a sum adds, and the views that it is seen through, the first first."""

    base: Node
    views: tuple[Node, ...] = ()


@dataclass(frozen=True, slots=True)
class _Sum:
    """A sum that is to be integrated: its terms by kind, and the three new parameters."""

    inputs: list[_Term]
    states: list[_Term]
    others: list[_Term]
    alpha: Param
    beta_h: Param
    beta_x: Param

    @property
    def params(self) -> tuple[Param, ...]:
        return self.alpha, self.beta_h, self.beta_x

    def integrated(self, found: Mapping[Node, Node]) -> Node:
        """Its value, where nodes have become others."""
        p, q = (
            _added(_seen(term, found) for term in terms) for terms in (self.inputs, self.states)
        )
        new = self.alpha.node * p * q + self.beta_h.node * q + self.beta_x.node * p
        return _added([new, *(_seen(term, found) for term in self.others)])


def multiplicative_integration(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """W @ x + U @ h -> alpha * (W @ x) * (U @ h) + beta_h * (U @ h) + beta_x * (W @ x)."""
    sums = _sums(cell, Names(cell), given)
    if not sums:
        raise ModifierError(
            "multiplicative_integration looks for sums of a weight matrix's product with an input "
            f"and one with a state, such as W @ x + U @ h, and {cell.name} has none"
        )
    found: dict[Node, Node] = {}

    def change(old: Node, new: Node) -> Node:
        found[old] = sums[old].integrated(found) if old in sums else new
        return found[old]

    nodes = rebuilt(cell, {}, change)
    params = [started(param, nodes) for param in cell.params]
    return remade(cell, nodes, [*params, *(p for each in sums.values() for p in each.params)])


def _sums(cell: Cell, names: Names, given: Mapping[str, Any]) -> dict[Node, _Sum]:
    """The innermost sums that have terms of both kinds, with parameters for each."""
    products = {each.node: each for each in products_of(cell)}
    terms: dict[Node, tuple[_Term, ...]] = {}
    found: dict[Node, _Sum] = {}
    for node in toposort([*(s.new for s in cell.states), *(y.node for y in cell.outputs)]):
        terms[node] = _terms(node, terms)
        if node.op.name != "add":
            continue
        inputs, states, others = _by_kind(terms[node], products)
        if inputs and states:
            shape, stem = tuple(node.type.shape), products[states[0].base].weight
            alpha, beta_h, beta_x = (
                names.param(f"{stem}_{name}", shape, Init("constant", (given[value],)))
                for name, value in (("alpha", "alpha"), ("beta_h", "beta"), ("beta_x", "beta"))
            )
            found[node] = _Sum(inputs, states, others, alpha, beta_h, beta_x)
            terms[node] = (_Term(node),)  # for sums around it, it is a value as others
    return found


def _terms(node: Node, terms: Mapping[Node, tuple[_Term, ...]]) -> tuple[_Term, ...]:
    whole = (_Term(node),)
    match node.op.name:
        case "add":
            parts = tuple(term for arg in node.args for term in terms[arg])
            return parts if len(parts) <= MOST_TERMS else whole
        case name if name in _THROUGH:
            return tuple(replace(t, views=(*t.views, node)) for t in terms[node.args[0]])
    return whole


def _by_kind(
    terms: Iterable[_Term], products: Mapping[Node, Product]
) -> tuple[list[_Term], list[_Term], list[_Term]]:
    inputs: list[_Term] = []
    states: list[_Term] = []
    others: list[_Term] = []
    for term in terms:
        product = products.get(term.base)
        kind = others if product is None else states if product.recurrent else inputs
        kind.append(term)
    return inputs, states, others


def _seen(term: _Term, found: Mapping[Node, Node]) -> Node:
    node = found.get(term.base, term.base)
    for view in term.views:
        node = apply(view.op, node, attr=view.attr, span=view.span)
    return node


def _added(nodes: Iterable[Node]) -> Node:
    return reduce(lambda a, b: a + b, nodes)


MODIFIERS = (
    Modifier(
        "multiplicative_integration",
        "a sum W @ x + U @ h becomes U_alpha * (W @ x) * (U @ h) + U_beta_h * (U @ h) + "
        "U_beta_x * (W @ x); alpha and beta are where these start",
        "Wu et al. 2016, arXiv:1606.06630",
        multiplicative_integration,
        (Parameter("alpha", NUMBER, 0.0), Parameter("beta", NUMBER, 1.0)),
    ),
)
