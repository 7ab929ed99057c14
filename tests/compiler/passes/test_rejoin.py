"""`rejoin` undoes `split` for what stayed alike; that it changes no value is tested for cells."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler.ir import Cell, Node, Scan, State, Value, apply, const
from rnnc.compiler.passes.rejoin import rejoin
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.passes.split import split
from rnnc.compiler.pipeline import Goal, stages
from tests.compiler.hand_built import Numbers, carry, matmul, one_input, param
from tests.compiler.run_scans import assert_alike, by_oracle, by_scans, each, scans_of


def rows(node: Node, start: int, stop: int) -> Node:
    return apply("slice", node, attr=((start, stop),))


def gates(*bounds: tuple[int, int]) -> Cell:
    """h' = the product of tanh(u[i:j] + x[i:j]), where u = U h + d; parts have 2 elements each."""
    U, d, h = param("U", 8, 2), param("d", 8), carry("h", 2)
    x = one_input("x", 8)
    u = matmul(U.node, h) + d.node
    new = const(1.0, (2,))
    for start, stop in bounds:
        new = new * apply("tanh", rows(u, start, stop) + rows(x.node, start, stop))
    states = (State("h", h, new, const(0.0, (2,))),)
    return Cell("Gates", {}, (U, d), states, (x,), (Value("h", new),))


def sums(cell: Cell) -> list[int]:
    """Of every addition of the step, how many elements it has."""
    after = rejoin(simplify(split(simplify(scan(cell)))))
    return sorted(int(n.type.shape[0]) for n in after if n.op.name == "add")


def test_values_and_gradients_are_kept() -> None:
    cell = gates((0, 2), (2, 4), (4, 6), (6, 8))
    n = Numbers.draw(cell)
    parts = each(split)(each(simplify)(scans_of(cell)))
    whole = each(rejoin)(parts)
    assert_alike(by_scans(cell, whole, n), by_scans(cell, parts, n), 0.0)
    assert_alike(by_scans(cell, whole, n), by_oracle(cell, n))


def test_all_gates_are_added_at_once() -> None:
    assert sums(gates((0, 2), (2, 4), (4, 6), (6, 8))) == [8, 8]


def test_some_that_lie_side_by_side_are_added_without_the_others() -> None:
    assert sums(gates((2, 4), (4, 6))) == [4, 4]


def test_parts_with_a_gap_between_them_stay_apart() -> None:
    assert sums(gates((0, 2), (6, 8))) == [2, 2, 2, 2]


def test_parts_that_overlap_stay_apart() -> None:
    assert sums(gates((0, 2), (1, 3)))[:2] == [2, 2]  # + x; `split` leaves u whole, + d


def test_one_part_stays_one() -> None:
    assert sums(gates((0, 2))) == [2, 2]


def test_a_scan_without_parts_is_left_as_it_is() -> None:
    before = simplify(scan(rnnc.cells.RNN(3, 4).cell))
    assert rejoin(before) is before


@pytest.mark.parametrize(("name", "sizes"), [("LSTM", (3, 4)), ("SLSTM", (3, 6, 2))])
def test_kernels_read_the_gates_of_an_input_at_once(name: str, sizes: tuple[int, ...]) -> None:
    cell = rnnc.cells[name](*sizes).cell
    *_, last = stages(cell, Goal(backend="triton", record=False))
    forward: Scan = last.value[0].forward
    sliced = [n for n in forward if n.op.name == "slice" and n.args[0].op.name == "at"]
    assert not sliced
