"""The derivative of a built-in function, as a formula.

In: a function of the language. Out: `dy/dx = 1.0 - y * y`, written out from the rule that its op
record has, so that what an editor shows is what the compiler does.
"""

from __future__ import annotations

from collections.abc import Sequence

from .. import grammar
from ..compiler.elaborate.functions import Function
from ..compiler.ir import Node, leaf
from ..compiler.ops import OPS, Op
from ..compiler.shapes import Type
from ..grammar.syntax import FunctionDeclaration

_LOOSE, _TIGHT = 0, 9
_BINDS = {"+": 3, "-": 3, "*": 4, "/": 4, "%": 4, "^": 6}  # comparisons and the rest bind less
_NEGATES = 5


def derivative_of(function: Function) -> list[str]:
    """What is to be said of the derivative of a function, a line each; nothing for some."""
    if function.build is None:
        return [_definition(function.name), "differentiated as it is written"]
    op = OPS.get(function.name)
    if op is None:
        return []
    if op.nograd:
        return ["its derivative is 0"]
    if op.partials is not None:
        return _partials(op, [parameter.name for parameter in function.parameters])
    return ["linear: its derivative is itself"] if op.linear else []


def _partials(op: Op, names: Sequence[str]) -> list[str]:
    assert op.partials is not None
    operands = [leaf("input", name, Type()) for name in names]
    found = op.partials(leaf("input", "y", Type()), *operands)
    return [
        f"dy/d{name} = {_text(partial, _LOOSE)}" for name, partial in zip(names, found, strict=True)
    ]


def _text(value: Node | float, least: int) -> str:
    """`value` in the language; in brackets if it binds less than `least`."""
    if not isinstance(value, Node):
        return f"{value:g}"
    op, args = value.op, value.args
    if op.name == "const":
        return f"{value.attr[0]:g}"
    if not args:
        return str(value.attr)
    if op.name == "neg":
        text, binds = f"-{_text(args[0], _NEGATES)}", _NEGATES
    elif op.infix is not None:
        binds = _BINDS.get(op.infix, 2)
        left, right = _text(args[0], binds), _text(args[1], binds + 1)
        text = f"{left} {op.infix} {right}"
    else:
        text, binds = f"{op.name}({', '.join(_text(arg, _LOOSE) for arg in args)})", _TIGHT
    return f"({text})" if binds < least else text


def _definition(name: str) -> str:
    """The `fn` of the prelude, as it is written there."""
    for declaration in grammar.prelude().declarations:
        if isinstance(declaration, FunctionDeclaration) and declaration.name == name:
            return declaration.span.text
    raise AssertionError(name)
