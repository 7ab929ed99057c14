"""Ensembles of random programs are what their members give, run apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnc.compiler.ops import OPS
from tests.fuzz.ensembles import failures, sources

SEEDS, AT_ONCE = 40, 8


@pytest.mark.parametrize("first", range(0, SEEDS, AT_ONCE))
def test_ensembles_of_random_programs_are_their_members(first: int) -> None:
    tried = [source for seed in range(first, first + AT_ONCE) for source in sources(seed)]
    wrong = [
        "\n".join([f"seed {source.seed}", *lines, source.text])
        for source in tried
        if (lines := failures(source))
    ]
    if wrong:
        pytest.fail("\n\n".join(wrong), pytrace=False)


def test_a_wrong_batching_rule_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    backwards = replace(OPS["concat"], widened=lambda axis, _size: axis)
    monkeypatch.setitem(OPS, "concat", backwards)
    assert any(failures(source) for seed in range(10) for source in sources(seed))
