"""One elaboration: the problems found, the parameters declared, the operations counted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from ...grammar.limits import LARGEST_SIZE, MOST_NODES, MOST_STEPS
from ...grammar.problems import Collector
from ...grammar.problems_of_values import BadSize, ShapeMismatch, UnrolledTooLarge
from ...grammar.source import Span
from .. import ir
from ..ir import HIDDEN, Beside, Node, Param, State, apply, free_name, label, leaf, toposort
from ..shapes import Shape, Type, TypeProblem, size
from .modules import FunctionDefinition
from .values import Complex, Tensor, Value, part_names, parts_of, sizes_note


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
    inlining: Counter[FunctionDefinition] = field(default_factory=Counter)  # being written out
    built_in_call: Span | None = None  # where the built-in function that is being inlined is called
    owned: set[Node] = field(default_factory=set)  # the nodes that depend on a leaf of the cell
    worth: dict[Span, Value] = field(default_factory=dict)  # of each name, where it was bound last
    hidden: dict[str, State] = field(default_factory=dict)  # by path: what no header lists
    beside: dict[str, Beside] = field(default_factory=dict)  # by path: draws, and the mode
    drawn: Counter[str] = field(default_factory=Counter)  # how many have asked for a draw's name
    uneven: set[tuple[str, int, int]] = field(default_factory=set)  # divisions that were told of
    delayed: dict[tuple[str, Node], str] = field(default_factory=dict)  # what its states are called
    named: list[ir.Value] = field(default_factory=list)  # what equations of cells call values

    def apply(self, op: str, *args: Node, attr: Any = None, span: Span) -> Node:
        """The node of `op` on `args`, counted.

        Raises:
            TooManyOperations: it is one too many.
            ShapeMismatch: the operands are not what `op` takes, and nobody said so before.
        """
        self._count(span)
        # What depends on no leaf, such as eye(3), is shared with other cells: it has no place here.
        own = any(arg in self.owned for arg in args)
        try:
            place = self.built_in_call or span
            node = apply(op, *args, attr=attr, span=place if own else None)
        except TypeProblem as problem:
            raise ShapeMismatch(str(problem), span) from None
        check_size("this", node.type.shape, span)
        if own:
            self.owned.add(node)
        return node

    def _count(self, span: Span) -> None:
        self.nodes += 1
        if self.nodes > MOST_NODES:
            raise _too_many(f"{MOST_NODES:,} operations", span)

    def adopt(self, root: Node, span: Span) -> Node:
        """`root`, which rules of the ops have made of the cell's nodes, counted as its own.

        Raises:
            TooManyOperations: they are too many.
            BadSize: one of them is too large.
        """
        for node in toposort([root], self.owned.__contains__):
            if node in self.owned:
                continue
            self._count(span)
            check_size("this", node.type.shape, span)
            if any(arg in self.owned for arg in node.args):
                self.owned.add(node)
        return root

    def leaf(self, op: str, name: str, type_: Type, span: Span) -> Node:
        """A new leaf of the cell."""
        node = leaf(op, name, type_, span)
        self.owned.add(node)
        return node

    def free_draw(self, name: str) -> str:
        """`name`, `x@0`, or that with the next number that no draw has."""
        stem, mark, number = name.partition(HIDDEN)
        asked, self.drawn[name] = self.drawn[name], self.drawn[name] + 1
        # All before are taken: whoever looks at each again takes time with the square of the draws.
        return free_name(f"{stem}{mark}{int(number) + asked}", self.beside)

    def name(self, value: Tensor, name: str) -> Tensor:
        """Give the nodes of `value` the name its source has, unless they are shared or built in."""
        names = part_names(name, isinstance(value, Complex))
        for node, own in zip(parts_of(value), names, strict=True):
            if not self.inlining.total():  # what a function calls its values is its own business
                self.named.append(ir.Value(own, node))
            if node in self.owned and not self.built_in_call:
                label(node, own)
        return value

    def step(self, span: Span, steps: int = 1) -> None:
        """Count steps of work.

        Raises:
            TooManyOperations: it is one too many.
        """
        self.steps += steps
        if self.steps > MOST_STEPS:
            raise _too_many(f"{MOST_STEPS:,} equations and calls", span)


def check_size(what: str, shape: Shape, span: Span) -> None:
    """Check that a tensor is not too large to be stored.

    Raises:
        BadSize: it is.
    """
    count = size(shape)
    if count > LARGEST_SIZE:
        raise BadSize(
            f"{what} has {count:,} numbers, more than {LARGEST_SIZE:,}",
            span,
            notes=sizes_note(shape),
        )


def _too_many(what: str, span: Span) -> TooManyOperations:
    return TooManyOperations(
        UnrolledTooLarge(
            f"the cell unrolls into more than {what}",
            span,
            "the limit is reached here",
            notes=["loops, functions and sub-cells are written out while compiling"],
        )
    )
