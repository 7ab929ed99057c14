"""Indices that are computed: whole numbers, and within the axis whatever the step.

In: an index of run time, such as `t % n`. Out: an integer that picks a row, or why there is none.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

from ...grammar.problems_of_values import BadIndex
from ..ir import CLOCK, Node, const, toposort
from .tensors import Site
from .values import Operand, Tensor, describe, sizes_note

Range = tuple[float, float]  # the least and the greatest of some whole numbers


def counted(site: Site, index: Operand, value: Operand, axis: int) -> Operand:
    """`index` as an integer, if it counts; as it is, if not.

    Raises:
        BadIndex: it may leave the axis.
    """
    node, table = index.value, value.value
    assert isinstance(table, Tensor)
    if not isinstance(node, Node) or node.type.kind != "real" or node.type.rank:
        return index
    found = _range(node)
    if found is None:
        return index
    rows = int(table.type.shape[axis])
    if not (found[0] >= 0 and found[1] < rows):
        text, plain = index.span.text, index.span.text.isidentifier()
        again = f"'{text if plain else f'({text})'} % {rows}' begins again at the end"
        raise BadIndex(
            "the index may leave the axis",
            index.span,
            f"it is {_words(found)}, and there are {rows} places",
            related=[(value.span, f"this is {describe(table)}")],
            notes=sizes_note(table.type.shape),
            hints=[again, *([f"'minimum({text}, {rows - 1})' stays there"] * (found[0] >= 0))],
        )
    # A state may be set to anything: what is no place must not be read.
    low, high = site.apply("ge", node, const(0.0)), site.apply("lt", node, const(float(rows)))
    safe = site.apply("where", site.apply("and", low, high), node, const(0.0))
    return Operand(site.apply("integer", safe), index.span)


def _words(found: Range) -> str:
    low, high = (f"{end:g}" for end in found)
    return f"{low} or more" if math.isinf(found[1]) else f"between {low} and {high}"


def _range(root: Node) -> Range | None:
    """The whole numbers a node may be; None if it need not be whole."""
    found: dict[Node, Range | None] = {}
    for node in toposort([root]):
        ranges = [found[arg] for arg in node.args]
        known = [each for each in ranges if each is not None]
        found[node] = None
        if node.op.name == "const":
            number = float(node.attr[0])
            if number.is_integer() and node.type.kind == "real":
                found[node] = number, number
        elif node.op.name == "carry":
            if str(node.attr).rpartition(".")[2] == CLOCK:
                found[node] = 0.0, math.inf
        elif node.op.name == "where":
            if None not in ranges[1:]:
                found[node] = _over(known[-2:])
        elif node.op.view and len(known) == 1:
            found[node] = known[0]
        elif node.op.name == "floor":
            found[node] = -math.inf, math.inf
        elif node.op.name in _RANGES and len(known) == len(ranges):
            found[node] = _RANGES[node.op.name](*known)
    return found[root]


def _over(ranges: list[Range]) -> Range:
    return min(low for low, _ in ranges), max(high for _, high in ranges)


def _product(a: Range, b: Range) -> Range:
    ends = [0.0 if 0.0 in (x, y) else x * y for x in a for y in b]  # not 0 * inf
    return min(ends), max(ends)


def _modulo(a: Range, b: Range) -> Range | None:
    """The sign is that of `b`, as in Python."""
    if b[0] <= 0:
        return None
    return (0.0, b[1] - 1) if a[0] < 0 else (0.0, min(a[1], b[1] - 1))


_RANGES: Mapping[str, Callable[..., Range | None]] = {
    "add": lambda a, b: (a[0] + b[0], a[1] + b[1]),
    "sub": lambda a, b: (a[0] - b[1], a[1] - b[0]),
    "neg": lambda a: (-a[1], -a[0]),
    "mul": _product,
    "mod": _modulo,
    "minimum": lambda a, b: (min(a[0], b[0]), min(a[1], b[1])),
    "maximum": lambda a, b: (max(a[0], b[0]), max(a[1], b[1])),
}
