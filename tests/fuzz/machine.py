"""Nets and their plain meaning, told the same: a state machine that Hypothesis runs.

    python -m tests.fuzz.machine --seed 0 --count 10000 --log FILE

Every run makes a net and tells it a story of calls, boundaries, saves, copies and mistakes, and
`plain_net.PlainNet` the same one. Outputs, states, gradients, what is recorded and every refusal
must be the same. A story that ends badly is made shorter, and printed.
"""

from __future__ import annotations

import argparse
import atexit
import copy
import pickle
import shutil
import sys
import tempfile
import time
import traceback
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import HealthCheck, Phase, seed, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.fuzz.compiled import CELLS, SIGNS, bound, compiled_once
from tests.fuzz.log import Log, versions
from tests.fuzz.mistakes import mistakes
from tests.fuzz.plain_net import Named, PlainNet

WAYS = ("truncate", "reset", "set_state", "save", "save", "pickle")
MASKS = ("starts", "places", "lengths", "period", "cuts", "weights")
MOST_TWINS = 3
MOST_STEPS = 30  # that a story has
TOLERANCE = 1e-9

seeds = st.integers(0, 2**16)
some_rows = st.sampled_from([0, 1, 2, 2, 3])


@cache
def folder() -> Path:
    """Where nets are saved; it goes when the process ends."""
    made = tempfile.mkdtemp(prefix="rnnc-machine-")
    atexit.register(shutil.rmtree, made)
    return Path(made)


def close(found: Any, wanted: Any, what: str) -> None:
    np.testing.assert_allclose(found, wanted, TOLERANCE, TOLERANCE, err_msg=what)


