"""What values the indices of a generated kernel can have, and how wide they are computed.

In: a kernel's tree, how it is launched, and what a mask keeps. Out: intervals between polynomials
in the sizes of the call.
"""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from tests.compiler.backends.polynomials import ONE, ZERO, Polynomial

Bounds: TypeAlias = Mapping[tuple[str, str], Polynomial]

WIDE = "tl.int64"
LARGEST_INT32 = 2**31 - 1


@dataclass(frozen=True)
class Range:
    """Between which values an index lies; None where nothing is known. `wide`: in 64 bits."""

    low: Polynomial | None
    high: Polynomial | None
    wide: bool = False


UNKNOWN = Range(None, None)


def number(value: int) -> Range:
    return Range(Polynomial.of(value), Polynomial.of(value))


def at_most(one: Polynomial, other: Polynomial) -> bool:
    return (other - one).is_never_negative()


class Indices:
    """The indices of one kernel, launched in one way."""

    def __init__(
        self, kernel: ast.FunctionDef, known: Mapping[str, Range], grid: tuple[Polynomial, ...]
    ) -> None:
        """`known` are its arguments that are numbers, and its constants."""
        self.known, self.grid = known, grid
        self.definitions = dict(_single_assignments(kernel))
        self.loops = {
            loop.target.id: loop.iter
            for loop in ast.walk(kernel)
            if isinstance(loop, ast.For) and isinstance(loop.target, ast.Name)
        }
        self.narrow: list[str] = []  # products that can be too large for their 32 bits
        self._texts: dict[ast.expr, str] = {}
        self._expand = _Expand(self.definitions)

    def text(self, node: ast.expr) -> str:
        """An expression with every name of an index replaced by what it is."""
        found = self._texts.get(node)
        if found is None:
            found = self._texts[node] = ast.unparse(self._expand.visit(_copy(node)))
        return found

    def terms(self, node: ast.expr, bounds: Bounds) -> Iterator[ast.expr]:
        """The terms of a sum, through the names of its parts, but for those that a mask bounds."""
        if isinstance(node, ast.Name) and ("", self.text(node)) not in bounds:
            node = self.definitions.get(node.id, node)
        if isinstance(node, ast.BinOp) and ("", self.text(node)) not in bounds:
            if isinstance(node.op, ast.Add | ast.Sub):
                yield from self.terms(node.left, bounds)
                if isinstance(node.op, ast.Sub):
                    yield ast.UnaryOp(ast.USub(), node.right)
                else:
                    yield from self.terms(node.right, bounds)
                return
        yield node

    def factor(self, node: ast.expr) -> Polynomial:
        """What an index is certainly a multiple of."""
        if isinstance(node, ast.Name) and node.id in self.definitions:
            return self.factor(self.definitions[node.id])
        if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Mult):
            return self.factor(node.left) * self.factor(node.right)
        found = self.range(node, {})
        return found.low if found.low and found.low == found.high else ONE

    def bounds(self, mask: ast.expr | None, seen: str = "") -> Bounds:
        """What a mask keeps: the largest value of each index that it compares.

        An index counts with how it is `seen`, as a row or as a column: `[:, None]`.
        """
        match mask:
            case ast.Name(name):
                return self.bounds(self.definitions.get(name), seen)
            case ast.BinOp(left, ast.BitAnd(), right):
                return {**self.bounds(left, seen), **self.bounds(right, seen)}
            case ast.Compare(left, [ast.Lt()], [right]):
                limit = self.range(right, {})
                return {(seen, self.text(left)): limit.high - ONE} if limit.high else {}
        inner = _seen(mask, seen) if mask else None
        return self.bounds(*inner) if inner else {}

    def range(self, node: ast.expr, bounds: Bounds, seen: str = "") -> Range:
        """The range of an expression where a mask keeps to `bounds`."""
        found = self._range(node, bounds, seen)
        bound = bounds.get((seen, self.text(node))) if bounds else None
        if bound is not None and not (found.high and at_most(found.high, bound)):
            return Range(found.low, bound, found.wide)
        return found

    def _range(self, node: ast.expr, bounds: Bounds, seen: str) -> Range:
        inner = _seen(node, seen)
        if inner is not None:
            return self.range(inner[0], bounds, inner[1])
        match node:
            case ast.Constant(int(value)):
                return number(value)
            case ast.Name(name):
                return self._name(name, bounds, seen)
            case ast.UnaryOp(ast.USub(), operand):
                return self._binary(ast.Sub(), number(0), self.range(operand, bounds, seen), node)
            case ast.BinOp(left, op, right):
                a, b = self.range(left, bounds, seen), self.range(right, bounds, seen)
                return self._binary(op, a, b, node)
            case ast.IfExp(test, then, otherwise):
                known = self.range(test, {})
                return self.range(then if known.low == ONE else otherwise, bounds, seen)
            case ast.Call(ast.Attribute(value, "to"), [kind]):
                return self._as(self.range(value, bounds, seen), kind)
            case ast.Call(ast.Attribute(ast.Name("tl"), function), arguments):
                return self._call(function, arguments, bounds, seen)
        return UNKNOWN

    def _name(self, name: str, bounds: Bounds, seen: str) -> Range:
        if name in self.known:
            return self.known[name]
        if name in self.definitions:
            definition = self.definitions[name]
            last = self.known.get("end", self.known.get("turn"))
            if name == "t" and last:  # the host launches kernels for steps there are
                steps = last.high
                assert steps is not None
                return Range(ZERO, steps - ONE, ast.unparse(definition).endswith(f", {WIDE})"))
            return self.range(definition, bounds, seen)
        match self.loops.get(name):
            case ast.Call(ast.Name("range") | ast.Attribute(ast.Name("tl"), "range"), [*ends]):
                first = self.range(ends[0], {}) if len(ends) > 1 else number(0)
                last = self.range(ends[min(1, len(ends) - 1)], {})
                if len(ends) == 3:
                    return _stretches(first, last, self.range(ends[2], {}))
                return Range(first.low, last.high - ONE if last.high else None)
        return UNKNOWN

    def _as(self, value: Range, kind: ast.expr) -> Range:
        return Range(value.low, value.high, value.wide or ast.unparse(kind) == WIDE)

    def _call(self, function: str, arguments: list[ast.expr], bounds: Bounds, seen: str) -> Range:
        values = [self.range(a, bounds, seen) for a in arguments[:2]]
        match function:
            case "arange":
                last = values[1].high
                return Range(values[0].low, last - ONE if last else None)
            case "program_id":
                axis = values[0].high
                assert axis is not None and axis.number is not None
                return Range(ZERO, self.grid[axis.number] - ONE)
            case "minimum":
                return _smaller(*values)
            case "maximum":
                return _larger(*values)
            case "where":
                return _either(values[1], self.range(arguments[2], bounds, seen))
            case "cast":
                return self._as(values[0], arguments[1])
            case "full":
                return values[1]
            case "zeros":
                return number(0)
        return UNKNOWN

    def _binary(self, op: ast.operator, a: Range, b: Range, node: ast.expr) -> Range:
        wide = a.wide or b.wide
        if a.low is None or a.high is None or b.low is None or b.high is None:
            return Range(None, None, wide)
        low, high = _COMBINED.get(type(op), _nothing)(a, b)
        found = Range(low, high, wide)
        if not wide and high is not None and isinstance(op, ast.Mult):
            if high.number is None or high.number > LARGEST_INT32:
                self.narrow.append(ast.unparse(node))
        return found


