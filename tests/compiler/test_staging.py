"""Stages of a step: where it is cut, and what each stage does."""

from __future__ import annotations

from rnnc.compiler.staging import staged
from tests.compiler.test_partition import plans

RESET_FIRST = """
cell C(n): (h[n], x[n]) -> (h', h') {
    param U[n, n], V[n, n]
    r  = sigmoid(U @ h + x)
    h' = tanh(V @ (r * h) + x)
}
"""


def test_a_step_whose_products_read_states_is_one_stage() -> None:
    forward, _ = plans("LSTM", 3, 16)
    assert len(staged(forward)) == 1


def test_a_backward_step_computes_cotangents_before_it_multiplies_them() -> None:
    _, backward = plans("LSTM", 3, 16)
    first, second = staged(backward)
    assert [c.name for c in first.plan.scan.carries] == ["ct.state.c"]
    assert [c.name for c in second.plan.scan.carries] == ["ct.state.h"]
    (value,) = second.given
    assert not first.given
    assert second.given[value] in first.plan.kept, "the first stage leaves it in memory"
    assert second.given[value] in backward.kept, "where the weight's gradient reads it, too"


def test_a_product_of_what_a_gate_let_through_is_a_stage_of_its_own() -> None:
    forward, _ = plans(RESET_FIRST, 8)
    first, second = staged(forward)
    assert not first.plan.scan.carries
    assert [n.op.name for n in second.given] == ["mul"]
    assert [c.name for c in second.plan.scan.carries] == ["h"]


def test_every_result_belongs_to_one_stage() -> None:
    for plan in (*plans(RESET_FIRST, 8), *plans("GRU", 3, 16), *plans("SLSTM", 3, 12, 3)):
        stages = staged(plan)
        carried = [c.name for s in stages for c in s.plan.scan.carries]
        kept = [n for s in stages for n in s.plan.kept]
        assert sorted(carried) == sorted(c.name for c in plan.scan.carries)
        assert len(set(kept)) == len(kept)
        assert set(kept) >= {n for n in plan.kept if plan.computes(n.args[0])}
