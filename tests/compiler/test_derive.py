"""Derivatives of graphs: right, differentiable again, linear in size, without recursion."""

from __future__ import annotations

import sys

import numpy as np
import pytest

from rnnc.compiler.derive import jvp, vjp
from rnnc.compiler.ir import Node, apply, const, leaf, toposort
from rnnc.compiler.rewrite import simplified
from rnnc.compiler.shapes import Type
from tests.compiler.hand_built import Array, column, matmul
from tests.compiler.interpret_scan import evaluate

FACTORS = 5000
LETS = 60
B = frozenset("B")


def vector(name: str, *shape: int, axes: frozenset[str] = frozenset()) -> Node:
    return leaf("input", name, Type(shape, axes=axes))


def network() -> tuple[Node, list[Node]]:
    """A scalar of many ops over a matrix and two vectors, each read more than once."""
    W, x, s = vector("W", 4, 3), vector("x", 3), vector("s", 4)
    hidden = apply("tanh", matmul(W, x) * s)
    joined = apply("concat", hidden, x * x, attr=0)
    part = apply("slice", joined, attr=((2, 6),))
    soft = apply("exp", part - column(apply("amax", part, attr=0).then("reshape", attr=(1,)), 4)
                 .then("reshape", attr=(4,)))  # fmt: skip
    total = apply("sum", soft, attr=0)
    scores = apply("einsum", soft, hidden / (s * s + 1.0), attr=("a,a->", ""))
    return scores / total, [W, x, s]


def number(node: Node, values: dict[Node, Array], rows: int = 1) -> Array:
    return evaluate([node], values, rows)[node]


def draw(nodes: list[Node], seed: int = 0, rows: int = 1) -> dict[Node, Array]:
    draws = np.random.default_rng(seed)
    return {n: draws.normal(size=(*(rows,) * len(n.type.axes), *n.type.shape)) for n in nodes}


def inner(values: dict[Node, Array], along: dict[Node, Array]) -> float:
    return float(sum(np.sum(values[n] * along[n]) for n in values))


def gradient(root: Node, wrt: list[Node]) -> dict[Node, Node]:
    return vjp({root: const(1.0)}, wrt)


def test_vjp_and_jvp_are_transposes_of_each_other() -> None:
    root, wrt = network()
    values, along = draw(wrt), draw(wrt, seed=1)
    moving = {n: leaf("input", f"d{at}", n.type) for at, n in enumerate(wrt)}
    tangent = jvp(moving, [root])[root]
    forward = number(tangent, values | {moving[n]: along[n] for n in wrt})
    grads = gradient(root, wrt)
    reverse = inner({n: number(g, values) for n, g in grads.items()}, along)
    assert forward == pytest.approx(reverse, rel=1e-12)


def test_derivatives_agree_with_central_differences() -> None:
    root, wrt = network()
    values, along = draw(wrt), draw(wrt, seed=1)
    above, below = (
        number(root, {n: v + step * along[n] for n, v in values.items()}) for step in (1e-6, -1e-6)
    )
    grads = gradient(root, wrt)
    got = inner({n: number(g, values) for n, g in grads.items()}, along)
    assert got == pytest.approx((above - below) / 2e-6, rel=1e-8)


def test_second_derivatives_agree_with_central_differences_and_are_symmetric() -> None:
    root, wrt = network()
    values, along, across = draw(wrt), draw(wrt, seed=1), draw(wrt, seed=2)
    grads = gradient(root, wrt)
    ways = {n: leaf("input", f"v{at}", n.type) for at, n in enumerate(wrt)}
    second = vjp({grads[n]: ways[n] for n in wrt}, wrt)  # Hessian times ways

    def times(direction: dict[Node, Array], other: dict[Node, Array]) -> float:
        given = values | {ways[n]: direction[n] for n in wrt}
        return inner({n: number(h, given) for n, h in second.items()}, other)

    def slope(step: float) -> float:
        moved = {n: v + step * across[n] for n, v in values.items()}
        return inner({n: number(g, moved) for n, g in grads.items()}, along)

    assert times(along, across) == pytest.approx(times(across, along), rel=1e-11)
    assert times(along, across) == pytest.approx((slope(1e-6) - slope(-1e-6)) / 2e-6, rel=1e-7)


