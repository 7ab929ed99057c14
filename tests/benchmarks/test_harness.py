"""The timing harness: wrong contenders are refused, turns are interleaved, ratios are paired."""

from __future__ import annotations

import argparse
import gc
import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.harness import (
    THREAD_VARIABLES,
    Contender,
    Protocol,
    Sampler,
    WrongResult,
    add_options,
    by_clock,
    compare,
    merged,
    relative_error,
    start,
    table,
    write_json,
)


class Machine:
    """A clock that moves when work is done, and only then; `slowness` may change over time."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slowness: Callable[[float], float] = lambda now: 1.0
        self.log: list[str] = []

    def clock(self) -> float:
        return self.now

    @property
    def sample(self) -> Sampler:
        return by_clock(self.clock)

    def contender(self, name: str, seconds: float, result: object = 1.0) -> Contender:
        def run() -> object:
            self.log.append(name)
            self.now += seconds * self.slowness(self.now)
            return result

        return Contender(name, run)


@pytest.fixture
def machine() -> Machine:
    return Machine()


@pytest.fixture(autouse=True)
def nothing_else_to_collect() -> Iterator[None]:
    """`compare` collects garbage every round: of these tests, not of the whole suite."""
    gc.freeze()
    yield
    gc.unfreeze()


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"y": np.array([1.0, 2.1])}, "sly: off by 0.05 relative to honest, allowed 1e-06"),
        ({"y": np.array([1.0, np.nan])}, "sly: y is not finite"),
        ({"y": np.ones(3)}, r"sly: y has shape \(3,\), the reference's \(2,\)"),
        ({"z": np.ones(2)}, r"sly: returns \['z'\], the reference \['y'\]"),
    ],
)
def test_a_wrong_contender_is_named_and_nothing_is_timed(
    machine: Machine, wrong: object, message: str
) -> None:
    honest = machine.contender("honest", 1.0, {"y": np.array([1.0, 2.0])})
    sly = machine.contender("sly", 0.1, wrong)
    with pytest.raises(WrongResult, match=message):
        compare("work", [honest, sly], tolerance=1e-6, protocol=Protocol(), sample=machine.sample)
    assert machine.log == ["honest", "sly"]


def test_one_wrong_element_among_many_is_seen() -> None:
    expected = np.ones((100, 100))
    found = expected.copy()
    found[3, 4] = 1.5
    assert relative_error([found, 1.0], [expected, 1.0]) == 0.5


def test_every_round_times_everyone_once_in_changing_order(machine: Machine) -> None:
    contenders = [machine.contender(name, 1.0) for name in "abc"]
    protocol = Protocol(rounds=20, minimum_time=0.5, seed=1)
    compare("work", contenders, tolerance=0, protocol=protocol, sample=machine.sample)
    timed = machine.log[-60:]
    rounds = ["".join(timed[at : at + 3]) for at in range(0, 60, 3)]
    assert {"".join(sorted(names)) for names in rounds} == {"abc"}
    assert len(set(rounds)) > 3, f"the order hardly changes: {rounds}"


def test_the_order_repeats_with_the_seed() -> None:
    logs = []
    for seed in (7, 7, 8):
        machine = Machine()
        contenders = [machine.contender(name, 1.0) for name in "abc"]
        protocol = Protocol(rounds=10, minimum_time=0.5, seed=seed)
        compare("work", contenders, tolerance=0, protocol=protocol, sample=machine.sample)
        logs.append(machine.log)
    assert logs[0] == logs[1] != logs[2]


def test_a_sample_lasts_the_minimum_time(machine: Machine) -> None:
    fast, slow = machine.contender("fast", 0.001), machine.contender("slow", 3.0)
    protocol = Protocol(rounds=3, minimum_time=0.05)
    found = compare("work", [fast, slow], tolerance=0, protocol=protocol, sample=machine.sample)
    assert 50 <= found.timings[0].inner_loops <= 80
    assert found.timings[1].inner_loops == 1
    assert found.timings[0].spread.median == pytest.approx(0.001)


def test_paired_ratios_survive_a_machine_that_slows_down(machine: Machine) -> None:
    machine.slowness = lambda now: 1 + now // 60  # steps up now and then, to fourfold
    reference, twice = machine.contender("reference", 2.0), machine.contender("twice", 1.0)
    protocol = Protocol(rounds=40, minimum_time=0.5)
    contenders = [reference, twice]
    found = compare("work", contenders, tolerance=0, protocol=protocol, sample=machine.sample)
    times, ratio = found.timings[1].spread, found.timings[1].ratio
    assert times.maximum > 2 * times.minimum
    assert (ratio.lower_quartile, ratio.median, ratio.upper_quartile) == (2.0, 2.0, 2.0)
    assert found.timings[0].ratio.median == 1.0


def test_comparisons_of_one_work_are_one_with_the_rounds_of_all(machine: Machine) -> None:
    parts = [
        compare(
            "work", [machine.contender("a", 1.0), machine.contender("b", seconds)],
            tolerance=0, protocol=Protocol(rounds=2, minimum_time=0), sample=machine.sample,
        )
        for seconds in (2.0, 4.0)
    ]  # fmt: skip
    a, b = merged(parts).timings
    assert a.seconds == pytest.approx([1, 1, 1, 1]) and b.seconds == pytest.approx([2, 2, 4, 4])
    assert b.ratios == pytest.approx([1 / 2, 1 / 2, 1 / 4, 1 / 4])
    assert b.spread.median == pytest.approx(3) and b.ratio.median == pytest.approx(3 / 8)


def test_the_collector_rests_while_timing_and_wakes_after() -> None:
    seen: list[bool] = []

    def run() -> float:
        seen.append(gc.isenabled())
        if len(seen) == 4:
            raise KeyboardInterrupt
        return 1.0

    assert gc.isenabled()
    with pytest.raises(KeyboardInterrupt):
        protocol = Protocol(rounds=9, minimum_time=0)
        compare("work", [Contender("only", run)], tolerance=0, protocol=protocol)
    assert seen == [True, False, False, False]  # the check, the warm-up, two rounds
    assert gc.isenabled()


def test_the_json_file_holds_samples_machine_and_command(machine: Machine, tmp_path: Path) -> None:
    protocol = Protocol(rounds=4, minimum_time=0.5)
    contenders = [machine.contender("a", 2.0), machine.contender("b", 1.0)]
    found = compare(
        "work",
        contenders,
        tolerance=0,
        protocol=protocol,
        facts={"hidden": 64},
        targets={"b": 1.5},
        sample=machine.sample,
    )
    write_json(tmp_path / "out.json", [found], protocol)
    record = json.loads((tmp_path / "out.json").read_text())
    assert record["protocol"] == {"rounds": 4, "minimum_time": 0.5, "seed": 0}
    assert {"processor", "cores", "python", "numpy", "blas", "blas threads"} <= set(
        record["machine"]
    )
    assert record["date"].endswith("+00:00") and record["command"].startswith("python ")
    (comparison,) = record["comparisons"]
    assert comparison["facts"] == {"hidden": 64} and comparison["targets"] == {"b": 1.5}
    assert comparison["timings"][1]["seconds"] == [1.0] * 4
    assert comparison["timings"][1]["ratios"] == [2.0] * 4


def test_a_number_of_threads_begins_a_fresh_process_once(monkeypatch: pytest.MonkeyPatch) -> None:
    begun: list[Any] = []
    monkeypatch.setattr(os, "execve", lambda *arguments: begun.append(arguments))
    monkeypatch.setattr(sys, "argv", ["loop", "--threads", "3"])
    monkeypatch.setattr(sys, "orig_argv", ["py", "-m", "benchmarks.loop", "--threads", "3"])
    for name in THREAD_VARIABLES:
        monkeypatch.delenv(name, raising=False)
    parser = argparse.ArgumentParser()
    add_options(parser)

    start(parser)
    ((program, command, environment),) = begun
    assert command == [program, "-m", "benchmarks.loop", "--threads", "3"]
    assert {environment[name] for name in THREAD_VARIABLES} == {"3"}

    for name in THREAD_VARIABLES:
        monkeypatch.setenv(name, "3")
    assert start(parser).threads == 3
    assert len(begun) == 1, "it began again although the variables are set"


def test_a_table_aligns_names_left_and_figures_right() -> None:
    assert table(["work", "ms"], [["LSTM", "1.5"], ["a", "12.25"]]) == (
        "work     ms\n----  -----\nLSTM    1.5\na     12.25"
    )
