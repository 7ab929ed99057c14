"""Sums and products in the order that lets most of them leave the step.

In: a scan. Out: the same sums and products, associated so that the terms that do not read a carry
come together and can be hoisted as one.
"""

from __future__ import annotations

from collections import Counter

from ..ir import Node, Scan, apply, rebuild

ASSOCIATIVE = ("add", "mul")


def regroup(scan: Scan) -> Scan:
    """Associate free terms first.

    Before  (W @ x[t] + U @ h) + b              ((ct * g[t]) * i[t]) * (1 - i[t])
    After   (W @ x[t] + b) + U @ h              ct * (g[t] * i[t] * (1 - i[t]))

    Args:
        scan: verified, not yet hoisted.
    Returns:
        A scan with equal outputs up to rounding.
    Cost: none; one operation fewer per step for every free term.
    """
    order = list(scan)
    readers = Counter(a for n in order for a in n.args)
    readers.update(scan.roots())
    serial: set[Node] = set()
    found: dict[Node, Node] = {}
    terms: dict[Node, list[Node]] = {}  # of an old chain: its rebuilt terms, left to right
    for node in order:
        if node.op.name == "carry" or (
            node.op.name not in ("at", "stack", "accumulate")
            and any(a in serial for a in node.args)
        ):
            serial.add(node)
        if node.op.name not in ASSOCIATIVE or node not in serial:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
            continue
        chain: list[tuple[Node, bool]] = []
        for arg in node.args:
            if arg in terms and arg.op is node.op and readers[arg] == 1:
                chain += [(t, t in serial) for t in terms[arg]]
            else:
                chain.append((found[arg], arg in serial))
                if arg in serial:
                    serial.add(found[arg])
        free = [t for t, is_serial in chain if not is_serial]
        bound = [t for t, is_serial in chain if is_serial]
        terms[node] = [t for t, _ in chain]
        if len(free) > 1 or (free and bound and len(chain) > 2):
            parts = [_chain(node, bound), _chain(node, free)]
            found[node] = apply(node.op, *parts, span=node.span, label=node.label)
        else:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
        serial.add(found[node])
    return scan.rebuilt(found)


def _chain(node: Node, terms: list[Node]) -> Node:
    total = terms[0]
    for term in terms[1:]:
        total = apply(node.op, total, term)
    return total
