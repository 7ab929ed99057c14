"""Limits of time that hold on any machine.

A limit is in seconds of a processor, so that other processes do not count, and of the machine on
which limits were written: a slower one has as much more time as a known work takes there.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from time import process_time
from typing import Final

WORK: Final = 200_000
SECONDS: Final = 0.011  # that `slowness` takes where limits were written


def slowness() -> float:
    """How many times slower this machine is at the moment; at least 1."""
    begun, total = process_time(), 0
    for number in range(WORK):
        total += number
    return max(1.0, (process_time() - begun) / SECONDS)


def is_soon(seconds: float, limit: float) -> bool:
    """Whether so many seconds of a processor here are less than the limit there."""
    return seconds < limit or seconds < limit * slowness()


@contextmanager
def within(limit: float, what: str = "this") -> Iterator[None]:
    """Fail where the block takes longer."""
    begun = process_time()
    yield
    seconds = process_time() - begun
    assert is_soon(seconds, limit), f"{what} took {seconds:.2f} s, of {limit:g} that it may"
