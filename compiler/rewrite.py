"""Rebuilding graphs: substitution, the ops' laws, folding of constants.

In: nodes. Out: nodes with equal values. Laws are the text in the op records (`a * 1 -> a`), read
once; what a law cannot say, because it depends on sizes, is a rule of `SHAPE_RULES`.
"""

from __future__ import annotations

import ast
import string
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from itertools import pairwise
from typing import Any

import numpy as np

from .ir import Node, apply, const, rebuild, toposort
from .ops import OPS
from .shapes import size

Term = str | float | tuple[str, tuple[Any, ...]]  # a letter, a number, or an op on terms


def substitute(roots: Iterable[Node], mapping: Mapping[Node, Node]) -> dict[Node, Node]:
    """Every node beneath `roots`, rebuilt with each key of `mapping` replaced by its value."""
    found: dict[Node, Node] = dict(mapping)
    for node in toposort(roots, lambda n: n in mapping):
        if node not in found:
            found[node] = rebuild(node, tuple(found[a] for a in node.args))
    return found


def simplified(roots: Iterable[Node]) -> dict[Node, Node]:
    """Every node beneath `roots` -> its simplest equal."""
    found: dict[Node, Node] = {}
    for node in toposort(roots):
        current = rebuild(node, tuple(found[a] for a in node.args))
        while (simpler := _once(current)) is not None:
            current = simpler
        found[node] = current
    return found


def erased(roots: Iterable[Node]) -> dict[Node, Node]:
    """Every node beneath `roots` -> its equal without ops that derivatives alone tell apart.

    Before  straight_through(round(a), a)
    After   round(a)
    """
    found: dict[Node, Node] = {}
    for node in toposort(roots):
        new = rebuild(node, tuple(found[a] for a in node.args))
        if node.op.value_of is not None:
            value = new.args[node.op.value_of]
            missing = new.type.axes - value.type.axes
            new = apply("spread", value, attr="".join(sorted(missing))) if missing else value
        found[node] = new
    return found


def _once(node: Node) -> Node | None:
    folded = _fold(node)
    if folded is not None:
        return folded
    for left, right in laws()[node.op.name]:
        letters: dict[str, Node] = {}
        if _matches(left, node, letters):
            return _build(right, node, letters)
    rule = SHAPE_RULES.get(node.op.name)
    return rule(node) if rule else None


def _fold(node: Node) -> Node | None:
    """A pointwise op on constants is a constant: its value in float64, rounded when used."""
    if not (node.op.pointwise and node.args and all(a.op.name == "const" for a in node.args)):
        return None
    with np.errstate(all="ignore"):
        value = node.op.reference(node.attr, *(np.float64(a.attr[0]) for a in node.args))
    return const(float(value), node.type.shape, node.type.kind)


# -- laws ----------------------------------------------------------------------------------------

_INFIX: dict[type[ast.AST], str] = {
    ast.Add: "add", ast.Sub: "sub", ast.Mult: "mul", ast.Div: "div", ast.BitXor: "pow",
}  # fmt: skip


@cache
def laws() -> dict[str, tuple[tuple[Term, Term], ...]]:
    """Op name -> its laws, each a pair of terms."""
    return {name: tuple(read_law(text) for text in op.laws) for name, op in OPS.items()}


def read_law(text: str) -> tuple[Term, Term]:
    """`a * 1 -> a` as two terms."""
    left, right = (_term(ast.parse(side.strip(), mode="eval").body) for side in text.split("->"))
    return left, right


def _term(tree: ast.AST) -> Term:
    match tree:
        case ast.Name(id=letter):
            return letter
        case ast.Constant(value=value):
            return float(value)  # type: ignore[arg-type]
        case ast.BinOp(left=left, op=infix, right=right):
            return _INFIX[type(infix)], (_term(left), _term(right))
        case ast.Call(func=ast.Name(id=name), args=args):
            return name, tuple(_term(a) for a in args)
    raise AssertionError(f"no term of a law: {ast.dump(tree)}")


def _matches(term: Term, node: Node, letters: dict[str, Node]) -> bool:
    match term:
        case str():
            return letters.setdefault(term, node) is node
        case float():
            return node.op.name == "const" and _is_same(node.attr[0], term)
        case (name, terms):
            return node.op.name == name and all(
                _matches(t, a, letters) for t, a in zip(terms, node.args, strict=True)
            )
    return False


def _is_same(a: float, b: float) -> bool:
    """Whether two numbers are equal as tensors' elements: -0.0 is not 0.0."""
    return repr(a) == repr(b)


def _build(term: Term, like: Node, letters: Mapping[str, Node]) -> Node:
    match term:
        case str():
            return letters[term]
        case float():
            return const(term, like.type.shape)
        case (name, terms):
            return apply(name, *(_build(t, like, letters) for t in terms), span=like.span)
    raise AssertionError(term)


# -- rules that depend on sizes --------------------------------------------------------------------


def _view_of_const(node: Node) -> Node | None:
    operand = node.args[0]
    if operand.op.name == "const":
        return const(operand.attr[0], node.type.shape, node.type.kind)
    return None


