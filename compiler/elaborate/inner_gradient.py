"""`grad(expression, name)`: a derivative as an expression of the step.

In: operands, of which the second was written as a name. Out: nodes, made by the rules of the op
records, so that they fuse and are differentiated again like any others.
"""

from __future__ import annotations

from ...grammar.problems_of_values import BadArgument, RankMismatch
from ..derive import vjp
from ..ir import Node, const, leaf
from ..rewrite import substitute
from .tensors import Site, need_kind
from .values import Operand, Value, describe, shape_of


def grad(site: Site, expression: Operand, name: Operand) -> Value:
    """The gradient of a number with respect to what a name stands for; it has its shape.

    Raises:
        RankMismatch: the expression is no number.
        BadArgument: the second argument is no name, or the first does not depend on it.
        KindMismatch: one of them is no real value.
    Source: reverse accumulation, see `derive.vjp`.
    """
    word = name.span.text
    if not word.removesuffix("'").isidentifier():
        raise BadArgument(
            f"'{site.name}' is with respect to a name",
            name.span,
            "this is an expression",
            hints=["give it a name in an equation above, and use that in both places"],
        )
    for operand in (expression, name):
        need_kind(site, operand, "real")
    if shape_of(expression.value):
        raise RankMismatch(
            f"'{site.name}' needs a single number to differentiate",
            expression.span,
            f"this is {describe(expression.value)}",
            hints=[f"'sum({expression.span.text})' is one"],
        )
    if not isinstance(name.value, Node) or name.value not in site.run.owned:
        raise BadArgument(
            f"'{word}' is the same whatever the cell is given",
            name.span,
            f"this is {describe(name.value)}",
            notes=[f"'{site.name}' is with respect to a state, an input, a parameter or a value "
                   "computed from them"],
        )  # fmt: skip
    root = expression.value
    found = gradient(root, name.value) if isinstance(root, Node) else None
    if found is None:
        raise BadArgument(
            f"no derivative of the expression reaches '{word}'",
            expression.span,
            related=[(name.span, "the gradient with respect to this would be 0")],
            notes=["a value that is equal to it, but computed another way, is another one"],
        )
    return site.run.adopt(found, site.span)


def gradient(root: Node, target: Node) -> Node | None:
    """d root / d target, for every row by itself; None if there is no way from one to the other.

    A value that lacks the batch axis gets it for the while, as the rules would add up the rows.
    """
    axes = root.type.axes
    own = target
    if target.type.axes != axes:
        own = leaf("input", "own", target.type.with_axes(axes))
        root = substitute([root], {target: own})[root]
    one = leaf("input", "one", root.type)
    found = vjp({root: one}, [own]).get(own)
    if found is None:
        return None
    return substitute([found], {own: target, one: const(1.0)})[found]
