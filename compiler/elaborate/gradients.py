"""Functions that decide what a derivative is: stopped, clipped, another value's, a step's slope.

In: operands. Out: nodes whose value these functions do not change.
"""

from __future__ import annotations

from ...grammar.problems_of_values import BadArgument
from ..ops.gradient import SLOPES
from .numbers import function
from .tensors import Site, constant, fit, joint_shape, need_kind, tensor
from .values import Operand, Value, describe, is_known, shape_of


def stop_gradient(site: Site, value: Operand) -> Value:
    """The value, whose derivative is 0."""
    if is_known(value.value):
        return value.value
    return site.apply("stop_gradient", tensor(site, value))


def clip_gradient(site: Site, value: Operand, low: Operand, high: Operand) -> Value:
    """The value; what comes back for it, element by element, is kept between two bounds.

    0 is within them: a bound that is known only when the cell runs counts as 0 on its wrong side.

    Raises:
        BadArgument: it is the same for every row and step, or 0 is not within the bounds.
    """
    for operand in (value, low, high):
        need_kind(site, operand, "real")
    for bound, lies in ((low, "at most"), (high, "at least")):
        amount = bound.value
        if is_known(amount) and (amount > 0 if bound is low else amount < 0):
            raise BadArgument(
                f"this bound of '{site.name}' must be {lies} 0",
                bound.span,
                f"this is {describe(amount)}",
                notes=["where nothing comes back, nothing must be made of it"],
            )
    if is_known(value.value):
        return value.value
    node = tensor(site, value)
    if not node.type.axes:
        raise BadArgument(
            f"'{site.name}' clips what comes back for a row at a step",
            value.span,
            "this is the same for all of them",
            hints=["clip what is computed with it, or all gradients at once: 'rnnc.clip_by_norm'"],
        )
    if joint_shape(site, (value, low, high)) != node.type.shape:
        wrong = max((low, high), key=lambda bound: len(shape_of(bound.value)))
        raise BadArgument(
            "a bound has no more elements than what is clipped",
            wrong.span,
            f"this is {describe(wrong.value)}",
            related=[(value.span, f"this is {describe(node)}")],
        )
    bounds = [fit(site, bound.value, node.type.shape) for bound in (low, high)]
    zeros = constant(0.0, node.type.shape)
    for at, (bound, nearer) in enumerate(((low, "minimum"), (high, "maximum"))):
        if not is_known(bound.value):
            bounds[at] = site.apply(nearer, bounds[at], zeros)
    return site.apply("clip_gradient", node, *bounds)


def straight_through(site: Site, value: Operand, gradient_of: Operand) -> Value:
    """The first, whose derivative is that of the second.

    Source: Bengio et al. 2013, arXiv:1308.3432.
    """
    for operand in (value, gradient_of):
        need_kind(site, operand, "real")
    if is_known(value.value) and is_known(gradient_of.value):
        return value.value
    shape = joint_shape(site, (value, gradient_of))
    operands = (fit(site, operand.value, shape) for operand in (value, gradient_of))
    return site.apply("straight_through", *operands)


def step(site: Site, value: Operand, surrogate: Operand) -> Value:
    """1 above 0, else 0, with the slope of a surrogate.

    Raises:
        BadArgument: there is no such surrogate.
    """
    need_kind(site, value, "real")
    name = getattr(surrogate.value, "name", "")
    if name not in SLOPES:
        raise BadArgument(
            f"there is no surrogate '{name or surrogate.span.text}'",
            surrogate.span,
            "" if name else f"this is {describe(surrogate.value)}",
            notes=[f"the surrogates are {', '.join(SLOPES)}"],
        )
    if is_known(value.value):
        return function("step", (value.value,))
    return site.apply("step", tensor(site, value), attr=name)


def no_function(site: Site, _value: Operand) -> Value:
    """A surrogate, called as if it were one.

    Raises:
        BadArgument: always.
    """
    raise BadArgument(
        f"'{site.name}' is a surrogate of 'step', not a function of its own",
        site.span,
        hints=[f"write 'step(x, surrogate={site.name})'"],
    )
