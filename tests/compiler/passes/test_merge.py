"""`merge` squashes all gates at once; that it changes no value is tested with the pipeline."""

from __future__ import annotations

from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.passes.merge import merge
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from tests.compiler.hand_built import CELLS, Numbers, lstm
from tests.compiler.interpret_scan import interpret


def test_an_lstms_gates_are_one_tanh() -> None:
    before = simplify(scan(lstm()))
    after = simplify(merge(before))
    squashing = [n for n in before if n.op.name in ("tanh", "sigmoid")]
    merged = [n for n in after if n.op.name in ("tanh", "sigmoid")]
    assert (len(squashing), len(merged)) == (5, 2)  # four gates, and tanh(c')


def test_gates_of_an_ensemble_are_one_tanh() -> None:
    """They are rows of the second axis."""
    after = simplify(merge(simplify(scan(ensembled(lstm(), 3)))))
    assert len([n for n in after if n.op.name in ("tanh", "sigmoid")]) == 2


def test_gates_at_their_limits_keep_them() -> None:
    """A saturated gate is 0 or 1, a NaN stays in its row."""
    before = simplify(scan(lstm()))
    n = Numbers.draw(lstm(), rows=3)
    n.params["b"][0], n.params["b"][1] = 800.0, -800.0
    n.xs["x"][1, 0] = float("nan")
    one, other = (
        interpret(s, n.params, n.carry, n.xs, steps=n.steps, rows=n.rows)
        for s in (before, merge(before))
    )
    for name, wanted in one.outs.items():
        assert abs(other.outs[name][:, 1:] - wanted[:, 1:]).max() < 1e-15
        assert (other.outs[name][1:, 0] != other.outs[name][1:, 0]).all()


def test_a_lone_gate_stays_what_it_is() -> None:
    before = simplify(scan(CELLS["elman"]()))
    assert merge(before).roots() == before.roots()
