"""What the ops mean for complex operands: each a pair of real nodes.

In: an op, its operands, at least one of them complex, and how a real op is applied. Out: a tensor.
Nothing below the elaboration knows of complex numbers: passes, derivatives and backends see the
parts. So the gradient of a real loss by `z` is dL/d re + i dL/d im, along minus which descent
moves: twice Wirtinger's derivative by the conjugate of `z`, as PyTorch has it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, TypeAlias

from ..ir import Apply, Node, const
from .values import Complex, Tensor

Rule: TypeAlias = Callable[..., Tensor]

# Linear with real coefficients, or a choice of elements: the op of the real parts, and that of the
# imaginary ones. Operands that are no numbers, such as the test of `where`, are the same for both.
PARTWISE = frozenset({
    "add", "sub", "neg", "reshape", "broadcast", "transpose", "flip", "slice", "pad", "concat",
    "take", "diag", "diagonal", "sum", "cumsum", "where", "stop_gradient",
})  # fmt: skip


def apply(do: Apply, op: str, args: Sequence[Tensor], attr: Any) -> Tensor:
    """`op` of complex operands, and perhaps of real ones among them."""
    if op in PARTWISE:
        return _partwise(do, op, args, attr)
    if op == "einsum":
        return _product(do, lambda a, b: do(op, a, b, attr=attr), *args)
    return RULES[op](do, *args)


def as_complex(value: Tensor) -> Complex:
    """`value` as a complex tensor; a real one has no imaginary part."""
    return value if isinstance(value, Complex) else Complex(value, const(0.0, value.type.shape))


def conjugate(do: Apply, z: Complex) -> Complex:
    """`re - i im`."""
    return Complex(z.re, do("neg", z.im))


def power(do: Apply, z: Complex, exponent: int) -> Complex:
    """`z` to an integer power, by squares."""
    if exponent < 0:
        # Of the inverse: a power that overflows has no inverse, one that underflows is 0.
        return power(do, _quotient(do, const(1.0, z.type.shape), z), -exponent)
    result: Tensor = const(1.0, z.type.shape)
    while exponent:
        if exponent % 2:
            result = z if isinstance(result, Node) else _times(do, result, z)
        exponent //= 2
        if exponent:
            z = _times(do, z, z)
    return as_complex(result)


def _partwise(do: Apply, op: str, args: Sequence[Tensor], attr: Any) -> Complex:
    numbers = [as_complex(arg) if _is_number(arg) else arg for arg in args]
    re = [arg.re if isinstance(arg, Complex) else arg for arg in numbers]
    im = [arg.im if isinstance(arg, Complex) else arg for arg in numbers]
    return Complex(do(op, *re, attr=attr), do(op, *im, attr=attr))


def _is_number(value: Tensor) -> bool:
    return isinstance(value, Complex) or value.type.kind == "real"


def _product(do: Apply, times: Callable[[Node, Node], Node], a: Tensor, b: Tensor) -> Complex:
    """A product that is linear in either operand; of a real one no zeros are multiplied."""
    if isinstance(a, Node):
        b = as_complex(b)
        return Complex(times(a, b.re), times(a, b.im))
    if isinstance(b, Node):
        return Complex(times(a.re, b), times(a.im, b))
    return Complex(
        do("sub", times(a.re, b.re), times(a.im, b.im)),
        do("add", times(a.re, b.im), times(a.im, b.re)),
    )


def _times(do: Apply, a: Tensor, b: Tensor) -> Complex:
    return _product(do, lambda x, y: do("mul", x, y), a, b)


def _quotient(do: Apply, a: Tensor, b: Tensor) -> Complex:
    if isinstance(b, Node):
        a = as_complex(a)
        return Complex(do("div", a.re, b), do("div", a.im, b))
    scale, small, size = _scaled(do, b)
    product = _times(do, a, conjugate(do, small))
    return _quotient(do, _quotient(do, product, size), scale)


def _scaled(do: Apply, z: Complex) -> tuple[Node, Complex, Node]:
    """A scale s for which z / s has squares that neither overflow nor vanish; z / s; |z / s|^2.

    What is made of the three does not depend on s: no gradient passes through it.
    """
    shape = z.type.shape
    largest = do("maximum", do("abs", z.re), do("abs", z.im))
    is_usual = do("and", do("gt", largest, const(0.0, shape)),
                  do("lt", largest, const(math.inf, shape)))  # fmt: skip
    scale = do("stop_gradient", do("where", is_usual, largest, const(1.0, shape)))
    small = _quotient(do, z, scale)
    squares = do("mul", small.re, small.re), do("mul", small.im, small.im)
    return scale, small, do("add", *squares)


def _exp(do: Apply, z: Complex) -> Complex:
    return _times(do, do("exp", z.re), Complex(do("cos", z.im), do("sin", z.im)))


def _abs(do: Apply, z: Complex) -> Node:
    """|z|; its derivative at 0 is 0, as that of a real one."""
    scale, _, size = _scaled(do, z)
    return do("mul", scale, _root(do, size))


def _root(do: Apply, square: Node) -> Node:
    """The root of what is 0 or more, with derivative 0 at 0."""
    zero, one = const(0.0, square.type.shape), const(1.0, square.type.shape)
    is_zero = do("eq", square, zero)
    return do("where", is_zero, zero, do("sqrt", do("where", is_zero, one, square)))


def _sqrt(do: Apply, z: Complex) -> Complex:
    """The root with real part 0 or more; cut along the negative numbers; derivative 0 at 0."""
    zero, one, half = (const(number, z.type.shape) for number in (0.0, 1.0, 0.5))
    larger = _root(do, do("mul", half, do("add", _abs(do, z), do("abs", z.re))))
    is_zero = do("eq", larger, zero)
    twice = do("where", is_zero, one, do("add", larger, larger))
    smaller = do("where", is_zero, zero, do("div", z.im, twice))
    signed = do("where", do("lt", z.im, zero), do("neg", larger), larger)
    right = do("ge", z.re, zero)
    return Complex(
        do("where", right, larger, do("abs", smaller)), do("where", right, smaller, signed)
    )


RULES: Mapping[str, Rule] = {
    "mul": _times,
    "div": _quotient,
    "exp": _exp,
    "abs": _abs,
    "sqrt": _sqrt,
}
