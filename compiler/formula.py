"""A graph of a few nodes as one nested formula, for readers: `y * (1 - y)`.

In: a node, or an op. Out: text. `text.py` writes a program, a node a line; a formula writes what is
shared as often as it is used, so it is for derivative rules and the like.
"""

from __future__ import annotations

from .ir import Node, leaf
from .ops import Op
from .shapes import Type

OPERANDS = "abc"  # as the one-line documentation of ops names them


def formula(node: Node) -> str:
    """`node` with every infix operation that is an operand in parentheses."""
    if node.op.name == "const":
        return f"{node.attr[0]:g}"
    if not node.args:
        return node.label or node.op.name
    parts = [formula(arg) for arg in node.args]
    if node.op.infix and len(parts) == 2:
        left, right = (
            f"({part})" if arg.op.infix and len(arg.args) == 2 else part
            for part, arg in zip(parts, node.args, strict=True)
        )
        return f"{left} {node.op.infix} {right}"
    if node.op.name == "neg":
        return f"-{parts[0]}" if not node.args[0].op.infix else f"-({parts[0]})"
    return f"{node.op.name}({', '.join(parts)})"


def slopes(op: Op) -> tuple[str, ...]:
    """The derivative of an elementwise op by each operand `a`, `b`, `c`; `y` is its result.

    Empty where the op has no such rule: its derivative is 0, or a sum over more than one element.
    """
    if op.partials is None:
        return ()
    type_ = Type((3,))  # any shape: rules are the same for all
    operands = [leaf("input", name, type_) for name in OPERANDS[: op.arity]]
    rules = op.partials(leaf("input", "y", type_), *operands)
    return tuple(formula(rule) if isinstance(rule, Node) else f"{rule:g}" for rule in rules)