class NetMachine(RuleBasedStateMachine):
    """One story."""

    stories = events = 0  # told so far

    def __init__(self) -> None:
        super().__init__()
        self.twins: list[tuple[Recur, PlainNet]] = []
        self.at = 0
        NetMachine.stories += 1

    @initialize(
        name=st.sampled_from(CELLS), window=st.sampled_from([None, None, 1, 3]),
        batch_first=st.booleans(), exact=st.sampled_from([False, False, True]),
    )  # fmt: skip
    def begin(self, name: str, window: int | None, batch_first: bool, exact: bool) -> None:
        net = Recur(
            bound(name), dtype="float64", history=window, batch_first=batch_first, exact=exact
        )
        params = {name: np.asarray(array) for name, array in net.params.items()}
        self.twins = [(net, PlainNet(net.cell.cell, params, window))]
        self.batch_first = batch_first

    @property
    def net(self) -> Recur:
        return self.twins[self.at][0]

    @property
    def plain(self) -> PlainNet:
        return self.twins[self.at][1]

    # -- calls -----------------------------------------------------------------------------------

    def rows(self, batch: int, batched: bool) -> tuple[int, bool]:
        """Those that the state has, or else those asked for."""
        return self.plain.rows or (batch if batched else 1, batched)

    def drawn(self, rng: np.random.Generator, *lead: int) -> Named:
        """Every input of a call, [T, B, ...]."""
        found = {}
        for x in self.plain.cell.inputs:
            shape = (*lead, *map(int, x.node.type.shape))
            is_real = x.node.type.kind == "real"
            found[x.name] = rng.standard_normal(shape) if is_real else rng.integers(0, SIGNS, shape)
        return found

    def shown(self, array: Array, batched: bool, single: bool) -> Array:
        """[T, B, ...] -> the user's axes."""
        if not batched:
            array = array[:, 0]
        if batched and self.batch_first and not single:
            array = array.swapaxes(0, 1)
        found: Array = array[0] if single else array
        return found

    def given(self, named: Named, batched: bool, single: bool) -> Any:
        parts = tuple(self.shown(array, batched, single) for array in named.values())
        return parts if len(parts) > 1 else parts[0]

    def compare(self, found: Any, wanted: Named, batched: bool, single: bool) -> None:
        parts = found if isinstance(found, tuple) else (found,)
        for part, (name, array) in zip(parts, wanted.items(), strict=True):
            close(part, self.shown(array, batched, single), name)

    @rule(seed=seeds, batch=some_rows, batched=st.booleans())
    def step(self, seed: int, batch: int, batched: bool) -> None:
        rows = self.rows(batch, batched)
        xs = self.drawn(np.random.default_rng(seed), 1, rows[0])
        found = self.net(self.given(xs, rows[1], True))
        wanted, _ = self.plain.call(xs, rows, single=True)
        self.compare(found, wanted, rows[1], True)

    @rule(
        seed=seeds, batch=some_rows, batched=st.booleans(),
        counts=st.lists(st.integers(0, 4), min_size=1, max_size=3),
        masks=st.sets(st.sampled_from(MASKS)), states=st.booleans(), resets=st.booleans(),
        back=st.booleans(),
    )  # fmt: skip
    def scans(
        self, seed: int, batch: int, batched: bool, counts: list[int], masks: set[str],
        states: bool, resets: bool, back: bool,
    ) -> None:  # fmt: skip
        """Several, as it takes some to have a history; between them rows may be reset."""
        rng = np.random.default_rng(seed)
        for at, count in enumerate(counts):
            if at and resets and self.rows(batch, batched)[1]:
                self.reset_some(rng, batch)
            rows = self.rows(batch, batched)
            said = {name for name in MASKS if name in masks and rng.random() < 0.7}
            self.scan(rng, count, rows, said, states and bool(rng.random() < 0.7))
        if back and self.plain.calls:
            self.run_back(rng)

    def scan(
        self, rng: np.random.Generator, count: int, rows: tuple[int, bool], masks: set[str],
        states: bool,
    ) -> None:  # fmt: skip
        xs = self.drawn(rng, count, rows[0])
        plain, said = self.masks(rng, count, rows, masks)
        found = self.net.scan(self.given(xs, rows[1], False), **said, states=states)
        wanted, left = self.plain.call(xs, rows, single=False, states=states, **plain)
        if states:
            found, theirs = found
            assert theirs.keys() == left.keys()
            for name, array in left.items():
                close(theirs[name], self.shown(array, rows[1], False), f"{name} at every step")
        self.compare(found, wanted, rows[1], False)

    def masks(
        self, rng: np.random.Generator, count: int, rows: tuple[int, bool], names: set[str]
    ) -> tuple[dict[str, Any], dict[str, Any]]:
        """What the plain net is told of a sequence, and the net."""
        batch, batched = rows
        plain: dict[str, Any] = {}
        said: dict[str, Any] = {}
        if names & {"starts", "places"}:
            plain["starts"] = rng.random((count, batch)) < 0.3
            said["starts"] = self.shown(plain["starts"], batched, False)
        if "places" in names:
            plain["places"], said["starts_at"] = {}, {}
            of_steps = rng.random() < 0.5
            for name, shape in self.state_shapes.items():
                values = rng.standard_normal((count if of_steps else 1, batch, *shape))
                plain["places"][name] = np.broadcast_to(values, (count, batch, *shape))
                said["starts_at"][name] = self.shown(values, batched, not of_steps)
        if "lengths" in names:
            plain["lengths"] = said["lengths"] = rng.integers(0, count + 1, batch)
        if "period" in names:
            plain["period"] = said["boundaries"] = int(rng.integers(1, 4))
        elif "cuts" in names:
            cuts = rng.random((count, batch)) < 0.3
            plain["weights"] = 1.0 - cuts
            said["boundaries"] = self.shown(cuts, batched, False)
        elif "weights" in names:
            plain["weights"] = rng.choice([0.0, 1.0, 0.5, 2.0], (count, batch))
            said["boundaries"] = self.shown(plain["weights"], batched, False)
        return plain, said

    @property
    def state_shapes(self) -> dict[str, tuple[int, ...]]:
        return {s.name: tuple(map(int, s.node.type.shape)) for s in self.plain.cell.states}

    # -- boundaries ------------------------------------------------------------------------------

    @rule(seed=seeds, way=st.sampled_from(WAYS), batch=some_rows, batched=st.booleans())
    def forget(self, seed: int, way: str, batch: int, batched: bool) -> None:
        """One rule for all that ends a history, or few would grow long."""
        match way:
            case "truncate":
                self.net.truncate()
                self.plain.truncate()
            case "reset":
                self.net.reset()
                self.plain.reset()
            case "set_state":
                self.set_state(seed, batch, batched)
            case _:
                self.save_and_load(way)

    @precondition(lambda self: self.plain.rows is None or self.plain.rows[1])
    @rule(seed=seeds, batch=some_rows)
    def reset_rows(self, seed: int, batch: int) -> None:
        self.reset_some(np.random.default_rng(seed), batch)

    def reset_some(self, rng: np.random.Generator, batch: int) -> None:
        """Rows by truth values or by number, to the initial state or to values."""
        batch, _ = self.rows(batch, True)
        rows, state = rng.random(batch) < 0.5, None
        if rng.random() < 0.5:
            shapes = self.state_shapes.items()
            state = {name: rng.standard_normal((batch, *shape)) for name, shape in shapes}
        self.net.reset(rows=np.flatnonzero(rows) if rng.random() < 0.5 else rows, state=state)
        self.plain.reset_rows(rows, state)

    @rule(training=st.sampled_from([True, True, False]))
    def change_mode(self, training: bool) -> None:
        (self.net.train if training else self.net.eval)()
        self.plain.training = training

    # -- values ----------------------------------------------------------------------------------

    def set_state(self, seed: int, batch: int, batched: bool) -> None:
        rng, batch = np.random.default_rng(seed), batch if batched else 1
        shapes = self.state_shapes.items()
        state = {n: rng.standard_normal((batch, *shape)) for n, shape in shapes}
        self.net.state = {n: a if batched else a[0] for n, a in state.items()}
        self.plain.set_state(state, (batch, batched))

    @rule(seed=seeds)
    def load_params(self, seed: int) -> None:
        rng = np.random.default_rng(seed)
        some: Named = {
            name: np.asarray(0.7 * rng.standard_normal(array.shape))
            for name, array in self.plain.params.items()
            if rng.random() < 0.6
        }
        self.net.load_params(some)
        self.plain.params = {**self.plain.params, **some}

    # -- as data ---------------------------------------------------------------------------------

    def save_and_load(self, way: str) -> None:
        if way == "pickle":
            net = pickle.loads(pickle.dumps(self.net))
        else:
            path = folder() / "net"
            self.net.save(path, extra={"n": 3})
            first = path.read_bytes()
            net, beside = rnnc.load_net(path, with_extra=True)
            net.save(path, extra=beside)
            assert path.read_bytes() == first
        plain = self.plain.copied()
        plain.saved()
        self.twins[self.at] = net, plain

    @rule(way=st.sampled_from([copy.copy, copy.deepcopy, None]), at=st.integers(0, MOST_TWINS - 1))
    def go_to_twin(self, way: Any, at: int) -> None:
        """Another one of those there are, or a new one beside this one."""
        if way is not None:
            net, plain = self.twins.pop(self.at)
            self.twins = [(net, plain), (way(net), plain.copied()), *self.twins][:MOST_TWINS]
        self.at = at % len(self.twins)

    # -- gradients -------------------------------------------------------------------------------

    @precondition(lambda self: self.plain.calls)
    @rule(seed=seeds)
    def backward(self, seed: int) -> None:
        self.run_back(np.random.default_rng(seed))

    def run_back(self, rng: np.random.Generator) -> None:
        """All of it, for cotangents in any of the forms that they may have."""
        plain = self.plain
        assert plain.rows is not None
        batch, batched = plain.rows
        count = len(plain.steps)
        d_ys = {
            y.name: rng.standard_normal((count, batch, *y.node.type.shape))
            for y in plain.cell.outputs
        }
        given: Any = self.given(d_ys, batched, False)
        if rng.random() < 0.5:
            given = []
            for steps, call in plain.call_parts():
                part = {name: array[steps] for name, array in d_ys.items()}
                given.append(self.given(part, batched, call.single) if rng.random() < 0.8 else None)
                if given[-1] is None:
                    for array in part.values():
                        array[:] = 0
        shapes = self.state_shapes.items()
        d_state = {name: np.zeros((batch, *shape)) for name, shape in shapes}
        passed = None
        if rng.random() < 0.5 and not plain.gap:
            passed = {}
            for name, array in d_state.items():
                if rng.random() < 0.8:
                    array[:] = rng.standard_normal(array.shape)
                    passed[name] = array if batched else array[0]
        d_states = {name: np.zeros((count, batch, *shape)) for name, shape in shapes}
        of_steps = self.d_states(rng, d_states) if rng.random() < 0.7 else None
        grads = self.net.backward(given, passed, of_steps)
        found = plain.backward(d_ys, d_state, d_states)
        assert grads.steps == count
        assert grads.params.keys() == found.params.keys()
        assert grads.state.keys() == found.first.keys()
        for name, array in found.params.items():
            close(grads.params[name], array, f"d {name}")
        for name, array in found.first.items():
            close(grads.state[name], array if batched else array[0], f"d {name}")
        for name, array in found.starts.items():
            shown = self.shown(array, batched, False)
            close(grads.starts.get(name, np.zeros(shown.shape)), shown, f"d {name} at resets")
        parts = grads.inputs if isinstance(grads.inputs, tuple) else (grads.inputs,)
        for x, part in zip(plain.cell.inputs, parts, strict=True):
            assert (part is None) == (x.name not in found.xs)
            if part is not None:
                close(part, self.shown(found.xs[x.name], batched, False), f"d {x.name}")

    def d_states(self, rng: np.random.Generator, drawn: Named) -> Any:
        """Cotangents of states that calls returned, drawn into zeros and as the net takes them."""
        assert self.plain.rows is not None
        batched, parts = self.plain.rows[1], self.plain.call_parts()
        given: list[Named | None] = []
        stacked = rng.random() < 0.5 and all(call.states for _, call in parts)
        for steps, call in [(slice(None), None)] if stacked else parts:
            if call is not None and not (call.states and rng.random() < 0.8):
                given.append(None)
                continue
            some: Named = {}
            for name, array in drawn.items():
                if rng.random() < 0.8:
                    array[steps] = rng.standard_normal(array[steps].shape)
                    some[name] = self.shown(array[steps], batched, False)
            given.append(some)
        return given[0] if stacked else given

    # -- mistakes --------------------------------------------------------------------------------

    @rule(which=st.integers(0, 29), seed=seeds)
    def mistake(self, which: int, seed: int) -> None:
        """A call that is refused changes nothing; the calls after it will tell."""
        net, rows = self.net, self.rows(2, True)
        xs = self.given(self.drawn(np.random.default_rng(seed), 3, rows[0]), rows[1], False)
        more = self.drawn(np.random.default_rng(seed), 3, rows[0] + 1 if rows[1] else 2)
        told = list(mistakes(net, self.plain, rows, xs, self.given(more, True, False)))
        code, wrong = told[which % len(told)]
        before, params = net._at, net._params
        try:
            wrong()
        except rnnc.Error as error:
            assert error.code == code, f"{error.code} for {code}: {error}"
        else:
            raise AssertionError(f"no {code}")
        assert net._at is before and net._params is params

    # -- always ----------------------------------------------------------------------------------

    @invariant()
    def is_alike(self) -> None:
        if not self.twins:
            return
        NetMachine.events += 1
        net, plain = self.net, self.plain
        assert net.recorded == len(plain.steps)
        assert net.training == plain.training
        batch, batched = plain.rows or (1, False)
        wanted = plain.present(batch)
        assert net.state.keys() == wanted.keys()
        for name, array in wanted.items():
            close(net.state[name], array if batched else array[0], name)
        for name, array in plain.params.items():
            assert np.array_equal(net.params[name], array)


