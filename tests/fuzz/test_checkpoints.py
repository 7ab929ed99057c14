"""Spoilt checkpoints and cache entries; `python -m tests.fuzz.checkpoints` spoils any number."""

from __future__ import annotations

import pytest

from rnnc.runtime import description, launch
from rnnc.runtime.snapshot import Settings
from tests.fuzz.checkpoints import attempts

MUTANTS = 150


def failures(count: int) -> list[str]:
    found: list[str] = []
    attempts(range(count), lambda seed, error: found.append(f"seed {seed}: {error!r}"))
    return found


def test_every_mutant_is_refused_or_is_a_net() -> None:
    found: list[str] = []
    told = attempts(range(MUTANTS), lambda seed, error: found.append(f"seed {seed}: {error!r}"))
    assert not found, "\n".join(found)
    assert told["refused, bad-checkpoint"] > MUTANTS / 2 and told["another net"]
    assert told["a miss, module"] and told["a miss, verdict"]


def test_a_reader_that_believes_what_it_reads_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(description, "_settings", lambda said: Settings(**said))
    assert failures(100)


def test_a_cache_that_runs_what_it_finds_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "write", lambda path, text: None)
    assert failures(20)
