"""Modifiers that normalise products before biases and nonlinearities.

In: a cell. Out: a cell with every product of a weight matrix normalised over its last axis.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..ir import Cell, Init, Node, apply
from .kinds import BOUND
from .products import some_products
from .record import Modifier, Parameter
from .rewriting import Names, along_last, rebuilt, remade, started


def layer_norm(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """W @ x -> W_gain * layer_norm(W @ x), as the language has that."""

    def norm(x: Node) -> Node:
        centred = x - along_last(x, _mean(x))
        return centred / along_last(x, (_mean(centred * centred) + given["eps"]).then("sqrt"))

    return _normalised(cell, "layer_norm", norm)


def rms_norm(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """W @ x -> W_gain * rms_norm(W @ x), as the language has that."""

    def norm(x: Node) -> Node:
        return x / along_last(x, (_mean(x * x) + given["eps"]).then("sqrt"))

    return _normalised(cell, "rms_norm", norm)


def _mean(x: Node) -> Node:
    last = x.type.rank - 1
    return apply("sum", x, attr=last) / float(x.type.shape[last])


def _normalised(cell: Cell, name: str, norm: Callable[[Node], Node]) -> Cell:
    names, gains = Names(cell), {}
    for product in some_products(cell, name):
        shape = tuple(product.node.type.shape)
        gains[product.node] = names.param(f"{product.weight}_gain", shape, Init("ones"))

    def change(old: Node, new: Node) -> Node:
        return gains[old].node * norm(new) if old in gains else new

    found = rebuilt(cell, {}, change)
    old = (started(param, found) for param in cell.params)
    return remade(cell, found, [*old, *gains.values()])


MODIFIERS = (
    Modifier(
        "layer_norm",
        "every product of a weight matrix, W @ x, becomes W_gain * layer_norm(W @ x)",
        "Ba et al. 2016, arXiv:1607.06450",
        layer_norm,
        parameters=(Parameter("eps", BOUND, 1e-5),),
    ),
    Modifier(
        "rms_norm",
        "every product of a weight matrix, W @ x, becomes W_gain * rms_norm(W @ x)",
        "Zhang & Sennrich 2019, arXiv:1910.07467",
        rms_norm,
        parameters=(Parameter("eps", BOUND, 1e-6),),
    ),
)
