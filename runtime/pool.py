"""Memory that a program keeps from one run to the next.

In: the shape and dtype of an array, as for `np.empty`. Out: such an array, in memory that an
earlier run had and that nobody looks at any more.

The allocator gives much memory back to the system as soon as it is free, and then the next run has
every page of it mapped anew. With glibc an LSTM of 64 units, run 128 steps forward and back, did so
1,100 times a pass with 16 rows and 1,300 to 1,500 times with 32; without, it takes about 0.8 of the
time, with 128 units 0.85 to 0.9.

An array is lent until the last view of it is gone, whoever has that: the user, a history, another
thread. All are views of one array that is watched by a weak reference.

The pools of a process hold only so much together, and what they held longest without a request goes
first: programs that are not run any more leave it to those that are.
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections import deque
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np

from .arrays import Array

SMALLEST = 1 << 17  # bytes: what glibc, before it has learnt more, gives back to the system
MOST = 1 << 27  # bytes that all pools of the process hold
REQUESTS = 64  # so many later, what has not been lent again is let go
LINE = 64  # bytes of a line of the cache; across two of them, all ufuncs take longer


_clock = itertools.count()
_pools: list[weakref.ref[Pool]] = []  # of the process, while there are


@dataclass(frozen=True, slots=True)
class Kept:
    """Memory, and the array that was last lent of it."""

    memory: Array  # uint8[size]
    lent: weakref.ref[Array]
    request: int  # which one that answered


class Pool:
    """The memory of one program, whose threads may share it."""

    def __init__(self) -> None:
        self.asked = next(_clock)
        self._requests = 0
        self.let_go_of_all()
        _pools.append(weakref.ref(self, _pools.remove))

    def let_go_of_all(self) -> None:
        """As if nothing had been lent, and nobody were served."""
        self._kept: deque[Kept] = deque()  # in the order of their requests
        self.nbytes = 0  # what it holds, lent or not
        self._lock = threading.Lock()

    def empty(self, shape: tuple[int, ...], dtype: Any) -> Array:
        """As `np.empty`; nobody else has its memory until the array and all its views are gone."""
        size = prod(shape) * np.dtype(dtype).itemsize
        # Who comes while another is served, such as a destructor that runs meanwhile, goes without.
        if not SMALLEST <= size <= MOST or not self._lock.acquire(blocking=False):
            return np.empty(shape, dtype)
        try:
            self.asked = next(_clock)
            unused = self._unused(size)
            memory = _on_a_line(size) if unused is None else unused
            # A view of a view is one of the first array, and an array's memory may be no array's.
            array: Array = np.frombuffer(memory.data[:size], dtype)
            self._requests += 1
            self._kept.append(Kept(memory, weakref.ref(array), self._requests))
            self.nbytes += memory.nbytes
            while self._kept[0].request <= self._requests - REQUESTS:
                self._drop(0)
        finally:
            self._lock.release()
        if unused is None:
            _keep_within_limit()
        return array.reshape(shape)

    def _unused(self, size: int) -> Array | None:
        """At least so many bytes, less than twice as many: the next call may be a bit longer."""
        for at, kept in enumerate(self._kept):
            if size <= kept.memory.nbytes < 2 * size and kept.lent() is None:
                return self._drop(at)
        return None

    def _drop(self, at: int) -> Array:
        memory = self._kept[at].memory
        del self._kept[at]
        self.nbytes -= memory.nbytes
        return memory

    def let_go(self, size: int) -> None:
        """Of at least so many bytes, if there are so many, first of what was lent longest ago.

        Of none while another thread is served.
        """
        if not self._lock.acquire(blocking=False):
            return
        try:
            least = self.nbytes - size
            while self._kept and self.nbytes > least:
                self._drop(0)
        finally:
            self._lock.release()


def _on_a_line(size: int) -> Array:
    """uint8[size], which begins on a line of the cache."""
    room = np.empty(size + LINE, np.uint8)
    start = -room.ctypes.data % LINE
    return room[start : start + size]


def _pools_there_are() -> list[Pool]:
    return [pool for pool in (known() for known in tuple(_pools)) if pool]


def _keep_within_limit() -> None:
    """Let pools go of what they hold beyond the limit, those first that were not asked for long."""
    pools = _pools_there_are()
    excess = sum(pool.nbytes for pool in pools) - MOST
    if excess <= 0:
        return
    for pool in sorted(pools, key=lambda pool: pool.asked):
        before = pool.nbytes
        pool.let_go(excess)
        excess -= before - pool.nbytes
        if excess <= 0:
            return


def _begin_anew() -> None:
    """In a forked process there is no thread but one, and nobody would give back another's lock."""
    for pool in _pools_there_are():
        pool.let_go_of_all()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
