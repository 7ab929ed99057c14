"""Which elements depend on which: ops that move elements, and ops that couple them."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from rnnc.compiler.dependence import is_contraction, is_diagonal
from rnnc.compiler.ir import Carry, Node, apply, leaf
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


def test_only_a_product_that_sums_is_a_contraction() -> None:
    weight = leaf("param", "W", Type((4, 4)))
    assert is_contraction(product(weight, H, "ab,b->a"))
    assert not is_contraction(product(H, G, "a,b->ab"))
    assert not is_contraction(H + G)