def _stretches(first: Range, last: Range, stride: Range) -> Range:
    """Where the stretches begin into which a loop over numbers divides them."""
    ends = [end.number for end in (first.low, last.high, stride.low) if end]
    numbers = [end for end in ends if end is not None]
    starts = range(*numbers) if len(numbers) == 3 and first.low == first.high else ()
    if not starts:
        return UNKNOWN
    return Range(Polynomial.of(starts[0]), Polynomial.of(starts[-1]))


def _seen(node: ast.expr, seen: str) -> tuple[ast.expr, str] | None:
    """What is shown in another shape, and in which one."""
    match node:
        case ast.Subscript(value, place):
            return value, f"{seen}[{ast.unparse(place)}]"
        case ast.Call(ast.Attribute(ast.Name("tl"), "reshape"), [value, shape]):
            return value, f"{seen}.{ast.unparse(shape)}"
        case ast.Call(ast.Attribute(ast.Name("tl"), "broadcast_to"), [value, _]):
            return value, seen
    return None


Ends: TypeAlias = tuple[Polynomial | None, Polynomial | None]


def _nothing(a: Range, b: Range) -> Ends:
    return None, None


def _sum(a: Range, b: Range) -> Ends:
    assert a.low and b.low and a.high and b.high
    return a.low + b.low, a.high + b.high


