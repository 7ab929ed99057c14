"""What is probably not meant: functions outside of their domain, derivatives that are 0.

In: a cell. Out: warnings. Which values are possible is told by intervals: a state's holds what it
starts with and whatever its equation makes of what it holds.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ..grammar.problems import Problem
from ..grammar.problems_of_values import LostGradient, OutsideDomain
from .derive import followed
from .ir import LEAVES, Cell, Node, toposort

Interval: TypeAlias = tuple[float, float]
ALL: Interval = (-math.inf, math.inf)
MOST_ROUNDS = 6  # in which the intervals of states settle, or else are unbounded


def doubts(cell: Cell) -> Iterator[Problem]:
    """What is doubtful of a cell at the sizes that it has.

    Args:
        cell: its sizes bound; shapes do not matter, as an interval holds every element of a value.
    Returns:
        `LostGradient`s and `OutsideDomain`s in no order, each with its span. Nothing is raised.
    Cost: a few visits of each node; the intervals of states settle in `MOST_ROUNDS` at most.
    """
    roots = [state.new for state in cell.states] + [output.node for output in cell.outputs]
    order = toposort(roots)
    fixed = {param.node for param in cell.params if not param.trained}
    yield from _lost_gradients(order, roots, fixed)
    if any(node.op.defined_from is not None for node in order):
        found = _settled(cell, order)
        yield from (_outside(node) for node in order if _may_be_outside(node, found))


# -- derivatives -----------------------------------------------------------------------------------


def _lost_gradients(order: list[Node], roots: list[Node], fixed: set[Node]) -> Iterator[Problem]:
    """What has no derivative, though what it is computed from has one and its value is wanted."""
    active: set[Node] = set()
    for node in order:
        is_leaf = node.op.name in LEAVES and node.type.kind == "real"
        is_leaf = is_leaf and node not in fixed
        if is_leaf or (not node.op.nograd and any(arg in active for arg in node.args)):
            active.add(node)
    wanted = set(roots)
    for node in reversed(order):
        if node in wanted:
            wanted.update(followed(node))
    for node in order:
        is_step = node.op.nograd and node.op.pointwise and node.type.kind == "real"
        if is_step and node in wanted and node.args[0] in active and node.span is not None:
            yield LostGradient(
                f"the derivative of '{node.op.name}' is 0, so no gradient passes here",
                node.span,
                hints=[
                    f"if that is meant, write 'stop_gradient({node.op.name}(...))'",
                    f"give it another's: 'straight_through({node.op.name}(x), x)'",
                ],
            )


# -- domains ---------------------------------------------------------------------------------------


def _may_be_outside(node: Node, found: Mapping[Node, Interval]) -> bool:
    least = node.op.defined_from
    return least is not None and found[node.args[0]][0] < least and node.span is not None


def _outside(node: Node) -> Problem:
    least = node.op.defined_from
    below = "negative" if least == 0 else f"below {least:g}"
    assert node.span is not None
    return OutsideDomain(
        f"'{node.op.name}' of what may be {below} gives NaN",
        node.span,
        hints=["keep it positive: 'softplus(x)', 'exp(x)', or 'maximum(x, 1e-6)'"],
    )


def _settled(cell: Cell, order: list[Node]) -> Mapping[Node, Interval]:
    """The interval of every node."""
    starts = toposort([state.initial for state in cell.states])
    first = _intervals(starts, {})
    held = {state.node: first[state.initial] for state in cell.states}
    for _ in range(MOST_ROUNDS):
        found = _intervals(order, held)
        after = {s.node: _widened(held[s.node], found.get(s.new, ALL)) for s in cell.states}
        if after == held:
            return found
        held = after
    return _intervals(order, dict.fromkeys(held, ALL))


def _widened(held: Interval, new: Interval) -> Interval:
    """An interval that holds both; an end that moves, moves all the way, so that it moves once."""
    return (
        held[0] if new[0] >= held[0] else -math.inf,
        held[1] if new[1] <= held[1] else math.inf,
    )


def _intervals(order: list[Node], known: Mapping[Node, Interval]) -> dict[Node, Interval]:
    found: dict[Node, Interval] = {}
    for node in order:
        given = known.get(node) or _interval(node, [found[arg] for arg in node.args])
        low, high = given
        found[node] = ALL if math.isnan(low) or math.isnan(high) else given
    return found


def _interval(node: Node, args: list[Interval]) -> Interval:
    """What the op can make of operands that lie in these intervals."""
    match node.op.name, args:
        case "exp", [(_, high)] if high <= 0:
            return 0.0, math.exp(high)
        case "expm1", [(_, high)] if high <= 0:
            return -1.0, math.expm1(high)
    if node.op.results is not None:
        return node.op.results
    match node.op.name:
        case "const":
            return node.attr[0], node.attr[0]
        case "neg":
            return -args[0][1], -args[0][0]
        case "add":
            return args[0][0] + args[1][0], args[0][1] + args[1][1]
        case "sub":
            return args[0][0] - args[1][1], args[0][1] - args[1][0]
        case "mul" if node.args[0] is node.args[1]:
            return 0.0, math.inf
        case "mul":
            corners = [a * b if a and b else 0.0 for a in args[0] for b in args[1]]
            return min(corners), max(corners)
        case "div" if args[1][0] >= 0:
            return (0.0, math.inf) if args[0][0] >= 0 else ALL
        case "maximum":
            return max(args[0][0], args[1][0]), max(args[0][1], args[1][1])
        case "minimum":
            return min(args[0][0], args[1][0]), min(args[0][1], args[1][1])
        case "where":
            return _hull(*args[1:])
        case "amax":
            return args[0]
        case "sum" | "cumsum" | "einsum":
            return (0.0, math.inf) if all(low >= 0 for low, _ in args) else ALL
    if node.op.value_of is not None:
        return args[node.op.value_of]
    if node.op.view or node.op.name in ("broadcast", "concat", "stop_gradient"):
        return _hull(*args)
    return ALL


def _hull(*intervals: Interval) -> Interval:
    return min(low for low, _ in intervals), max(high for _, high in intervals)
