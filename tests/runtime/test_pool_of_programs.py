"""What a program keeps from run to run changes no number, and is nobody's but its users'."""

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
from rnnc.runtime.pool import SMALLEST, Pool
from rnnc.runtime.recur import Recur
from tests.runtime.models import elman, random

REAL = np.dtype(np.float32)
MASKS: dict[str, dict[str, Any]] = {
    "plain": {},
    "starts": {"starts": [0, 1, 0, 0, 1, 0]},
    "lengths": {"lengths": [6, 3, 0]},
    "boundaries": {"boundaries": [2]},
}


@pytest.fixture
def all_sizes(monkeypatch: pytest.MonkeyPatch) -> None:
    """Arrays of tests, which are small, are kept as large ones are."""
    monkeypatch.setattr(pools, "SMALLEST", 1)


@pytest.fixture
def poisoned(monkeypatch: pytest.MonkeyPatch, all_sizes: None) -> Iterator[list[int]]:
    """No number that a run finds in the memory it is given is one; where that lies."""
    found, empty = [], Pool.empty

    def poison(self: Pool, shape: tuple[int, ...], dtype: Any) -> Array:
        array = empty(self, shape, dtype)
        array.reshape(-1).view(np.uint8)[:] = 0xFF
        found.append(array.ctypes.data)
        return array

    monkeypatch.setattr(Pool, "empty", poison)
    yield found


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
    assert len({*served}) < len(served)  # some of it was kept


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
