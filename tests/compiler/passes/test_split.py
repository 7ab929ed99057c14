"""`split` computes parts part by part; that it changes no value is tested with the pipeline."""

from __future__ import annotations

from rnnc.compiler.ir import Cell, Node, State, Value, apply, const
from rnnc.compiler.passes.merge import merge
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.split import split
from tests.compiler.hand_built import Numbers, carry, matmul, one_input, param
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def rows(node: Node, start: int, stop: int) -> Node:
    return apply("slice", node, attr=((start, stop),))


def two_gates(*, overlapping: bool = False) -> Cell:
    """h' = z tanh(g), where z and g are parts of sigmoid(U h + d)."""
    U, d, h = param("U", 6, 3), param("d", 6), carry("h", 3)
    x = one_input("x", 3)
    gates = apply("sigmoid", matmul(U.node, h) + d.node)
    z, g = rows(gates, 0, 3), rows(gates, 2 if overlapping else 3, 5 if overlapping else 6)
    new = z * apply("tanh", g + x.node)
    states = (State("h", h, new, const(0.0, (3,))),)
    return Cell("TwoGates", {}, (U, d), states, (x,), (Value("h", new),))


def sizes(cell: Cell, op: str) -> list[int]:
    """Of every `op` of the step."""
    return sorted(int(n.type.shape[0]) for n in simplify(split(scan(cell))) if n.op.name == op)


def test_values_and_gradients_are_kept() -> None:
    cell = two_gates()
    n = Numbers.draw(cell)
    whole = each(simplify)(scans_of(cell))
    scans = each(split)(whole)
    assert_alike(by_scans(cell, scans, n), by_scans(cell, whole, n), 0.0)
    assert_alike(by_scans(cell, each(merge)(scans), n), by_oracle(cell, n))


def test_each_part_has_operations_of_its_own() -> None:
    assert sizes(two_gates(), "sigmoid") == [3, 3]
    assert sizes(two_gates(), "add") == [3, 3, 3]  # + d twice, + x


def test_parts_that_overlap_stay_together() -> None:
    assert sizes(two_gates(overlapping=True), "sigmoid") == [6]


def test_merging_undoes_it() -> None:
    before = simplify(scan(two_gates()))
    after = simplify(merge(simplify(split(before))))
    assert sorted(n.op.name for n in after) == sorted(n.op.name for n in before)
