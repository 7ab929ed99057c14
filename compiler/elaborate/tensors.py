"""Makes nodes of operands: numbers become constants, shapes are made equal, kinds are checked.

In: operands, each a number or a node, with where it stands. Out: nodes. Ops act on operands of one
trailing shape, so NumPy's rule is written out here as `reshape` (leading axes of size 1) and
`broadcast`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, overload

from ...grammar.problems import Problem
from ...grammar.problems_of_values import (
    BadArgument,
    KindMismatch,
    ShapeMismatch,
    TupleMismatch,
)
from ...grammar.source import Span
from ..ir import Node, const
from ..shapes import Shape, TypeProblem, broadcast
from . import numbers, pairs
from .run import Run
from .values import (
    Known,
    Operand,
    Sizes,
    Tensor,
    Value,
    describe,
    is_known,
    kind_of,
    shape_of,
    sizes_note,
)

Needed: TypeAlias = Literal["bool", "int", "real", "number"]  # a number is real or complex


@dataclass(frozen=True, slots=True)
class Site:
    """Where an operator or a function is applied. `name` is how it is written there.

    `path` is that of the cell whose body it stands in: "", "inner.", "0.".
    """

    run: Run
    span: Span
    name: str
    path: str = ""

    @overload
    def apply(self, op: str, *args: Node, attr: object = None) -> Node: ...
    @overload
    def apply(self, op: str, *args: Tensor, attr: object = None) -> Tensor: ...

    def apply(self, op: str, *args: Tensor, attr: object = None) -> Tensor:
        """The op on tensors; on complex ones, what it means for them."""
        nodes = [arg for arg in args if isinstance(arg, Node)]
        if len(nodes) < len(args):
            return pairs.apply(self.apply, op, args, attr)
        return self.run.apply(op, *nodes, attr=attr, span=self.span)


def fit(site: Site, value: Value, shape: Shape) -> Tensor:
    """`value` with the trailing shape `shape`, which it broadcasts to."""
    if not isinstance(value, Tensor):
        assert isinstance(value, bool | int | float)
        return constant(value, shape)
    missing = len(shape) - value.type.rank
    if missing:
        value = site.apply("reshape", value, attr=((1,) * missing + value.type.shape))
    if value.type.shape != shape:
        value = site.apply("broadcast", value, attr=shape)
    return value


def fits(value: Value, shape: Shape) -> bool:
    """Whether `value` broadcasts to the trailing shape `shape`."""
    own = shape_of(value)
    behind = shape[len(shape) - len(own) :]
    return len(own) <= len(shape) and all(
        dim in (1, wide) for dim, wide in zip(own, behind, strict=True)
    )


def constant(value: Known, shape: Shape = ()) -> Node:
    """A tensor filled with a number or a truth value."""
    return const(float(value), shape, "bool" if isinstance(value, bool) else "real")


def not_a_tensor(operand: Operand) -> Problem | None:
    """The problem with using `operand` as a tensor, if there is one."""
    value = operand.value
    if isinstance(value, Tensor) or is_known(value):
        return None
    text = operand.span.text
    if isinstance(value, tuple) and not isinstance(value, Sizes):
        return TupleMismatch(
            "a tuple cannot be an operand",
            operand.span,
            f"this is {describe(value)}",
            hints=["take it apart first: '(h', c'), y = inner((h, c), x)'"],
        )
    if isinstance(value, str | Sizes):
        return BadArgument(
            f"{describe(value)} cannot stand here", operand.span, "a value is needed"
        )
    return BadArgument(
        f"'{text}' is {describe(value)}, not a value",
        operand.span,
        "a value is needed here",
        hints=[f"call it: '{text}(...)'"] if _is_callable(value) else [],
    )


def _is_callable(value: Value) -> bool:
    """Whether `value` is something that is called with arguments."""
    return getattr(value, "noun", "") in ("function", "sub-cell")


def need_kind(site: Site, operand: Operand, kind: Needed) -> None:
    """Check the element kind of an operand.

    Raises:
        KindMismatch, TupleMismatch, BadArgument: it is of another sort.
    """
    problem = not_a_tensor(operand)
    if problem:
        raise problem
    found = kind_of(operand.value)
    if found == kind or (kind == "number" and found in ("real", "complex")):
        return
    if found == "complex" and kind == "real":
        raise needs_real(site.name, operand)
    hints = []
    if found == "int":
        what = "is an integer input"
        hints = [f"an integer input picks rows: '{_with_rows(site, operand)}'"]
    elif found == "bool":
        what = "is a truth value"
        hints = [f"'where({operand.span.text}, 1, 0)' makes numbers of it"]
    else:
        what = "is a number"
        text = f"abs({operand.span.text})" if found == "complex" else operand.span.text
        hints = [f"compare it with something, such as '{text} > 0'"]
    needed = {"bool": "truth values", "int": "an integer input"}.get(kind, "numbers")
    raise KindMismatch(
        f"'{site.name}' needs {needed}",
        operand.span,
        f"this {what}: {describe(operand.value)}",
        hints=hints,
    )


def _with_rows(site: Site, operand: Operand) -> str:
    """`E[token]`, or the call that it begins: `delay(E[token], 1)`."""
    token = operand.span.text
    row, begins = f"E[{token}]", f"{site.name}({token}"
    text = site.span.text
    return f"{site.name}({row}{text.removeprefix(begins)}" if text.startswith(begins) else row


def needs_real(name: str, operand: Operand, advice: str = "") -> Problem:
    """The problem with a complex operand of what is defined for real ones only."""
    text = operand.span.text if operand.span.text.isidentifier() else "z"
    return KindMismatch(
        f"'{name}' needs real numbers",
        operand.span,
        f"this is {describe(operand.value)}",
        hints=[
            advice.format(text)
            or f"take what is meant of it: 'real({text})', 'imag({text})' or 'abs({text})'"
        ],
    )


def tensor(site: Site, operand: Operand) -> Tensor:
    """`operand` as a tensor of numbers, real or complex.

    Raises:
        KindMismatch, TupleMismatch, BadArgument: it is of another sort.
    """
    need_kind(site, operand, "number")
    return fit(site, operand.value, shape_of(operand.value))


def real_tensor(site: Site, operand: Operand) -> Node:
    """`operand` as a tensor of real numbers.

    Raises:
        KindMismatch, TupleMismatch, BadArgument: it is of another sort.
    """
    need_kind(site, operand, "real")
    node = tensor(site, operand)
    assert isinstance(node, Node)
    return node


def joint_shape(site: Site, operands: Sequence[Operand]) -> Shape:
    """The shape that all operands broadcast to.

    Raises:
        ShapeMismatch: there is none.
    """
    try:
        return broadcast(*(shape_of(operand.value) for operand in operands))
    except TypeProblem:
        pass
    first, second = next(
        (a, b)
        for at, b in enumerate(operands)
        for a in operands[:at]
        if not _broadcasts(shape_of(a.value), shape_of(b.value))
    )
    raise ShapeMismatch(
        f"'{site.name}' needs shapes that fit each other",
        first.span,
        f"this is {describe(first.value)}",
        related=[(second.span, f"this is {describe(second.value)}")],
        notes=[
            "axes are matched from the last one backwards and must be equal, or one of them 1",
            *sizes_note(shape_of(first.value), shape_of(second.value)),
        ],
    )


def _broadcasts(*shapes: Shape) -> bool:
    try:
        broadcast(*shapes)
    except TypeProblem:
        return False
    return True


def pointwise(site: Site, op: str, *operands: Operand) -> Value:
    """The pointwise op on operands that broadcast; a number if all of them are numbers.

    Raises:
        KindMismatch, ShapeMismatch, TupleMismatch, BadArgument: the operands do not fit.
    """
    for operand in operands:
        need_kind(site, operand, "number")
    known = [operand.value for operand in operands if is_known(operand.value)]
    if len(known) == len(operands):
        try:
            return numbers.function(op, tuple(known))
        except numbers.NotANumber as problem:
            raise BadArgument(f"'{site.name}': {problem}", site.span) from None
    shape = joint_shape(site, operands)
    return site.apply(op, *(fit(site, operand.value, shape) for operand in operands))
