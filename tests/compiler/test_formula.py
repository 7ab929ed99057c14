"""Derivative rules as readers see them."""

from __future__ import annotations

import math
from typing import Any

import pytest

from rnnc.compiler.formula import OPERANDS, slopes
from rnnc.compiler.ops import OPS

ELEMENTWISE = [op for op in OPS.values() if op.partials]

# What a formula is read with: its functions for plain numbers.
FUNCTIONS: dict[str, Any] = {
    "sign": lambda a: math.copysign(1, a),
    "floor": math.floor,
    "sigmoid": lambda a: 1 / (1 + math.exp(-a)),
    "where": lambda test, a, b: a if test else b,
    **{name: getattr(math, name) for name in ("sin", "cos", "log")},
}


def test_formulas_read_as_a_textbook_has_them() -> None:
    assert slopes(OPS["sigmoid"]) == ("y * (1 - y)",)
    assert slopes(OPS["tanh"]) == ("1 - y * y",)
    assert slopes(OPS["div"]) == ("1 / b", "-(y / b)")
    assert slopes(OPS["cos"]) == ("-sin(a)",)
    assert slopes(OPS["floor"]) == ()


@pytest.mark.parametrize("op", ELEMENTWISE, ids=lambda op: op.name)
def test_a_formula_is_the_slope(op: Any) -> None:
    low, high = op.domain
    at = [low + (high - low) * share for share in (0.83, 0.61, 0.37)][: op.arity]

    def value(numbers: list[float]) -> float:
        return float(op.reference(None, *numbers))

    names = dict(zip(OPERANDS, at, strict=False), y=value(at))
    for place, text in enumerate(slopes(op)):
        found = eval(text.replace("^", "**"), {**FUNCTIONS, **names})
        nudged = [[x + sign * 1e-6 * (i == place) for i, x in enumerate(at)] for sign in (1, -1)]
        slope = (value(nudged[0]) - value(nudged[1])) / 2e-6
        assert found == pytest.approx(slope, rel=1e-5, abs=1e-8), text
