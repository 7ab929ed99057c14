"""Random expressions of a wanted shape, valid by construction.

In: a scope and a shape. Out: a `Value`. Every production may ask for operands of any shape: at
the ends stand names of the scope, arranged to fit. What may grow is squashed, and what a function
is defined for only in part is made positive first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from string import ascii_lowercase

from tests.fuzz.values import LARGEST, Scope, Shape, Value

REACH = 4.0  # of what is not squashed

# How large f(x) gets where x reaches r.
SQUASHING = ("tanh", "sigmoid", "sin", "cos", "hard_sigmoid", "hard_tanh", "softsign")
KEEPING = ("relu", "gelu", "silu", "softplus", "log_sigmoid", "leaky_relu", "elu", "selu", "abs",
           "identity")  # fmt: skip
SURROGATES = ("fast_sigmoid", "arctan", "triangle", "straight_through")
OF_T = ("sin(0.9 * t)", "(t % 3 / 2)", "(1 / (1 + t))", "where(t < 2, 0.4, -0.3)")
COMPARISONS = ("<", "<=", ">", ">=", "==", "!=")


def expression(scope: Scope, shape: Shape, depth: int) -> Value:
    """A value of `shape` made of what `scope` holds, `depth` operations deep at most."""
    if depth <= 0 or scope.chance(0.1):
        return leaf(scope, shape)
    possible = [make for make, suits in PRODUCTIONS if suits(scope, shape)]
    made = scope.pick(possible)(scope, shape, depth - 1)
    assert made.shape == shape
    return made if made.reach <= REACH else tamed(scope, made)


def squashed(scope: Scope, value: Value) -> Value:
    """`value` by a function that does not exceed 1."""
    text = value.text
    ways = [f"tanh({text})", f"softsign({text})", f"sin({text})", f"hard_tanh(0.4 * {text})",
            f"({text} / (1 + abs({text})))"]  # fmt: skip
    return Value(scope.pick(ways), value.shape, 1.0)


def tamed(scope: Scope, value: Value) -> Value:
    """`value` squashed, or scaled, to a reach of about 1."""
    if value.reach > 20 or scope.chance(0.5):
        return squashed(scope, value)
    return Value(f"({1 / value.reach:.3f} * {value.text})", value.shape, 1.0)


# -- leaves ------------------------------------------------------------------------------------


def leaf(scope: Scope, shape: Shape) -> Value:
    """A name, or a name arranged to have this shape."""
    exact = [value for value in scope.values if value.shape == shape]
    if exact and scope.chance(0.75):
        return scope.pick(exact)
    if not scope.values or scope.chance(0.15):
        return scope.param(shape)
    return arranged(scope, scope.pick(scope.values), shape)


def arranged(scope: Scope, value: Value, shape: Shape) -> Value:
    """`value` in another shape, by whatever way leads there."""
    text, own = value.text, value.shape
    if own == shape:
        return value
    ways = []
    if math.prod(own) == math.prod(shape):
        ways.append(f"reshape({text}, {scope.dims(shape)})")
    if own[::-1] == shape and len(own) == 2:
        ways += [f"{text}.T"] * 3
    if len(own) <= len(shape) and all(
        d in (1, wide) for d, wide in zip(own[::-1], shape[::-1], strict=False)
    ):
        ways += [f"broadcast({text}, {scope.dims(shape)})"] * 2
    for axis in range(len(own)):
        if own[:axis] + own[axis + 1 :] == shape:
            reduce = scope.pick(["sum", "mean", "max", "min"])
            ways.append(f"{reduce}({text}, axis={axis})")
            ways.append(f"{text}[{':, ' * axis}{scope.random.randrange(own[axis])}]")
    if len(own) == len(shape) == 1:
        weight = scope.param((*shape, *own))
        ways += [f"({weight.text} @ {text})"] * 3
    if ways:
        return Value(scope.pick(ways), shape, value.reach * 1.5)
    flat = f"reshape({text}, [{math.prod(own)}])" if len(own) > 1 else text
    single = f"mean({flat})" if own else text
    return Value(f"({scope.param(shape).text} * {single})", shape, value.reach)


# -- pointwise ---------------------------------------------------------------------------------


def narrower(scope: Scope, shape: Shape) -> Shape:
    """A shape that broadcasts to `shape`."""
    kept = shape[scope.random.randrange(len(shape) + 1) :] if scope.chance(0.4) else shape
    return tuple(1 if scope.chance(0.15) else dim for dim in kept)


def positive(scope: Scope, shape: Shape, depth: int) -> Value:
    """A value between about 0.2 and 4."""
    inner = expression(scope, shape, depth).text
    ways = [f"(softplus({inner}) + 0.2)", f"exp(0.7 * tanh({inner}))", f"(sigmoid({inner}) + 0.3)",
            f"(1 + square(tanh({inner})))", f"(abs({inner}) + 0.25)"]  # fmt: skip
    return Value(scope.pick(ways), shape, 3.0)


def condition(scope: Scope, shape: Shape, depth: int) -> str:
    """Truth values of `shape`."""
    left = expression(scope, shape, depth).text
    right = scope.number(-0.6, 0.6) if scope.chance(0.6) else leaf(scope, shape).text
    test = f"{left} {scope.pick(COMPARISONS)} {right}"
    if depth > 0 and scope.chance(0.2):
        test = f"({test}) {scope.pick(['and', 'or'])} ({condition(scope, shape, 0)})"
    return f"not ({test})" if scope.chance(0.15) else test


def arithmetic(scope: Scope, shape: Shape, depth: int) -> Value:
    left = expression(scope, shape, depth)
    if scope.chance(0.3):
        right = Value(scope.number(-1.5, 1.5), (), 1.5)
    else:
        right = expression(scope, narrower(scope, shape), depth)
    if scope.chance(0.4):
        left, right = right, left
    sign = scope.pick(["+", "-", "*"])
    reach = left.reach * right.reach if sign == "*" else left.reach + right.reach
    return Value(f"({left.text} {sign} {right.text})", shape, reach)


def chained(scope: Scope, shape: Shape, depth: int) -> Value:
    """Operators that bind more or less tightly, without brackets."""
    a, b, c = (expression(scope, shape, depth - 1) for _ in range(3))
    reach = a.reach + b.reach * c.reach
    ways = [f"({a.text} - {b.text} * {c.text})", f"({a.text} * 0.5 ^ 2 + {b.text} - {c.text})",
            f"(-{a.text} ^ 2 + {b.text} / 2 - 2 ^ -2 * {c.text})"]  # fmt: skip
    return Value(scope.pick(ways), shape, reach + a.reach**2)


def quotient(scope: Scope, shape: Shape, depth: int) -> Value:
    above, below = expression(scope, shape, depth), positive(scope, narrower(scope, shape), depth)
    return Value(f"({above.text} / {below.text})", shape, 4 * above.reach)


def power(scope: Scope, shape: Shape, depth: int) -> Value:
    if scope.chance(0.5):
        base = expression(scope, shape, depth)
        return Value(f"({base.text} ^ {scope.pick(['2', '3'])})", shape, base.reach**3)
    base = positive(scope, shape, depth)
    exponent = scope.pick([scope.number(-1.5, 1.5), f"tanh({leaf(scope, shape).text})", "-2"])
    return Value(f"({base.text} ^ {exponent})", shape, 10.0)


def function(scope: Scope, shape: Shape, depth: int) -> Value:
    inner = expression(scope, shape, depth)
    if scope.chance(0.5):
        return Value(f"{scope.pick(SQUASHING)}({inner.text})", shape, 1.0)
    name = scope.pick([*KEEPING, "neg", "square"])
    text = f"(-{inner.text})" if name == "neg" else f"{name}({inner.text})"
    return Value(text, shape, inner.reach**2 if name == "square" else inner.reach + 0.7)


def partly_defined(scope: Scope, shape: Shape, depth: int) -> Value:
    """A function that is not defined everywhere, or grows fast, where it is tame."""
    inner, above = expression(scope, shape, depth), positive(scope, shape, depth)
    ways = [f"exp(tanh({inner.text}))", f"expm1(0.5 * tanh({inner.text}))", f"log({above.text})",
            f"log1p({above.text})", f"sqrt({above.text})", f"rsqrt({above.text})"]  # fmt: skip
    return Value(scope.pick(ways), shape, 2.5)


def stepped(scope: Scope, shape: Shape, depth: int) -> Value:
    """Flat almost everywhere, or not smooth."""
    inner = expression(scope, shape, depth)
    ways = [f"sign({inner.text} + 0.31)", f"floor(2.3 * {inner.text} + 0.17)",
            f"round(1.7 * {inner.text} + 0.13)", f"(({inner.text} + 0.29) % 1.7)",
            f"stop_gradient({inner.text})"]  # fmt: skip
    return Value(scope.pick(ways), shape, 2 * inner.reach + 1)


def bounded(scope: Scope, shape: Shape, depth: int) -> Value:
    left = expression(scope, shape, depth)
    right = expression(scope, narrower(scope, shape), depth)
    reach = max(left.reach, right.reach)
    if scope.chance(0.4):
        low, high = scope.number(-1, -0.2), scope.number(0.2, 1.2)
        return Value(f"clamp({left.text}, {low}, {high})", shape, 1.2)
    return Value(f"{scope.pick(['maximum', 'minimum'])}({left.text}, {right.text})", shape, reach)


def choice(scope: Scope, shape: Shape, depth: int) -> Value:
    left = expression(scope, shape, depth)
    right = expression(scope, narrower(scope, shape), depth)
    test = condition(scope, narrower(scope, shape), depth - 1)
    return Value(f"where({test}, {left.text}, {right.text})", shape, max(left.reach, right.reach))


def own_function(scope: Scope, shape: Shape, depth: int) -> Value:
    name, count = scope.pick(scope.functions)
    given = [expression(scope, shape, depth - 1).text for _ in range(count)]
    return Value(f"{name}({', '.join(given)})", shape, REACH)


def row(scope: Scope, shape: Shape, _depth: int) -> Value:
    """A row, or a column, that an integer input picks."""
    token, rows = scope.pick(scope.tokens)
    if len(shape) == 1 and scope.chance(0.3):
        return Value(f"{scope.param((*shape, rows)).text}[:, {token}]", shape)
    return Value(f"{scope.param((rows, *shape)).text}[{token}]", shape)


def made_up(scope: Scope, shape: Shape, depth: int) -> Value:
    """What has a derivative that is not its own."""
    if scope.moving and scope.chance(0.3):
        value, low, high = scope.pick(scope.moving), scope.number(-1, -0.2), scope.number(0.2, 1)
        clipped = Value(f"clip_gradient({value.text}, {low}, {high})", value.shape)
        return arranged(scope, clipped, shape)
    inner = expression(scope, shape, depth)
    ways = [f"step({inner.text} - 0.11)",
            f"step({inner.text} + 0.23, surrogate={scope.pick(SURROGATES)})",
            f"straight_through(round(1.7 * {inner.text} + 0.13), {inner.text})"]  # fmt: skip
    return Value(scope.pick(ways), shape, 2 * inner.reach + 1)


def in_time(scope: Scope, shape: Shape, _depth: int) -> Value:
    """What something was some steps ago, or what the number of the step says."""
    if not scope.values or scope.chance(0.3):
        return arranged(scope, Value(scope.pick(OF_T), ()), shape)
    value, ago = scope.pick(scope.values), scope.random.randrange(1, 4)
    return arranged(scope, Value(f"delay({value.text}, {ago})", value.shape), shape)


def complex_part(scope: Scope, shape: Shape, depth: int) -> Value:
    """A real part of what is computed with pairs."""
    a, b, c, d = (expression(scope, shape, depth - 1) for _ in range(4))
    left, right = f"complex({a.text}, {b.text})", f"complex({c.text}, {d.text})"
    sum_ = f"({left} - 0.5 * conj({right}))"
    ways = [f"real({left} * {right})", f"imag({left} * {right})", f"imag({sum_} * {sum_})",
            f"real({right} / complex(1 + square({a.text}), {b.text}))",
            f"abs(complex({a.text}, 0.3 + square({b.text})))"]  # fmt: skip
    reach = 2 * (a.reach + c.reach + 1) * (b.reach + d.reach + 1)
    return Value(scope.pick(ways), shape, reach)


# -- products ----------------------------------------------------------------------------------


def weight(scope: Scope, shape: Shape) -> Value:
    """A parameter, or something made of parameters alone."""
    param = scope.param(shape)
    text = param.text
    if scope.chance(0.7):
        return param
    ways = [f"tanh({text})", f"(0.5 * {text})", f"({text} + {scope.param(shape).text})",
            f"stop_gradient({text})" if scope.chance(0.2) else f"sigmoid({text})"]  # fmt: skip
    if shape:
        ways += [f"softmax({text})", f"({text} / (0.3 + norm({text}, keepdims=true)))"]
    if len(shape) > 1:
        ways += [f"tril({text})", f"flip({text})"]
        ways += [f"({text} - {text}.T)"] * (3 * (shape[-1] == shape[-2]))
    return Value(scope.pick(ways), shape, param.reach)


def product(scope: Scope, shape: Shape, depth: int) -> Value:
    """`@` of vectors, matrices, or stacks of matrices."""
    inner = scope.dim()
    *batch, rows, columns = (1, 1, *shape)[-max(2, len(shape)) :]
    left: Shape = (inner,)
    right: Shape = (inner,)
    if len(shape) == 1 and scope.chance(0.5):
        left = (columns, inner)
    elif len(shape) == 1:
        right = (inner, columns)
    elif shape:
        left, right = (*batch, rows, inner), (inner, columns)
        right = (*batch, *right) if scope.chance(0.5) else right
    if math.prod(left) > LARGEST or math.prod(right) > LARGEST:
        return arithmetic(scope, shape, depth)
    a = weight(scope, left) if scope.chance(0.6) else expression(scope, left, depth)
    b = expression(scope, right, depth)
    return Value(f"({a.text} @ {b.text})", shape, a.reach * b.reach * math.sqrt(inner))


def einsum(scope: Scope, shape: Shape, depth: int) -> Value:
    """A random pattern: every letter in one operand or more, some summed, some repeated."""
    letters = {letter: dim for letter, dim in zip(ascii_lowercase, shape, strict=False)}
    out = "".join(letters)
    for _ in range(scope.random.randrange(0 if letters else 1, 3)):
        letters[ascii_lowercase[len(letters)]] = min(scope.dim(), 4)
    count = scope.pick([1, 2, 2, 2, 3])
    operands = [""] * count
    for letter in letters:
        owners = [at for at in range(count) if scope.chance(0.5)] or [scope.random.randrange(count)]
        for at in owners:
            operands[at] += letter
            if scope.chance(0.07):
                operands[at] += letter
    operands = ["".join(scope.random.sample(names, len(names))) for names in operands]
    shapes = [tuple(letters[letter] for letter in names) for names in operands]
    if any(math.prod(each) > LARGEST or len(each) > 4 for each in shapes):
        return product(scope, shape, depth)
    values = [
        weight(scope, each) if scope.chance(0.3) else expression(scope, each, depth - 1)
        for each in shapes
    ]
    reach = math.prod(value.reach for value in values) * math.sqrt(math.prod(letters.values()))
    given = ", ".join(value.text for value in values)
    return Value(f'einsum("{",".join(operands)}->{out}", {given})', shape, reach)


def outer(scope: Scope, shape: Shape, depth: int) -> Value:
    a, b = (expression(scope, (dim,), depth) for dim in shape)
    ways = [f"outer({a.text}, {b.text})", f"({a.text}[:, None] * {b.text})",
            f"({a.text}[:, None] * {b.text}[None, :])"]  # fmt: skip
    return Value(scope.pick(ways), shape, a.reach * b.reach)


# -- over an axis ------------------------------------------------------------------------------


def axis_text(scope: Scope, axis: int, rank: int) -> str:
    """`, axis=1`; from the end, or left out, where that says the same."""
    ways = [f", axis={axis}", f", axis={axis - rank}"]
    return scope.pick([*ways, ""] if axis == rank - 1 else ways)


def reduction(scope: Scope, shape: Shape, depth: int) -> Value:
    axis, length = scope.random.randrange(len(shape) + 1), min(scope.dim(), 5)
    wide = (*shape[:axis], length, *shape[axis:])
    name = scope.pick(["sum", "mean", "max", "min", "norm", "logsumexp"])
    make = positive if name == "norm" else expression
    inner = make(scope, wide, depth)
    text = f"{name}({inner.text}{axis_text(scope, axis, len(wide))})"
    return Value(text, shape, inner.reach * (length if name in ("sum", "norm") else 1) + 1.5)


def centred(scope: Scope, shape: Shape, depth: int) -> Value:
    """With a reduction that keeps its axis."""
    inner, axis = expression(scope, shape, depth), scope.random.randrange(len(shape))
    name = scope.pick(["mean", "max", "min", "sum", "logsumexp"])
    kept = f"{name}({inner.text}{axis_text(scope, axis, len(shape))}, keepdims=true)"
    return Value(f"({inner.text} - {kept})", shape, (1 + shape[axis]) * inner.reach)


def along(scope: Scope, shape: Shape, depth: int) -> Value:
    """A function that keeps the axis it works over."""
    inner, axis = expression(scope, shape, depth), scope.random.randrange(len(shape))
    name = scope.pick(["softmax", "cumsum", "cumprod", "layer_norm", "rms_norm"])
    where = axis_text(scope, axis, len(shape))
    reach = 2.0
    if name.endswith("norm"):
        where = f", eps={scope.pick(['0.1', '0.05'])}{where}"
    elif name == "cumprod":
        return Value(f"cumprod(tanh({inner.text}){where})", shape, 1.0)
    elif name == "cumsum":
        reach = inner.reach * shape[axis]
    return Value(f"{name}({inner.text}{where})", shape, reach)


# -- arrangement -------------------------------------------------------------------------------


def moved(scope: Scope, shape: Shape, depth: int) -> Value:
    inner, axis = expression(scope, shape, depth), scope.random.randrange(len(shape))
    where = f", axis={axis}" if axis or scope.chance(0.3) else ""
    if scope.chance(0.5):
        return Value(f"flip({inner.text}{where})", shape, inner.reach)
    places = scope.random.randrange(-3, 4)
    return Value(f"roll({inner.text}, {places}{where})", shape, inner.reach)


def joined(scope: Scope, shape: Shape, depth: int) -> Value:
    axis = scope.pick([axis for axis, dim in enumerate(shape) if dim > 1])
    cut = scope.random.randrange(1, shape[axis])
    parts = [
        expression(scope, (*shape[:axis], length, *shape[axis + 1 :]), depth)
        for length in (cut, shape[axis] - cut)
    ]
    where = f", axis={axis}" if axis or scope.chance(0.3) else ""
    text = f"concat({parts[0].text}, {parts[1].text}{where})"
    return Value(text, shape, max(part.reach for part in parts))


def sliced(scope: Scope, shape: Shape, depth: int) -> Value:
    """A part of something larger, or one position of one more axis."""
    axis = scope.random.randrange(len(shape) + 1)
    if axis < len(shape) and scope.chance(0.6):
        before, behind = scope.random.randrange(3), scope.random.randrange(3)
        length = before + shape[axis] + behind
        wide = (*shape[:axis], length, *shape[axis + 1 :])
        start = scope.pick([str(before), str(before - length)]) if before else ""
        stop = scope.pick([str(length - behind), str(-behind)]) if behind else ""
        index = f"{start}:{stop}"
    else:
        length = scope.random.randrange(1, 4)
        wide = (*shape[:axis], length, *shape[axis:])
        at = scope.random.randrange(length)
        index = str(scope.pick([at, at - length]))
    if math.prod(wide) > LARGEST:
        return arithmetic(scope, shape, depth)
    inner = expression(scope, wide, depth)
    return Value(f"{inner.text}[{':, ' * axis}{index}]", shape, inner.reach)


def rearranged(scope: Scope, shape: Shape, depth: int) -> Value:
    """`split`, `reshape` or `.T` of another shape."""
    ways: list[tuple[str, Shape]] = []
    if len(shape) > 1:
        ways.append((f"split({{}}, {shape[0]})", (shape[0] * shape[1], *shape[2:])))
        ways.append(("{}.T", (*shape[:-2], shape[-1], shape[-2])))
    ways.append((f"reshape({{}}, {scope.dims(shape)})", (math.prod(shape),)))
    pattern, other = scope.pick(ways)
    inner = expression(scope, other, depth)
    return Value(pattern.format(inner.text), shape, inner.reach)


def square_matrix(scope: Scope, shape: Shape, depth: int) -> Value:
    dim = shape[0]
    if scope.chance(0.4):
        inner = expression(scope, (dim,), depth)
        return Value(f"diag({inner.text})", shape, inner.reach)
    inner = expression(scope, shape, depth)
    ways = [f"(eye({dim}) * {inner.text})", f"({inner.text} - {inner.text}.T)"]
    return Value(scope.pick(ways), shape, 2 * inner.reach)


def solved(scope: Scope, shape: Shape, depth: int) -> Value:
    """A solution, or an exponential, with a matrix that is far from singular."""
    rows = shape[0]
    matrix = weight(scope, (rows, rows))
    if scope.chance(0.5):
        matrix = expression(scope, (rows, rows), depth - 1)
    near = f"{0.6 / rows:.2f} * tanh({matrix.text})"
    if shape == (rows, rows) and scope.chance(0.4):
        return Value(f"matrix_exp({near})", shape, 2.0)
    side = expression(scope, shape, depth)
    return Value(f"solve(eye({rows}) + {near}, {side.text})", shape, 2.5 * side.reach)


def triangle(scope: Scope, shape: Shape, depth: int) -> Value:
    inner = expression(scope, shape, depth)
    return Value(f"{scope.pick(['tril', 'triu'])}({inner.text})", shape, inner.reach)


def diagonal(scope: Scope, shape: Shape, depth: int) -> Value:
    inner = expression(scope, (*shape, shape[-1]), depth)
    return Value(f"diagonal({inner.text})", shape, inner.reach)


# -- which suits what --------------------------------------------------------------------------

Production = Callable[[Scope, Shape, int], Value]
Suits = Callable[[Scope, Shape], bool]


def _ranks(*ranks: int) -> Suits:
    return lambda _scope, shape: len(shape) in ranks


def _always(_scope: Scope, _shape: Shape) -> bool:
    return True


# A production that stands here twice is twice as likely.
PRODUCTIONS: list[tuple[Production, Suits]] = [
    *[(arithmetic, _always)] * 3,
    *[(function, _always)] * 3,
    (chained, _always),
    (quotient, _always),
    (power, _always),
    (partly_defined, _always),
    (stepped, lambda scope, _: scope.chance(0.3)),
    (made_up, lambda scope, _: scope.chance(0.2)),
    (in_time, lambda scope, _: scope.chance(0.5)),
    (complex_part, lambda scope, _: scope.chance(0.4)),
    (solved, lambda scope, shape: len(shape) in (1, 2) and shape[0] < 5 and scope.chance(0.4)),
    (bounded, _always),
    (choice, _always),
    *[(own_function, lambda scope, _: bool(scope.functions))] * 2,
    *[(row, lambda scope, shape: bool(scope.tokens) and len(shape) < 3)] * 2,
    *[(product, _always)] * 3,
    (einsum, _ranks(0, 1, 2, 3)),
    (outer, _ranks(2)),
    (reduction, _ranks(0, 1, 2)),
    (centred, _ranks(1, 2, 3)),
    (along, _ranks(1, 2, 3)),
    (moved, _ranks(1, 2, 3)),
    (joined, lambda _, shape: max(shape, default=0) > 1),
    (sliced, _ranks(0, 1, 2)),
    (rearranged, _ranks(1, 2, 3)),
    (square_matrix, lambda _, shape: len(shape) == 2 and shape[0] == shape[1]),
    (triangle, _ranks(2, 3)),
    (diagonal, _ranks(1, 2)),
]
