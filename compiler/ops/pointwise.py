"""Ops that act on each element alone. Operands have one shape; leading axes are united."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..shapes import Dim, Kind, Shape, Type, TypeProblem, axes_of
from . import op


def _same_shape(types: tuple[Type, ...]) -> Shape:
    shapes = [t.shape for t in types]
    if all(shape is shapes[0] for shape in shapes):  # most often; and comparing takes time
        return shapes[0]
    if len(set(shapes)) != 1:
        raise TypeProblem(f"operands must have one shape, got {' and '.join(map(str, types))}")
    # A number's shape has no names: print the one that has.
    return max(shapes, key=_names)


def _names(shape: Shape) -> int:
    return sum(isinstance(dim, Dim) and dim.is_named for dim in shape)


def _rule(operand: Kind, result: Kind) -> Any:
    def type_(_attr: Any, *types: Type) -> Type:
        shape = _same_shape(types)
        for at, t in enumerate(types):
            if t.kind != operand:
                raise TypeProblem(f"this needs {operand} values, got {t}", operand=at)
        return Type(shape, result, axes_of(*types))

    return type_


# Type rules by what they take and give: `type=real`.
real = _rule("real", "real")
comparison = _rule("real", "bool")
logic = _rule("bool", "bool")


# Spellings: NumPy's are statements that write `{out}`, Triton's are expressions. What `tl` lacks,
# or has only for a device, is a function of `backends/triton_prelude.py`.


def _ufunc(name: str, triton: str) -> dict[str, str]:
    return {"numpy": f"np.{name}({{0}}, {{out}})", "triton": triton}


def _ufunc2(name: str, triton: str) -> dict[str, str]:
    return {"numpy": f"np.{name}({{0}}, {{1}}, {{out}})", "triton": triton}


def _extremum(name: str) -> dict[str, str]:
    # NumPy takes a third positional operand of these for a mistake, and warns.
    return {
        "numpy": f"np.{name}({{0}}, {{1}}, out={{out}})",
        "triton": f"tl.{name}({{0}}, {{1}}, propagate_nan=tl.PropagateNan.ALL)",
    }


# -- arithmetic --------------------------------------------------------------------------------

op(
    "add", doc="a + b", arity=2, type=real, infix="+", cheap=True, linear=True,
    spell=_ufunc2("add", "{0} + {1}"),
    reference=lambda _, a, b: a + b,
    partials=lambda y, a, b: (1.0, 1.0),
    laws=("a + neg(b) -> a - b", "neg(a) + b -> b - a"),
)  # fmt: skip
op(
    "sub", doc="a - b", arity=2, type=real, infix="-", cheap=True, linear=True,
    spell=_ufunc2("subtract", "{0} - {1}"),
    reference=lambda _, a, b: a - b,
    partials=lambda y, a, b: (1.0, -1.0),
    laws=("a - 0 -> a", "a - neg(b) -> a + b"),
)  # fmt: skip
op(
    "mul", doc="a * b", arity=2, type=real, infix="*", cheap=True, linear_in=((0,), (1,)),
    spell=_ufunc2("multiply", "{0} * {1}"),
    reference=lambda _, a, b: a * b,
    partials=lambda y, a, b: (b, a),
    laws=("a * 1 -> a", "1 * a -> a", "neg(a) * neg(b) -> a * b"),
)  # fmt: skip
op(
    "div", doc="a / b", arity=2, type=real, infix="/", cheap=True, linear_in=((0,),),
    spell=_ufunc2("divide", "{0} / {1}"),
    reference=lambda _, a, b: a / b, domain=(0.5, 2.0),
    partials=lambda y, a, b: (1.0 / b, -(y / b)),
    laws=("a / 1 -> a",),
)  # fmt: skip
op(
    "neg", doc="-a", type=real, cheap=True, linear=True, spell=_ufunc("negative", "{0} * -1.0"),
    reference=lambda _, a: -a,
    partials=lambda y, a: (-1.0,),
    laws=("neg(neg(a)) -> a",),
)  # fmt: skip
op(
    "pow", doc="a ^ b", arity=2, type=real, infix="^", spell=_ufunc2("power", "power({0}, {1})"),
    reference=lambda _, a, b: np.power(a, b), domain=(0.5, 2.0),
    # At a = 0 both are 0 where they have a limit, as in PyTorch, rather than 0 * inf = NaN; what is
    # not chosen is finite too, so that this holds of the second derivative.
    partials=lambda y, a, b: (
        b.then("eq", 0.0).then("where", 0.0, b * a.then("pow", b - 1.0)),
        y * a.then("eq", 0.0).then("where", 1.0, a).then("log"),
    ),
    laws=("a ^ 1 -> a", "a ^ 2 -> a * a"),
)  # fmt: skip
op(
    "mod", doc="a % b, with the sign of b", arity=2, type=real, infix="%",
    spell=_ufunc2("mod", "modulo({0}, {1})"),
    reference=lambda _, a, b: np.mod(a, b), domain=(0.5, 2.0),
    partials=lambda y, a, b: (1.0, -((a / b).then("floor"))),
)  # fmt: skip
op(
    "abs", doc="|a|; its derivative at 0 is 0", type=real, results=(0.0, np.inf), cheap=True,
    spell=_ufunc("abs", "tl.abs({0})"),
    reference=lambda _, a: np.abs(a),
    partials=lambda y, a: (a.then("sign"),),
    laws=("abs(neg(a)) -> abs(a)", "abs(abs(a)) -> abs(a)"),
)  # fmt: skip
op(
    "maximum", doc="the larger; equal ones share the derivative half and half; NaN wins", arity=2,
    type=real, cheap=True, spell=_extremum("maximum"),
    reference=lambda _, a, b: np.where(np.isnan(a) | (a >= b), a, b),
    partials=lambda y, a, b: _shares(a, b),
)  # fmt: skip
op(
    "minimum", doc="the smaller; equal ones share the derivative half and half; NaN wins", arity=2,
    type=real, cheap=True, spell=_extremum("minimum"),
    reference=lambda _, a, b: np.where(np.isnan(a) | (a <= b), a, b),
    partials=lambda y, a, b: _shares(b, a),
)  # fmt: skip


def _shares(larger: Any, smaller: Any) -> tuple[Any, Any]:
    """1 where `larger > smaller`, one half where they are equal, 0 elsewhere; and the rest."""
    tie = larger.then("eq", smaller).then("where", 0.5, 0.0)  # holds of two infinities as well
    share = larger.then("gt", smaller).then("where", 1.0, tie)
    return share, 1.0 - share


# -- exponentials and their kin ------------------------------------------------------------------

op(
    "exp", doc="e^a", type=real, results=(0.0, np.inf), spell=_ufunc("exp", "tl.exp({0})"),
    reference=lambda _, a: np.exp(a),
    partials=lambda y, a: (y,),
)  # fmt: skip
op(
    "expm1", doc="e^a - 1, exact near 0", type=real, results=(-1.0, np.inf),
    spell=_ufunc("expm1", "expm1({0})"),
    reference=lambda _, a: np.expm1(a),
    partials=lambda y, a: (y + 1.0,),
)  # fmt: skip
op(
    "log", doc="natural logarithm", type=real, defined_from=0.0,
    spell=_ufunc("log", "tl.log({0})"), domain=(0.5, 3.0),
    reference=lambda _, a: np.log(a),
    partials=lambda y, a: (1.0 / a,),
)  # fmt: skip
op(
    "log1p", doc="log(1 + a), exact near 0", type=real, defined_from=-1.0,
    spell=_ufunc("log1p", "log1p({0})"), domain=(-0.5, 3.0),
    reference=lambda _, a: np.log1p(a),
    partials=lambda y, a: (1.0 / (a + 1.0),),
)  # fmt: skip
op(
    "sqrt", doc="square root", type=real, results=(0.0, np.inf), defined_from=0.0,
    spell=_ufunc("sqrt", "tl.sqrt({0})"), domain=(0.5, 3.0),
    reference=lambda _, a: np.sqrt(a),
    partials=lambda y, a: (0.5 / y,),
)  # fmt: skip
op(
    "sin", doc="sine", type=real, spell=_ufunc("sin", "tl.sin({0})"),
    reference=lambda _, a: np.sin(a),
    partials=lambda y, a: (a.then("cos"),),
)  # fmt: skip
op(
    "cos", doc="cosine", type=real, spell=_ufunc("cos", "tl.cos({0})"),
    reference=lambda _, a: np.cos(a),
    partials=lambda y, a: (-a.then("sin"),),
)  # fmt: skip
op(
    "tanh", doc="hyperbolic tangent", type=real, results=(-1.0, 1.0),
    spell=_ufunc("tanh", "tanh({0})"),
    reference=lambda _, a: np.copysign(
        -np.expm1(-2 * np.abs(a)) / (1 + np.exp(-2 * np.abs(a))), a
    ),
    partials=lambda y, a: (1.0 - y * y,),
)  # fmt: skip
op(
    "sigmoid", doc="1 / (1 + e^-a)", type=real, results=(0.0, 1.0),
    spell={
        "numpy": "np.multiply({0}, 0.5, {out})\nnp.tanh({out}, {out})\n"
        "np.multiply({out}, 0.5, {out})\nnp.add({out}, 0.5, {out})",
        "triton": "sigmoid({0})",
    },
    reference=lambda _, a: np.where(a >= 0, 1.0, np.exp(-np.abs(a))) / (1 + np.exp(-np.abs(a))),
    partials=lambda y, a: (y * (1.0 - y),),
)  # fmt: skip
op(
    "softplus", doc="log(1 + e^a)", type=real, results=(0.0, np.inf),
    spell={"numpy": "np.logaddexp({0}, 0.0, {out})", "triton": "softplus({0})"},
    reference=lambda _, a: np.maximum(a, 0) + np.log1p(np.exp(-np.abs(a))),
    partials=lambda y, a: (a.then("sigmoid"),),
)  # fmt: skip

# -- steps: flat almost everywhere ---------------------------------------------------------------

op(
    "relu", doc="max(a, 0); its derivative at 0 is 0", type=real, results=(0.0, np.inf), cheap=True,
    spell={
        "numpy": "np.maximum({0}, 0.0, out={out})",
        "triton": "tl.where({0} <= 0, 0.0, {0})",
    },
    reference=lambda _, a: np.where(np.isnan(a), a, np.where(a > 0, a, 0.0)),
    partials=lambda y, a: (a.then("gt", 0.0).then("where", 1.0, 0.0),),
)  # fmt: skip
# Values that jump are no `cheap` ones: of a state that was rounded they might be others.
op(
    "sign", doc="-1, 0 or 1; derivative 0", type=real, results=(-1.0, 1.0), nograd=True,
    spell=_ufunc("sign", "sign({0})"), reference=lambda _, a: np.sign(a),
)  # fmt: skip
op(
    "floor", doc="largest integer at most a; derivative 0", type=real, nograd=True,
    spell=_ufunc("floor", "tl.floor({0})"), reference=lambda _, a: np.floor(a),
)  # fmt: skip
op(
    "round", doc="nearest integer, halves to even; derivative 0", type=real, nograd=True,
    spell=_ufunc("rint", "nearest({0})"), reference=lambda _, a: np.rint(a),
)  # fmt: skip


def _choice(_attr: Any, test: Type, a: Type, b: Type) -> Type:
    shape = _same_shape((test, a, b))
    if test.kind != "bool":
        raise TypeProblem(f"the first operand must be a truth value, got {test}", operand=0)
    if a.kind != b.kind:
        raise TypeProblem(f"both choices need one kind, got {a} and {b}", operand=2)
    return Type(shape, a.kind, axes_of(test, a, b))


op(
    "where", doc="a where the test holds, else b; what is not chosen gets derivative 0", arity=3,
    type=_choice, cheap=True, linear_in=((1, 2),),
    spell={
        "numpy": "np.copyto({out}, {2})\nnp.copyto({out}, {1}, where={0})",
        "triton": "tl.where({0}, {1}, {2})",
    },
    reference=lambda _, test, a, b: np.where(test, a, b),
    # Not `ct * mask`: an infinite cotangent of the other branch must not reach this one.
    pullback=lambda ct, y, test, a, b: (
        None, test.then("where", ct, 0.0), test.then("where", 0.0, ct),
    ),
)  # fmt: skip

# -- truth ---------------------------------------------------------------------------------------


def _numpy_function(name: str) -> Any:
    return lambda _attr, a, b: getattr(np, name)(a, b)


for _name, _sign, _numpy in (
    ("lt", "<", "less"), ("le", "<=", "less_equal"), ("gt", ">", "greater"),
    ("ge", ">=", "greater_equal"), ("eq", "==", "equal"), ("ne", "!=", "not_equal"),
):  # fmt: skip
    op(
        _name, doc=f"a {_sign} b", arity=2, type=comparison, infix=_sign, cheap=True, nograd=True,
        spell=_ufunc2(_numpy, f"{{0}} {_sign} {{1}}"), reference=_numpy_function(_numpy),
    )  # fmt: skip
for _name, _sign, _numpy in (("and", "&", "logical_and"), ("or", "|", "logical_or")):
    op(
        _name, doc=f"a {_name} b", arity=2, type=logic, infix=_name, cheap=True, nograd=True,
        spell=_ufunc2(_numpy, f"{{0}} {_sign} {{1}}"), reference=_numpy_function(_numpy),
    )  # fmt: skip
op(
    "not", doc="not a", type=logic, cheap=True, nograd=True,
    spell=_ufunc("logical_not", "{0} == 0"),
    reference=lambda _, a: np.logical_not(a),
)  # fmt: skip

# -- numbers of rows -----------------------------------------------------------------------------

op(
    "integer", doc="floor(a) as an integer, which picks a row", type=_rule("real", "int"),
    cheap=True, nograd=True, domain=(0.0, 9.0),
    spell={
        "numpy": "np.floor({0}, {out}, casting='unsafe')",
        "triton": "tl.floor({0}).to(tl.int64)",
    },
    reference=lambda _, a: np.floor(a).astype(np.int64),
)  # fmt: skip
