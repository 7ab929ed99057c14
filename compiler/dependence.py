"""What a step's values depend on: rows on other rows, elements on other elements, and how.

In: nodes of a step, or the carries of a loop. Out: whether a node contracts, sums over the rows, is
affine in the carries; whether the loop couples the elements of its carries. For that every node's
elements are labelled with the element of each carry that they depend on; ops that rearrange
elements rearrange the labels.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import numpy as np

from .ir import Carry, Node, Plan, toposort
from .shapes import size

# By carry, for every element of a value the one that it depends on: its number, or one of these.
Labels: TypeAlias = dict[str, np.ndarray[Any, np.dtype[np.int64]]]
NOTHING, SEVERAL = -1, -2
MOST_LABELS = 2**24  # of all nodes together: 128 MB


def is_contraction(node: Node) -> bool:
    """Whether `node` is a product that sums over an axis."""
    if node.op.name != "einsum":
        return False
    letters, out = node.attr[0].split("->")
    return not set(letters.replace(",", "")) <= set(out)


def is_outer(node: Node) -> bool:
    """Whether `node` is a product that sums nothing: each element is one multiplication."""
    return node.op.name == "einsum" and not node.attr[1] and not is_contraction(node)


def rows_are_apart(plan: Plan) -> bool:
    """Whether programs that each have some of the rows can run the step by themselves.

    A sum over all rows may leave the loop, as a sum of every program's; no step may read it.
    """
    summed = {n for n in plan.step if sums_rows(n)}
    readers = {a for n in plan.step for a in n.args} | {c.next for c in plan.scan.carries}
    stacked = {n.args[0] for n in plan.kept if n.op.name == "stack"}
    return not summed & (readers | stacked)


def sums_rows(node: Node) -> bool:
    """Whether a value of the step is a sum over the rows."""
    match node.op.name:
        case "total":
            return "B" in node.attr
        case "einsum" | "scatter":
            return "B" in node.attr[1]
    return False


def affine_nodes(order: Iterable[Node], serial: set[Node]) -> set[Node]:
    """The nodes that are affine in the carries, with coefficients free of them."""
    found: set[Node] = set()
    for node in order:
        moving = [at for at, a in enumerate(node.args) if a in serial]
        if not all(node.args[at] in found for at in moving):
            continue
        is_linear = node.op.linear or node.op.view
        if is_linear or any({*moving} <= {*together} for together in ((), *node.op.linear_in)):
            found.add(node)
    return found


def is_diagonal(carries: Sequence[Carry]) -> bool:
    """Whether each element of a carry depends on no other element of that carry.

    An element may depend on other carries, as a matrix does on a decay that all its rows share,
    unless these depend on it in turn elsewhere.

    Args:
        carries: those that depend on each other.
    Returns:
        False, too, where there are too many elements to be followed one by one.
    Cost: linear in the nodes of the step times the elements of the carries.
    """
    between = _between(carries)
    if _is_elementwise(between):
        return True
    steps = _of_a_step(carries, between)
    if steps is None:
        return False
    for middle in steps:  # as in Warshall's algorithm: ways through more and more carries
        for name in steps:
            if middle in steps[name]:
                through = {
                    source: _follow(steps[name][middle], labels)
                    for source, labels in steps[middle].items()
                }
                steps[name] = _united([steps[name], through])
    return all(_are_their_own(labels[name]) for name, labels in steps.items())


def is_aligned(carries: Sequence[Carry]) -> bool:
    """Whether each element depends on the element of its own place in each of the carries alone.

    Then they are as many vectors of a few numbers, one for each place, that never meet.

    Cost: as of `is_diagonal`.
    """
    if len({carry.node.type.shape for carry in carries}) > 1:
        return False
    between = _between(carries)
    if _is_elementwise(between):
        return True
    steps = _of_a_step(carries, between)
    return steps is not None and all(
        _are_their_own(numbers) for labels in steps.values() for numbers in labels.values()
    )


def _are_their_own(labels: Any) -> bool:
    return bool(np.all((labels == NOTHING) | (labels == np.arange(labels.size))))


def _between(carries: Sequence[Carry]) -> list[Node]:
    """What of a step depends on the carries, operands first."""
    moving = {carry.node for carry in carries}
    found: list[Node] = []
    for node in toposort(c.next for c in carries):
        if node not in moving and any(a in moving for a in node.args):
            moving.add(node)
            found.append(node)
    return found


def _is_elementwise(between: Sequence[Node]) -> bool:
    """Whether, whatever the sizes, no element meets another."""
    return all(node.op.pointwise for node in between)


def _of_a_step(carries: Sequence[Carry], between: Sequence[Node]) -> dict[str, Labels] | None:
    """By carry, the labels of its next value; None where they cannot be followed."""
    largest = max(size(node.type.shape) for node in (*between, *(c.node for c in carries)))
    if len(between) * largest > MOST_LABELS:
        return None
    found: dict[Node, Labels] = {}
    for carry in carries:
        shape = carry.node.type.shape
        numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        found[carry.node] = {carry.name: numbers}
    for node in between:
        labels = _labels(node, found)
        if labels is None:
            return None
        found[node] = labels
    return {c.name: {s: v.ravel() for s, v in found.get(c.next, {}).items()} for c in carries}


def _labels(node: Node, found: Mapping[Node, Labels]) -> Labels | None:
    """The labels of the elements of `node`; None if it couples elements by itself."""
    operands = [found.get(a, {}) for a in node.args]
    shape = tuple(int(d) for d in node.type.shape)
    if node.op.pointwise or node.op.name == "spread":
        return _united(operands)
    if node.op.view:
        (labels,) = operands
        return {s: np.asarray(node.op.reference(node.attr, v)) for s, v in labels.items()}
    if node.op.name == "pad":
        (labels,) = operands
        return {s: np.pad(v, node.attr, constant_values=NOTHING) for s, v in labels.items()}
    if node.op.name == "concat":
        nothing = [np.full(a.type.shape, NOTHING) for a in node.args]
        pairs = list(zip(operands, nothing, strict=True))
        return {
            s: np.concatenate([labels.get(s, none) for labels, none in pairs], axis=node.attr)
            for s in dict.fromkeys(s for labels in operands for s in labels)
        }
    if node.op.name == "einsum" and not is_contraction(node):
        letters, out = node.attr[0].split("->")
        parts = []
        for names, labels in zip(letters.split(","), operands, strict=True):
            parts.append({s: _spread(v, names, out, shape) for s, v in labels.items()})
        return _united(parts)
    return None


def _spread(labels: Any, names: str, out: str, shape: tuple[int, ...]) -> Any:
    """Labels with axes `names`, repeated along the other axes of `out`."""
    order = sorted(range(len(names)), key=lambda at: out.index(names[at]))
    wide = np.transpose(labels, order)
    for at, letter in enumerate(out):
        if letter not in names:
            wide = np.expand_dims(wide, at)
    return np.broadcast_to(wide, shape)


def _united(operands: Iterable[Labels]) -> Labels:
    """Labels of elements that depend on what all `operands`' do."""
    result: Labels = {}
    for labels in operands:
        for source, numbers in labels.items():
            mine = result.get(source)
            if mine is None:
                result[source] = numbers
            else:
                either = np.where(mine == NOTHING, numbers, mine)
                several = (mine != numbers) & (mine != NOTHING) & (numbers != NOTHING)
                result[source] = np.where(several, SEVERAL, either)
    return result


def _follow(first: Any, then: Any) -> Any:
    """Labels of elements that depend on `then` at what `first` says."""
    return np.where(first >= 0, then[np.maximum(first, 0)], first)
