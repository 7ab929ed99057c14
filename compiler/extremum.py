"""A state that is a running maximum, h' = max(a + h, b), or minimum: as its next value says.

In: a state, and its next value. Out: the op that joins, and a and b; or None. Such a step is affine
as well, where the maximum is what adds and the sum what multiplies: steps make a step again.

Source: Baccelli et al. 1992, Synchronization and Linearity, on (max, +) algebra.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import inf
from typing import Literal, TypeAlias

from .ir import Node, apply, const, toposort

Join: TypeAlias = Literal["maximum", "minimum"]
NOTHING: dict[Join, float] = {"maximum": -inf, "minimum": inf}  # joined with it, all stays as it is


@dataclass(frozen=True, slots=True)
class Extremum:
    """The next value of a state: of `factor` added to it, and `rest`, the one that `join` takes."""

    join: Join
    factor: Node
    rest: Node


def extremum(state: Node, next_: Node) -> Extremum | None:
    """The next value as such; None if the state is read in another way.

    Where a step does not read it, as after a reset, the factor is nothing.
    """
    order = toposort([next_])
    found = (_Rules(state, join).of(order) for join in NOTHING)
    return next((made for made in found if made), None)


@dataclass(frozen=True, slots=True)
class _Part:
    """A value of a step: of `factor` added to the state, and `rest`, the one that is taken.

    `read` is 0 where the value reads the state, elsewhere nothing, and `factor` is anything there.
    """

    read: Node
    factor: Node
    rest: Node


class _Rules:
    """A step's values as extrema of a state, op by op."""

    def __init__(self, state: Node, join: Join) -> None:
        shape = state.type.shape
        self.join: Join = join
        self.zero = apply("spread", const(0.0, shape), attr="B")
        self.nothing = apply("spread", const(NOTHING[join], shape), attr="B")
        self.found = {state: _Part(self.zero, self.zero, self.nothing)}

    def of(self, order: list[Node]) -> Extremum | None:
        """The last of these nodes, operands first."""
        for node in order:
            if any(a in self.found for a in node.args):
                part = self._part(node)
                if part is None:
                    return None
                self.found[node] = part
        last = self.found.get(order[-1])
        return Extremum(self.join, self._factor(last), last.rest) if last else None

    def _part(self, node: Node) -> _Part | None:
        known = [self.found.get(a) for a in node.args]
        parts = [part or _Part(self.nothing, self.zero, a)
                 for part, a in zip(known, node.args, strict=True)]  # fmt: skip
        match node.op.name, known:
            case "add" | "sub", (_Part(), None):
                return self._moved(parts[0], node.op.name, node.args[1])
            case "add", (None, _Part()):
                return self._moved(parts[1], "add", node.args[0])
            case self.join, _:
                one, other = parts
                return _Part(
                    self._joined(one.read, other.read),
                    self._joined(self._factor(one), self._factor(other)),
                    self._joined(one.rest, other.rest),
                )
            case "where", (None, _, _):
                test, (_, one, other) = node.args[0], parts
                return _Part(
                    _chosen(test, one.read, other.read),
                    _chosen(test, one.factor, other.factor),
                    _chosen(test, one.rest, other.rest),
                )
        return None

    def _moved(self, part: _Part, op: str, by: Node) -> _Part:
        """What is added to an extremum is added to both."""
        factor = apply(op, part.factor, by)
        if part.factor is self.zero:
            factor = by if op == "add" else -by
        if part.rest is self.nothing:
            return _Part(part.read, factor, part.rest)
        # One of two that is nothing stays so: +inf makes no NaN of it, as long as there is another.
        rest, nothing = apply(op, part.rest, by), NOTHING[self.join]
        lacks_rest = part.rest.then("eq", nothing)
        lacks_factor = part.factor.then("eq", nothing)
        return _Part(
            part.read,
            _chosen(lacks_rest, factor, _chosen(lacks_factor, self.nothing, factor)),
            self._where_read(part, _chosen(lacks_rest, self.nothing, rest), rest),
        )

    def _factor(self, part: _Part) -> Node:
        return self._where_read(part, part.factor, self.nothing)

    def _where_read(self, part: _Part, one: Node, other: Node) -> Node:
        if part.read in (self.zero, self.nothing):
            return one if part.read is self.zero else other
        return _chosen(part.read.then("eq", 0.0), one, other)

    def _joined(self, one: Node, other: Node) -> Node:
        if self.nothing in (one, other):
            return other if one is self.nothing else one
        return apply(self.join, one, other)


def _chosen(test: Node, one: Node, other: Node) -> Node:
    return one if one is other else apply("where", test, one, other)
