"""Cells of one topic each, with sizes: `gradients.rnn`, `inner_gradients.rnn` and their like."""

from __future__ import annotations

from pathlib import Path

from rnnc.compiler.ir import Cell
from rnnc.compiler.library import Library, load

TOPICS = ("gradients", "inner_gradients", "matrices", "images")
SIZES = {
    "TTTLinear": (3, 4, 2), "TTTMLP": (3, 4), "Titans": (3, 4, 2), "ByState": (3, 2),
    "ConvLSTM": (2, 3, 4, 5), "Deep": (2, 3, 4), "Kernel": (3, 5),
}  # fmt: skip


def path_of(topic: str) -> Path:
    return Path(__file__).with_name(f"{topic}.rnn")


def library_of(topic: str) -> Library:
    return load(path_of(topic))


LIBRARIES = {topic: library_of(topic) for topic in TOPICS}


def names_of(*topics: str) -> list[str]:
    """Of the cells of these topics, or of all."""
    return [name for topic in topics or TOPICS for name in LIBRARIES[topic]]


def cell_of(name: str) -> Cell:
    """The cell of that name, of whatever topic; small, and no two sizes alike."""
    (library,) = (library for library in LIBRARIES.values() if name in library)
    return library[name](*SIZES.get(name, (4,)))
