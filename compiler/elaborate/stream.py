"""What a step reads of the stream that it is a step of: its number.

In: where that is read. Out: nodes of hidden states, which the run keeps beside those of headers.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ..ir import HIDDEN, Node, State, const, label
from ..shapes import Type
from .tensors import Site
from .values import Value

STEP = frozenset("B")


def step_index(site: Site) -> Node:
    """`t`: how many steps there were since the last reset. Nothing is differentiated along it."""
    hidden, name = site.run.hidden, f"{site.path}t{HIDDEN}0"
    if name not in hidden:
        node = site.run.leaf("carry", name, Type((), axes=STEP), site.span)
        number = site.apply("stop_gradient", node)
        hidden[name] = State(name, node, site.apply("add", number, const(1.0)), const(0.0))
    return label(site.apply("stop_gradient", hidden[name].node), "t")


@dataclass(frozen=True, slots=True)
class Word:
    """A word that is a value of a step."""

    documentation: str
    build: Callable[[Site], Value]


WORDS: Mapping[str, Word] = {
    "t": Word("how many steps there were since the last reset", step_index),
}
OF_STEP = frozenset(WORDS)  # the words that have no value anywhere else
