"""Functions of any cell to a cell: see `docs/modifiers.md`.

cell = rnnc.modifiers.zoneout(rnnc.cells.LSTM(3, 16), h=0.1)
"""

from typing import TYPE_CHECKING

from .compiler.modifiers import MODIFIERS

if TYPE_CHECKING:
    from .runtime.modifiers import ModifierOfCells

__all__ = list(MODIFIERS)


def __getattr__(name: str) -> "ModifierOfCells":
    from .runtime.modifiers import modifier_called

    return modifier_called(name)


def __dir__() -> list[str]:
    return __all__
