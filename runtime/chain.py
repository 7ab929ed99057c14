"""Nets in a row as one net.

In: nets or cells, each feeding the next. Out: a `Recur` around the one cell they make together, so
that the compiler sees through the borders between them.
"""

from __future__ import annotations

from typing import Any

from ..compiler.compose import compose
from ..compiler.ir import Cell
from ..compiler.shapes import TypeProblem
from .cell import BoundCell
from .checks import check_dtype
from .errors import ChainError
from .recur import Recur


def Chain(
    *members: Recur | BoundCell | Cell,
    dtype: Any = None,
    backend: str | None = None,
    **keywords: Any,
) -> Recur:
    """`Chain(LSTM(10, 15), Dense(15, 5))`: the output of each is the input of the next.

    States and parameters are named by path: `"0.h"`, `"1.W"`. The chain starts with the parameters
    its members have now and from its own initial state; afterwards it has nothing to do with them.
    It is one loop over time; `Stack(chain)` runs its members one after the other.
    Members of one kind and seed have equal parameters: `seed=` draws them all anew, each its own.

    Args:
        members: nets, or cells.
        dtype, backend: the members' by default.
        keywords: as for `Recur`.
    Raises:
        ChainError: a member is no cell, or does not take what the one before it returns.
    """
    if not members:
        raise ChainError("a chain has at least one member")
    cells = [bound_of(member) for member in members]
    chosen = check_dtype(dtype or common(cells, "dtype"))
    where = backend or common([c for c in cells if c.backend != "auto"], "backend") or "auto"
    try:
        whole = compose([cell.cell for cell in cells])
    except TypeProblem as problem:
        assert problem.operand is not None
        raise ChainError(f"member {problem.operand} of the chain, {problem}") from None
    params = {
        f"{at}.{name}": array
        for at, cell in enumerate(cells)
        for name, array in cell.values().items()
    }
    label = f"Chain({', '.join(cell.label for cell in cells)})"
    templates = list(dict.fromkeys(template for cell in cells for template in cell.templates))
    bound = BoundCell(
        whole, dtype=chosen, backend=where, params=params, label=label, templates=templates
    )
    return Recur(bound, **keywords)


def common(cells: list[BoundCell], name: str) -> str:
    """What all members have in common; "" if there is none to ask."""
    found = sorted({getattr(cell, name) for cell in cells})
    if len(found) > 1:
        verb = "compute in" if name == "dtype" else "run on"
        raise ChainError(f"the members {verb} {' and '.join(found)}: say {name}=")
    return found[0] if found else ""


def bound_of(member: Any) -> BoundCell:
    """The cell of a member, with the parameters it has now; or a `ChainError`."""
    match member:
        case Recur():
            return member.cell
        case BoundCell():
            return member
        case Cell():
            return BoundCell(member)
    advice = _advice(member)
    what = f"{type(member).__name__}(...)" if hasattr(member, "state_dict") else repr(member)
    raise ChainError(f"nets are made of compiled cells, not of {what}{advice and f': {advice}'}")


def _advice(member: Any) -> str:
    """What can be done with what is no cell, where something can; modules of torch are not known
    here by their classes."""
    if hasattr(member, "layers"):
        return "pass the layers of a stack one by one, [*stack.layers]"
    if hasattr(member, "merge"):
        return "both directions are a layer of a Stack, and no part of another net"
    if hasattr(member, "to_net"):
        return "module.to_net() makes a net of it, with copies of its parameters"
    if hasattr(member, "state_dict"):
        return "rnnc.interop.from_torch makes a net of an LSTM, GRU or RNN of torch.nn"
    return "a cell has its sizes, as LSTMCell(10, 5)" if callable(member) else ""
