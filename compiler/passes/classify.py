"""What kind of recurrence a scan is, read off its dependences and never off a declaration.

In: a forward scan without masks. Out: facts that a mapping to kernels is chosen by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import numpy as np

from ..ir import Node, Scan, toposort

Role: TypeAlias = Literal["loop", "delay", "follower"]
Labels: TypeAlias = dict[str, np.ndarray[Any, np.dtype[np.int64]]]

# What an element depends on, of one state: nothing, this element (from 0), or several.
NOTHING, SEVERAL = -1, -2

REDUCTIONS = ("sum", "amax", "cumsum")
# Ops whose elements are operands' elements, rearranged.
VIEWS = ("reshape", "broadcast", "transpose", "flip", "slice", "diagonal", "stop_gradient")
LINEAR = ("add", "sub", "neg", "sum", "cumsum", "concat", "pad", "diag", "spread", *VIEWS)


@dataclass(frozen=True, slots=True)
class CarryFacts:
    """One carry: whether it is in the loop, and how its next value depends on those that are.

    A delay is overwritten without reading the loop: a sequence, shifted by a step. A follower
    reads the loop, which never reads it back: all of its values can be computed after the loop.
    """

    name: str
    role: Role
    reads: tuple[str, ...]  # carries its next value depends on
    linear: bool  # affine in the loop's carries, with coefficients that do not depend on them


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What is serial in a scan.

    `kind` is LIN or NL (affine in the carries or not), then DIAG (each element of a carry depends
    on that element of itself alone), DENSE (a weight is multiplied with it) or STRUCT (anything
    between); NONE where nothing is carried but delays.
    """

    kind: str
    serial_products: int  # weight products one after the other on the way from carry to carry
    serial_reductions: int  # sums, maxima and products of step values, likewise
    output_products: int  # weight products one after the other on the way from carry to output
    carries: tuple[CarryFacts, ...]

    @property
    def delays(self) -> tuple[str, ...]:
        """Names of the carries that are delay lines."""
        return tuple(c.name for c in self.carries if c.role == "delay")

    def __str__(self) -> str:
        return f"{self.kind}, {self.serial_products} serial products"


def classify(scan: Scan) -> Recurrence:
    """Find out what kind of recurrence `scan` is.

    h' = tanh(W @ x + U @ h)    NL-DENSE     one weight product a step
    h' = a * h + x              LIN-DIAG     a time-parallel scan is exact
    S' = S - outer(S @ k, k)    LIN-STRUCT   a product of two step values, no weight

    Args:
        scan: forward, simplified, without masks.
    Cost: linear in the number of nodes; for a cell without products and reductions also in the
        number of elements of its carries.
    """
    order = list(scan)
    reads = _reads(scan, order)
    roles = _roles(reads)
    loop = [c.node for c in scan.carries if roles[c.name] == "loop"]
    serial = _depending(order, loop)
    linear = _linear(order, serial)
    nexts = [c.next for c in scan.carries if roles[c.name] == "loop"]
    products = _longest(order, serial, nexts, _is_weight_product)
    reductions = _longest(order, serial, nexts, _is_reduction)

    moving = _depending(order, [c.node for c in scan.carries if roles[c.name] != "delay"])
    outputs = _longest(order, moving, [o.node for o in scan.outs], _is_weight_product)
    facts = tuple(
        CarryFacts(c.name, roles[c.name], tuple(reads[c.name]), c.next in linear or not loop)
        for c in scan.carries
    )
    kind = "NONE"
    if loop:
        start = "LIN" if all(n in linear for n in nexts) else "NL"
        if products:
            kind = f"{start}-DENSE"
        elif reductions or not _is_diagonal(scan, roles):
            kind = f"{start}-STRUCT"
        else:
            kind = f"{start}-DIAG"
    return Recurrence(kind, products, reductions, outputs, facts)


# -- who reads whom ------------------------------------------------------------------------------


def _reads(scan: Scan, order: Iterable[Node]) -> dict[str, list[str]]:
    """Carry -> the carries its next value depends on, in their order."""
    bits = {c.node: 1 << at for at, c in enumerate(scan.carries)}
    found: dict[Node, int] = {}
    for node in order:
        found[node] = bits.get(node, 0)
        for arg in node.args:
            found[node] |= found[arg]
    return {c.name: [s.name for s in scan.carries if found[c.next] & bits[s.node]]
            for c in scan.carries}  # fmt: skip


def _roles(reads: Mapping[str, list[str]]) -> dict[str, Role]:
    reached = {name: _reached(name, reads) for name in reads}
    loop = {name for name in reads if name in reached[name]}
    return {name: "loop" if name in loop else "follower" if reached[name] & loop else "delay"
            for name in reads}  # fmt: skip


def _reached(name: str, reads: Mapping[str, list[str]]) -> set[str]:
    """The carries that some later value of `name` depends on."""
    found: set[str] = set()
    todo = list(reads[name])
    while todo:
        other = todo.pop()
        if other not in found:
            found.add(other)
            todo.extend(reads[other])
    return found


