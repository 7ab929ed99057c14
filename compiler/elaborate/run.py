"""One elaboration: the problems found, the parameters declared, the operations counted."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from ...grammar.problems import Collector
from ...grammar.problems_of_values import UnrolledTooLarge
from ...grammar.source import Span
from ..ir import Node, Param, apply
from .modules import FunctionDefinition

MOST_NODES = 100_000
MOST_STEPS = 200_000


class TooManyOperations(Exception):
    """Ends an elaboration at once; unlike a Problem, nothing can go on after it."""

    def __init__(self, problem: UnrolledTooLarge) -> None:
        super().__init__(problem.headline)
        self.problem = problem


@dataclass(slots=True)
class Run:
    """What all bodies of one cell, those of sub-cells and functions included, share."""

    problems: Collector = field(default_factory=Collector)
    params: dict[str, Param] = field(default_factory=dict)  # by path, in order of declaration
    nodes: int = 0
    steps: int = 0  # equations, calls and sums of numbers, which may make no node
    depth: int = 0  # how many cells the link that is being read stands in
    inlining: list[FunctionDefinition] = field(default_factory=list)  # being written out

    def apply(self, op: str, *args: Node, attr: Any = None, span: Span) -> Node:
        """The node of `op` on `args`, counted. Operands must be of the right types already.

        Raises:
            TooManyOperations: it is one too many.
        """
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _too_many(f"{MOST_NODES:,} operations", span)
        return apply(op, *args, attr=attr, span=span)

    def step(self, span: Span, steps: int = 1) -> None:
        """Count steps of work.

        Raises:
            TooManyOperations: it is one too many.
        """
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise _too_many(f"{MOST_STEPS:,} equations and calls", span)


def _too_many(what: str, span: Span) -> TooManyOperations:
    return TooManyOperations(
        UnrolledTooLarge(
            f"the cell unrolls into more than {what}",
            span,
            "the limit is reached here",
            notes=["loops, functions and sub-cells are written out while compiling"],
        )
    )
