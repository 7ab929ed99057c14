"""What every name of a cell is worth at every step: a program that returns all of them.

In: a cell. Out: a `Tracing`, whose program has an output for each state and each equation, by the
names of the source. It is compiled as any other, so it runs where the net runs.

A name that is bound once is a key. One that is bound several times, in a loop or because its
sub-cell is called again, has a key for each, `s[0]`, `s[1]`, ..., and is itself the last of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..compiler.ir import Cell, Node, Value, apply, const
from .arrays import AnyArray
from .program import Program


@dataclass(frozen=True, slots=True)
class Tracing:
    """A program whose outputs are what a cell names, and then its own."""

    program: Program
    values: tuple[Value, ...]  # by key; the order is that of the source

    def run(self, params: Mapping[str, AnyArray], carry: Mapping[str, AnyArray], xs: Any,
            **masks: Any) -> tuple[tuple[AnyArray, ...], dict[str, AnyArray]]:  # fmt: skip
        """Outputs, and the values along a sequence, [T, B, ...]; arguments as of `forward`."""
        _, ys, _ = self.program.forward(params, carry, xs, record=False, **masks)
        count = len(self.values)
        found = dict(zip((value.name for value in self.values), ys[:count], strict=True))
        for value in self.values:
            if value.node.type.kind == "bool":
                found[value.name] = found[value.name] != 0
        return ys[count:], found


def tracing(cell: Cell, like: Program) -> Tracing:
    """The tracing of a cell, on the backend and in the numbers of the program `like`."""
    values = named_values(cell)
    # Their names need not be names that the IR's text can hold.
    outputs = tuple(Value(f"named.{at}", _number(v.node)) for at, v in enumerate(values))
    traced = replace(cell, outputs=(*outputs, *cell.outputs), output_is_tuple=True)
    program = Program(traced, like.dtype, exact=like.exact, fast=like.fast, backend=like.backend)
    return Tracing(program, values)


def named_values(cell: Cell) -> tuple[Value, ...]:
    """Old states, then the equations' values, each under a key of its own."""
    total = Counter(value.name for value in cell.named)
    seen: Counter[str] = Counter()
    states = [state for state in cell.states if not state.hidden]
    found = [Value(state.name, state.node) for state in states]
    for value in cell.named:
        if total[value.name] > 1:
            found.append(Value(f"{value.name}[{seen[value.name]}]", value.node))
            seen[value.name] += 1
        if seen[value.name] in (0, total[value.name]):
            found.append(value)
    # A cell that was made without a source has no equations, but its states have names.
    found += [Value(f"{s.name}'", s.new) for s in states if f"{s.name}'" not in total]
    return tuple(found)


def _number(node: Node) -> Node:
    """A truth value as 1 or 0: programs return numbers."""
    if node.type.kind != "bool":
        return node
    return apply("where", node, *(const(number, node.type.shape) for number in (1.0, 0.0)))
