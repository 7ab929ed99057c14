"""Alike elementwise operations on neighbouring parts become one.

In: a scan. Out: a scan with fewer elementwise operations on more elements each: what a call costs
is paid once for all gates.
"""

from __future__ import annotations

from ..ir import Node, Scan, apply, const, rebuild

SQUASHING = ("sigmoid", "tanh")


def merge(scan: Scan) -> Scan:
    """Squash all gates at once; compute the pieces of a concat together.

    Before  i, f, g, o = sigmoid(a[0]), sigmoid(a[1]), tanh(a[2]), sigmoid(a[3])
    After   s = [.5, .5, 1, .5];  i, f, g, o = s * tanh(s * a) + [.5, .5, 0, .5]

    Before  concat(dc * ei, dc * ef, dc * eg)
    After   dc * concat(ei, ef, eg)

    Args:
        scan: verified.
    Returns:
        A scan with equal outputs up to rounding: sigmoid(x) = tanh(x / 2) / 2 + 1/2.
    Cost: one operation fewer per step for every part.
    """
    return _pieces(_gates(scan))


# -- gates -----------------------------------------------------------------------------------------


def _gates(scan: Scan) -> Scan:
    readers: dict[Node, list[tuple[Node, int, int]]] = {}  # whole -> (gate, start, stop)
    for node in scan:
        if node.op.name in SQUASHING and "B" in node.type.axes:
            part = _part_of(node.args[0])
            if part is not None:
                whole, start, stop = part
                readers.setdefault(whole, []).append((node, start, stop))
    member: dict[Node, list[tuple[Node, int, int]]] = {}
    for gates in readers.values():
        gates.sort(key=lambda gate: gate[1])
        if len(gates) > 1 and all(a[2] <= b[1] for a, b in zip(gates, gates[1:], strict=False)):
            for run in _runs(gates):
                member |= {gate: run for gate, _, _ in run}
    found: dict[Node, Node] = {}
    done: dict[Node, Node] = {}
    for node in scan:
        if node in member and node not in done:
            whole = _part_of(node.args[0])
            assert whole is not None
            done |= _squashed(found[whole[0]], member[node])
        found[node] = done.get(node) or rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _runs(gates: list[tuple[Node, int, int]]) -> list[list[tuple[Node, int, int]]]:
    """Maximal stretches of gates side by side, of two and more."""
    runs = [[gates[0]]]
    for gate in gates[1:]:
        if gate[1] == runs[-1][-1][2]:
            runs[-1].append(gate)
        else:
            runs.append([gate])
    return [run for run in runs if len(run) > 1]


def _part_of(node: Node) -> tuple[Node, int, int] | None:
    """`node` as rows start to stop of the first axis of a value, if it is such a part."""
    while node.op.name == "reshape":
        node = node.args[0]
    if node.op.name != "slice" or node.type.rank < 1:
        return None
    rest = zip(node.attr[1:], node.args[0].type.shape[1:], strict=True)
    if any(bounds != (0, dim) for bounds, dim in rest):
        return None
    start, stop = node.attr[0]
    return node.args[0], start, stop


def _squashed(whole: Node, gates: list[tuple[Node, int, int]]) -> dict[Node, Node]:
    first, last = gates[0][1], gates[-1][2]
    rest = tuple(int(d) for d in whole.type.shape[1:])
    bounds = ((first, last), *((0, d) for d in rest))
    part = apply("slice", whole, attr=bounds) if (first, last) != (0, whole.type.shape[0]) else whole
    if len({gate.op.name for gate, _, _ in gates}) == 1:
        value = apply(gates[0][0].op, part)
    else:
        scale = _by_gate(gates, rest, {"sigmoid": 0.5, "tanh": 1.0})
        shift = _by_gate(gates, rest, {"sigmoid": 0.5, "tanh": 0.0})
        value = apply("tanh", part * scale) * scale + shift
    found = {}
    for gate, start, stop in gates:
        bounds = ((start - first, stop - first), *((0, d) for d in rest))
        piece = apply("slice", value, attr=bounds)
        shape = tuple(int(d) for d in gate.type.shape)
        found[gate] = piece if shape == piece.type.shape else apply("reshape", piece, attr=shape)
    return found


def _by_gate(
    gates: list[tuple[Node, int, int]], rest: tuple[int, ...], value: dict[str, float]
) -> Node:
    parts = [const(value[gate.op.name], (stop - start, *rest)) for gate, start, stop in gates]
    return apply("concat", *parts, attr=0)


# -- pieces of a concat --------------------------------------------------------------------------


def _pieces(scan: Scan) -> Scan:
    found: dict[Node, Node] = {}
    for node in scan:
        new = rebuild(node, tuple(found[a] for a in node.args))
        if node.op.name == "concat" and node.attr == 0:
            new = _joined(new)
        found[node] = new
    return scan.rebuilt(found)


def _joined(node: Node) -> Node:
    """A concat whose neighbouring pieces are one operation on a common operand."""
    pieces: list[list[Node]] = []
    for piece in node.args:
        if pieces and _common(pieces[-1][0], piece) is not None:
            pieces[-1].append(piece)
        else:
            pieces.append([piece])
    if all(len(group) == 1 for group in pieces):
        return node
    return apply("concat", *(_one(g) if len(g) > 1 else g[0] for g in pieces), attr=0)


def _common(a: Node, b: Node) -> tuple[Node, int] | None:
    """The operand two products share, and its position in the first."""
    p, q = _inner(a), _inner(b)
    if p.op.name != "mul" or q.op.name != "mul" or p is q:
        return None
    if a.type.shape[0] != 1 or b.type.shape[0] != 1 or p.type.shape != q.type.shape:
        return None
    for at, arg in enumerate(p.args):
        if arg in q.args and arg.op.name not in ("at", "const"):
            return arg, at
    return None


def _inner(piece: Node) -> Node:
    return piece.args[0] if piece.op.name == "reshape" else piece


def _one(group: list[Node]) -> Node:
    shared = _common(group[0], group[1])
    assert shared is not None
    operand, _ = shared
    first = group[0].type.shape
    rest = tuple(int(d) for d in first[1:])
    others = []
    for piece in group:
        a, b = _inner(piece).args
        other = b if a is operand else a
        others.append(apply("reshape", other, attr=(1, *rest)))
    if any(operand not in _inner(p).args for p in group):
        return apply("concat", *group, attr=0)
    wide = apply("reshape", operand, attr=(1, *rest))
    wide = apply("broadcast", wide, attr=(len(group), *rest))
    return apply("mul", wide, apply("concat", *others, attr=0))


