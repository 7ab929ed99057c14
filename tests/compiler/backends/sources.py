"""Cells that are hard on a backend (`cells.rnn`) and some standard ones, with sizes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from rnnc.compiler.ir import Cell
from rnnc.compiler.library import Template, loads, std
from tests.library.table import CORE

HARD = loads(Path(__file__).with_name("cells.rnn").read_text(encoding="utf-8"))
STANDARD = std()

SIZES = {
    "Memory": (3, 2), "TwoSided": (3, 2), "Heads": (2, 3),
    "Embedding": (4, 3), "SLSTM": (3, 4, 2), "DeltaNet": (3, 2, 4),
    "LSTMP": (3, 4, 2),
}  # fmt: skip


def _bound(template: Template) -> Callable[[], Cell]:
    sizes = SIZES.get(template.name, (3,) if len(template.settings) == 1 else (3, 4))
    return lambda: template(*sizes)


CELLS: dict[str, Callable[[], Cell]] = {
    name: _bound(library[name])
    for library, names in ((HARD, tuple(HARD)), (STANDARD, CORE))
    for name in names
}
