"""Rebuilding graphs: substitution, laws, folding, rules of shape."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.compiler.ir import Node, apply, const, leaf, toposort
from rnnc.compiler.rewrite import canonical, read_law, simplified, substitute
from rnnc.compiler.shapes import Type
from tests.compiler.interpret_scan import evaluate

X = leaf("input", "x", Type((2, 3)))
Y = leaf("input", "y", Type((2, 3)))
V = leaf("input", "v", Type((3,)))
ROW = leaf("input", "r", Type((1, 3)))
BATCH = leaf("input", "b", Type((3,), axes=frozenset("B")))


def simple(node: Node) -> Node:
    return simplified([node])[node]


def same_values(a: Node, b: Node) -> bool:
    draws = np.random.default_rng(0)
    leaves = [n for n in toposort([a, b]) if n.op.name == "input"]
    values = {n: draws.normal(size=(*(2,) * len(n.type.axes), *n.type.shape)) for n in leaves}
    found = evaluate([a, b], values, rows=2)
    return a.type == b.type and np.allclose(found[a], found[b], rtol=1e-14)


def slice_(node: Node, *bounds: tuple[int, int]) -> Node:
    return apply("slice", node, attr=bounds)


def concat(axis: int, *nodes: Node) -> Node:
    return apply("concat", *nodes, attr=axis)


def transpose(node: Node, *order: int) -> Node:
    return apply("transpose", node, attr=order)


# (before, after): what each rule makes of a node.
SHAPES = {
    "reshape to its own shape": (apply("reshape", X, attr=(2, 3)), X),
    "reshape of reshape": (
        apply("reshape", apply("reshape", X, attr=(6,)), attr=(3, 2)),
        apply("reshape", X, attr=(3, 2)),
    ),
    "reshape of a constant": (apply("reshape", const(2.0, (6,)), attr=(3, 2)), const(2.0, (3, 2))),
    "broadcast to its own shape": (apply("broadcast", X, attr=(2, 3)), X),
    "broadcast of broadcast": (
        apply("broadcast", apply("broadcast", apply("reshape", V, attr=(1, 3, 1)), attr=(2, 3, 1)),
              attr=(2, 3, 4)),
        apply("broadcast", apply("reshape", V, attr=(1, 3, 1)), attr=(2, 3, 4)),
    ),
    "broadcast of a constant": (
        apply("broadcast", const(2.0, (1, 3)), attr=(2, 3)),
        const(2.0, (2, 3)),
    ),
    "transpose that moves nothing": (transpose(X, 0, 1), X),
    "transpose of transpose": (transpose(transpose(X, 1, 0), 1, 0), X),
    "slice of everything": (slice_(X, (0, 2), (0, 3)), X),
    "slice of slice": (
        slice_(slice_(X, (1, 2), (1, 3)), (0, 1), (1, 2)),
        slice_(X, (1, 2), (2, 3)),
    ),
    "slice of one piece": (slice_(concat(0, V, V * 2.0), (4, 6)), slice_(V * 2.0, (1, 3))),
    "slice of a constant": (slice_(const(2.0, (3,)), (1, 3)), const(2.0, (2,))),
    "pad by nothing": (apply("pad", X, attr=((0, 0), (0, 0))), X),
    "concat of one": (concat(0, X), X),
    "concat of neighbours": (
        concat(1, slice_(X, (0, 2), (0, 1)), slice_(X, (0, 2), (1, 3))),
        X,
    ),
    "concat of equal constants": (concat(0, const(1.0, (2,)), const(1.0, (3,))), const(1.0, (5,))),
    "einsum of a transpose": (
        apply("einsum", transpose(X, 1, 0), V, attr=("ab,a->b", "")),
        apply("einsum", X, V, attr=("ab,b->a", "")),
    ),
    "einsum by other letters": (
        apply("einsum", X, V, attr=("xy,y->x", "")),
        apply("einsum", X, V, attr=("ab,b->a", "")),
    ),
    "total of einsum": (
        apply("total", apply("einsum", V, BATCH, attr=("a,b->ab", "")), attr="B"),
        apply("einsum", V, BATCH, attr=("a,b->ab", "B")),
    ),
    "choice by a constant": (
        apply("where", const(1.0, (3,), "bool"), V, const(2.0, (3,))), V,
    ),
    "folding": (const(2.0, (3,)) * const(3.0, (3,)) + const(1.0, (3,)), const(7.0, (3,))),
    "folding at special values": (
        apply("tanh", const(float("inf"), (2,))), const(1.0, (2,)),
    ),
}  # fmt: skip

# What looks like one of them and is not.
KEPT = {
    "slice across pieces": slice_(concat(0, V, V * 2.0), (1, 5)),
    "concat out of order": concat(0, slice_(V, (1, 3)), slice_(V, (0, 1))),
    "concat of parts of several": concat(0, slice_(V, (0, 1)), slice_(BATCH, (1, 3))),
    "concat of neighbours along another axis": concat(
        0, slice_(X, (0, 2), (0, 1)), slice_(X, (0, 2), (1, 2))
    ),
    "concat of zeros of both signs": concat(0, const(0.0, (2,)), const(-0.0, (2,))),
    "minus a negative zero": apply("sub", V, const(-0.0, (3,))),
    "plus zero": V + 0.0,  # -0 + 0 is 0
    "times zero": V * 0.0,  # of NaN and inf it is NaN
    "a quotient of equals": V / V,  # of 0, inf and NaN it is NaN
    "a broadcast that lengthens": apply("broadcast", ROW, attr=(2, 3)),
}


@pytest.mark.parametrize("name", SHAPES)
def test_rule_fires_and_keeps_the_value(name: str) -> None:
    before, after = SHAPES[name]
    assert simple(before) is after, repr(simple(before))
    assert same_values(before, after)


@pytest.mark.parametrize("name", KEPT)
def test_what_is_no_identity_is_kept(name: str) -> None:
    assert simple(KEPT[name]) is KEPT[name]


def test_substitution_rebuilds_what_reads_the_replaced_and_nothing_else() -> None:
    untouched = apply("exp", Y)
    root = apply("tanh", X) * untouched
    found = substitute([root], {X: X + Y})
    assert found[root] is apply("tanh", X + Y) * untouched
    assert found[untouched] is untouched


def test_substitution_keeps_labels_and_does_not_look_into_what_it_puts_in() -> None:
    named = apply("tanh", V, label="z")
    replaced = substitute([named], {V: V * V})[named]
    assert replaced is apply("tanh", V * V)
    assert replaced.label == "z"


def test_simplifying_is_finished_after_one_round() -> None:
    negative = -((V * 1.0 - 0.0) / 1.0)
    node = -negative + (-(V * 2.0))
    once = simple(node)
    assert once is V - V * 2.0
    assert simple(once) is once


def test_simplifying_is_not_recursive() -> None:
    node = V
    for _ in range(5000):
        node = (node * 1.0).then("tanh")
    assert len(toposort([simple(node)])) == 5001


def test_laws_are_read_as_the_language_writes_them() -> None:
    assert read_law("a + neg(b) -> a - b") == (("add", ("a", ("neg", ("b",)))), ("sub", ("a", "b")))
    assert read_law("a ^ 2 -> a * a") == (("pow", ("a", 2.0)), ("mul", ("a", "a")))


def test_canonical_letters_come_in_order_of_appearance() -> None:
    assert canonical("gnij,nj->gni") == "abcd,bd->abc"


def test_constants_are_shared_by_their_bits() -> None:
    assert const(0.0, (2,)) is const(0, (2,))
    assert const(0.0, (2,)) is not const(-0.0, (2,))
    assert const(float("nan"), (2,)) is const(float("nan"), (2,))
