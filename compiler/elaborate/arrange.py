"""Functions that arrange elements: concat, split, reshape, roll, diag, tril, indexing by axis.

In: operands. Out: nodes. Sizes and axes are known while compiling.
"""

from __future__ import annotations

from ...grammar.problems_of_values import (
    BadArgument,
    KindMismatch,
    RankMismatch,
    ShapeMismatch,
)
from ..dims import over
from ..matrices import identity
from ..shapes import Shape, size
from . import arguments
from .products import diagonal as diagonal_of
from .tensors import (
    Site,
    constant,
    fit,
    fits,
    joint_shape,
    need_kind,
    not_a_tensor,
    tensor,
)
from .values import (
    Operand,
    Tensor,
    Value,
    describe,
    is_known,
    kind_of,
    shape_of,
    sizes_note,
)


def concat(site: Site, parts: tuple[Operand, ...], axis: Operand) -> Value:
    """Parts one after the other along an axis."""
    if not parts:
        raise BadArgument("'concat' needs something to join", site.span)
    nodes = [tensor(site, part) for part in parts]
    first, rank = parts[0], nodes[0].type.rank
    at = arguments.axis(site, axis, rank, first)
    expected = nodes[0].type.shape
    for part, node in zip(parts, nodes, strict=True):
        shape = node.type.shape
        if len(shape) != rank or any(shape[i] != expected[i] for i in range(rank) if i != at):
            raise ShapeMismatch(
                f"'concat' joins along axis {at}, so all other axes must be equal",
                first.span,
                f"this is {describe(nodes[0])}",
                related=[(part.span, f"this is {describe(node)}")],
                notes=sizes_note(expected, shape),
                hints=["'axis=' joins along another one"] if len(shape) == rank > 1 else [],
            )
    filled = [node for node in nodes if node.type.shape[at]] or nodes[:1]
    return filled[0] if len(filled) == 1 else site.apply("concat", *filled, attr=at)


def split(site: Site, value: Operand, parts: Operand) -> Value:
    """[n * k, ...] -> [n, k, ...]."""
    node, n = tensor(site, value), arguments.positive(parts, "the number of parts")
    if not node.type.rank:
        raise RankMismatch(
            "'split' needs at least one axis", value.span, f"this is {describe(node)}"
        )
    length = node.type.shape[0]
    if length % n:
        raise ShapeMismatch(
            f"'split' cannot take {length} apart into {n} equal parts",
            value.span,
            f"this is {describe(node)}",
            related=[(parts.span, f"this is {n}")],
            notes=sizes_note(node.type.shape),
        )
    return site.apply("reshape", node, attr=(n, over(length, n), *node.type.shape[1:]))


def reshape(site: Site, value: Operand, shape: Operand) -> Value:
    """The same elements, in order, in another shape."""
    node, dims = tensor(site, value), arguments.sizes(site, shape)
    if size(dims) != size(node.type.shape):
        raise ShapeMismatch(
            f"'reshape' needs {size(node.type.shape)} elements, and the new shape has {size(dims)}",
            value.span,
            f"this is {describe(node)}",
            related=[(shape.span, f"this is [{', '.join(str(int(d)) for d in dims)}]")],
            notes=sizes_note(node.type.shape, dims),
        )
    return reshaped(site, node, tuple(dims))


def reshaped(site: Site, node: Tensor, shape: Shape) -> Tensor:
    """`node` in another trailing shape; itself if it has that one."""
    return node if node.type.shape == shape else site.apply("reshape", node, attr=shape)


def broadcast(site: Site, value: Operand, shape: Operand) -> Value:
    """Axes of size 1, and new ones in front, repeated."""
    dims = tuple(arguments.sizes(site, shape))
    need_kind(site, value, "number")
    if not fits(value.value, dims):
        raise ShapeMismatch(
            "the value does not broadcast to this shape",
            value.span,
            f"this is {describe(value.value)}",
            related=[(shape.span, f"this is [{', '.join(str(int(d)) for d in dims)}]")],
            notes=[
                "axes are matched from the last one backwards and must be equal, or 1",
                *sizes_note(shape_of(value.value), dims),
            ],
        )
    return fit(site, value.value, dims)


def roll(site: Site, value: Operand, steps: Operand, axis: Operand) -> Value:
    """Elements moved `steps` places on along an axis; those that fall off come back in front."""
    node, count = tensor(site, value), arguments.whole(steps, "the number of places")
    at = arguments.axis(site, axis, node.type.rank, value)
    length = int(node.type.shape[at])
    cut = (length - count) % length if length else 0
    if cut == 0:
        return node
    back, front = part(site, node, at, cut, length), part(site, node, at, 0, cut)
    return site.apply("concat", back, front, attr=at)


