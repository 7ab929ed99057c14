"""Nets side by side: in threads, forked and spawned processes, and tasks."""

from __future__ import annotations

import asyncio
import copy
import multiprocessing
import os
import threading
from typing import Any

import pytest

import rnnc
from rnnc.compiler.pipeline import compile_cell
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.recur import Recur
from tests.faults import nets, threads
from tests.faults.run import SECONDS, forked


@pytest.mark.parametrize("name", threads.NAMES)
def test_threads_that_share_a_program_get_what_they_would_alone(name: str) -> None:
    assert not threads.shared(name, count=60, seed=0)


@pytest.mark.parametrize("name", threads.NAMES)
def test_threads_may_all_be_the_first_to_run_a_program(name: str) -> None:
    assert not threads.cold(name, seed=0)


def test_two_threads_on_one_net_make_whole_calls_or_none() -> None:
    assert not threads.one_net("LSTM", count=300)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_forked_process_goes_on_where_its_parent_is() -> None:
    net = nets.started("LSTM")
    wanted = nets.future(net)
    assert forked(lambda: nets.future(net)) == wanted
    assert nets.future(net) == wanted


@pytest.mark.skipif(not hasattr(os, "fork"), reason="there is no fork here")
def test_a_process_may_be_forked_while_another_thread_compiles(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net = rnnc.Recur(BoundCell(nets.new("LSTM").cell.cell))
    begun, over = threading.Event(), threading.Event()

    def slowly(cell: Any, goal: Any) -> Any:
        begun.set()
        over.wait()
        return compile_cell(cell, goal)

    def other() -> str:
        monkeypatch.undo()
        return nets.digest(net.scan(nets.inputs(net, 3)))

    monkeypatch.setattr("rnnc.runtime.variants.compile_cell", slowly)
    thread = threading.Thread(target=copy.copy(net).scan, args=(nets.inputs(net, 3),))
    thread.start()
    begun.wait()
    try:
        assert forked(other) == nets.digest(nets.new("LSTM").scan(nets.inputs(net, 3)))
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("blas_threads", ["1", "64"])
def test_a_spawned_process_computes_the_same(
    blas_threads: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With any number of threads for BLAS: G 118 of the list of bad inputs."""
    for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
        monkeypatch.setenv(name, blas_threads)
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found = pool.apply_async(threads.spawned, ("LSTM",)).get(SECONDS)
    assert found == threads.spawned("LSTM")


def test_tasks_take_turns_with_nets_of_their_own() -> None:
    async def task(seed: int) -> str:
        net, found = nets.new("GRU", seed=seed), []
        for _ in range(20):
            found.append(net(nets.inputs(net)))
            await asyncio.sleep(0)
        return nets.digest(found)

    async def all_of_them() -> list[str]:
        return await asyncio.gather(*map(task, range(5)))

    assert asyncio.run(all_of_them()) == [asyncio.run(task(seed)) for seed in range(5)]


def test_a_net_that_a_task_sent_to_a_thread_is_refused_to_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    net, begun, over = nets.new("LSTM").eval(), threading.Event(), threading.Event()
    xs, run = nets.inputs(net, 5), Recur._run

    def slowly(*arguments: Any, **keywords: Any) -> Any:
        begun.set()
        if threading.current_thread() is not threading.main_thread():
            over.wait(SECONDS)
        return run(*arguments, **keywords)

    async def main() -> None:
        running = asyncio.create_task(asyncio.to_thread(net.scan, xs))
        await asyncio.to_thread(begun.wait, SECONDS)
        try:
            with pytest.raises(rnnc.Error) as caught:
                net.scan(xs[:1])
        finally:
            over.set()
        assert caught.value.code == "net-in-use"
        assert (await running).shape == (5, nets.ROWS, 4)

    monkeypatch.setattr(Recur, "_run", slowly)
    asyncio.run(main())
