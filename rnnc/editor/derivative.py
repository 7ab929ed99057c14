"""The derivative of a built-in function, as a formula.

In: a function of the language. Out: `dy/dx = 1.0 - y * y`, written out from the rule that its op
record has, so that what an editor shows is what the compiler does.
"""

from __future__ import annotations

from .. import grammar
from ..compiler.elaborate.functions import Function
from ..compiler.formula import slopes
from ..compiler.ops import OPS
from ..grammar.syntax import FunctionDeclaration


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
        names = [parameter.name for parameter in function.parameters]
        found = zip(names, slopes(op, names), strict=True)
        return [f"dy/d{name} = {slope}" for name, slope in found]
    return ["linear: its derivative is itself"] if op.linear else []


def _definition(name: str) -> str:
    """The `fn` of the prelude, as it is written there."""
    for declaration in grammar.prelude().declarations:
        if isinstance(declaration, FunctionDeclaration) and declaration.name == name:
            return declaration.span.text
    raise AssertionError(name)
