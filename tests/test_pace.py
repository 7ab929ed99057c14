"""The measure of time: what is slow is noticed, and a slow machine is not."""

from __future__ import annotations

import pytest

from tests import pace


def test_what_takes_many_times_its_limit_is_noticed() -> None:
    with pytest.raises(AssertionError, match=r"this took [\d.]+ s, of 0.0001 that it may"):
        with pace.within(1e-4):
            sum(n for n in range(300_000))


def test_a_slower_machine_has_more_time(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not pace.is_soon(1.0, 0.001)
    monkeypatch.setattr(pace, "SECONDS", pace.SECONDS / 1e5)  # there, all is as much slower
    assert pace.is_soon(1.0, 0.001)


def test_a_faster_machine_has_no_less(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pace, "SECONDS", pace.SECONDS * 1e5)
    assert pace.is_soon(0.9, 1.0) and not pace.is_soon(1.0, 1.0)
