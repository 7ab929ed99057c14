"""What a program keeps from run to run is nobody's, is not much, and changes no number."""

from __future__ import annotations

import copy
import gc
import pickle
import threading
import weakref
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import rnnc
from rnnc.runtime import pool as pools
from rnnc.runtime.arrays import Array
from rnnc.runtime.pool import LINE, MOST, REQUESTS, SMALLEST, Pool
from rnnc.runtime.recur import Recur
from tests.runtime.models import elman, random

FLOATS = SMALLEST // 4
REAL = np.dtype(np.float32)
MASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "starts": {"starts": [0, 1, 0, 0, 1, 0]},
    "lengths": {"lengths": [6, 3, 0]},
    "boundaries": {"boundaries": [2]},
}


def address(array: Array) -> int:
    return array.ctypes.data


@pytest.fixture
def all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of tests, which are small, are kept as large ones are."""
    monkeypatch.setattr(pools, "SMALLEST", 1)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch, all_sizes: None) -> Iterator[list[int]]:
    """No number that a run finds in the memory it is given is one; how often it is given some."""
    found, unused = [], Pool._unused

    def poison(self: Pool, size: int) -> Array:
        memory = unused(self, size)
        memory[:] = 0xFF
        found.append(size)
        return memory

    monkeypatch.setattr(Pool, "_unused", poison)
    yield found


# -- one pool ------------------------------------------------------------------------------------


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
    monkeypatch.setattr(pools, "MOST", most)
    pool, held = Pool(), []
    for part in (3, 4, 2, 5, 3, 4):
        held.append(pool.empty((most // 4 // part,), REAL))
        assert pool.nbytes <= most
    before = pool.nbytes
    pool.empty((most // 4 + 1,), REAL)  # more than it may hold
    assert pool.nbytes == before > most // 2


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


def test_threads_never_have_the_same_memory() -> None:
    pool, wrong = Pool(), []

    def work(own: int) -> None:
        held: list[Array] = []
        for at in range(200):
            array = pool.empty((FLOATS + at % 7,), REAL)
            array[::997] = own
            held = [*held[-2:], array]
            if not all((one[::997] == own).all() for one in held):
                wrong.append(own)

    threads = [threading.Thread(target=work, args=(own,)) for own in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong and pool.nbytes <= MOST


# -- programs ------------------------------------------------------------------------------------


def results_of(net: Recur, xs: Array, **masks: Any) -> list[Array]:
    """Everything that a user gets of a call and its gradients."""
    net.reset()
    ys, states = net.scan(xs, **masks, states=True)
    grads = net.backward(np.ones_like(ys))
    parts = states, net.state, grads.params, grads.state
    return [ys, grads.inputs, *(array for part in parts for array in part.values())]


@pytest.mark.parametrize("masks", MASKS)
@pytest.mark.parametrize(("name", "more"), [("LSTM", ()), ("MinGRU", ()), ("DeltaNet", (4,))])
def test_results_do_not_depend_on_what_lay_in_memory(
    name: str, more: tuple[int, ...], masks: str, request: pytest.FixtureRequest
) -> None:
    xs = random(6, 3, 3).astype(REAL)

    def found() -> list[Array]:
        net = Recur(getattr(rnnc.cells, name)(3, 4, *more), backend="numpy")
        return [array for _ in range(3) for array in results_of(net, xs, **MASKS[masks])]

    expected = found()
    served = request.getfixturevalue("poisoned")
    for array, wanted in zip(found(), expected, strict=True):
        np.testing.assert_array_equal(array, wanted)
    assert served


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(1, 3), st.booleans()), max_size=12))
def test_what_a_user_holds_never_changes(calls: list[tuple[int, int, bool]]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pools, "SMALLEST", 1)
        net = elman(backend="numpy")
        held: list[tuple[Array, Array]] = []
        for steps, rows, again in calls:
            if not again or len(net.state["h"]) != rows:
                net.reset()
            ys = net.scan(random(steps, rows, 3))
            found = [ys, *net.state.values()]
            if net.recorded:
                grads = net.backward(random(net.recorded, rows, 4))
                found += [grads.inputs, *grads.params.values(), *grads.state.values()]
            held += [(array, array.copy()) for array in (part[-1:] for part in found)]
            for array, copied in held:
                np.testing.assert_array_equal(array, copied)


def test_a_history_is_not_written_over_by_other_nets_of_the_program(all_sizes: None) -> None:
    one, other = elman(backend="numpy"), elman(backend="numpy")
    assert one._program is other._program
    xs, d_ys = random(6, 3, 3), random(6, 3, 4)
    one.scan(xs)
    expected = one.backward(d_ys)
    twin, state = copy.deepcopy(one), pickle.dumps(one)
    for _ in range(3):
        results_of(other, random(6, 3, 3))
    np.testing.assert_array_equal(pickle.loads(state).state["h"], one.state["h"])
    for net in (one, twin):
        found = net.backward(d_ys)
        np.testing.assert_array_equal(found.inputs, expected.inputs)
        for name, array in expected.params.items():
            np.testing.assert_array_equal(found.params[name], array)


def test_threads_of_one_program_compute_what_they_compute_alone(all_sizes: None) -> None:
    xs = [random(5 + at, 3, 3) for at in range(4)]
    expected = [results_of(elman(backend="numpy"), x) for x in xs]
    wrong: list[int] = []

    def work(at: int) -> None:
        net, held = elman(backend="numpy"), []
        for _ in range(10):
            held.append(results_of(net, xs[at]))
        for found in held:
            if not all(map(np.array_equal, found, expected[at])):
                wrong.append(at)

    threads = [threading.Thread(target=work, args=(at,)) for at in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong


def test_passes_of_one_size_take_no_more_memory_than_the_first_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made, empty = [], np.empty

    def counted(shape: Any, *more: Any) -> Array:
        made.append(shape)
        array: Array = empty(shape, *more)
        return array

    net = rnnc.LSTM(8, 64, backend="numpy")
    xs, d_ys = random(80, 16, 8).astype(REAL), random(80, 16, 64).astype(REAL)

    def one_pass() -> tuple[Array, Any]:
        net.reset()
        return net.scan(xs), net.backward(d_ys)

    for _ in range(3):
        held = one_pass()
    monkeypatch.setattr(np, "empty", counted)
    for _ in range(3):
        held = one_pass()
    assert held and not [shape for shape in made if np.prod(shape) > SMALLEST]
    assert net._program._runner._pool.nbytes < 2**24


def test_memory_is_let_go_with_the_program() -> None:
    net = rnnc.loads("cell Sum(n): (h[n], x[n]) -> (h', h') { h' = h + x }").Sum(64)
    held = Recur(net, backend="numpy")
    held.scan(random(600, 4, 64).astype(REAL))
    pool = weakref.ref(held._program._runner._pool)
    kept = pool()
    assert kept is not None and kept.nbytes > SMALLEST
    del net, held, kept
    gc.collect()
    assert pool() is None