def part(site: Site, node: Tensor, axis: int, start: int, stop: int) -> Tensor:
    """Elements `start` up to `stop` along an axis."""
    if (start, stop) == (0, node.type.shape[axis]):
        return node
    bounds = [(0, int(d)) for d in node.type.shape]
    bounds[axis] = (start, stop)
    return site.apply("slice", node, attr=tuple(bounds))


def flip(site: Site, value: Operand, axis: Operand) -> Value:
    """Elements from the end along an axis."""
    node = tensor(site, value)
    at = arguments.axis(site, axis, node.type.rank, value)
    return site.apply("flip", node, attr=at)


def transpose(site: Site, value: Operand) -> Value:
    """`.T`: the last two axes swapped."""
    node = tensor(site, value)
    rank = node.type.rank
    if rank < 2:
        raise RankMismatch(
            "'.T' swaps the last two axes, and there are not two",
            value.span,
            f"this is {describe(node)}",
            hints=["a vector needs no '.T': 'x @ W' and 'W @ x' both take it"] if rank else [],
        )
    return site.apply("transpose", node, attr=(*range(rank - 2), rank - 1, rank - 2))


def diag(site: Site, value: Operand) -> Value:
    """The square matrix with this diagonal."""
    node = tensor(site, value)
    if node.type.rank != 1:
        raise RankMismatch(
            "'diag' needs a vector",
            value.span,
            f"this is {describe(node)}",
            hints=["'diagonal' takes the diagonal of a matrix"] if node.type.rank == 2 else [],
        )
    return site.apply("diag", node)


def diagonal(site: Site, value: Operand) -> Value:
    """[..., n, n] -> [..., n]."""
    node = tensor(site, value)
    rank, shape = node.type.rank, node.type.shape
    if rank < 2 or shape[-1] != shape[-2]:
        raise RankMismatch(
            "'diagonal' needs a square matrix",
            value.span,
            f"this is {describe(node)}",
            notes=sizes_note(shape),
            hints=["'diag' makes a matrix of a vector"] if rank == 1 else [],
        )
    taken = diagonal_of(site, node, rank - 2, rank - 1)
    if rank == 2:
        return taken
    return site.apply("transpose", taken, attr=(*range(1, rank - 1), 0))


def eye(site: Site, n: Operand) -> Value:
    """The identity matrix."""
    return site.run.adopt(identity(arguments.dim(n, "the size of a matrix")), site.span)


def tril(site: Site, value: Operand) -> Value:
    """The matrix with zeros above its diagonal."""
    return _triangle(site, value, "ge")


def triu(site: Site, value: Operand) -> Value:
    """The matrix with zeros below its diagonal."""
    return _triangle(site, value, "le")


def _triangle(site: Site, value: Operand, keep: str) -> Tensor:
    node = tensor(site, value)
    if node.type.rank < 2:
        raise RankMismatch(f"'{site.name}' needs a matrix", value.span, f"this is {describe(node)}")
    shape = node.type.shape
    return site.apply("where", _compare_positions(site, shape, keep), node, constant(0.0, shape))


def _compare_positions(site: Site, shape: Shape, comparison: str) -> Tensor:
    """Where `row comparison column` holds, in the last two axes."""
    row = site.apply("iota", attr=(shape, len(shape) - 2))
    column = site.apply("iota", attr=(shape, len(shape) - 1))
    return site.apply(comparison, row, column)


def where(site: Site, test: Operand, yes: Operand, no: Operand) -> Value:
    """`yes` where the test holds, else `no`."""
    need_kind(site, test, "bool")
    for choice in (yes, no):
        problem = not_a_tensor(choice)
        if problem:
            raise problem
    kinds = {kind_of(yes.value), kind_of(no.value)}
    if len(kinds) > 1 and kinds != {"real", "complex"}:
        raise KindMismatch(
            "'where' chooses between two values of one kind",
            yes.span,
            f"this is {describe(yes.value)}",
            related=[(no.span, f"this is {describe(no.value)}")],
        )
    if all(is_known(operand.value) for operand in (test, yes, no)):
        return yes.value if test.value else no.value
    shape = joint_shape(site, (test, yes, no))
    return site.apply("where", *(fit(site, o.value, shape) for o in (test, yes, no)))
