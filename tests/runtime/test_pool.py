"""Memory that is lent is nobody else's while there is a view of it, and there is not much of it."""

from __future__ import annotations

import gc
import os
import threading
from typing import Any

import numpy as np
import pytest

from rnnc.runtime import pool as pools
from rnnc.runtime.arrays import Array
from rnnc.runtime.pool import LINE, REQUESTS, SMALLEST, Pool
from tests.faults.run import forked

FLOATS = SMALLEST // 4
REAL = np.dtype(np.float32)


def address(array: Array) -> int:
    return array.ctypes.data


def test_memory_is_lent_again_when_the_array_is_gone() -> None:
    pool = Pool()
    array = pool.empty((2, FLOATS), REAL)
    assert array.shape == (2, FLOATS) and array.dtype == REAL
    assert array.flags.c_contiguous and array.flags.writeable
    first = address(array)
    other = pool.empty((2, FLOATS), REAL)
    assert not np.may_share_memory(array, other)
    del array
    assert address(pool.empty((2, FLOATS), REAL)) == first


@pytest.mark.parametrize("dtype", [np.float64, np.int64, bool])
def test_memory_serves_arrays_of_any_dtype(dtype: Any) -> None:
    pool = Pool()
    first = address(pool.empty((2 * SMALLEST,), bool))
    array = pool.empty((2 * SMALLEST // np.dtype(dtype).itemsize,), dtype)
    assert address(array) == first and array.dtype == dtype


def test_arrays_begin_on_a_line_of_the_cache() -> None:
    pool = Pool()
    arrays = [pool.empty((FLOATS + more,), REAL) for more in range(5)]
    assert [address(array) % LINE for array in arrays] == [0] * 5


VIEWS: dict[str, Any] = {
    "a view": lambda array: array[1:],
    "a view of a view": lambda array: array[1:].T[3:],
    "another dtype": lambda array: array.view(np.uint8)[:, 1:],
    "a memoryview": lambda array: memoryview(array[1:]),
    "an array of a memoryview": lambda array: np.asarray(memoryview(array)),
    "an iterator": lambda array: array[1:].flat,
    "an array's interface": lambda array: np.lib.stride_tricks.as_strided(array, (2, 2)),
    "a masked array": lambda array: np.ma.masked_array(array, mask=False),
}  # fmt: skip


@pytest.mark.parametrize("kind", VIEWS)
def test_memory_is_lent_while_there_is(kind: str) -> None:
    pool = Pool()
    array = pool.empty((4, FLOATS), REAL)
    first, view = address(array), VIEWS[kind](array)
    del array
    assert address(pool.empty((4, FLOATS), REAL)) != first
    del view
    pool = Pool()
    array = pool.empty((4, FLOATS), REAL)
    first, view = address(array), VIEWS[kind](array)
    del array, view
    assert address(pool.empty((4, FLOATS), REAL)) == first


@pytest.mark.torch
@pytest.mark.parametrize("way", ["from_numpy", "from_dlpack"])
def test_memory_is_lent_while_there_is_a_tensor(way: str) -> None:
    torch: Any = pytest.importorskip("torch")
    pool = Pool()
    array = pool.empty((4, FLOATS), REAL)
    first, tensor = address(array), getattr(torch, way)(array)[1:]
    del array
    assert address(pool.empty((4, FLOATS), REAL)) != first
    del tensor
    assert first in {address(pool.empty((4, FLOATS), REAL)) for _ in range(2)}


def test_memory_outlives_its_pool() -> None:
    pool = Pool()
    array = pool.empty((FLOATS,), REAL)
    array[:] = 7
    del pool
    gc.collect()
    junk = [np.full(FLOATS + LINE // 4, 1, REAL) for _ in range(10)]
    assert (array == 7).all() and len(junk) == 10


def test_small_arrays_are_not_kept() -> None:
    pool = Pool()
    pool.empty((FLOATS - 1,), REAL)
    pool.empty((0, 3), REAL)
    assert pool.nbytes == 0


def test_a_pool_holds_only_so_much(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 24 * SMALLEST
    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(pools, "MOST", most)
    pool, held = Pool(), []
    for part in (3, 4, 2, 5, 3, 4):
        held.append(pool.empty((most // 4 // part,), REAL))
        assert pool.nbytes <= most
    before = pool.nbytes
    pool.empty((most // 4 + 1,), REAL)  # more than it may hold
    assert pool.nbytes == before > most // 2


def test_all_pools_hold_only_so_much_and_those_let_go_that_were_not_asked_for_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(pools, "MOST", 8 * SMALLEST)
    old, older, new = Pool(), Pool(), Pool()
    older.empty((2 * FLOATS,), REAL)
    older.empty((FLOATS,), REAL)
    old.empty((2 * FLOATS,), REAL)
    new.empty((3 * FLOATS,), REAL)
    assert [pool.nbytes // SMALLEST for pool in (older, old, new)] == [3, 2, 3]
    new.empty((FLOATS,), REAL)
    assert [pool.nbytes // SMALLEST for pool in (older, old, new)] == [1, 2, 4]
    new.empty((4 * FLOATS,), REAL)
    assert [pool.nbytes // SMALLEST for pool in (older, old, new)] == [0, 0, 8]
    new.empty((3 * FLOATS,), REAL)  # in memory that there is
    assert new.nbytes == 8 * SMALLEST


def test_a_pool_that_is_gone_counts_for_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(pools, "MOST", 8 * SMALLEST)
    gone, pool = Pool(), Pool()
    gone.empty((6 * FLOATS,), REAL)
    del gone
    pool.empty((3 * FLOATS,), REAL)
    pool.empty((4 * FLOATS,), REAL)
    assert pool.nbytes == 7 * SMALLEST
    assert len(pools._pools) == 1


def test_what_is_not_used_any_more_is_let_go() -> None:
    pool = Pool()
    pool.empty((20 * FLOATS,), REAL)
    for _ in range(REQUESTS - 1):
        pool.empty((FLOATS,), REAL)
    assert pool.nbytes == 21 * SMALLEST
    pool.empty((FLOATS,), REAL)
    assert pool.nbytes == SMALLEST


def test_a_shorter_array_takes_at_most_twice_its_memory() -> None:
    pool = Pool()
    first = address(pool.empty((4 * FLOATS,), REAL))
    assert address(pool.empty((2 * FLOATS,), REAL)) != first
    assert address(pool.empty((2 * FLOATS + 1,), REAL)) == first


def test_who_asks_while_another_is_served_goes_without() -> None:
    pool = Pool()
    with pool._lock:
        array = pool.empty((FLOATS,), REAL)
    assert array.shape == (FLOATS,) and array.flags.owndata and pool.nbytes == 0


def test_an_allocation_that_fails_leaves_the_pool_as_it_was() -> None:
    pool = Pool()
    first = address(pool.empty((FLOATS,), REAL))
    with pytest.raises(MemoryError):
        pool.empty((2**50,), REAL)
    assert address(pool.empty((FLOATS,), REAL)) == first


@pytest.mark.parametrize("alone", [True, False], ids=["a pool for each", "one pool"])
def test_threads_never_have_the_same_memory(alone: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pools, "_pools", [])
    monkeypatch.setattr(pools, "MOST", 9 * SMALLEST)
    shared, made, wrong = Pool(), list[Pool](), list[Any]()

    def work(own: int) -> None:
        try:
            pool = Pool() if alone else shared
            made.append(pool)
            held: list[Array] = []
            for at in range(200):
                array = pool.empty((FLOATS + at % 7,), REAL)
                array[::997] = own
                held = [*held[-2:], array]
                if not all((one[::997] == own).all() for one in held):
                    wrong.append(own)
        except Exception as error:
            wrong.append(error)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and len(pools._pools) == 1 + 4 * alone
    shared.empty((FLOATS,), REAL)  # nobody else is served now, so that all can let go
    shared.empty((2 * FLOATS,), REAL)
    assert sum(pool.nbytes for pool in {shared, *made}) <= pools.MOST


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs processes that fork")
def test_a_forked_process_waits_for_no_thread() -> None:
    pool = Pool()
    array = pool.empty((FLOATS,), REAL)
    array[:] = 7

    def work() -> str:
        found = pool.empty((2 * FLOATS,), REAL)
        found[:] = 1
        return f"{pool.nbytes // SMALLEST} {len({*array.tolist()})}"

    with pool._lock:  # as if another thread were served
        assert forked(work) == "2 1"
    assert (array == 7).all()
