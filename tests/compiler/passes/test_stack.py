"""`stack` makes one product of several; that it changes no value is tested with the pipeline."""

from __future__ import annotations

from rnnc.compiler.ir import Cell, Scan, State, Value, apply, const
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.sink import sink
from rnnc.compiler.passes.stack import stack
from tests.compiler.hand_built import Numbers, carry, matmul, one_input, param
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def gated() -> Cell:
    """h' = z h + (1 - z) g, each gate with weights of its own."""
    W, U, V, R = param("W", 4, 3), param("U", 4, 4), param("V", 4, 3), param("R", 4, 4)
    x, h = one_input("x", 3), carry("h", 4)
    g = apply("tanh", matmul(W.node, x.node) + matmul(U.node, h))
    z = apply("sigmoid", matmul(V.node, x.node) + matmul(R.node, h))
    new = z * h + (1.0 - z) * g
    states = (State("h", h, new, const(0.0, (4,))),)
    return Cell("Gated", {}, (W, U, V, R), states, (x,), (Value("h", new),))


def products(scan: Scan) -> int:
    return len([n for n in scan if n.op.name == "einsum"])


def test_products_of_one_operand_become_one() -> None:
    before = simplify(scan(gated()))
    assert products(before) == 4
    assert products(simplify(stack(before))) == 2


def test_values_and_gradients_are_kept() -> None:
    cell = gated()
    n = Numbers.draw(cell)
    scans = each(stack)(each(simplify)(scans_of(cell)))
    assert_alike(by_scans(cell, scans, n), by_oracle(cell, n))
    assert_alike(by_scans(cell, each(sink)(scans), n), by_oracle(cell, n))


def test_the_backward_scan_has_fewer_products_too() -> None:
    before = each(simplify)(scans_of(gated()))
    after = each(simplify)(each(stack)(before))
    assert before.backward is not None and after.backward is not None
    assert products(after.backward) < products(before.backward)