def _to_shape(node: Node) -> Node | None:
    """A `reshape` or `broadcast`, whose `attr` is the shape of its value."""
    operand = node.args[0]
    if operand.type.shape == node.type.shape:
        return operand
    if operand.op is node.op:
        return apply(node.op, operand.args[0], attr=node.attr)
    return _view_of_const(node)


def _transpose(node: Node) -> Node | None:
    operand = node.args[0]
    if tuple(node.attr) == tuple(range(len(node.attr))):
        return operand
    if operand.op.name == "transpose":
        order = tuple(operand.attr[at] for at in node.attr)
        return apply("transpose", operand.args[0], attr=order)
    return _view_of_const(node)


def _slice(node: Node) -> Node | None:
    operand = node.args[0]
    if operand.type.shape == node.type.shape:
        return operand
    if operand.op.name == "slice":
        pairs = zip(operand.attr, node.attr, strict=True)
        bounds = tuple((i + start, i + stop) for (i, _), (start, stop) in pairs)
        return apply("slice", operand.args[0], attr=bounds)
    if operand.op.name == "concat":
        return _slice_of_concat(node, operand)
    return _view_of_const(node)


def _slice_of_concat(node: Node, whole: Node) -> Node | None:
    """A part that lies within one piece is a part of that piece."""
    axis = whole.attr
    start, stop = node.attr[axis]
    begin = 0
    for piece in whole.args:
        end = begin + int(piece.type.shape[axis])
        if begin <= start and stop <= end:
            bounds = list(node.attr)
            bounds[axis] = (start - begin, stop - begin)
            part = apply("slice", piece, attr=tuple(bounds))
            missing = node.type.axes - part.type.axes
            return apply("spread", part, attr="".join(sorted(missing))) if missing else part
        begin = end
    return None


def _pad(node: Node) -> Node | None:
    return node.args[0] if all(width == (0, 0) for width in node.attr) else None


def _concat(node: Node) -> Node | None:
    """One piece is itself; pieces that are neighbouring parts of one value are a part of it."""
    if len(node.args) == 1:
        return node.args[0]
    axis, first = node.attr, node.args[0]
    if all(a.op.name == "const" and _is_same(a.attr[0], first.attr[0]) for a in node.args):
        return const(first.attr[0], node.type.shape, node.type.kind)
    if any(a.op.name != "slice" or a.args != first.args for a in node.args):
        return None
    if any(a.attr[axis][1] != b.attr[axis][0] for a, b in pairwise(node.args)):
        return None
    ends = (first.attr[axis][0], node.args[-1].attr[axis][1])
    wholes = {(*a.attr[:axis], ends, *a.attr[axis + 1 :]) for a in node.args}
    return apply("slice", first.args[0], attr=wholes.pop()) if len(wholes) == 1 else None


def _einsum(node: Node) -> Node | None:
    """A transposed operand is the operand with its letters in another order."""
    spec, summed = node.attr
    letters, out = spec.split("->")
    names = letters.split(",")
    args = list(node.args)
    for at, arg in enumerate(args):
        if arg.op.name == "transpose":
            order = arg.attr
            names[at] = "".join(names[at][order.index(i)] for i in range(len(order)))
            args[at] = arg.args[0]
            spec = f"{','.join(names)}->{out}"
            return apply("einsum", *args, attr=(canonical(spec), summed), span=node.span)
    canon = canonical(spec)
    if canon != spec:
        return apply("einsum", *args, attr=(canon, summed), span=node.span, label=node.label)
    return None


def canonical(spec: str) -> str:
    """`spec` with its letters renamed a, b, c, ... in order of appearance."""
    names: dict[str, str] = {}
    for letter in spec:
        if letter.isalpha():
            names.setdefault(letter, string.ascii_letters[len(names)])
    return "".join(names.get(letter, letter) for letter in spec)


def _total(node: Node) -> Node | None:
    """A sum over leading axes of a product, or of scattered rows, is part of that op."""
    operand = node.args[0]
    if operand.op.name == "einsum":
        spec, summed = operand.attr
        return apply("einsum", *operand.args, attr=(spec, _united(summed, node.attr)))
    if operand.op.name == "scatter":
        rows, summed = operand.attr
        return apply("scatter", *operand.args, attr=(rows, _united(summed, node.attr)))
    if operand.op.name == "total":
        return apply("total", operand.args[0], attr=_united(operand.attr, node.attr))
    return None


def _united(axes: str, more: str) -> str:
    return "".join(sorted({*axes, *more}))


def _where(node: Node) -> Node | None:
    test, chosen, other = node.args
    if test.op.name == "const":
        kept = chosen if test.attr[0] else other
        return kept if kept.type == node.type else None
    return None


SHAPE_RULES: dict[str, Callable[[Node], Node | None]] = {
    "reshape": _to_shape, "broadcast": _to_shape, "transpose": _transpose, "slice": _slice,
    "pad": _pad, "concat": _concat, "einsum": _einsum, "total": _total, "where": _where,
    "stop_gradient": _view_of_const,
}  # fmt: skip


def elements(node: Node) -> int:
    """How many numbers a value has for one example at one step."""
    return size(node.type.shape)
