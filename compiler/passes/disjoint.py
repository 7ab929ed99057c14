"""A sum of parts of which every row has one is a choice.

In: any scan. Out: a scan with equal results, without additions of zeros. They are what masks leave
in a derivative: the cotangent of a held state goes to the step before it, that of any other through
the step, and each of the two ways is zero where the other is not.
"""

from __future__ import annotations

from ..ir import Node, Scan, apply, rebuild, toposort

# Where one operand of these is zero, so is the result; of `concat` and `add`, where all are.
ONE_IS_ENOUGH = ("mul", "einsum")
ALL_ARE_NEEDED = ("add", "sub", "concat")
VIEWS = ("slice", "reshape", "transpose", "flip", "broadcast", "at")


def disjoint(scan: Scan) -> Scan:
    """Make choices of sums.

    Before  where(valid, 0, a) + b    where b is 0 wherever `valid` does not hold
    After   where(valid, b, a)

    What would be 0 times infinity in a padded step does not reach the sum any more.

    Args:
        scan: verified.
    Cost: linear in the number of nodes, for each mask.
    """
    found: dict[Node, Node] = {}
    zeros: dict[tuple[Node, Node], bool] = {}
    for node in toposort(scan.roots()):
        current = rebuild(node, tuple(found[a] for a in node.args))
        found[node] = _as_choice(current, zeros) or current
    return scan.rebuilt(found)


def _as_choice(node: Node, zeros: dict[tuple[Node, Node], bool]) -> Node | None:
    if node.op.name != "add":
        return None
    for part, other in (node.args, node.args[::-1]):
        if part.op.name != "where" or not _is_zero(part.args[1]) or part.type != other.type:
            continue
        test, _, special = part.args
        mask = _mask_of(test)
        if mask is not None and _vanishes(other, mask, zeros):
            return apply("where", test, other, special)
    return None


def _vanishes(node: Node, mask: Node, known: dict[tuple[Node, Node], bool]) -> bool:
    """Whether a value is 0 in every row of which `mask` does not hold."""
    key = node, mask
    if key not in known:
        known[key] = _does_vanish(node, mask, known)
    return known[key]


def _does_vanish(node: Node, mask: Node, known: dict[tuple[Node, Node], bool]) -> bool:
    if node.op.name == "const":
        return _is_zero(node)
    if "B" not in node.type.axes:
        return False
    if node.op.name == "where":
        test, yes, no = node.args
        if _mask_of(test) is mask:
            return _vanishes(no, mask, known)
        return _vanishes(yes, mask, known) and _vanishes(no, mask, known)
    parts = (_vanishes(arg, mask, known) for arg in node.args)
    if node.op.name in ONE_IS_ENOUGH:
        return any(parts)
    if node.op.name in (*ALL_ARE_NEEDED, *VIEWS, "neg", "pad", "sum", "cumsum"):
        return all(parts)
    return False


def _is_zero(node: Node) -> bool:
    return node.op.name == "const" and node.attr[0] == 0.0


def _mask_of(test: Node) -> Node | None:
    """The mask, one truth value a row, that a test spreads over a row's elements."""
    while test.op.name in ("broadcast", "reshape", "at"):
        test = test.args[0]
    return test if test.op.name == "input" and not test.type.rank else None
