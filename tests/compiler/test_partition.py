"""Blocks of a step: which steps divide, along which axes, and into what."""

from __future__ import annotations

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Plan
from rnnc.compiler.partition import Block, partition, undivided
from rnnc.compiler.pipeline import Goal, stages


def plans(text_or_name: str, *sizes: int) -> tuple[Plan, Plan]:
    """Forward and backward of a standard cell, or of the cell `C` of a source."""
    name = text_or_name
    bound = library.loads(name).C if "{" in name else library.std()[name]
    *_, last = stages(bound(*sizes), Goal(backend="triton"))
    _, forward, backward = last.value
    return forward, backward


def axes(block: Block) -> set[tuple[int, ...]]:
    """The shapes of a block's carries."""
    return {tuple(map(int, c.node.type.shape)) for c in block.plan.scan.carries}


@pytest.mark.parametrize("count", [2, 4, 8])
def test_channels_of_a_diagonal_cell_are_apart(count: int) -> None:
    for plan in plans("MinGRU", 3, 16):
        block = partition(plan, count)
        assert block is not None
        assert axes(block) == {(16 // count,)}


def test_heads_are_apart_and_no_more_than_heads() -> None:
    for plan in plans("SLSTM", 3, 12, 3):
        block = partition(plan, 3)
        assert block is not None and axes(block) == {(4,)}
        assert partition(plan, 6) is None, "half a head reads the other half"


def test_rows_of_a_matrix_state_are_apart() -> None:
    forward, backward = plans("DeltaNet", 3, 4, 6)
    block = partition(forward, 3)
    assert block is not None and axes(block) == {(2, 4)}
    assert partition(backward, 3) is None, "a key's cotangent sums over all rows"


def test_a_dense_cell_divides_only_if_blocks_exchange_states() -> None:
    for plan in plans("LSTM", 3, 16):
        assert partition(plan, 4) is None
    forward, _ = plans("LSTM", 3, 16)
    block = partition(forward, 4, exchange=True)
    assert block is not None and axes(block) == {(4,)}
    whole = [a for a in block.arrays.values() if a.axis is None and a.node.op.name == "carry"]
    assert [a.node.label for a in whole] == ["h"], "every block reads all of h, and its own c"


def test_a_size_that_does_not_divide_is_refused() -> None:
    forward, _ = plans("MinGRU", 3, 10)
    assert partition(forward, 4) is None


@pytest.mark.parametrize(
    "equation",
    ["flip(h)", "roll(h, 1)", "cumsum(h)", "h * sum(h)", "h / norm(h)", "concat(h[4:8], h[0:4])"],
)
def test_what_mixes_channels_is_not_divided(equation: str) -> None:
    forward, _ = plans(f"cell C(): (h[8], x[8]) -> (h', h') {{ h' = {equation} + x }}")
    assert partition(forward, 4) is None


def test_numbers_that_differ_from_channel_to_channel_are_parameters_or_nothing() -> None:
    forward, _ = plans("cell C(): (h[8], x[8]) -> (h', h') { param a[8]\n h' = a * h + x }")
    block = partition(forward, 2)
    assert block is not None
    assert {a.axis for a in block.arrays.values() if a.node.op.name == "param"} == {0}


def test_undivided_keeps_what_the_loop_computes() -> None:
    forward, _ = plans("LSTM", 3, 16)
    block = undivided(forward)
    assert block.count == 1
    assert all(forward.computes(n.args[0]) for n in block.plan.kept)
