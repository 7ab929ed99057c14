"""Modifiers of weights: a parameter becomes an expression of others, computed once a call.

In: a cell and paths. Out: a cell that reads, wherever it read one of them, what is made of them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..ir import Cell, Init, Node, Param, apply
from ..matrices import exponential, identity
from ..shapes import Shape, size
from .kinds import COUNT, PATHS, one_of
from .products import weights_of
from .record import Array, Modifier, ModifierError, Parameter, params_at, sizes_of
from .rewriting import Names, along_last, rebuilt, remade, started

ON = Parameter("on", PATHS)
MOST_MATRICES = 64  # in one parameter: each has operations of its own

# A parameter's expression, and the new ones that it is made of; one may keep its name.
Made = tuple[Node, tuple[Param, ...]]


def on_weights(cell: Cell, paths: tuple[str, ...], make: Callable[[Param, Names], Made]) -> Cell:
    """The cell with each of some parameters made of others."""
    names, weights = Names(cell), weights_of(cell)
    made: dict[Param, Made] = {}
    for param in params_at(cell, paths):
        if param.node.type.rank < 2:
            raise ModifierError(f"{param.name} is no matrix: it is {param.node.type}", "on")
        if param.name not in weights:
            raise ModifierError(
                f"{param.name} is no weight matrix: it is only added, or scales elements", "on"
            )
        names.taken.discard(param.name)
        made[param] = make(param, names)
        names.taken.add(param.name)
    found = rebuilt(cell, {param.node: node for param, (node, _) in made.items()})
    params: list[Param] = []
    for param in cell.params:
        parts = made[param][1] if param in made else (param,)
        params += (started(each, found) if each is param else each for each in parts)
    return remade(cell, found, params)


# -- norm and direction ----------------------------------------------------------------------------


def weight_norm(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> U_g * U / norm(U), by row; U_g begins as the norms, so that the cell is as it was."""

    def make(param: Param, names: Names) -> Made:
        matrix, init = param.node, param.init
        if init.name == "zeros" or (init.name, init.args) == ("constant", (0.0,)):
            raise ModifierError(f"{param.name} starts as zeros, which have no direction", "on")
        squares = apply("sum", matrix * matrix, attr=matrix.type.rank - 1)
        # A row of zeros has no direction: it stays 0, and nothing is divided by.
        norms = squares.then("gt", 0.0).then("where", squares, 1.0).then("sqrt")
        start = squares.then("sqrt")
        init = replace(init, name="expr", args=(), value=start)
        gain = names.param(f"{param.name}_g", tuple(norms.type.shape), init)
        return matrix * along_last(matrix, gain.node / norms), (param, gain)

    return on_weights(cell, given["on"], make)


# -- groups of matrices ----------------------------------------------------------------------------


