"""What kind of recurrence a scan is, read off its dependences and never off a declaration.

In: a forward scan without masks. Out: facts that a mapping to kernels is chosen by.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from ..affine import affine
from ..dependence import affine_nodes, is_contraction, is_diagonal
from ..ir import Carry, Node, Scan, toposort

KINDS = {
    "NONE": "nothing is carried from step to step",
    "LIN-DIAG": "linear in the state, each element by itself",
    "LIN-STRUCT": "linear in the state, elements mixed without a weight matrix",
    "LIN-DENSE": "linear in the state, mixed by a weight matrix",
    "NL-DIAG": "nonlinear, each element by itself",
    "NL-STRUCT": "nonlinear, elements mixed without a weight matrix",
    "NL-DENSE": "nonlinear, mixed by a weight matrix",
}

Role: TypeAlias = Literal["loop", "delay", "follower", "clock", "latch"]


@dataclass(frozen=True, slots=True)
class CarryFacts:
    """One carry: whether it is in the loop, and how its next value depends on those that are.

    A delay is overwritten without reading the loop: a sequence, shifted by a step. A follower
    reads the loop, which never reads it back: all of its values can be computed after the loop. A
    clock, such as the number of the step, grows by the same number in every step. A latch takes a
    value that reads no state, and keeps it.
    """

    name: str
    role: Role
    reads: tuple[str, ...]  # carries its next value depends on
    linear: bool  # affine in the loop's carries, with coefficients that do not depend on them
    running: Literal["", "maximum", "minimum"] = ""  # which it is of what is added to it on the way


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What is serial in a scan.

    `kind` is LIN or NL (affine in the carries or not), then DIAG (each element of a carry depends
    on that element of itself alone), DENSE (a weight is multiplied with it) or STRUCT (anything
    between); NONE where nothing is carried but delays.

    A nonlinear loop may be a scan all the same, state after state: if each is linear given those
    before it, or a running maximum or minimum. `scanned` names the states then, in their order.
    """

    kind: str
    serial_products: int  # weight products one after the other on the way from carry to carry
    serial_reductions: int  # sums, maxima and products of step values, likewise
    output_products: int  # weight products one after the other on the way from carry to output
    carries: tuple[CarryFacts, ...]
    scanned: tuple[str, ...] = ()

    @property
    def delays(self) -> tuple[str, ...]:
        """Names of the carries that are delay lines."""
        return tuple(c.name for c in self.carries if c.role == "delay")

    @property
    def words(self) -> str:
        """The kind, and what it means."""
        if self.kind == "NONE" and not self.delays:
            return "NONE: every step by itself"
        words, count = [f"{self.kind}: {KINDS[self.kind]}"], self.serial_products
        if self.scanned:
            running = {c.name: f" (a running {c.running})" for c in self.carries if c.running}
            names = ", ".join(f"{name}{running.get(name, '')}" for name in self.scanned)
            order = " one after the other" if len(self.scanned) > 1 else ""
            words.append(f"may be scanned{order}: {names}")
        return "; ".join([*words, f"{count} serial product{'s' * (count != 1)}"])

    def __str__(self) -> str:
        return f"{self.kind}, {self.serial_products} serial products"


