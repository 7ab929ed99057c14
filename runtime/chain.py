"""Nets in a row as one net.

In: nets or cells, each feeding the next. Out: a `Recur` around the one cell they make together, so
that the compiler sees through the borders between them.
"""

from __future__ import annotations

from typing import Any

from ..compiler.compose import compose
from ..compiler.ir import Cell
from ..compiler.shapes import TypeProblem
from .arrays import check_dtype
from .cell import BoundCell
from .errors import ChainError
from .recur import Recur


def Chain(*members: Recur | BoundCell | Cell, dtype: Any = None, **keywords: Any) -> Recur:
    """`Chain(LSTM(10, 15), Dense(15, 5))`: the output of each is the input of the next.

    States and parameters are named by path: `"0.h"`, `"1.W"`. The chain starts with the parameters
    its members have now and from its own initial state; afterwards it has nothing to do with them.
    Members of one kind and seed have equal parameters: `seed=` draws them all anew, each its own.

    Args:
        members: nets, or cells.
        dtype: the members' by default.
        keywords: as for `Recur`.
    Raises:
        ChainError: a member is no cell, or does not take what the one before it returns.
    """
    if not members:
        raise ChainError("a chain has at least one member")
    cells = [_bound(member) for member in members]
    dtypes = sorted({cell.dtype.name for cell in cells})
    if dtype is None and len(dtypes) > 1:
        raise ChainError(f"the members compute in {' and '.join(dtypes)}: say dtype=")
    chosen = check_dtype(dtype or dtypes[0])
    try:
        whole = compose([cell.cell for cell in cells])
    except TypeProblem as problem:
        assert problem.operand is not None
        raise ChainError(f"member {problem.operand} of the chain, {problem}") from None
    params = {
        f"{at}.{name}": array
        for at, cell in enumerate(cells)
        for name, array in cell.draw(chosen).items()
    }
    label = f"Chain({', '.join(cell.label for cell in cells)})"
    return Recur(BoundCell(whole, dtype=chosen, params=params, label=label), **keywords)


def _bound(member: Any) -> BoundCell:
    match member:
        case Recur():
            return member.cell
        case BoundCell():
            return member
        case Cell():
            return BoundCell(member)
    raise ChainError(f"a chain is made of compiled cells, not of {member!r}")
