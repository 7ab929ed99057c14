"""Modifiers: functions of any cell to a cell, `zoneout(cell, h=0.1)`.

In: a cell, and arguments. Out: another cell, made of its nodes: it is compiled, differentiated,
saved and composed as any other. `MODIFIERS` is all there is to know of them; the language and
Python take them from there.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ..ir import Cell
from ..origin import Modified
from . import integration, norms, random, states, updates, weights, zoneout
from .record import Modifier as Modifier
from .record import ModifierError as ModifierError

_FILES = (states, weights, norms, integration, zoneout, random, updates)
MODIFIERS: Mapping[str, Modifier] = {each.name: each for file in _FILES for each in file.MODIFIERS}


def modified(cell: Cell, name: str, positional: Sequence[Any], named: Mapping[str, Any]) -> Cell:
    """The cell that a modifier makes of another.

    Raises:
        ModifierError: the modifier does not fit the cell, or an argument the modifier.
    """
    modifier = MODIFIERS[name]
    arguments = modifier.bind(cell, positional, named)
    made = cell.origin and Modified(cell.origin, name, arguments)
    changed = modifier.change(cell, arguments)
    return replace(changed, name=f"{name}({cell.name})", ensemble=None, origin=made)