def classify(scan: Scan) -> Recurrence:
    """Find out what kind of recurrence `scan` is.

    h' = tanh(W @ x + U @ h)    NL-DENSE     one weight product a step
    h' = a * h + x              LIN-DIAG     a time-parallel scan is exact
    S' = S - outer(S @ k, k)    LIN-STRUCT   a product of two step values, no weight
    m' = maximum(a + m, b)      NL-DIAG      a scan as well, in (max, +)

    Args:
        scan: forward, simplified, without masks.
    Cost: linear in the number of nodes; for a cell without products and reductions also in the
        number of elements of its carries.
    """
    order = list(scan)
    reads = _reads(scan, order)
    roles = _roles(reads, scan.carries)
    loop = [c for c in scan.carries if roles[c.name] == "loop"]
    serial = _depending(order, [c.node for c in loop])
    linear = affine_nodes(order, serial)
    nexts = [c.next for c in loop]
    products = _longest(order, serial, nexts, _is_weight_product)
    reductions = _longest(order, serial, nexts, _is_reduction)

    moving = _depending(
        order, [c.node for c in scan.carries if roles[c.name] not in ("delay", "clock", "latch")]
    )
    outputs = _longest(order, moving, [o.node for o in scan.outs], _is_weight_product)
    kind = "NONE"
    if loop:
        start = "LIN" if all(n in linear for n in nexts) else "NL"
        if products:
            kind = f"{start}-DENSE"
        elif reductions or not is_diagonal(loop):
            kind = f"{start}-STRUCT"
        else:
            kind = f"{start}-DIAG"
    groups = (affine(scan) or ()) if kind.startswith("NL") else ()
    running = {g.carries[0].name: g.join for g in groups if g.join != "add"}
    scanned = [c for group in groups for c in group.carries if roles[c.name] == "loop"]
    facts = tuple(
        CarryFacts(
            c.name, roles[c.name], tuple(reads[c.name]), c.next in linear or not loop,
            running.get(c.name, ""),
        )
        for c in scan.carries
    )  # fmt: skip
    names = tuple(c.name for c in scanned)
    return Recurrence(kind, products, reductions, outputs, facts, names)


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


def _is_clock(carry: Carry) -> bool:
    """Whether a carry grows by the same number in every step."""
    next_ = carry.next
    if next_.op.name != "add" or not any(a.op.name == "const" for a in next_.args):
        return False
    moving = next((a for a in next_.args if a.op.name != "const"), next_)
    while moving.op.name == "stop_gradient":
        (moving,) = moving.args
    return moving is carry.node


def _is_latch(carry: Carry, reads: Mapping[str, list[str]]) -> bool:
    """Whether a carry becomes a value that reads no carry, or stays as it is."""
    next_ = carry.next
    if next_.op.name != "where" or next_.args[2] is not carry.node:
        return next_ is carry.node
    return reads[carry.name] == [carry.name] and carry.node not in toposort([next_.args[1]])


def _roles(reads: Mapping[str, list[str]], carries: Iterable[Carry]) -> dict[str, Role]:
    apart: dict[str, Role] = {c.name: "clock" for c in carries if _is_clock(c)}
    apart |= {c.name: "latch" for c in carries if _is_latch(c, reads)}
    reached = {name: _reached(name, reads) for name in reads}
    loop = {name for name in reads if name in reached[name]} - apart.keys()
    return {name: "loop" if name in loop else "follower" if reached[name] & loop else "delay"
            for name in reads} | apart  # fmt: skip


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


def _is_weight_product(node: Node, serial: set[Node]) -> bool:
    """A step's value times a matrix of parameters, summed over an axis of the value."""
    if not is_contraction(node):
        return False
    letters = node.attr[0].split("->")[0].split(",")
    weights = [
        set(names) - set(others)
        for names, others, arg in zip(letters, letters[::-1], node.args, strict=True)
        if arg not in serial and not arg.type.axes
    ]
    # A vector's product with the value is a reduction, and so are several: no axis is their own.
    return any(weights)


def _is_reduction(node: Node, serial: set[Node]) -> bool:
    product = is_contraction(node) and not _is_weight_product(node, serial)
    return node.op.reduces or product


def _longest(order: Iterable[Node], moving: set[Node], ends: Iterable[Node], counts: Any) -> int:
    """The most nodes that count on any way through `moving` nodes to one of `ends`."""
    depth: dict[Node, int] = {}
    for node in order:
        if node in moving:
            before = max((depth[a] for a in node.args if a in depth), default=0)
            depth[node] = before + bool(node.args and counts(node, moving))
    return max((depth.get(end, 0) for end in ends), default=0)