def test_a_value_used_twice_gets_both_cotangents() -> None:
    x = vector("x", 3)
    (grad,) = gradient(apply("einsum", x, x, attr=("a,a->", "")), [x]).values()
    np.testing.assert_allclose(number(grad, {x: np.arange(3.0)}), [0, 2, 4])


def test_what_no_result_depends_on_has_no_cotangent() -> None:
    x, y = vector("x", 3), vector("y", 3)
    assert gradient(apply("sum", x, attr=0), [x, y]).keys() == {x}
    assert gradient(apply("sum", apply("stop_gradient", y) + x, attr=0), [y]) == {}


def test_a_node_between_root_and_leaves_may_be_asked_for() -> None:
    x = vector("x")
    middle = apply("exp", x)
    found = vjp({middle * middle: const(1.0)}, [middle])
    assert number(found[middle], {x: np.array(0.0)}) == pytest.approx(2.0)


def test_cotangents_have_the_leading_axes_of_their_values() -> None:
    """A weight's is summed over the rows that read it; a row's is not."""
    W, x = vector("W", 2, 3), vector("x", 3, axes=B)
    y = matmul(W, x)
    ct = vector("ct", 2, axes=B)
    found = vjp({y: ct}, [W, x])
    assert {n: g.type for n, g in found.items()} == {W: W.type, x: x.type}
    values = draw([W, x, ct], rows=4)
    np.testing.assert_allclose(
        number(found[W], values, rows=4), np.einsum("ni,nj->ij", values[ct], values[x])
    )
    np.testing.assert_allclose(number(found[x], values, rows=4), values[ct] @ values[W])


def test_slices_cotangents_become_one_concatenation() -> None:
    x = vector("x", 6)
    parts = [apply("slice", x, attr=((at, at + 2),)) for at in (0, 4)]
    (grad,) = gradient(apply("sum", parts[0] * parts[1], attr=0), [x]).values()
    assert grad.op.name == "concat"
    np.testing.assert_allclose(number(grad, {x: np.arange(6.0)}), [4, 5, 0, 0, 0, 1])


# -- size ----------------------------------------------------------------------------------------


def product(count: int) -> tuple[Node, list[Node]]:
    factors = [vector(f"x{at}") for at in range(count)]
    total = factors[0]
    for factor in factors[1:]:
        total = total * factor
    return total, factors


def test_a_product_of_5000_factors_has_a_linear_derivative() -> None:
    root, factors = product(FACTORS)
    assert sys.getrecursionlimit() < FACTORS
    grads = gradient(root, factors)
    assert len(grads) == FACTORS
    assert len(toposort(grads.values())) <= 5 * FACTORS
    values = {f: np.array(1.0 + 1e-7 * at) for at, f in enumerate(factors)}
    found = evaluate(list(grads.values()), values)
    whole = np.prod([values[f] for f in factors])
    for factor in factors[:: FACTORS // 10]:
        assert found[grads[factor]] == pytest.approx(whole / values[factor], rel=1e-10)


def test_its_second_derivative_and_its_tangent_are_linear_too() -> None:
    root, factors = product(FACTORS)
    grads = gradient(root, factors)
    ways = {f: leaf("input", f"v{at}", f.type) for at, f in enumerate(factors)}
    second = vjp({grads[f]: ways[f] for f in factors}, factors)
    assert len(toposort(second.values())) <= 20 * FACTORS
    tangent = jvp(ways, [root])[root]
    assert len(toposort([tangent])) <= 6 * FACTORS
    assert len(simplified([tangent])) <= 6 * FACTORS


def test_60_doubling_lets_have_a_linear_derivative() -> None:
    x = root = vector("x")
    for _ in range(LETS):
        root = root + root
    (grad,) = gradient(root, [x]).values()
    assert len(toposort([grad])) <= 2 * LETS
    assert number(grad, {x: np.array(1.0)}) == 2.0**LETS


def test_60_lets_of_products_have_linear_first_and_second_derivatives() -> None:
    """x^(2^60): as a tree, its derivatives would have 2^60 leaves."""
    x = root = vector("x")
    for _ in range(LETS):
        root = root * root
    (first,) = gradient(root, [x]).values()
    (second,) = gradient(first, [x]).values()
    assert len(toposort([first])) <= 5 * LETS
    assert len(toposort([second])) <= 20 * LETS
    assert number(first, {x: np.array(1.0)}) == 2.0**LETS
