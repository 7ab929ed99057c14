"""Arguments that must be known while compiling: sizes, axes, lists of sizes, strings.

In: operands. Out: Python values. What is none of the needed sort is a problem at its place.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...grammar.limits import LARGEST_SIZE
from ...grammar.problems import Problem
from ...grammar.problems_of_values import BadArgument, BadAxis, BadSize, NotConstant
from ...grammar.source import Span
from ..ir import Node
from ..shapes import Dim
from .tensors import Site
from .values import Operand, Sizes, Value, describe


def known_only_later(what: str, span: Span, value: Value, hints: Sequence[str] = ()) -> Problem:
    """The problem with a value of run time where one of compile time is needed."""
    return NotConstant(
        f"{what} must be known while compiling",
        span,
        f"this is {describe(value)}",
        notes=["sizes, options, numbers and loop variables are known while compiling"],
        hints=hints,
    )


def whole(operand: Operand, what: str) -> int:
    """`operand` as an integer.

    Raises:
        NotConstant, BadSize: it is none.
    """
    value = operand.value
    if isinstance(value, Node):
        raise known_only_later(what, operand.span, value)
    if isinstance(value, bool) or not isinstance(value, int):
        raise BadSize(f"{what} must be an integer", operand.span, f"this is {describe(value)}")
    return value


def positive(operand: Operand, what: str) -> int:
    """`operand` as an integer of at least 1.

    Raises:
        NotConstant, BadSize: it is none.
    """
    value = whole(operand, what)
    if not 1 <= value <= LARGEST_SIZE:
        limit = "at least 1" if value < 1 else f"at most {LARGEST_SIZE}"
        raise BadSize(f"{what} must be {limit}", operand.span, f"this is {value}")
    return value


def dim(operand: Operand, what: str = "a size") -> Dim:
    """`operand` as a size of a shape, remembering how it was written.

    Raises:
        NotConstant, BadSize: it is no positive integer.
    """
    value = positive(operand, what)
    if isinstance(value, Dim):
        return value
    text = "".join(operand.span.text.split())
    return Dim(value, text if any(sign.isalpha() for sign in text) else "")


def sizes(site: Site, operand: Operand) -> Sizes:
    """`operand` as a list of sizes.

    Raises:
        BadArgument: it is something else.
    """
    if isinstance(operand.value, Sizes):
        return operand.value
    raise BadArgument(
        f"'{site.name}' needs a list of sizes",
        operand.span,
        f"this is {describe(operand.value)}",
        hints=[f"write '[{operand.span.text}]'"] if isinstance(operand.value, int) else [],
    )


def string(site: Site, operand: Operand) -> str:
    """`operand` as a string.

    Raises:
        BadArgument: it is something else.
    """
    if isinstance(operand.value, str):
        return operand.value
    raise BadArgument(
        f"'{site.name}' needs a string", operand.span, f"this is {describe(operand.value)}"
    )


def truth(site: Site, operand: Operand, what: str) -> bool:
    """`operand` as `true` or `false`.

    Raises:
        NotConstant, BadArgument: it is neither.
    """
    if isinstance(operand.value, bool):
        return operand.value
    if isinstance(operand.value, Node):
        raise known_only_later(what, operand.span, operand.value)
    raise BadArgument(
        f"{what} of '{site.name}' is true or false",
        operand.span,
        f"this is {describe(operand.value)}",
    )


def axis(site: Site, operand: Operand, rank: int, of: Operand | None = None) -> int:
    """`operand` as an axis of a value with `rank` axes; from the end if negative.

    Raises:
        BadAxis, NotConstant, BadSize: there is no such axis.
    """
    value = whole(operand, "an axis")
    if -rank <= value < rank:
        return value % rank
    related = [(of.span, f"this is {describe(of.value)}")] if of else []
    if rank == 0:
        raise BadAxis(
            f"'{site.name}' needs at least one axis", site.span, related=related,
            hints=["a single number has no axes"],
        )  # fmt: skip
    raise BadAxis(
        f"'{site.name}' has no axis {value} to work on",
        operand.span,
        "the only axis is 0, or -1"
        if rank == 1
        else f"axes are 0 to {rank - 1}, or -1 to -{rank} from the end",
        related=related,
        notes=["batch and time do not count"],
    )
