"""Which elements and rows depend on which: ops that move elements, ops that couple them, sums."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.compiler.dependence import (
    affine_nodes,
    is_contraction,
    is_diagonal,
    rows_are_apart,
    sums_rows,
)
from rnnc.compiler.ir import Carry, Node, Plan, Scan, Value, apply, leaf, toposort
from rnnc.compiler.passes.schedule import schedule
from rnnc.compiler.shapes import Type
from tests.compiler.hand_built import carry

H, G = carry("h", 4), carry("g", 4)
S = carry("S", 4, 4)


def carried(**nexts: Node) -> list[Carry]:
    old = {"h": H, "g": G, "S": S}
    return [
        Carry(name, old[name], leaf("input", name, new.type), new) for name, new in nexts.items()
    ]


def part(node: Node, start: int, stop: int) -> Node:
    return apply("slice", node, attr=((start, stop),))


def padded(node: Node, before: int, behind: int) -> Node:
    return apply("pad", node, attr=((before, behind),))


def product(a: Node, b: Node, spec: str) -> Node:
    return apply("einsum", a, b, attr=(spec, ""))


ALONE: dict[str, tuple[bool, Callable[[], Node]]] = {
    "itself": (True, lambda: H * 0.5),
    "its parts, padded where they stood": (
        True,
        lambda: padded(part(H, 0, 2), 0, 2) + padded(part(H, 2, 4), 2, 0),
    ),
    "a part, padded elsewhere": (False, lambda: padded(part(H, 0, 2), 2, 0)),
    "its parts and what depends on nothing": (
        True,
        lambda: apply("concat", part(H, 0, 2), part(padded(part(H, 0, 1), 0, 3), 2, 4), attr=0),
    ),
    "a product element by element": (True, lambda: product(H, H, "a,a->a")),
    "a sum": (False, lambda: product(H, H, "a,a->").then("reshape", attr=(1,))
              .then("broadcast", attr=(4,))),
}  # fmt: skip


@pytest.mark.parametrize("name", ALONE)
def test_a_carry_by_itself(name: str) -> None:
    wanted, new = ALONE[name]
    assert is_diagonal(carried(h=new())) is wanted


def test_a_matrix_may_read_a_vector_by_rows_and_by_columns() -> None:
    """Its elements do not read each other; a vector that reads it back couples its own."""
    outer = S * 0.5 + product(H, H, "a,b->ab") + product(H, G, "b,a->ab")
    assert is_diagonal(carried(h=H * 0.5, g=G * 0.5, S=outer))
    row = apply("slice", S, attr=((0, 1), (0, 4))).then("reshape", attr=(4,))
    assert not is_diagonal(carried(h=H + row, g=G * 0.5, S=outer))


def test_what_is_large_is_not_followed_element_by_element() -> None:
    wide = leaf("carry", "w", Type((10**9,), axes=frozenset("B")))
    start = leaf("input", "w", wide.type)

    def of(new: Node) -> list[Carry]:
        return [Carry("w", wide, start, new)]

    assert is_diagonal(of((wide * 0.5).then("tanh") + wide))
    assert not is_diagonal(of(apply("flip", wide, attr=0)))


def test_only_a_product_that_sums_is_a_contraction() -> None:
    weight = leaf("param", "W", Type((4, 4)))
    assert is_contraction(product(weight, H, "ab,b->a"))
    assert not is_contraction(product(H, G, "a,b->ab"))
    assert not is_contraction(H + G)


# -- rows ----------------------------------------------------------------------------------------

INDEX = leaf("input", "token", Type((), "int", H.type.axes))


@pytest.mark.parametrize(
    ("node", "sums"),
    [
        (apply("total", H, attr="B"), True),
        (apply("einsum", H, G, attr=("a,b->ab", "B")), True),
        (apply("scatter", INDEX, H, attr=(5, "B")), True),
        (apply("einsum", H, G, attr=("a,b->ab", "")), False),
        (apply("scatter", INDEX, H, attr=(5, "")), False),
        (apply("sum", H, attr=0), False),
        (H + G, False),
    ],
)
def test_what_sums_over_the_rows(node: Node, sums: bool) -> None:
    assert sums_rows(node) is sums


def plan_of(new: Node, *outs: Node) -> Plan:
    """Of a loop with the state h, which leaves these nodes behind."""
    named = tuple(Value(f"y{at}", node) for at, node in enumerate(outs))
    return schedule(Scan("Probe", (), (), tuple(carried(h=new)), named))


TOTAL = apply("total", H, attr="B")


@pytest.mark.parametrize(
    ("plan", "apart"),
    [
        (plan_of(H * 0.5, apply("stack", H)), True),
        (plan_of(H * 0.5, apply("accumulate", TOTAL)), True),
        (plan_of(H * 0.5, apply("accumulate", TOTAL * 2.0)), False),
        (plan_of(H * 0.5, apply("stack", TOTAL)), False),
        (plan_of(H - apply("spread", TOTAL, attr="B")), False),
    ],
    ids=["no sum", "a sum that leaves", "one that is read", "one of every step", "one carried"],
)
def test_rows_are_apart_unless_the_step_reads_a_sum_of_them(plan: Plan, apart: bool) -> None:
    assert rows_are_apart(plan) is apart


# -- affine --------------------------------------------------------------------------------------

P = leaf("param", "p", Type((4,)))
POSITIVE = H.then("gt", 0.0)
AFFINE: dict[str, tuple[bool, Node]] = {
    "itself": (True, H),
    "times what reads no state": (True, H * P),
    "times itself": (False, H * G),
    "over what reads no state": (True, H / P),
    "under it": (False, P / H),
    "chosen by what reads no state": (True, apply("where", P.then("gt", 0.0), H, G)),
    "chosen by itself": (False, apply("where", POSITIVE, P, P)),
    "a sum, a difference, a sign": (True, -(H + G) - P),
    "moved": (True, apply("flip", padded(part(H, 0, 2), 1, 1), attr=0)),
    "running": (True, apply("cumsum", H, attr=(0, False))),
    "a product of two of its elements": (False, product(H, G, "a,a->")),
    "a product with a weight": (True, product(S, P, "ab,b->a")),
    "a function": (False, apply("tanh", H)),
    # Its derivative is 0, as a constant's is.
    "rounded": (False, apply("floor", H)),
    "after something that is not": (False, apply("abs", H) * P),
    "what reads no state, however": (True, apply("tanh", P)),
}


@pytest.mark.parametrize("name", AFFINE)
def test_what_is_affine_in_the_states(name: str) -> None:
    wanted, node = AFFINE[name]
    order = toposort([node])
    serial: set[Node] = set()
    for each in order:
        if each.op.name == "carry" or any(a in serial for a in each.args):
            serial.add(each)
    found = affine_nodes(order, serial)
    assert (node in found) is wanted
