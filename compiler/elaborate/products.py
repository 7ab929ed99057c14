"""`@`, `outer` and `einsum`: products that sum, as the one op of two operands there is.

In: operands. Out: `einsum` nodes whose letters are named in order of appearance. What the op does
not do itself is done before it: repeated letters (diagonals) and letters of one operand alone
(sums), more than two operands (from left to right).
"""

from __future__ import annotations

import string as letters_of
from collections.abc import Sequence

from ...grammar.problems_of_values import BadEinsum, RankMismatch, ShapeMismatch
from ..rewrite import canonical
from ..shapes import Shape
from .arguments import string
from .tensors import Site, tensor
from .values import Operand, Tensor, Value, describe, shape_of, sizes_note


def product(site: Site, a: Tensor, b: Tensor, spec: str) -> Tensor:
    """`einsum` of two operands whose every letter is in the result or in both.

    Before  "gnij,nj->gni"
    After   "abcd,bd->abc"
    """
    return site.apply("einsum", a, b, attr=(canonical(spec), ""))


def matmul(site: Site, left: Operand, right: Operand) -> Value:
    """`left @ right`: the last axis of `left` with the second last (or only) one of `right`.

    Raises:
        RankMismatch: an operand is a single number.
        ShapeMismatch: the inner sizes, or the axes before them, differ.
    """
    a, b = tensor(site, left), tensor(site, right)
    for operand, node in ((left, a), (right, b)):
        if node.type.rank == 0:
            raise RankMismatch(
                "'@' needs vectors or matrices",
                operand.span,
                f"this is {describe(operand.value)}",
                hints=["'*' multiplies by a single number"],
            )
    if product_shape(a.type.shape, b.type.shape) is None:
        raise _inner_mismatch(left, right, a.type.shape, b.type.shape)
    batch_a, batch_b = a.type.shape[:-2], b.type.shape[:-2]
    batch = letters_of.ascii_lowercase[: max(len(batch_a), len(batch_b))]
    spec_a = batch[len(batch) - len(batch_a) :] + ("MN" if a.type.rank > 1 else "N")
    spec_b = batch[len(batch) - len(batch_b) :] + ("NK" if b.type.rank > 1 else "N")
    out = batch + "M" * (a.type.rank > 1) + "K" * (b.type.rank > 1)
    return product(site, a, b, f"{spec_a},{spec_b}->{out}")


def product_shape(a: Shape, b: Shape) -> Shape | None:
    """The shape of `a @ b`; None if there is none."""
    if not a or not b:
        return None
    batch_a, batch_b = a[:-2], b[:-2]
    shared = min(len(batch_a), len(batch_b))
    if batch_a[len(batch_a) - shared :] != batch_b[len(batch_b) - shared :]:
        return None
    if a[-1] != b[max(-2, -len(b))]:
        return None
    batch = max(batch_a, batch_b, key=len)
    return (*batch, *(a[-2:-1] if len(a) > 1 else ()), *(b[-1:] if len(b) > 1 else ()))


def _inner_mismatch(left: Operand, right: Operand, a: Shape, b: Shape) -> ShapeMismatch:
    inner_a, inner_b = a[-1], b[max(-2, -len(b))]
    if inner_a != inner_b:
        headline = "'@' needs equal inner sizes"
        note = f"'@' sums over {_words(inner_a)} on the left and {_words(inner_b)} on the right"
    else:
        headline = "'@' needs equal axes before the last two"
        note = "'[..., m, n] @ [..., n, k]' gives '[..., m, k]'"
    return ShapeMismatch(
        headline,
        left.span,
        f"this is {describe(left.value)}",
        related=[(right.span, f"this is {describe(right.value)}")],
        notes=[note, *sizes_note(a, b)],
    )


def _words(size: int) -> str:
    return getattr(size, "text", str(size))


def outer(site: Site, left: Operand, right: Operand) -> Value:
    """`outer(a, b)`: [m], [n] -> [m, n]."""
    a, b = tensor(site, left), tensor(site, right)
    for operand, node in ((left, a), (right, b)):
        if node.type.rank != 1:
            raise RankMismatch(
                "'outer' needs two vectors", operand.span, f"this is {describe(operand.value)}"
            )
    return product(site, a, b, "a,b->ab")