def skew(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> U - U.T."""

    def make(param: Param, _names: Names) -> Made:
        return _skew(_square(param, "skew")), (param,)

    return on_weights(cell, given["on"], make)


def orthogonal(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> exp(U - U.T), or (I + U - U.T)^-1 (I - U + U.T): each matrix of the last two axes."""
    of = exponential if given["via"] == "exp" else _cayley

    def make(param: Param, _names: Names) -> Made:
        turned = _skew(_square(param, "orthogonal"))
        n = int(turned.type.shape[-1])
        parts = [apply("reshape", of(part), attr=(1, n, n)) for part in _matrices(turned, n)]
        whole = parts[0] if len(parts) == 1 else apply("concat", *parts, attr=0)
        return apply("reshape", whole, attr=tuple(param.node.type.shape)), (param,)

    return on_weights(cell, given["on"], make)


def _square(param: Param, name: str) -> Node:
    shape = param.node.type.shape
    if shape[-1] != shape[-2]:
        raise ModifierError(
            f"{name} takes square matrices, and {param.name} is {param.node.type}"
            f"{sizes_of(shape[-2:])}",
            "on",
        )
    return param.node


def _skew(matrix: Node) -> Node:
    order = [*range(matrix.type.rank)]
    order[-2:] = order[:-3:-1]
    return matrix - apply("transpose", matrix, attr=tuple(order))


def _matrices(node: Node, n: int) -> list[Node]:
    """Each matrix of the last two axes by itself."""
    count = size(node.type.shape[:-2])
    if count > MOST_MATRICES:
        raise ModifierError(f"orthogonal takes at most {MOST_MATRICES} matrices, not {count}", "on")
    flat = apply("reshape", node, attr=(count, n, n))
    parts = [apply("slice", flat, attr=((at, at + 1), (0, n), (0, n))) for at in range(count)]
    return [apply("reshape", part, attr=(n, n)) for part in parts]


def _cayley(a: Node) -> Node:
    one = identity(a.type.shape[0])
    return (one + a).then("solve", one - a)


# -- fewer numbers ---------------------------------------------------------------------------------


def low_rank(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> U_left @ U_right, whose inner size is the rank."""
    rank = int(given["rank"])

    def make(param: Param, names: Names) -> Made:
        *front, rows, columns = param.node.type.shape
        if rank > min(rows, columns):
            raise ModifierError(
                f"{param.name} is {param.node.type}: no rank is more than "
                f"{min(int(rows), int(columns))}",
                "rank",
            )
        init = Init("orthogonal", members=param.init.members)
        left = names.param(f"{param.name}_left", (*front, rows, rank), init)
        right = names.param(
            f"{param.name}_right", (*front, rank, columns), _in_any_shape(param.init)
        )
        letters = "defgh"[: len(front)]
        spec = f"{letters}ab,{letters}bc->{letters}ac"
        return apply("einsum", left.node, right.node, attr=(spec, "")), (left, right)

    return on_weights(cell, given["on"], make)


def block_diagonal(cell: Cell, given: Mapping[str, Any]) -> Cell:
    """U -> its blocks along the diagonal, and zeros beside them."""
    blocks = int(given["blocks"])

    def make(param: Param, names: Names) -> Made:
        *front, rows, columns = param.node.type.shape
        if rows % blocks or columns % blocks:
            raise ModifierError(
                f"{param.name} is {param.node.type}: that is not {blocks} blocks"
                f"{sizes_of((rows, columns))}",
                "blocks",
            )
        shape = (*front, blocks, int(rows) // blocks, int(columns) // blocks)
        own = names.param(param.name, shape, _in_any_shape(param.init))
        letters = "efgh"[: len(front)]
        spec = f"{letters}abc,ad->{letters}abdc"
        spread = apply("einsum", own.node, identity(blocks), attr=(spec, ""))
        return apply("reshape", spread, attr=tuple(param.node.type.shape)), (own,)

    return on_weights(cell, given["on"], make)


def _along_diagonal(whole: Array, shape: Shape) -> Array:
    """f64[..., m, n] -> f64[..., blocks, m / blocks, n / blocks]."""
    blocks, rows, columns = map(int, shape[-3:])
    tiles = whole.reshape(*whole.shape[:-2], blocks, rows, blocks, columns)
    found: Array = np.einsum("...kikj->...kij", tiles)
    return found


def _in_any_shape(init: Init) -> Init:
    """The same way to start for a matrix of other sizes; a usual one for what has none."""
    if init.name in ("expr", "hippo_legs"):
        return Init("glorot_uniform", members=init.members)
    return init


MODIFIERS = (
    Modifier(
        "weight_norm",
        "U becomes U_g * U / norm(U), row by row; U_g begins as the norms of U",
        "Salimans & Kingma 2016, arXiv:1602.07868",
        weight_norm,
        (ON,),
    ),
    Modifier(
        "orthogonal",
        "U becomes exp(U - U.T), or Cayley's (I + A)^-1 (I - A) of A = U - U.T",
        "Lezcano-Casado & Martinez-Rubio 2019, arXiv:1901.08428; Helfrich et al. 2018, "
        "arXiv:1707.09520",
        orthogonal,
        (ON, Parameter("via", one_of("exp", "cayley"), "exp")),
    ),
    Modifier(
        "skew",
        "U becomes U - U.T",
        "Chang et al. 2019, arXiv:1902.09689",
        skew,
        (ON,),
    ),
    Modifier(
        "low_rank",
        "U becomes U_left @ U_right, whose inner size is the rank",
        "Kusupati et al. 2018, arXiv:1901.02358",
        low_rank,
        (ON, Parameter("rank", COUNT)),
    ),
    Modifier(
        "block_diagonal",
        "U becomes its blocks along the diagonal, U[blocks, m / blocks, n / blocks], and zeros",
        "Kuchaiev & Ginsburg 2017, arXiv:1703.10722",
        block_diagonal,
        (ON, Parameter("blocks", COUNT)),
        start=_along_diagonal,
    ),
)