def _difference(a: Range, b: Range) -> Ends:
    assert a.low and b.low and a.high and b.high
    return a.low - b.high, a.high - b.low


def _product(a: Range, b: Range) -> Ends:
    assert a.low and b.low and a.high and b.high
    if a.low == a.high and a.low.number is not None:
        ends = (a.low * b.low, a.low * b.high)
        return ends if a.low.number >= 0 else (ends[1], ends[0])
    if b.low == b.high and b.low.number is not None:
        return _product(b, a)
    if a.low.is_never_negative() and b.low.is_never_negative():
        return a.low * b.low, a.high * b.high
    return None, None


def _smaller(a: Range, b: Range) -> Range:
    low = None
    if a.low and b.low:
        low = a.low if at_most(a.low, b.low) else b.low if at_most(b.low, a.low) else None
    return Range(low, b.high or a.high, a.wide or b.wide)


def _larger(a: Range, b: Range) -> Range:
    high = None
    if a.high and b.high:
        high = a.high if at_most(b.high, a.high) else b.high if at_most(a.high, b.high) else None
    return Range(b.low or a.low, high, a.wide or b.wide)


def _either(a: Range, b: Range) -> Range:
    low, high = _smaller(a, b).low, _larger(a, b).high
    return Range(low, high, a.wide or b.wide)


def _remainder(a: Range, b: Range) -> Ends:
    assert a.low and b.low and a.high and b.high
    if not (a.low.is_never_negative() and (b.low - ONE).is_never_negative()):
        return None, None
    return ZERO, a.high if at_most(a.high, b.high - ONE) else b.high - ONE


def _quotient(a: Range, b: Range) -> Ends:
    assert a.low and b.low and a.high and b.high
    if b.low != b.high or not a.low.is_never_negative():
        return None, None
    if a.high.number is not None and b.high.number:
        return ZERO, Polynomial.of(a.high.number // b.high.number)
    if a.low == a.high and (whole := a.high.over(b.high)):
        return whole, whole
    parts = (a.high + ONE).over(b.high)  # below a multiple of b, so below that many
    return (ZERO, parts - ONE) if parts else (None, None)


_COMBINED: dict[type[ast.operator], Callable[[Range, Range], Ends]] = {
    ast.Add: _sum, ast.Sub: _difference, ast.Mult: _product, ast.Mod: _remainder,
    ast.FloorDiv: _quotient,
}  # fmt: skip


def _single_assignments(kernel: ast.FunctionDef) -> Iterator[tuple[str, ast.expr]]:
    """Names that stand for one expression, with it."""
    names = Counter(
        node.id
        for node in ast.walk(kernel)
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    for node in ast.walk(kernel):
        match node:
            case ast.Assign([ast.Name(name)], value) if names[name] == 1:
                yield name, value
            case ast.Assign([ast.Tuple(targets)], ast.Tuple(values)):
                for target, value in zip(targets, values, strict=True):
                    if isinstance(target, ast.Name) and names[target.id] == 1:
                        yield target.id, value


def _copy(node: ast.expr) -> ast.expr:
    return ast.parse(ast.unparse(node), mode="eval").body


class _Expand(ast.NodeTransformer):
    """Names replaced by what they stand for; values that were loaded keep theirs."""

    def __init__(self, definitions: Mapping[str, ast.expr]) -> None:
        self.definitions = definitions
        self.done: dict[str, ast.AST] = {}

    def visit_Name(self, node: ast.Name) -> ast.AST:
        found = self.definitions.get(node.id)
        if found is None or node.id.startswith("v"):
            return node
        if node.id not in self.done:
            self.done[node.id] = self.visit(_copy(found))
        return self.done[node.id]
