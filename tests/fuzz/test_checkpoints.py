"""Spoilt checkpoints and cache entries; `python -m tests.fuzz.checkpoints` spoils any number."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import BinaryIO

import pytest

from rnnc.runtime import launch
from rnnc.runtime.arrays import Array
from rnnc.runtime.checkpoint import file as checkpoint_file
from rnnc.runtime.checkpoint.tensor_file import Header, read_arrays
from tests.fuzz.checkpoints import attempts, seeds_of_nets, try_checkpoint

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
    def believing(file: BinaryIO, size: int, header: Header) -> dict[str, Array]:
        start = file.tell()
        digest = hashlib.sha256(file.read()).hexdigest()
        file.seek(start)
        return read_arrays(file, size, replace(header, digest=digest))

    monkeypatch.setattr(checkpoint_file, "read_arrays", believing)
    for good in seeds_of_nets():
        spoilt = good[:-1] + bytes([good[-1] ^ 1])
        with pytest.raises(AssertionError, match="nobody noticed"):
            try_checkpoint(spoilt, good)


def test_a_cache_that_runs_what_it_finds_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(launch, "write", lambda path, text: None)
    assert failures(20)
