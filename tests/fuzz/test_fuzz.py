"""200 random programs agree with the oracle; `python -m tests.fuzz` runs any number of them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnc.compiler.ops import OPS
from tests.fuzz.check import check
from tests.fuzz.generator import generate

PROGRAMS, AT_ONCE = 200, 10


@pytest.mark.parametrize("first", range(0, PROGRAMS, AT_ONCE))
def test_random_programs_agree_with_the_oracle(first: int) -> None:
    """Values and gradients, masked and not; what amplifies errors is compared step by step."""
    reports = [check(generate(seed)) for seed in range(first, first + AT_ONCE)]
    wrong = [str(report) for report in reports if report.failures]
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)
    assert sum(r.sensitive for r in reports) <= AT_ONCE // 3, "too few are compared as a whole"


def failing(count: int) -> int:
    return sum(bool(check(generate(seed)).failures) for seed in range(count))


def test_a_backend_that_computes_something_else_is_noticed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(OPS["tanh"].spell, "numpy", "np.sin({0}, {out})")
    assert failing(20) >= 5


def test_a_wrong_derivative_is_noticed_though_oracle_and_backend_share_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    wrong = replace(OPS["sigmoid"], partials=lambda y, a: (y * (1.001 - y),))
    monkeypatch.setitem(OPS, "sigmoid", wrong)
    assert failing(20) >= 3
