"""Products of one operand become one product.

In: a scan, hoisted or not. Out: a scan in which gates that were written with weights of their own
are computed as if they had been written with one: forward, backward, and in the weight gradients.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from ..ir import Node, Scan, apply, rebuild, toposort
from ..places import serial
from ..rewrite import canonical
from ..shapes import size


def stack(scan: Scan) -> Scan:
    """Stack weights along their outputs, sums of products along their inputs.

    Before  i = Wi @ x;  f = Wf @ x             dh = Ui' @ di + Uf' @ df
    After   p = [Wi; Wf] @ x;  i, f = p         dh = [Ui; Uf]' @ [di; df]

    and for weight gradients  dUi = di h', dUf = df h'  ->  dU = [di; df] h'.

    Args:
        scan: verified.
    Returns:
        A scan with equal outputs up to rounding.
    Cost: one copy of the stacked weights per call; one product call fewer for every gate.
    Source: Appleyard, Kocisky, Blunsom 2016, arXiv:1604.01946.
    """
    return _stack_gradients(_stack_sums(_stack_outputs(scan)))


@dataclass(frozen=True, slots=True)
class _Weighted:
    """An einsum of a weight and a value, as matrix times vector."""

    node: Node
    weight: Node
    value: Node
    weight_letters: str
    value_letters: str
    out: str

    @property
    def contracted(self) -> str:
        return "".join(x for x in self.value_letters if x in self.weight_letters)

    @property
    def own(self) -> str:
        """The weight's letters that are the result's."""
        return "".join(x for x in self.out if x in self.weight_letters)


def _weighted(node: Node) -> _Weighted | None:
    """`node` as a product with a weight that has no batch of matrices, if it is one."""
    if node.op.name != "einsum" or node.attr[1]:
        return None
    letters, out = node.attr[0].split("->")
    a, b = letters.split(",")
    first, second = node.args
    if not second.type.axes:
        first, second, a, b = second, first, b, a
    if first.type.axes or not second.type.axes or any(x in a and x in b for x in out):
        return None
    return _Weighted(node, first, second, a, b, out)


def _matrix(w: _Weighted, order: str, shape: tuple[int, ...]) -> Node:
    """The weight with its letters in `order`, reshaped."""
    perm = tuple(w.weight_letters.index(x) for x in order)
    node = w.weight
    if perm != tuple(range(len(perm))):
        node = apply("transpose", node, attr=perm)
    return node if node.type.shape == shape else apply("reshape", node, attr=shape)


def _sizes(w: _Weighted, letters: str) -> tuple[int, ...]:
    return tuple(int(w.weight.type.shape[w.weight_letters.index(x)]) for x in letters)


def _stack_outputs(scan: Scan) -> Scan:
    """Products of one value with several weights."""
    # A product the carry waits for is not held up by one that could sink.
    needed = set(toposort(c.next for c in scan.carries))
    groups: dict[tuple[Node, tuple[int, ...], bool], list[_Weighted]] = {}
    for node in scan:
        w = _weighted(node)
        if w is not None:
            at = tuple(w.value_letters.index(x) for x in w.contracted)
            groups.setdefault((w.value, at, node in needed), []).append(w)
    member = {w.node: group for group in groups.values() if len(group) > 1 for w in group}
    parts: dict[Node, Node] = {}
    found: dict[Node, Node] = {}
    for node in scan:
        if node in member and node not in parts:
            parts |= _one_product(member[node], found[member[node][0].value])
        found[node] = parts.get(node) or rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _one_product(group: list[_Weighted], value: Node) -> dict[Node, Node]:
    """Every product of the group as a part of one."""
    matrices = []
    for w in group:
        rows = size(_sizes(w, w.own))
        matrices.append(_matrix(w, w.own + w.contracted, (rows, *_sizes(w, w.contracted))))
    whole = apply("concat", *matrices, attr=0)
    first = group[0]
    row = next(x for x in "zyxwvutsrqponm" if x not in first.value_letters)
    rest = "".join(x for x in first.value_letters if x not in first.contracted)
    spec = f"{row}{first.contracted},{first.value_letters}->{row}{rest}"
    product = apply("einsum", whole, value, attr=(canonical(spec), ""), span=first.node.span)
    found: dict[Node, Node] = {}
    start = 0
    for w, matrix in zip(group, matrices, strict=True):
        stop = start + int(matrix.type.shape[0])
        bounds = ((start, stop), *((0, int(d)) for d in product.type.shape[1:]))
        part = apply("slice", product, attr=bounds)
        mine = "".join(x for x in w.value_letters if x not in w.contracted)
        dims = (*_sizes(w, w.own), *(int(d) for d in product.type.shape[1:]))
        part = apply("reshape", part, attr=dims) if dims != part.type.shape else part
        order = tuple((w.own + mine).index(x) for x in w.out)
        if order != tuple(range(len(order))):
            part = apply("transpose", part, attr=order)
        found[w.node] = part
        start = stop
    return found


def _stack_sums(scan: Scan) -> Scan:
    """Sums of products of several values with weights of their own."""
    order = list(scan)
    readers = Counter(a for n in order for a in n.args)
    readers.update(scan.roots())
    waiting = serial(order)
    inner = {
        a for n in order if n.op.name == "add" for a in n.args
        if a.op.name == "add" and readers[a] == 1
    }  # fmt: skip
    found: dict[Node, Node] = {}
    for node in order:
        found[node] = rebuild(node, tuple(found[a] for a in node.args))
        if node.op.name != "add" or node in inner:
            continue
        terms = _terms(node, inner)
        group = [
            w for t in terms
            if readers[t] == 1 and (w := _weighted(t)) and w.value_letters == w.contracted
            and w.value.op.name not in ("carry", "at", "input", "slice")
            and t in waiting
        ]  # fmt: skip
        if len(group) > 1:
            chosen = {w.node for w in group}
            total = _one_sum([(w, found[w.value]) for w in group])
            for term in terms:
                if term not in chosen:
                    total = apply("add", found[term], total)
            found[node] = total
    return scan.rebuilt(found)


def _terms(node: Node, inner: set[Node]) -> list[Node]:
    found: list[Node] = []
    todo = [node]
    while todo:
        current = todo.pop()
        if current is node or current in inner:
            todo.extend(reversed(current.args))
        else:
            found.append(current)
    return found


def _one_sum(group: list[tuple[_Weighted, Node]]) -> Node:
    """A sum of products as one product with the values side by side."""
    weights, values = [], []
    for w, value in group:
        count = size(_sizes(w, w.contracted))
        weights.append(_matrix(w, w.own + w.contracted, (*_sizes(w, w.own), count)))
        values.append(_flat(value))
    axis = weights[0].type.rank - 1
    own = "abcdefgh"[:axis]
    spec = f"{own}z,z->{own}"
    whole = apply("concat", *weights, attr=axis)
    return apply("einsum", whole, apply("concat", *values, attr=0), attr=(canonical(spec), ""))


def _flat(value: Node) -> Node:
    shape = (size(value.type.shape),)
    return value if value.type.shape == shape else apply("reshape", value, attr=shape)


def _stack_gradients(scan: Scan) -> Scan:
    """Weight gradients that contract one value with several cotangents."""
    order = list(scan)
    summed = {n.args[0] for n in order if n.op.name == "accumulate"}
    groups: dict[tuple[Node, str], list[tuple[Node, Node, str]]] = {}
    for node in order:
        if node in summed and node.op.name == "einsum" and node.attr[1] == "B":
            letters, out = node.attr[0].split("->")
            for (ct, mine), (value, theirs) in (
                (pair, rest) for pair, rest in _pairs(node, letters)
            ):
                if out == mine + theirs and "B" in ct.type.axes and "B" in value.type.axes:
                    groups.setdefault((value, theirs), []).append((node, ct, mine))
    parts: dict[Node, Node] = {}
    for (value, _), group in groups.items():
        distinct = {ct for _, ct, _ in group}
        if len(group) > 1 and len(distinct) == len(group):
            parts |= _one_gradient([(n, ct) for n, ct, _ in group if n not in parts], value)
    if not parts:
        return scan
    found: dict[Node, Node] = {}
    for node in order:
        if node.op.name == "accumulate" and node.args[0] in parts:
            found[node] = apply("accumulate", parts[node.args[0]])
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _pairs(node: Node, letters: str) -> list[tuple[tuple[Node, str], tuple[Node, str]]]:
    a, b = letters.split(",")
    first, second = (node.args[0], a), (node.args[1], b)
    return [(first, second)] if a + b == node.attr[0].split("->")[1] else [(second, first)]


def _one_gradient(group: list[tuple[Node, Node]], value: Node) -> dict[Node, Node]:
    """Every gradient of the group as a part of one."""
    if len(group) < 2:
        return {}
    whole = apply("concat", *(_flat(ct) for _, ct in group), attr=0)
    theirs = "bcdefgh"[: value.type.rank]
    product = apply("einsum", whole, value, attr=(f"a,{theirs}->a{theirs}", "B"))
    found: dict[Node, Node] = {}
    start = 0
    for node, ct in group:
        stop = start + size(ct.type.shape)
        bounds = ((start, stop), *((0, int(d)) for d in value.type.shape))
        part = apply("slice", product, attr=bounds)
        found[node] = apply("reshape", part, attr=tuple(int(d) for d in node.type.shape))
        start = stop
    return found
