"""Sums and products in the order that lets most of them leave the step.

In: a scan. Out: the same sums and products, associated so that what does not read a carry comes
together and can be hoisted as one.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from ..ir import Node, Scan, apply, const, label, rebuild
from ..places import serial
from ..rewrite import elements

WIDENING = ("at", "broadcast", "reshape")

# A factor made of at most this many times fewer numbers is itself stored for all t.
GROWTH = 4


def regroup(scan: Scan) -> Scan:
    """Associate and distribute so that free operands meet.

    Before  (W @ x[t] + U @ h) + b              ((ct * g[t]) * i[t]) * (1 - i[t])
    After   (b + W @ x[t]) + U @ h              ct * (g[t] * i[t] * (1 - i[t]))

    Before  ct * h[t] - ct * n[t]               k = ct * a[t];  k * b[t];  k * c[t]
    After   ct * (h[t] - n[t])                  ct * (a[t] * b[t]);  ct * (a[t] * c[t])

    Args:
        scan: verified, not yet hoisted.
    Returns:
        A scan with equal outputs up to rounding.
    Cost: one operation fewer per step for every free term; for every further factor one more over
        all t.
    """
    return _Regrouping(scan).run()


@dataclass(frozen=True, slots=True)
class _Term:
    """One summand, `factor * value` or its negative; no factor is 1."""

    value: Node
    factor: Node | None
    negative: bool


class _Regrouping:
    """One pass over a scan. `serial` holds the old and new nodes that read a carry."""

    def __init__(self, scan: Scan) -> None:
        self.scan = scan
        self.order = list(scan)
        self.readers = Counter(a for n in self.order for a in n.args)
        self.readers.update(scan.roots())
        self.serial = serial(self.order)
        self.inner = {
            a for n in self.order if self._is_sum(n) for a in n.args
            if self._is_sum(a) and self.readers[a] == 1
        }  # fmt: skip
        self.found: dict[Node, Node] = {}
        self.factors: dict[Node, tuple[Node, Node]] = {}  # of a new product: serial, free

    def run(self) -> Scan:
        for node in self.order:
            if node in self.inner:
                continue  # its terms are taken up where its sum ends
            new = self._rebuilt(node)
            if node.label is not None:
                label(new, node.label)
            if node in self.serial:
                self.serial.add(new)
            self.found[node] = new
        return self.scan.rebuilt(self.found)

    def _rebuilt(self, node: Node) -> Node:
        if self._is_sum(node):
            return self._sum(node)
        if node in self.serial and node.op.name == "mul":
            return self._product(node)
        return rebuild(node, tuple(self.found[a] for a in node.args))

    def _is_sum(self, node: Node) -> bool:
        return node.op.name in ("add", "sub", "neg") and bool(node.type.axes)

    # -- products --------------------------------------------------------------------------------

    def _product(self, node: Node) -> Node:
        args = [(self.found[a], self.readers[a] == 1) for a in node.args]
        bound = [pair for pair in args if pair[0] in self.serial]
        if len(bound) != 1:
            return rebuild(node, tuple(a for a, _ in args))
        (value, alone), (free, _) = sorted(args, key=lambda pair: pair[0] not in self.serial)
        if value in self.factors:
            root, factor = self.factors[value]
            if alone or _is_dense(factor) or _is_dense(free):
                value, free = root, apply("mul", factor, free)
        return self._times(value, free, node)

    def _times(self, value: Node, factor: Node, like: Node) -> Node:
        new = apply("mul", value, factor, span=like.span, label=like.label)
        self.factors[new] = (value, factor)
        return new

    # -- sums ------------------------------------------------------------------------------------

    def _sum(self, node: Node) -> Node:
        terms = self._terms(node)
        free = [t for t in terms if t.value not in self.serial]
        bound = [t for t in terms if t.value in self.serial]
        groups: dict[Node, list[_Term]] = {}
        for term in bound:
            groups.setdefault(term.value, []).append(term)
        free.sort(key=lambda t: bool(t.value.type.axes))  # parameters' sums first
        parts = [self._added(_collected(g) for g in groups.values())] if groups else []
        if free:
            parts.append(self._added(free))
        total, negative = _total(parts)
        return apply("neg", total, span=node.span) if negative else total

    def _terms(self, node: Node) -> list[_Term]:
        """The summands of a sum, left to right, through sums that nothing else reads."""
        found: list[_Term] = []
        todo = [(node, False)]
        while todo:
            current, negative = todo.pop()
            if current is node or current in self.inner:
                turned = [current.op.name == "neg", current.op.name == "sub"]
                pairs = [(a, negative != t) for a, t in zip(current.args, turned, strict=False)]
                todo += reversed(pairs)
                continue
            new = self.found[current]
            if new in self.factors and self.readers[current] == 1:
                found.append(_Term(*self.factors[new], negative))
            else:
                found.append(_Term(new, None, negative))
        return found

    def _added(self, terms: Iterable[_Term]) -> tuple[Node, bool]:
        """The sum of terms, and whether it is to be subtracted."""
        values = []
        for term in terms:
            value = term.value
            if term.factor is not None:
                value = self._times(value, term.factor, value)
            values.append((value, term.negative))
        return _total(values)


def _collected(terms: list[_Term]) -> _Term:
    """Terms with a common value as one: `v * a - v * b` is `v * (a - b)`."""
    if len(terms) == 1:
        return terms[0]
    value = terms[0].value
    factors = [(t.factor, t.negative) for t in terms if t.factor is not None]
    ones = [-1.0 if t.negative else 1.0 for t in terms if t.factor is None]
    if ones:
        factors.append((const(sum(ones), value.type.shape), False))
    factor, negative = _total(factors)
    return _Term(value, factor, negative)


def _total(values: list[tuple[Node, bool]]) -> tuple[Node, bool]:
    """Values added or (True) subtracted, a first one that is added if there is any."""
    values = sorted(values, key=lambda v: v[1])
    total, turned = values[0]
    for value, negative in values[1:]:
        total = apply("add" if negative == turned else "sub", total, value)
    return total, turned


def _is_dense(factor: Node) -> bool:
    """Whether a factor, stored for all t, is little more than what it is made of."""
    source = factor
    while source.op.name in WIDENING:
        source = source.args[0]
    return elements(factor) <= GROWTH * elements(source)
