"""What an expression is worth.

In: syntax and the scope it stands in. Out: a value, or BAD once its problem is recorded, so that
one run reports every mistake and none twice. Left-leaning chains (`a + b + c`) are walked with a
loop; all other nesting is work for `work.finish`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from ...grammar.problems import Problem
from ...grammar.problems_of_names import UnknownName
from ...grammar.problems_of_values import BadArgument, BadSize, ShapeMismatch
from ...grammar.syntax import (
    Argument,
    Attribute,
    Binary,
    Call,
    Chained,
    Group,
    Index,
    Name,
    NewAxis,
    Number,
    Primed,
    Shape,
    Slice,
    String,
    Truth,
    Unary,
)
from ..shapes import Dim
from . import arguments, arrange, complex_functions, hints, numbers, products
from .calls import call
from .indexing import Part, index
from .scope import Scope
from .stream import WORDS
from .tensors import Needed, Site, fit, joint_shape, need_kind, pointwise
from .values import BAD, Bad, Complex, Operand, Sizes, Value, Work, is_known, shape_of

_ARITHMETIC: Mapping[str, str] = {
    "+": "add", "-": "sub", "*": "mul", "/": "div", "%": "mod", "^": "pow",
}  # fmt: skip
_NEEDED: Mapping[str, Needed] = {
    "and": "bool", "or": "bool",
    "+": "number", "-": "number", "*": "number", "/": "number", "^": "number",
}  # fmt: skip
_COMPARISONS: Mapping[str, str] = {
    "<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq", "!=": "ne",
}  # fmt: skip


def evaluate(expression: Argument, scope: Scope, in_shape: bool = False) -> Work:
    """The value of `expression`. Within a shape a division must come out even."""
    spine: list[Binary | Attribute | Index] = []
    while isinstance(expression, Binary | Attribute | Index):
        spine.append(expression)
        expression = expression.left if isinstance(expression, Binary) else expression.value
    value = yield _leftmost(expression, scope, in_shape)
    span = expression.span
    for node in reversed(spine):
        left = Operand(value, span)
        span = node.span
        if isinstance(node, Binary):
            right = Operand((yield evaluate(node.right, scope, in_shape)), node.right.span)
            value = _guarded(scope, _binary, node, left, right, scope, in_shape)
        elif isinstance(node, Index):
            value = yield _index(node, left, scope)
        else:
            value = _guarded(scope, _attribute, node, left, scope)
    return value


def operand(expression: Argument, scope: Scope, in_shape: bool = False) -> Work:
    """The value of `expression` and where it stands."""
    return Operand((yield evaluate(expression, scope, in_shape)), expression.span)


def _leftmost(expression: Argument, scope: Scope, in_shape: bool) -> Work:
    match expression:
        case Number(value=value, text=text):
            return int(text) if text.isdigit() and len(text) < 16 else value
        case Truth(value=truth):
            return truth
        case Name() | Primed():
            return _guarded(scope, _read, expression, scope)
        case Unary(operand=inner):
            given = yield operand(inner, scope, in_shape)
            return _guarded(scope, _unary, expression, given, scope)
        case Call():
            return (yield call(expression, scope))
        case Shape():
            return (yield shape(expression, scope))
        case String(value=text):
            return text
        case Chained():
            scope.run.problems.add(BadArgument("a chain of cells is no value", expression.span))
            return BAD
        case Group(items=items):
            parts = []
            for item in items:
                parts.append((yield operand(item, scope)))
            return BAD if any(isinstance(part.value, Bad) for part in parts) else tuple(parts)
        case _:
            raise AssertionError(expression)


def _guarded(scope: Scope, work: Callable[..., Value], *args: object) -> Value:
    """What `work` returns; BAD if an operand is, or if `work` has a problem, which is recorded."""
    if any(isinstance(arg, Operand) and isinstance(arg.value, Bad) for arg in args):
        return BAD
    try:
        return work(*args)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD


def _read(name: Name | Primed, scope: Scope) -> Value:
    if isinstance(name, Primed):
        entry = scope.new.get(name.id)
        if entry is None:
            raise hints.not_set_here(name)
        return entry.value
    value = scope.find(name.id)
    if value is None and name.id in WORDS:
        return WORDS[name.id].build(Site(scope.run, name.span, name.id, scope.path))
    if value is None:
        raise hints.not_bound_here(name)
    return value


def _unary(node: Unary, value: Operand, scope: Scope) -> Value:
    site = Site(scope.run, node.span, node.op)
    known = value.value
    if node.op == "not":
        need_kind(site, value, "bool")
        if isinstance(known, bool):
            return not known
        return site.apply("not", fit(site, known, shape_of(known)))
    if isinstance(known, int | float) and not isinstance(known, bool):
        return -known
    return pointwise(site, "neg", value)


def _binary(node: Binary, left: Operand, right: Operand, scope: Scope, in_shape: bool) -> Value:
    site = Site(scope.run, node.span, node.op)
    if node.op == "@":
        try:
            return products.matmul(site, left, right)
        except ShapeMismatch as problem:
            problem.hints += tuple(hints.for_product(scope, left, right))
            raise
    kind = _NEEDED.get(node.op, "real")
    if node.op in ("==", "!=") and isinstance(left.value, bool) and isinstance(right.value, bool):
        return numbers.compare(node.op, left.value, right.value)
    for side in (left, right):
        need_kind(site, side, kind)
    if is_known(left.value) and is_known(right.value):
        return _known(site, left, right, in_shape)
    if node.op == "^" and (isinstance(left.value, Complex) or isinstance(right.value, Complex)):
        return complex_functions.power(site, left, right)
    if node.op in ("/", "%") and is_known(right.value) and right.value == 0:
        raise BadArgument("division by zero", site.span, related=[(right.span, "this is 0")])
    try:
        return _pointwise(site, left, right)
    except ShapeMismatch as problem:
        problem.hints += tuple(hints.for_sum(scope, left, right))
        raise


def _pointwise(site: Site, left: Operand, right: Operand) -> Value:
    op = _ARITHMETIC.get(site.name) or _COMPARISONS.get(site.name) or site.name
    both = joint_shape(site, (left, right))
    return site.apply(op, fit(site, left.value, both), fit(site, right.value, both))


def _known(site: Site, left: Operand, right: Operand, in_shape: bool) -> Value:
    """An operator on what is known while compiling."""
    a, b = left.value, right.value
    assert isinstance(a, bool | int | float) and isinstance(b, bool | int | float)
    site.run.step(site.span)
    if site.name in ("and", "or"):
        return (a and b) if site.name == "and" else (a or b)
    if site.name in _COMPARISONS:
        return numbers.compare(site.name, a, b)
    try:
        result = numbers.arithmetic(site.name, a, b)
    except numbers.NotANumber as problem:
        raise BadArgument(str(problem), site.span) from None
    if in_shape and site.name == "/" and isinstance(a, int) and isinstance(b, int):
        if not isinstance(result, int):
            if (told := (site.span.text, int(a), int(b))) in site.run.uneven:
                return BAD
            site.run.uneven.add(told)
            raise BadSize(
                f"'{site.span.text}' does not come out even",
                site.span,
                f"this is {int(a)} / {int(b)}",
                hints=["choose sizes that divide evenly"],
            )
    return result


def _attribute(node: Attribute, value: Operand, scope: Scope) -> Value:
    if node.name != "T":
        raise UnknownName(
            f"there is no '.{node.name}'",
            node.name_span,
            notes=["'.T', which swaps the last two axes, is the only one"],
            hints=["write '.T'"] if node.name.lower() in ("t", "mt", "transpose") else [],
        )
    return arrange.transpose(Site(scope.run, node.span, ".T"), value)


def _index(node: Index, value: Operand, scope: Scope) -> Work:
    parts = []
    for item in node.items:
        match item:
            case NewAxis(span=span):
                parts.append(Part("new", span))
            case Slice(start=start, stop=stop, span=span):
                low = None if start is None else (yield operand(start, scope, True))
                high = None if stop is None else (yield operand(stop, scope, True))
                parts.append(Part("range", span, low, high))
            case _:
                parts.append(Part("at", item.span, (yield operand(item, scope, True))))
    spoiled = [
        end
        for part in parts
        for end in (part.start, part.stop)
        if end is not None and isinstance(end.value, Bad)
    ]
    if spoiled:
        return BAD
    return _guarded(scope, index, Site(scope.run, node.span, "[]"), value, parts)


def shape(node: Shape, scope: Scope) -> Work:
    """The sizes of `[d1, d2]`, or BAD."""
    dims = []
    for item in node.dims:
        size = yield operand(item, scope, True)
        dims.append(_guarded(scope, arguments.dim, size))
    sizes = [dim for dim in dims if isinstance(dim, Dim)]
    return Sizes(sizes) if len(sizes) == len(dims) else BAD


def known(expression: Argument, scope: Scope, what: str, advice: Sequence[str] = ()) -> Work:
    """The number or truth value of `expression`; BAD if it is not known while compiling."""
    value = yield evaluate(expression, scope)
    if is_known(value) or isinstance(value, Bad):
        return value
    problem = arguments.known_only_later(what, expression.span, value, advice)
    scope.run.problems.add(problem)
    return BAD
