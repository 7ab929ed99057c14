"""A step that is run by itself computes parts where they are read, and says what goes where."""

from __future__ import annotations

import rnnc
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.compiler.single import Step, one_step
from tests.compiler.backends.sources import STANDARD


def step_of(states: str, body: str) -> Step:
    """The forward step of a cell with these states, of six units each, and an input like them."""
    header = f"(({states}), x[6]) -> (({states.replace('[6]', chr(39))}), h')"
    cell = rnnc.loads(f"cell C(): {header} {{\n{body}\n}}\n").C().cell
    (plan, _) = compile_cell(cell, Goal(record=False, backend="triton")).plans
    assert plan is not None
    return one_step(plan)


def shapes(step: Step, op: str) -> list[tuple[int, ...]]:
    """Of the nodes of an op."""
    return [tuple(map(int, n.type.shape)) for n in step.nodes if n.op.name == op]


def test_gates_are_taken_apart_right_behind_their_product() -> None:
    (plan, _) = compile_cell(STANDARD["LSTM"](3, 8), Goal(backend="triton")).plans
    assert plan is not None
    step = one_step(plan)
    sliced = {node.args[0].op.name for node in step.nodes if node.op.name == "slice"}
    assert "einsum" in sliced and not {"add", "mul"} & sliced
    assert all(8 in map(int, n.type.shape) for n in step.nodes if n.op.pointwise)
    assert not [n for n in step.nodes if n.op.pointwise and len(n.type.shape) > 2]


def test_what_is_read_whole_stays_whole() -> None:
    step = step_of("h[6], c[6]", "v = tanh(h + x)\nc' = v\nh' = concat(v[3:6], v[0:3])")
    assert shapes(step, "tanh") == [(6,)]


def test_no_element_is_computed_twice() -> None:
    step = step_of("h[6]", "v = tanh(h + x)\nh' = concat(v[0:4], v[1:3] * v[3:5])")
    assert shapes(step, "tanh") == [(6,)]


def test_numbers_are_cut_too() -> None:
    step = step_of("h[6]", "v = tanh(h * 0.5 + x)\nh' = concat(v[3:6], v[0:3] * 2.0)")
    assert shapes(step, "tanh") == [(3,), (3,)]


def test_a_long_chain_is_cut_in_no_time() -> None:
    """Of values that the next one reads twice: there are 2 to the power of their number paths."""
    lines = "\n".join(f"v{i + 1} = v{i} * (v{i} + h)" for i in range(60))
    step = step_of("h[6]", f"v0 = h + x\n{lines}\nh' = concat(v60[3:6], v60[0:3])")
    assert set(shapes(step, "mul")) == {(3,)}


def test_products_read_states_rounded() -> None:
    for plan in compile_cell(STANDARD["LSTM"](3, 8), Goal(backend="triton")).plans:
        assert plan is not None
        step = one_step(plan)
        states = {carry.node for carry in plan.scan.carries}
        products = [node for node in step.nodes if node.op.name == "einsum"]
        assert products and not states & {arg for node in products for arg in node.args}
        assert set(step.rounded.values()) <= states
        assert set(step.rounded) <= {copy.array for copy in step.copies}


def test_a_state_that_stays_is_not_copied() -> None:
    step = step_of("h[6], c[6]", "h' = h + x * c\nc' = c")
    assert [c.array.attr for c in step.copies if c.array.op.name == "carry"] == ["h"]
