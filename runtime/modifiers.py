"""Modifiers of bound cells: what `compiler.modifiers` makes of a cell, with its parameters.

In: the name of a modifier. Out: a function of a cell, or of a net, to a bound cell.
"""

from __future__ import annotations

from typing import Any, TypeAlias

import numpy as np

from ..compiler.elaborate.hints import closest
from ..compiler.ir import Cell
from ..compiler.modifiers import MODIFIERS, Modifier, ModifierError, modified
from .arrays import Array, is_tensor, on_host
from .cell import BoundCell
from .chain import bound_of
from .params import initialise
from .recur import Recur

Modifiable: TypeAlias = Recur | BoundCell | Cell


class ModifierOfCells:
    """A modifier as a function. See `docs/modifiers.md`."""

    def __init__(self, modifier: Modifier) -> None:
        self.modifier = modifier
        self.__name__ = self.__qualname__ = modifier.name
        self.__doc__ = f"{modifier.signature}\n\n{modifier.documentation}\n\n{modifier.source}"

    def __call__(self, cell: Modifiable, /, *arguments: Any, **named: Any) -> BoundCell:
        """The modified cell. It begins as the cell does, or a net as it stands, as far as it can.

        Args:
            cell: a cell, or a net, whose parameters are taken over where they stay.
            arguments, named: as the signature of the modifier has them.
        Raises:
            ModifierError: the modifier does not fit the cell, or an argument the modifier.
            ChainError: this is neither a cell nor a net.
        """
        bound, name = bound_of(cell), self.modifier.name
        try:
            found = modified(bound.cell, name, arguments, named)
        except ModifierError as error:
            near = closest(error.word, error.known) if error.word else None
            if near is None:
                raise
            raise ModifierError(f"{error}; did you mean {near!r}?", error.argument) from None
        given = [*map(_shown, arguments), *(f"{n}={_shown(v)}" for n, v in named.items())]
        return BoundCell(
            found, seed=bound.seed, dtype=bound.dtype, backend=bound.backend,
            params=_taken_over(bound, found, self.modifier),
            label=f"{name}({', '.join([bound.label, *given])})",
        )  # fmt: skip

    def __repr__(self) -> str:
        return f"<modifier {self.modifier.signature}>"


def _shown(value: Any) -> str:
    return repr(value) if isinstance(value, int | float | str) else str(value)


def _taken_over(bound: BoundCell, cell: Cell, modifier: Modifier) -> dict[str, Array] | None:
    """What the parameters of the cell begin with, those of a net among them; None: as drawn."""
    if bound.is_drawn:
        return None
    values = {n: on_host(a) if is_tensor(a) else a for n, a in bound.values().items()}
    shapes = {p.name: tuple(map(int, p.node.type.shape)) for p in cell.params}
    kept = {n: a for n, a in values.items() if shapes.get(n) == a.shape}
    if modifier.start:
        others = shapes.keys() & values.keys() - kept.keys()
        kept |= {n: modifier.start(values[n], shapes[n]) for n in others}
    return initialise(cell, bound.seed, np.dtype("float64"), kept)


def modifier_called(name: str) -> ModifierOfCells:
    """The modifier of this name.

    Raises:
        AttributeError: there is none.
    """
    if name not in MODIFIERS:
        near = None if name.startswith("_") else closest(name, MODIFIERS)
        advice = f"; did you mean {near!r}?" if near else ""
        raise AttributeError(f"there is no modifier {name!r}{advice}")
    return _CALLED.setdefault(name, ModifierOfCells(MODIFIERS[name]))


_CALLED: dict[str, ModifierOfCells] = {}
