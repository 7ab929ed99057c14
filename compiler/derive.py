"""Derivatives of a graph of nodes, from the op records: reverse (`vjp`) and forward (`jvp`).

In: nodes and their cotangents or tangents. Out: nodes, so a derivative prints, simplifies, fuses
and differentiates again. Both walk the graph once, without recursion, and cost a constant number
of new nodes for each old one (Griewank & Walther, Evaluating Derivatives, 2nd ed., ch. 3).

A zero is absent, never a node. A cotangent varies over exactly the leading axes of its value:
one that varies over more is summed over them, one that varies over fewer is spread.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .ir import Node, apply, const, leaf, toposort


def vjp(cotangents: Mapping[Node, Node], wrt: Iterable[Node]) -> dict[Node, Node]:
    """Cotangents of `wrt`, given those of some results.

    Args:
        cotangents: of results, each with the type of its result.
        wrt: the nodes asked for; they need not be leaves. What lies beneath them is not visited.
    Returns:
        node of `wrt` -> its cotangent; a node that no result depends on is absent.
    """
    targets = set(wrt)
    order = toposort(cotangents, targets.__contains__)
    active = _depending_on(order, targets)
    pending: dict[Node, list[Node]] = {}
    for node, ct in cotangents.items():
        pending.setdefault(node, []).append(onto(ct, node))
    found: dict[Node, Node] = {}
    for node in reversed(order):
        parts = pending.pop(node, None)
        if not parts or node not in active:
            continue
        ct = add_up(parts)
        if node in targets:
            found[node] = ct
            continue
        for arg, part in zip(node.args, _pull(node, ct, active), strict=True):
            if part is not None:
                pending.setdefault(arg, []).append(onto(part, arg))
    return found


def jvp(tangents: Mapping[Node, Node], roots: Iterable[Node]) -> dict[Node, Node]:
    """Tangents of `roots`, given those of some nodes beneath them.

    A structured op has only its pullback, which is linear in the cotangent: its pushforward is the
    pullback of that. Where it is not, the op says what is pushed forward.
    """
    found: dict[Node, Node] = dict(tangents)
    roots = list(roots)
    for node in toposort(roots, lambda n: n in tangents):
        if node in found or node.op.nograd or not any(a in found for a in node.args):
            continue
        parts = []
        if node.op.pushforward:
            pushed = node.op.pushforward([found.get(a) for a in node.args], node, *node.args)
            parts += [onto(pushed, node)] if pushed is not None else []
        elif node.op.partials:
            for arg, partial in zip(node.args, node.op.partials(node, *node.args), strict=True):
                if arg in found:
                    parts.append(onto(_times(found[arg], partial), node))
        else:
            assert node.op.pullback, f"{node.op.name} has no derivative rule"
            slot = leaf("input", "slot", node.type)
            pullback = node.op.pullback(slot, node, *node.args)
            for arg, pulled in zip(node.args, pullback, strict=True):
                if arg in found and pulled is not None:
                    back = vjp({onto(pulled, arg): found[arg]}, [slot]).get(slot)
                    if back is not None:
                        parts.append(onto(back, node))
        if parts:
            found[node] = add_up(parts)
    return {root: found[root] for root in roots if root in found}


def onto(ct: Node, node: Node) -> Node:
    """`ct` with the leading axes of `node`: summed over what it lacks, spread over what it has."""
    extra = ct.type.axes - node.type.axes
    if extra:
        ct = apply("total", ct, attr="".join(sorted(extra)))
    missing = node.type.axes - ct.type.axes
    if missing:
        ct = apply("spread", ct, attr="".join(sorted(missing)))
    return ct


def _depending_on(order: Iterable[Node], targets: set[Node]) -> set[Node]:
    """The nodes a derivative flows through on its way to `targets`."""
    active: set[Node] = set()
    for node in order:
        if node in targets or (not node.op.nograd and any(a in active for a in node.args)):
            active.add(node)
    return active


def _pull(node: Node, ct: Node, active: set[Node]) -> list[Node | None]:
    """Cotangents of the operands of `node`; None for those nothing is asked of."""
    wanted = [a in active for a in node.args]
    if node.op.partials:
        partials = node.op.partials(node, *node.args)
        return [_times(ct, p) if w else None for p, w in zip(partials, wanted, strict=True)]
    assert node.op.pullback, f"{node.op.name} has no derivative rule"
    pulled = node.op.pullback(ct, node, *node.args)
    return [p if w else None for p, w in zip(pulled, wanted, strict=True)]


def followed(node: Node) -> list[Node]:
    """The operands whose derivative that of `node` follows: of `where` not the test."""
    if node.op.nograd or node.op.pullback is None:
        return [] if node.op.nograd else list(node.args)
    pulled = node.op.pullback(leaf("input", "slot", node.type), node, *node.args)
    return [arg for arg, part in zip(node.args, pulled, strict=True) if part is not None]


def _times(ct: Node, partial: Node | float) -> Node:
    if isinstance(partial, Node):
        return ct * partial
    if partial == 1.0:
        return ct
    return -ct if partial == -1.0 else ct * partial


def by_node(pairs: Iterable[tuple[Node, Node]]) -> dict[Node, Node]:
    """node -> its cotangent, from pairs of the two; several of one node are added up."""
    parts: dict[Node, list[Node]] = {}
    for node, ct in pairs:
        parts.setdefault(node, []).append(ct)
    return {node: add_up(cts) for node, cts in parts.items()}


def add_up(parts: list[Node]) -> Node:
    """The sum of `parts`. Slices' cotangents that tile their whole become one `concat`.

    Before  pad(a, 0:2 of 4) + pad(b, 2:4 of 4)
    After   concat(a, b)
    """
    pads = [p for p in parts if p.op.name == "pad"]
    joined = _tile(pads) if len(pads) > 1 else None
    if joined is not None:
        parts = [joined, *(p for p in parts if p.op.name != "pad")]
    total = parts[0]
    for part in parts[1:]:
        total = apply("add", total, part)
    return total


def _tile(pads: list[Node]) -> Node | None:
    """The concat equal to the sum of `pads`, if they lie side by side along one axis."""
    axes = {at for p in pads for at, width in enumerate(p.attr) if width != (0, 0)}
    if len(axes) != 1:
        return None
    (axis,) = axes
    shape = pads[0].type.shape
    pieces: list[Node] = []
    filled = 0
    for pad in sorted(pads, key=lambda p: int(p.attr[axis][0])):
        start = int(pad.attr[axis][0])
        if start < filled:
            return None
        if start > filled:
            pieces.append(_zeros(shape, axis, start - filled))
        pieces.append(pad.args[0])
        filled = int(shape[axis]) - int(pad.attr[axis][1])
    if filled < shape[axis]:
        pieces.append(_zeros(shape, axis, int(shape[axis]) - filled))
    return apply("concat", *pieces, attr=axis)


def _zeros(shape: tuple[int, ...], axis: int, length: int) -> Node:
    return const(0.0, (*shape[:axis], length, *shape[axis + 1 :]))
