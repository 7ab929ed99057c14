"""A part of an elementwise result is the same operation on parts.

In: a scan. Out: a scan in which values of which only parts are read are computed part by part, so
that `regroup` may treat every part in its own way; `merge` joins again what stayed alike.
"""

from __future__ import annotations

from typing import TypeAlias

from ..ir import Node, Scan, apply, rebuild

Bounds: TypeAlias = tuple[tuple[int, int], ...]


def split(scan: Scan) -> Scan:
    """Push slices through elementwise operations.

    Before  u = U @ h + d;  a = tanh(p[0] + u[0]);  n = p[1] + r * u[1]
    After   v = U @ h;      a = tanh(p[0] + (v[0] + d[0]));  n = p[1] + r * (v[1] + d[1])

    Args:
        scan: verified, simplified.
    Returns:
        A scan with equal outputs, bit for bit.
    Cost: none in arithmetic: only parts that do not overlap are told apart.
    """
    order = list(scan)
    asked = _asked(order, scan.roots())
    parts: dict[tuple[Node, Bounds], Node] = {}
    found: dict[Node, Node] = {}
    for node in order:
        if node in asked:
            for bounds in asked[node]:
                args = (_part(a, bounds, asked, parts, found) for a in node.args)
                parts[node, bounds] = apply(node.op, *args, attr=node.attr, span=node.span)
        elif node.op.name == "slice" and node.args[0] in asked:
            found[node] = parts[node.args[0], node.attr]
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _asked(order: list[Node], roots: list[Node]) -> dict[Node, list[Bounds]]:
    """The elementwise values of which only parts are read, parts that do not overlap."""
    whole = set(roots)  # what something reads as a whole
    wanted: dict[Node, list[Bounds]] = {}
    asked: dict[Node, list[Bounds]] = {}
    for node in reversed(order):
        bounds = list(dict.fromkeys(wanted.get(node, ())))
        if node.op.pointwise and bounds and node not in whole and _apart(bounds):
            asked[node] = bounds
            for arg in node.args:
                wanted.setdefault(arg, []).extend(bounds)
        elif node.op.name == "slice":
            wanted.setdefault(node.args[0], []).append(node.attr)
        else:
            whole.update(node.args)
    return asked


def _apart(bounds: list[Bounds]) -> bool:
    """Whether parts lie one behind the other along the first axis, and nothing else is cut."""
    rows = sorted(b[0] for b in bounds)
    return len({b[1:] for b in bounds}) == 1 and all(
        before[1] <= behind[0] for before, behind in zip(rows, rows[1:], strict=False)
    )


def _part(
    node: Node, bounds: Bounds, asked: dict[Node, list[Bounds]],
    parts: dict[tuple[Node, Bounds], Node], found: dict[Node, Node],
) -> Node:  # fmt: skip
    return parts[node, bounds] if node in asked else apply("slice", found[node], attr=bounds)
