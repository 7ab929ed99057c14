"""A graph of a few nodes as one nested formula, for readers: `y * (1 - y)`.

In: a node, or an op. Out: text. `text.py` writes a program, a node a line; a formula writes what is
shared as often as it is used, so it is for derivative rules and the like.
"""

from __future__ import annotations

from collections.abc import Sequence

from .ir import Node, leaf
from .ops import Op
from .shapes import Type

OPERANDS = "abc"  # as the one-line documentation of ops names them

# How tightly an operator binds, as in the language; comparisons and the rest bind less.
_BINDS = {"+": 3, "-": 3, "*": 4, "/": 4, "%": 4, "^": 6}
_LOOSE, _COMPARES, _NEGATES, _ALONE = 0, 2, 5, 9


def formula(node: Node) -> str:
    """`node` with no more parentheses than it needs."""
    return _text(node, _LOOSE)


def _text(node: Node, least: int) -> str:
    """`node`, in parentheses if it binds less than `least`."""
    op, args = node.op, node.args
    if op.name == "const":
        return f"{node.attr[0]:g}"
    if not args:
        return node.label or op.name
    if op.name == "neg":
        text, binds = f"-{_text(args[0], _NEGATES)}", _NEGATES
    elif op.infix:
        binds = _BINDS.get(op.infix, _COMPARES)
        # The right operand of equals is in parentheses: a - (b - c).
        text = f"{_text(args[0], binds)} {op.infix} {_text(args[1], binds + 1)}"
    else:
        text, binds = f"{op.name}({', '.join(_text(arg, _LOOSE) for arg in args)})", _ALONE
    return f"({text})" if binds < least else text


def slopes(op: Op, names: Sequence[str] = OPERANDS) -> tuple[str, ...]:
    """The derivative of an elementwise op by each operand, by these names; `y` is its result.

    Empty where the op has no such rule: its derivative is 0, or a sum over more than one element.
    """
    if op.partials is None:
        return ()
    type_ = Type((3,))  # any shape: rules are the same for all
    operands = [leaf("input", name, type_) for name in names[: op.arity]]
    rules = op.partials(leaf("input", "y", type_), *operands)
    return tuple(formula(rule) if isinstance(rule, Node) else f"{rule:g}" for rule in rules)