# -- many stories ----------------------------------------------------------------------------------


def tell(count: int, first: int, *, shorten: bool = True) -> None:
    """Tell so many stories; one that ends badly is made shorter, and raised."""
    told = settings(
        phases=[phase for phase in Phase if shorten or phase is Phase.generate],
        max_examples=count, stateful_step_count=MOST_STEPS, deadline=None, database=None,
        derandomize=False, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    with tempfile.TemporaryDirectory() as cache, rnnc.options(backend="numpy", cache=cache):
        with compiled_once():
            run_state_machine_as_test(seed(first)(NetMachine), settings=told)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.machine", description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--count", type=int, default=1000, help="how many stories")
    parser.add_argument("--log", type=Path, help="a file for what is printed")
    options = parser.parse_args()
    log, begun, failed = Log(options.log), time.perf_counter(), 0
    log(f"python -m tests.fuzz.machine --seed {options.seed} --count {options.count}")
    log(versions("numpy", "hypothesis", "safetensors"))
    try:
        tell(options.count, options.seed)
    except BaseException as error:
        failed = 1
        log("".join(traceback.format_exception(error)))
    seconds = time.perf_counter() - begun
    told = f"{NetMachine.stories} stories, {NetMachine.events} events"
    log(f"{told}: {failed} failed; {seconds:.0f} s")
    return failed


if __name__ == "__main__":
    sys.exit(main())
