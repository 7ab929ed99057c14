"""A part of an elementwise result is the same operation on parts.

In: a scan. Out: a scan in which values of which only parts are read are computed part by part, so
that `regroup` may treat every part in its own way; `merge` joins again what stayed alike.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any

from ..ir import Node, Scan, apply, rebuild


def split(scan: Scan) -> Scan:
    """Push slices, and the reshapes behind them, through elementwise operations.

    Before  u = U @ h + d;  a = tanh(p[0] + u[0]);  n = p[1] + r * u[1]
    After   v = U @ h;      a = tanh(p[0] + (v[0] + d[0]));  n = p[1] + r * (v[1] + d[1])

    Args:
        scan: verified, simplified.
    Returns:
        A scan with equal outputs, bit for bit.
    Cost: none in arithmetic: only parts that do not overlap are told apart.
    """
    return _pushed(_pushed(scan, "slice", _apart), "reshape", _alone)


def _pushed(scan: Scan, view: str, allowed: Callable[[Node, list[Any]], bool]) -> Scan:
    """Every `view` of an elementwise value that is read in no other way, if `allowed`."""
    order = list(scan)
    asked = _asked(order, scan.roots(), view, allowed)
    parts: dict[tuple[Node, Any], Node] = {}  # an old value and the view of it -> new value
    found: dict[Node, Node] = {}
    for node in order:
        if node in asked:
            for attr in asked[node]:
                args = [
                    parts[a, attr] if a in asked else apply(view, found[a], attr=attr)
                    for a in node.args
                ]
                parts[node, attr] = apply(node.op, *args, attr=node.attr, span=node.span)
        elif node.op.name == view and node.args[0] in asked:
            found[node] = parts[node.args[0], node.attr]
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return scan.rebuilt(found)


def _asked(
    order: list[Node], roots: list[Node], view: str, allowed: Callable[[Node, list[Any]], bool]
) -> dict[Node, list[Any]]:
    """The elementwise values read through views alone, and those views' attrs."""
    otherwise = set(roots)  # what is read in another way
    wanted: dict[Node, list[Any]] = {}
    asked: dict[Node, list[Any]] = {}
    for node in reversed(order):
        views = list(dict.fromkeys(wanted.get(node, ())))
        if node.op.pointwise and views and node not in otherwise and allowed(node, views):
            asked[node] = views
            for arg in node.args:
                wanted.setdefault(arg, []).extend(views)
        elif node.op.name == view:
            wanted.setdefault(node.args[0], []).append(node.attr)
        else:
            otherwise.update(node.args)
    return asked


def _apart(_node: Node, views: list[Any]) -> bool:
    """Whether slices lie one behind the other along the first axis, and cut nothing else."""
    if any(not bounds for bounds in views):
        return False
    rows = sorted(bounds[0] for bounds in views)
    return len({bounds[1:] for bounds in views}) == 1 and all(
        before[1] <= behind[0] for before, behind in pairwise(rows)
    )


def _alone(node: Node, views: list[Any]) -> bool:
    """Whether one axis or more is dropped, and no repeated operand has to be written out for it."""
    return (
        len(views) == 1
        and len(views[0]) < node.type.rank
        and all(a.op.name != "broadcast" for a in node.args)
    )