def einsum(site: Site, pattern: Operand, operands: tuple[Operand, ...]) -> Value:
    """`einsum("ij,j->i", a, b)` of one operand or more.

    Raises:
        BadEinsum: the pattern is malformed, or does not fit the operands.
    """
    inputs, out = _read(site, pattern, len(operands))
    nodes = [tensor(site, operand) for operand in operands]
    _check_sizes(pattern, inputs, operands, nodes)
    for at, node in enumerate(nodes):
        elsewhere = out + "".join(inputs[:at] + inputs[at + 1 :])
        inputs[at], nodes[at] = _reduce(site, inputs[at], node, elsewhere)
    while len(nodes) > 1:
        wanted = out + "".join(inputs[2:])
        both = dict.fromkeys(inputs[0] + inputs[1])
        kept = out if len(nodes) == 2 else "".join(letter for letter in both if letter in wanted)
        # A letter of the first two that only they have is summed by their product; one of them
        # alone must have it summed before.
        for at in (0, 1):
            inputs[at], nodes[at] = _reduce(site, inputs[at], nodes[at], kept + inputs[1 - at])
        joined = product(site, nodes[0], nodes[1], f"{inputs[0]},{inputs[1]}->{kept}")
        inputs[:2], nodes[:2] = [kept], [joined]
    order = tuple(inputs[0].index(letter) for letter in out)
    node = nodes[0]
    if order != tuple(range(len(order))):
        node = site.apply("transpose", node, attr=order)
    return node


def _read(site: Site, pattern: Operand, count: int) -> tuple[list[str], str]:
    """The letters of the operands and of the result."""
    text = "".join(string(site, pattern).split())
    before, arrow, out = text.partition("->")
    inputs = before.split(",")
    strange = [
        sign for sign in before.replace(",", "") + out if sign not in letters_of.ascii_letters
    ]
    if not arrow:
        problem = "has no '->'"
    elif strange:
        problem = f"has '{strange[0]}', which is no letter a to z or A to Z"
    elif len(inputs) != count:
        problem = f"has {len(inputs)} operand{'s' * (len(inputs) != 1)}, and {count} are given"
    elif len(set(out)) != len(out):
        problem = "repeats a letter in the result"
    elif missing := [letter for letter in out if letter not in before]:
        problem = f"has '{missing[0]}' in the result and in no operand"
    else:
        return inputs, out
    raise BadEinsum(
        f"the pattern {problem}",
        pattern.span,
        hints=['a product of matrix and vector is "ij,j->i"'],
    )


def _check_sizes(
    pattern: Operand, inputs: Sequence[str], operands: Sequence[Operand], nodes: Sequence[Tensor]
) -> None:
    sizes: dict[str, tuple[int, Operand]] = {}
    for names, operand, node in zip(inputs, operands, nodes, strict=True):
        if len(names) != node.type.rank:
            raise BadEinsum(
                f"'{names}' names {len(names)} axes and the operand has {node.type.rank}",
                operand.span,
                f"this is {describe(node)}",
                related=[(pattern.span, f"'{names}' is its part of the pattern")],
            )
        for letter, size in zip(names, node.type.shape, strict=True):
            first, owner = sizes.setdefault(letter, (size, operand))
            if first != size:
                raise BadEinsum(
                    f"'{letter}' stands for {first} and for {size}",
                    operand.span,
                    f"this is {describe(node)}",
                    related=[(owner.span, f"this is {describe(owner.value)}")]
                    if owner is not operand
                    else [],
                    notes=sizes_note(node.type.shape, shape_of(owner.value)),
                )


def _reduce(site: Site, names: str, node: Tensor, elsewhere: str) -> tuple[str, Tensor]:
    """Take diagonals of repeated letters, and sums over those that are not `elsewhere`."""
    for letter in dict.fromkeys(names):
        while names.count(letter) > 1:
            first = names.index(letter)
            second = names.index(letter, first + 1)
            node = diagonal(site, node, first, second)
            names = letter + names[:first] + names[first + 1 : second] + names[second + 1 :]
    for letter in names:
        if letter not in elsewhere:
            node = site.apply("sum", node, attr=names.index(letter))
            names = names.replace(letter, "")
    return names, node


def diagonal(site: Site, node: Tensor, first: int, second: int) -> Tensor:
    """The diagonal of two axes of equal size, as the first axis of the result.

    Element i of n stands at i * (n + 1) among the n * n: with n more elements behind, it is the
    first of row i of n + 1.
    """
    n = node.type.shape[first]
    rest = tuple(at for at in range(node.type.rank) if at not in (first, second))
    if not rest:
        return site.apply("diagonal", node)
    shape = tuple(node.type.shape[at] for at in rest)
    node = site.apply("transpose", node, attr=(first, second, *rest))
    node = site.apply("reshape", node, attr=(n * n, *shape))
    node = site.apply("pad", node, attr=((0, int(n)), *((0, 0) for _ in rest)))
    node = site.apply("reshape", node, attr=(int(n), n + 1, *shape))
    keep = ((0, int(n)), (0, 1), *((0, int(d)) for d in shape))
    node = site.apply("slice", node, attr=keep)
    return site.apply("reshape", node, attr=(n, *shape))
