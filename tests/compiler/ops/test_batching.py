"""Every op on operands with one axis more is the op for each place along it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator

import numpy as np
import pytest

from rnnc.compiler.ensemble import batched
from rnnc.compiler.ir import Node, leaf
from rnnc.compiler.ops import OPS, Op
from rnnc.compiler.places import BORDERS
from tests.compiler.interpret_scan import evaluate
from tests.compiler.ops.cases import EVALUATED, ROWS, Array, Case

COUNT = 3
OF_A_CELL = [op for op in OPS.values() if op.arity and op.name not in BORDERS]


@pytest.mark.parametrize("op", OF_A_CELL, ids=lambda op: op.name)
def test_has_exactly_one_batching_rule(op: Op) -> None:
    rules = [op.pointwise, op.widened is not None, op.batching is not None]
    assert rules.count(True) == 1, f"{op.name} needs `widened` or `batching`"


def subsets(case: Case) -> Iterator[tuple[bool, ...]]:
    """Which operands have the axis; at least one."""
    return (has for has in itertools.product((True, False), repeat=len(case.types)) if any(has))


TRIED = [(case, has) for case in EVALUATED for has in subsets(case)]


@pytest.mark.parametrize(("case", "has"), TRIED, ids=str)
def test_batching_is_a_loop_over_the_axis(case: Case, has: tuple[bool, ...]) -> None:
    draws = [case.draw(np.random.default_rng(seed)) for seed in range(COUNT)]
    alone = case.operands()
    node = case.apply(alone)
    wide = [
        leaf("input", f"wide.{at}", a.type.with_shape((COUNT, *a.type.shape))) if own else a
        for at, (a, own) in enumerate(zip(alone, has, strict=True))
    ]
    result = batched(node, COUNT, has, tuple(wide))
    assert result.type == node.type.with_shape((COUNT, *node.type.shape))

    given: dict[Node, Array] = {}
    for at, (operand, own) in enumerate(zip(wide, has, strict=True)):
        front = len(operand.type.axes)  # rows come before members
        each = [drawn[at] for drawn in draws]
        given[operand] = np.stack(each, front) if own else each[0]
    found = evaluate([result], given, ROWS)[result]
    for member, drawn in enumerate(draws):
        mine = {
            a: (drawn if own else draws[0])[at]
            for at, (a, own) in enumerate(zip(alone, has, strict=True))
        }
        wanted = evaluate([node], mine, ROWS)[node]
        got = np.take(found, member, len(node.type.axes))
        np.testing.assert_allclose(got, wanted, rtol=1e-14, atol=1e-14)