def _depending(order: Iterable[Node], sources: Iterable[Node]) -> set[Node]:
    """What depends on `sources` within a step, and on what the step leaves behind."""
    found = set(sources)
    for node in order:
        if any(a in found for a in node.args):
            found.add(node)
    return found


# -- how -----------------------------------------------------------------------------------------


def _linear(order: Iterable[Node], serial: set[Node]) -> set[Node]:
    """The nodes that are affine in the carries, with coefficients free of them."""
    found: set[Node] = set()
    for node in order:
        moving = [at for at, a in enumerate(node.args) if a in serial]
        if not all(node.args[at] in found for at in moving):
            continue
        match node.op.name:
            case "mul" | "einsum":
                affine = len(moving) <= 1
            case "div":
                affine = moving in ([], [0])
            case "where":
                affine = 0 not in moving
            case name:
                affine = not moving or name in LINEAR
        if affine:
            found.add(node)
    return found


def _is_weight_product(node: Node, serial: set[Node]) -> bool:
    """A step's value times a matrix of parameters, summed over an axis of the value."""
    if node.op.name != "einsum" or not _is_contraction(node):
        return False
    letters, out = node.attr[0].split("->")
    weights = [
        names
        for names, arg in zip(letters.split(","), node.args, strict=True)
        if arg not in serial and not arg.type.axes
    ]
    # A vector's product with the value is a reduction: it has no axis of its own.
    return any(set(names) & set(out) for names in weights)


def _is_reduction(node: Node, serial: set[Node]) -> bool:
    contraction = node.op.name == "einsum" and _is_contraction(node)
    return node.op.name in REDUCTIONS or (contraction and not _is_weight_product(node, serial))


def _is_contraction(node: Node) -> bool:
    letters, out = node.attr[0].split("->")
    return not set(letters.replace(",", "")) <= set(out)


def _longest(order: Iterable[Node], moving: set[Node], ends: Iterable[Node], counts: Any) -> int:
    """The most nodes that count on any way through `moving` nodes to one of `ends`."""
    depth: dict[Node, int] = {}
    for node in order:
        if node in moving:
            before = max((depth[a] for a in node.args if a in depth), default=0)
            depth[node] = before + bool(node.args and counts(node, moving))
    return max((depth.get(end, 0) for end in ends), default=0)


# -- diagonal or not -----------------------------------------------------------------------------


def _is_diagonal(scan: Scan, roles: Mapping[str, Role]) -> bool:
    """Whether each element of a carry in the loop depends on no other element of that carry.

    Every node's elements are labelled with the element of each carry that they depend on; ops that
    rearrange elements rearrange the labels. An element may depend on other carries, as a matrix
    does on a decay that all its rows share, unless these depend on it in turn elsewhere.
    """
    carries = [c for c in scan.carries if roles[c.name] == "loop"]
    found: dict[Node, Labels] = {}
    for carry in carries:
        shape = carry.node.type.shape
        numbers = np.arange(int(np.prod(shape)), dtype=np.int64).reshape(shape)
        found[carry.node] = {carry.name: numbers}
    for node in toposort(c.next for c in carries):
        if node in found or not any(a in found for a in node.args):
            continue
        labels = _labels(node, found)
        if labels is None:
            return False
        found[node] = labels
    steps = {c.name: {s: v.ravel() for s, v in found[c.next].items()} for c in carries}
    for middle in steps:  # as in Warshall's algorithm: ways through more and more carries
        for name in steps:
            if middle in steps[name]:
                through = {
                    source: _follow(steps[name][middle], labels)
                    for source, labels in steps[middle].items()
                }
                steps[name] = _united([steps[name], through])
    return all(
        bool(np.all((labels[name] == NOTHING) | (labels[name] == np.arange(labels[name].size))))
        for name, labels in steps.items()
    )


def _labels(node: Node, found: Mapping[Node, Labels]) -> Labels | None:
    """The labels of the elements of `node`; None if it couples elements by itself."""
    operands = [found.get(a, {}) for a in node.args]
    shape = tuple(int(d) for d in node.type.shape)
    if node.op.pointwise or node.op.name == "spread":
        return _united(operands)
    if node.op.name in VIEWS:
        (labels,) = operands
        return {s: np.asarray(node.op.reference(node.attr, v)) for s, v in labels.items()}
    if node.op.name == "pad":
        (labels,) = operands
        return {s: np.pad(v, node.attr, constant_values=NOTHING) for s, v in labels.items()}
    if node.op.name == "concat":
        sources = dict.fromkeys(s for labels in operands for s in labels)
        pieces = {
            s: [
                labels.get(s, np.full(a.type.shape, NOTHING))
                for a, labels in _pairs(node, operands)
            ]
            for s in sources
        }
        return {s: np.concatenate(parts, axis=node.attr) for s, parts in pieces.items()}
    if node.op.name == "einsum" and not _is_contraction(node):
        letters, out = node.attr[0].split("->")
        parts = []
        for names, labels in zip(letters.split(","), operands, strict=True):
            parts.append({s: _spread(v, names, out, shape) for s, v in labels.items()})
        return _united(parts)
    return None


def _pairs(node: Node, operands: list[Labels]) -> list[tuple[Node, Labels]]:
    return list(zip(node.args, operands, strict=True))


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
