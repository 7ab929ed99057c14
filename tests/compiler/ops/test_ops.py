"""Every op, by its own record: the same checks for all, so that a new op is tested by existing."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from rnnc.compiler.derive import jvp, vjp
from rnnc.compiler.ir import LEAVES, Node, Scan, Value, apply, const, leaf
from rnnc.compiler.ops import OPS, Op
from rnnc.compiler.rewrite import Term, read_law, simplified
from rnnc.compiler.shapes import Type, TypeProblem, size
from rnnc.compiler.text import read, same, show
from tests.compiler.interpret_scan import evaluate
from tests.compiler.ops.cases import (
    CASES,
    DIFFERENTIABLE,
    EVALUATED,
    NUMPY_TYPE,
    ROWS,
    SLOPING,
    SPECIAL,
    Case,
    is_evaluated,
    operands_of,
)

Array = npt.NDArray[Any]

NUDGE = 1e-6  # for central differences
LAWS = [(op, law) for op in OPS.values() for law in op.laws]

each_op = pytest.mark.parametrize("op", OPS.values(), ids=lambda op: op.name)
each_case = pytest.mark.parametrize("case", CASES, ids=str)
each_sloping = pytest.mark.parametrize("case", SLOPING, ids=str)
each_law = pytest.mark.parametrize(
    ("op", "law"), LAWS, ids=lambda x: x.name if isinstance(x, Op) else x
)
each_dtype = pytest.mark.parametrize("dtype", ["float32", "float64"])


# -- records -------------------------------------------------------------------------------------


@each_op
def test_has_exactly_one_derivative(op: Op) -> None:
    assert [op.partials is not None, op.pullback is not None, op.nograd].count(True) == 1


@each_op
def test_says_in_a_line_what_it_is(op: Op) -> None:
    assert op.doc and "\n" not in op.doc


@each_op
def test_structured_ops_have_samples(op: Op) -> None:
    assert op.samples or op.pointwise or op.name in LEAVES


@each_case
def test_type_is_what_the_reference_computes(case: Case) -> None:
    node = case.apply(case.operands())
    if not is_evaluated(case):
        assert case.op.reference is None
        return
    values = dict(zip(node.args, case.draw(np.random.default_rng(0)), strict=True))
    of_one_row = [v[0] if a.type.axes else v for a, v in values.items()]
    result = np.asarray(case.op.reference(case.attr, *of_one_row))
    assert result.shape == node.type.shape
    assert result.dtype == NUMPY_TYPE[node.type.kind]


TOGETHER = [(case, at) for case in CASES for at in case.op.linear_in]


@pytest.mark.parametrize(("case", "together"), TOGETHER, ids=str)
def test_is_linear_in_what_it_says(case: Case, together: tuple[int, ...]) -> None:
    draws = np.random.default_rng(1)
    x, y = case.draw(draws), case.draw(draws)
    axes = [type_.axes for type_ in case.types]

    def of(*weights: float) -> Any:
        operands = [
            weights[0] * a + weights[1] * b if at in together else a
            for at, (a, b) in enumerate(zip(x, y, strict=True))
        ]
        of_one_row = [v[0] if axes[at] else v for at, v in enumerate(operands)]
        return case.op.reference(case.attr, *of_one_row)

    np.testing.assert_allclose(of(2.0, -3.0), 2.0 * of(1.0, 0.0) - 3.0 * of(0.0, 1.0), 1e-9, 1e-12)


@pytest.mark.parametrize(
    ("name", "attr", "types", "work"),
    [
        ("einsum", ("ab,bc->ac", ""), (Type((3, 4)), Type((4, 5))), 2 * 3 * 4 * 5),
        ("einsum", ("a,b->ab", ""), (Type((3,)), Type((4,))), 3 * 4),
        ("solve", None, (Type((3, 3)), Type((3, 2))), 3**3 + 2 * 3 * 3 * 2),
        ("solve", None, (Type((7, 3, 3)), Type((7, 3, 2))), 7 * (3**3 + 2 * 3 * 3 * 2)),
        ("total", "B", (Type((3, 4), axes=frozenset("B")),), 3 * 4),
    ],
    ids=str,
)
def test_says_what_it_costs(name: str, attr: Any, types: tuple[Type, ...], work: int) -> None:
    how = OPS[name].work
    assert how is not None
    assert sum(times * size(dims) for times, dims in how(attr, *types)) == work


V, M, ROW, FLAG = Type((3,)), Type((2, 3)), Type((1, 3)), Type((3,), "bool")
B, TB = frozenset("B"), frozenset("TB")

# What each type rule refuses: op, attribute, operands, the operand at fault.
REFUSALS: tuple[tuple[str, Any, tuple[Type, ...], int | None], ...] = (
    ("add", None, (V, M), None),
    ("tanh", None, (FLAG,), 0),
    ("and", None, (FLAG, V), 1),
    ("where", None, (V, V, V), 0),
    ("where", None, (FLAG, V, FLAG), 2),
    ("einsum", ("ab,b->a", ""), (V, V), 0),
    ("einsum", ("ab,c->a", ""), (M, V), 0),
    ("einsum", ("ab,b->a", ""), (M, Type((2,))), 1),
    ("einsum", ("ab,b->a", "B"), (M, V), None),
    ("sum", 1, (V,), None),
    ("cumsum", (1, False), (V,), None),
    ("total", "B", (V,), None),
    ("spread", "B", (V.with_axes(B),), None),
    ("reshape", (2, 2), (V,), None),
    ("broadcast", (4,), (V,), None),
    ("broadcast", (2, 3), (V,), None),
    ("transpose", (0, 0), (M,), None),
    ("flip", 2, (M,), None),
    ("slice", ((0, 1),), (M,), None),
    ("slice", ((0, 4),), (V,), None),
    ("pad", ((0, 1),), (M,), None),
    ("concat", 0, (M, V), 1),
    ("concat", 0, (M, Type((2, 4))), 1),
    ("diag", None, (M,), None),
    ("diagonal", None, (M,), None),
    ("take", None, (Type(), Type((), "int")), 0),
    ("take", None, (M, V), 1),
    ("scatter", (3, "B"), (Type((), "int"), V), None),
    ("at", None, (V.with_axes(B),), None),
    ("stack", None, (V.with_axes(TB),), None),
    ("accumulate", None, (V.with_axes(TB),), None),
    ("param", "W", (), None),
)


@pytest.mark.parametrize(
    ("name", "attr", "types", "operand"),
    REFUSALS,
    ids=lambda x: " ".join(map(str, x)) if isinstance(x, tuple) else str(x),
)
def test_operands_that_do_not_fit_are_refused(
    name: str, attr: Any, types: tuple[Type, ...], operand: int | None
) -> None:
    with pytest.raises(TypeProblem) as refusal:
        OPS[name].type(attr, *types)
    assert str(refusal.value)
    assert refusal.value.operand == operand


@each_case
def test_text_of_it_reads_back(case: Case) -> None:
    operands = case.operands()
    node = case.apply(operands)
    if case.op.name == "at":  # a value of the step: an out needs all of them
        node = apply("stack", node)
    scan = Scan("Probe", (), tuple(operands), (), (Value("y", node),))
    assert same(read(show(scan)), scan)
    assert show(read(show(scan))) == show(scan)


@pytest.mark.parametrize("case", [c for c in EVALUATED if c.op.view], ids=str)
def test_a_view_moves_elements_and_makes_none(case: Case) -> None:
    (type_,) = case.types
    elements = np.arange(size(type_.shape), dtype=float).reshape(type_.shape)
    assert set(np.ravel(case.op.reference(case.attr, elements))) <= set(elements.ravel())


@pytest.mark.parametrize("case", [c for c in EVALUATED if c.op.linear or c.op.view], ids=str)
def test_what_is_called_linear_is(case: Case) -> None:
    draws = np.random.default_rng(4)
    a, b = ([draws.standard_normal(t.shape) for t in case.types] for _ in range(2))
    of = functools.partial(case.op.reference, case.attr)
    mixed = of(*(2.0 * x - 3.0 * y for x, y in zip(a, b, strict=True)))
    np.testing.assert_allclose(mixed, 2.0 * of(*a) - 3.0 * of(*b), rtol=1e-13, atol=1e-14)


# -- derivatives ---------------------------------------------------------------------------------


def _slope(
    of: Callable[[dict[Node, Array]], float],
    at: dict[Node, Array],
    along: dict[Node, Array],
) -> float:
    """The directional derivative of a number by central differences."""
    above, below = (
        of({n: v + step * along[n] if n in along else v for n, v in at.items()})
        for step in (NUDGE, -NUDGE)
    )
    return (above - below) / (2 * NUDGE)


def _inner(values: dict[Node, Array], weights: dict[Node, Array]) -> float:
    return float(sum(np.sum(values[n] * w) for n, w in weights.items()))


def _number(draws: np.random.Generator, node: Node) -> Array:
    return draws.standard_normal((*(ROWS,) * len(node.type.axes), *node.type.shape))


@dataclass(frozen=True)
class Differentiated:
    """An op on leaves with values, the leaf of its cotangent, and directions for all of them."""

    node: Node
    cotangent: Node
    values: dict[Node, Array]
    real: list[Node]  # the operands a derivative is asked of
    draws: np.random.Generator

    @staticmethod
    def of(case: Case) -> Differentiated:
        draws = np.random.default_rng(1)
        operands = case.operands()
        node = case.apply(operands)
        cotangent = leaf("input", "ct", node.type)
        values = dict(zip(operands, case.draw(draws), strict=True))
        values[cotangent] = _number(draws, cotangent)
        real = [a for a in operands if a.type.kind == "real"]
        return Differentiated(node, cotangent, values, real, draws)

    def directions(self, nodes: Sequence[Node]) -> dict[Node, Array]:
        return {n: _number(self.draws, n) for n in nodes}

    def numbers(self, roots: Sequence[Node], values: dict[Node, Array]) -> dict[Node, Array]:
        return evaluate(roots, values, ROWS)


@each_sloping
def test_vjp_agrees_with_central_differences(case: Case) -> None:
    d = Differentiated.of(case)
    along = d.directions(d.real)
    weights = {d.node: d.values[d.cotangent]}
    wanted = _slope(lambda at: _inner(d.numbers([d.node], at), weights), d.values, along)

    cotangents = vjp({d.node: d.cotangent}, d.real)
    found = d.numbers(list(cotangents.values()), d.values)
    got = _inner({a: found[ct] for a, ct in cotangents.items()}, {a: along[a] for a in cotangents})
    assert got == pytest.approx(wanted, rel=1e-7, abs=1e-8)
    assert all(ct.type == a.type for a, ct in cotangents.items())


@each_sloping
def test_second_derivative_agrees_with_central_differences(case: Case) -> None:
    d = Differentiated.of(case)
    first = vjp({d.node: d.cotangent}, d.real)
    weights = d.directions(list(dict.fromkeys(first.values())))
    wrt = [*d.real, d.cotangent]
    along = d.directions(wrt)
    wanted = _slope(lambda at: _inner(d.numbers(list(weights), at), weights), d.values, along)

    seeds = {ct: leaf("input", f"w{at}", ct.type) for at, ct in enumerate(weights)}
    second = vjp(seeds, wrt)
    values = d.values | {seeds[ct]: weight for ct, weight in weights.items()}
    found = d.numbers(list(second.values()), values)
    got = _inner({a: found[ct] for a, ct in second.items()}, {a: along[a] for a in second})
    assert got == pytest.approx(wanted, rel=1e-6, abs=1e-8)


@pytest.mark.parametrize(
    "case", [case for case in DIFFERENTIABLE if case.op.pushforward is None], ids=str
)
def test_jvp_is_the_transpose_of_vjp(case: Case) -> None:
    d = Differentiated.of(case)
    moving = {a: leaf("input", f"d{at}", a.type) for at, a in enumerate(d.real)}
    along = d.directions(d.real)
    tangent = jvp(moving, [d.node])[d.node]
    cotangents = vjp({d.node: d.cotangent}, d.real)
    values = d.values | {moving[a]: along[a] for a in d.real}
    found = d.numbers([tangent, *cotangents.values()], values)
    forward = np.sum(found[tangent] * d.values[d.cotangent])
    reverse = sum(np.sum(found[ct] * along[a]) for a, ct in cotangents.items())
    assert tangent.type == d.node.type
    assert forward == pytest.approx(reverse, rel=1e-12, abs=1e-12)


# Ties, kinks and corners: (op, operands, their partials).
CONVENTIONS: tuple[tuple[str, tuple[float, ...], tuple[float, ...]], ...] = (
    ("relu", (0.0,), (0.0,)),
    ("abs", (0.0,), (0.0,)),
    ("maximum", (1.0, 1.0), (0.5, 0.5)),
    ("minimum", (1.0, 1.0), (0.5, 0.5)),
    ("maximum", (-np.inf, -np.inf), (0.5, 0.5)),
    ("maximum", (-np.inf, 2.0), (0.0, 1.0)),
    ("minimum", (-np.inf, 2.0), (1.0, 0.0)),
    ("pow", (0.0, 2.0), (0.0, 0.0)),
    ("pow", (0.0, 1.0), (1.0, 0.0)),
    ("pow", (0.0, 0.0), (0.0, 0.0)),
    ("sigmoid", (np.inf,), (0.0,)),
    ("sigmoid", (-np.inf,), (0.0,)),
    ("tanh", (-np.inf,), (0.0,)),
    ("softplus", (np.inf,), (1.0,)),
    ("softplus", (-np.inf,), (0.0,)),
)


@pytest.mark.parametrize(("name", "operands", "partials"), CONVENTIONS, ids=str)
def test_partials_at_ties_and_extremes(
    name: str, operands: tuple[float, ...], partials: tuple[float, ...]
) -> None:
    leaves = [leaf("input", "ab"[at], Type()) for at in range(len(operands))]
    node = apply(name, *leaves)
    cotangents = vjp({node: const(1.0)}, leaves)
    values = {a: np.array(v) for a, v in zip(leaves, operands, strict=True)}
    found = evaluate(list(cotangents.values()), values)
    assert tuple(float(found[cotangents[a]]) for a in leaves) == partials


def test_equal_maxima_share_the_derivative_in_equal_parts() -> None:
    a = leaf("input", "a", Type((4,)))
    node = apply("amax", a, attr=0)
    (cotangent,) = vjp({node: const(1.0)}, [a]).values()
    found = evaluate([cotangent], {a: np.array([3.0, 1.0, 3.0, 3.0])})
    np.testing.assert_allclose(found[cotangent], [1 / 3, 0, 1 / 3, 1 / 3])


# -- laws ----------------------------------------------------------------------------------------


def _letters(term: Term) -> set[str]:
    match term:
        case str():
            return {term}
        case (_, operands):
            return set().union(*map(_letters, operands))
    return set()


def _build(term: Term, leaves: dict[str, Node]) -> Node:
    match term:
        case str():
            return leaves[term]
        case (name, operands):
            return apply(name, *(_build(t, leaves) for t in operands))
    assert isinstance(term, float)
    return const(term, next(iter(leaves.values())).type.shape)


@each_law
def test_law_fires(op: Op, law: str) -> None:
    left, right = read_law(law)
    leaves = {x: leaf("input", x, Type((3,))) for x in sorted(_letters(left))}
    node = _build(left, leaves)
    assert node.op is op, f"{law} is no law of {op.name}"
    assert simplified([node])[node] is _build(right, leaves)


@each_law
def test_law_holds_at_special_values_too(op: Op, law: str) -> None:
    left, right = read_law(law)
    names = sorted(_letters(left))
    drawn = np.random.default_rng(2).uniform(*op.domain, 20)
    grid = np.array(list(itertools.product([*SPECIAL, *drawn], repeat=len(names)))).T
    leaves = {x: leaf("input", x, Type((grid.shape[1],))) for x in names}
    roots = [_build(left, leaves), _build(right, leaves)]
    found = evaluate(roots, {leaves[x]: grid[at] for at, x in enumerate(names)})
    a, b = (found[root] for root in roots)
    np.testing.assert_allclose(a, b, rtol=1e-15)
    np.testing.assert_array_equal(np.signbit(a[~np.isnan(a)]), np.signbit(b[~np.isnan(b)]))


# -- spellings -----------------------------------------------------------------------------------


@each_dtype
@pytest.mark.parametrize("case", [c for c in EVALUATED if "numpy" in c.op.spell], ids=str)
def test_numpy_spelling_is_the_reference(case: Case, dtype: str) -> None:
    operands = operands_of(case, dtype)
    kind = case.apply(case.operands()).type.kind
    out = np.empty(operands[0].shape, {"bool": bool, "int": np.int64}.get(kind, dtype))
    names = {f"x{at}": value for at, value in enumerate(operands)}
    source = case.op.spell["numpy"].format(*names, out="out")
    with np.errstate(all="ignore"):  # as programs run
        exec(source, {"np": np, "out": out, **names})
        precise = (v if v.dtype == bool else v.astype(float) for v in operands)
        wanted = np.asarray(case.op.reference(None, *precise)).astype(out.dtype)
    if kind != "real":
        np.testing.assert_array_equal(out, wanted)
        return
    precision = float(np.finfo(dtype).eps)
    np.testing.assert_allclose(out, wanted, rtol=8 * precision, atol=precision)


def test_tanh_keeps_the_sign_of_zero_and_the_limits() -> None:
    values = np.array([-0.0, 0.0, np.inf, -np.inf, 1e-320, 710.0])
    result = OPS["tanh"].reference(None, values)
    np.testing.assert_array_equal(result, np.tanh(values))
    np.testing.assert_array_equal(np.signbit(result), np.signbit(values))


@pytest.mark.parametrize("name", ["tanh", "sigmoid", "softplus", "relu", "maximum", "amax"])
def test_nan_stays_nan(name: str) -> None:
    op = OPS[name]
    operands = [np.array([np.nan, 1.0])] * max(op.arity, 1)
    assert np.isnan(np.ravel(op.reference(0, *operands))[0])
