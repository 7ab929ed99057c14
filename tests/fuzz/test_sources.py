"""Spoilt sources get programs or diagnostics; `python -m tests.fuzz.sources` tries any number."""

from __future__ import annotations

import warnings
from dataclasses import replace
from importlib import import_module

import pytest

from rnnc.compiler.elaborate import expressions
from rnnc.grammar.problems_of_syntax import UnexpectedToken
from rnnc.grammar.source import Span
from tests.fuzz import answers
from tests.fuzz.answers import answer
from tests.fuzz.mutants import MUTATIONS, Mutant, corpus, mutant
from tests.fuzz.reduce import reduced_text
from tests.fuzz.sources import tally

PARSING = import_module("rnnc.grammar.parse")  # `rnnc.grammar.parse` is its function
SEEDS = range(150)
GOOD = Mutant(0, "none", b"cell C(n): (h[n], x[n]) -> (h', h') { h' = tanh(h + x) }\n", ())


def test_spoilt_sources_get_programs_or_diagnostics() -> None:
    found = tally(SEEDS)
    assert found.count == len(SEEDS) and not found.failures, "\n".join(found.lines())
    assert len(found.outcomes) > 20 and found.outcomes["program"] > 3


def test_every_mutation_is_made() -> None:
    kinds = {kind for seed in SEEDS for kind in mutant(seed).kind.split()}
    assert kinds == {*MUTATIONS, "bytes"}
    assert all(len(texts) > 0 for texts in corpus())


def test_a_seed_gives_one_source() -> None:
    assert [mutant(seed) for seed in range(50)] == [mutant(seed) for seed in range(50)]


def failures_of(*, data: bytes = GOOD.data) -> tuple[str, ...]:
    return answer(replace(GOOD, data=data)).failures


def test_what_is_raised_by_mistake_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not failures_of()
    monkeypatch.setattr(expressions, "joint_shape", lambda *_: 1 / 0)
    (failure,) = failures_of()
    assert failure.startswith("ZeroDivisionError at ")


def test_a_warning_of_pythons_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(PARSING, "check_form", lambda *_: warnings.warn("hm", stacklevel=1))
    (failure,) = failures_of()
    assert failure.startswith("UserWarning at ")


@pytest.mark.parametrize(
    ("start", "stop", "headline", "kind"),
    [
        (40, 9_000, "too far", "span outside"),
        (-1, 5, "too near", "span outside"),
        (5, 6, "<object object at 0x7f>", "speaks of Python"),
    ],
)
def test_a_bad_diagnostic_is_noticed(
    start: int, stop: int, headline: str, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def check(tree, collector) -> None:  # type: ignore[no-untyped-def]
        collector.add(UnexpectedToken(headline, Span(tree.span.source, start, stop)))

    monkeypatch.setattr(PARSING, "check_form", check)
    assert any(failure.startswith(kind) for failure in failures_of())


def test_what_is_slow_or_large_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "SECONDS", 0.0)
    monkeypatch.setattr(answers, "MEGABYTES", -1.0)
    assert [failure.split(":")[0] for failure in failures_of()] == ["slow", "large"]


def test_a_failing_text_is_made_smaller() -> None:
    text = "".join(mutant(seed).text for seed in range(3)) + "\n    y = sinh(x) + needle * 2\n"
    assert reduced_text(text, lambda each: "needle" in each) == "needle"
