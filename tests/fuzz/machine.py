"""Nets and their plain meaning, told the same: a state machine that Hypothesis runs.

    python -m tests.fuzz.machine --seed 0 --count 10000 --log FILE

Every run makes a net and tells it a story of calls, boundaries, saves, copies and mistakes, and
`plain_net.PlainNet` the same one. Outputs, states, gradients, what is recorded and every refusal
must be the same. A story that ends badly is made shorter, and printed.
"""

from __future__ import annotations

import argparse
import atexit
import contextlib
import copy
import pickle
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any
from unittest import mock

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
from rnnc.compiler import library
from rnnc.compiler.origin import Made
from rnnc.runtime import program
from rnnc.runtime.arrays import Array
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.recur import Recur
from tests.fuzz.log import Log, versions
from tests.fuzz.plain_net import Named, PlainNet

SOURCE = """
# A start that is learned, through a function.
cell Elman(inputs, hidden): (h[hidden] = tanh(h0), x[inputs]) -> (h', h') {
    param W[hidden, inputs], U[hidden, hidden]
    param b[hidden] = normal(0.1), h0[hidden] = normal(0.5)
    h' = tanh(W @ x + U @ h + b)
}
# Two states, inputs and outputs.
cell Leaky(inputs, hidden): ((h[hidden], mass[] = 0.5), (x[inputs], dt[]))
                         -> ((h', mass'), (y[hidden], mass')) {
    param W[hidden, inputs], U[hidden, hidden]
    h'    = h + sigmoid(dt) * (tanh(W @ x + U @ h) - h)
    mass' = 0.9 * mass + dt * sum(h')
    y     = h' * tanh(mass')
}
# An input that picks a row.
cell Spell(signs, hidden): (h[hidden], token[]: int) -> (h', h') {
    param E[signs, hidden] = normal(1), U[hidden, hidden]
    h' = sin(E[token] + U @ h)
}
cell Dense(inputs, outputs): ((), x[inputs]) -> ((), y[outputs]) {
    param W[outputs, inputs], b[outputs] = normal(0.1)
    y = W @ x + b
}
"""
CELLS = ("Elman", "Elman", "Leaky", "Spell", "Dense")
FEATURES, HIDDEN, SIGNS = 2, 2, 3
MOST_TWINS = 3
MOST_STEPS = 30  # that a story has
TOLERANCE = 1e-9

seeds = st.integers(0, 2**16)
some_rows = st.sampled_from([0, 1, 2, 2, 3])


@cache
def bound(name: str) -> BoundCell:
    """Shared by all runs, so that it is compiled once."""
    cells: Any = rnnc.loads(SOURCE)
    cell: BoundCell = cells[name](SIGNS if name == "Spell" else FEATURES, HIDDEN)
    return cell


@contextlib.contextmanager
def compiled_once() -> Iterator[None]:
    """A net that is loaded shares the programs of all others of its cell, which take no state."""
    remade: dict[str, Any] = {}
    programs: dict[Any, Any] = {}

    def remake(made: Made) -> Any:
        return remade.setdefault(repr(made), remake_anew(made))

    def compiled(cell: Any, *how: Any, **more: Any) -> Any:
        key = repr(cell.origin), how, tuple(more.items())
        if key not in programs:
            programs[key] = compile_anew(cell, *how, **more)
        return programs[key]

    remake_anew, compile_anew = library.remade, program.compile
    with (
        mock.patch.object(library, "remade", lambda made: remade.get(repr(made)) or remake(made)),
        mock.patch("rnnc.runtime.cell.compile", compiled),
    ):
        yield


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
        self.compare(found, self.plain.call(xs, rows, single=True), rows[1], True)

    @rule(
        seed=seeds, batch=some_rows, batched=st.booleans(), count=st.integers(0, 4),
        masks=st.sets(st.sampled_from(["starts", "lengths", "period", "cuts"])),
    )  # fmt: skip
    def scan(self, seed: int, batch: int, batched: bool, count: int, masks: set[str]) -> None:
        rows, rng = self.rows(batch, batched), np.random.default_rng(seed)
        batch, batched = rows
        xs = self.drawn(rng, count, batch)
        plain: dict[str, Any] = {}
        given: dict[str, Any] = {}
        if "starts" in masks:
            plain["starts"] = rng.random((count, batch)) < 0.3
        if "lengths" in masks:
            plain["lengths"] = given["lengths"] = rng.integers(0, count + 1, batch)
        if "period" in masks:
            plain["period"] = given["boundaries"] = int(rng.integers(1, 4))
        elif "cuts" in masks:
            plain["cuts"] = rng.random((count, batch)) < 0.3
        for name, theirs in (("starts", "starts"), ("cuts", "boundaries")):
            if name in plain:
                given[theirs] = self.shown(plain[name], batched, False)
        found = self.net.scan(self.given(xs, batched, False), **given)
        self.compare(found, self.plain.call(xs, rows, single=False, **plain), batched, False)

    # -- boundaries ------------------------------------------------------------------------------

    @rule()
    def truncate(self) -> None:
        self.net.truncate()
        self.plain.truncate()

    @rule()
    def reset(self) -> None:
        self.net.reset()
        self.plain.reset()

    @precondition(
        lambda self: self.plain.carry is not None and self.plain.rows and self.plain.rows[1]
    )
    @rule(seed=seeds, by_index=st.booleans())
    def reset_rows(self, seed: int, by_index: bool) -> None:
        assert self.plain.rows is not None
        rows = np.random.default_rng(seed).random(self.plain.rows[0]) < 0.5
        self.net.reset(rows=np.flatnonzero(rows) if by_index else rows)
        if self.plain.cell.states:
            self.plain.reset_rows(rows)

    @rule(training=st.booleans())
    def change_mode(self, training: bool) -> None:
        (self.net.train if training else self.net.eval)()
        self.plain.training = training

    # -- values ----------------------------------------------------------------------------------

    @rule(seed=seeds, batch=some_rows, batched=st.booleans())
    def set_state(self, seed: int, batch: int, batched: bool) -> None:
        rng, batch = np.random.default_rng(seed), batch if batched else 1
        shapes = {s.name: tuple(map(int, s.node.type.shape)) for s in self.plain.cell.states}
        state = {n: rng.standard_normal((batch, *shape)) for n, shape in shapes.items()}
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

    @rule(way=st.sampled_from(["save", "save", "pickle"]))
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
        plain.truncate()
        self.twins[self.at] = net, plain

    @rule(deep=st.booleans())
    def fork(self, deep: bool) -> None:
        twin = copy.deepcopy(self.net) if deep else copy.copy(self.net)
        mine = self.twins.pop(self.at)
        self.twins = [mine, (twin, mine[1].copied()), *self.twins][:MOST_TWINS]
        self.at = 0

    @rule(at=st.integers(0, MOST_TWINS - 1))
    def go_to_twin(self, at: int) -> None:
        self.at = at % len(self.twins)

    # -- gradients -------------------------------------------------------------------------------

    @precondition(lambda self: self.plain.calls)
    @rule(seed=seeds, form=st.sampled_from(["stacked", "list"]), with_state=st.booleans())
    def backward(self, seed: int, form: str, with_state: bool) -> None:
        plain, rng = self.plain, np.random.default_rng(seed)
        assert plain.rows is not None
        batch, batched = plain.rows
        count = len(plain.steps)
        d_ys = {
            y.name: rng.standard_normal((count, batch, *y.node.type.shape))
            for y in plain.cell.outputs
        }
        given: Any = self.given(d_ys, batched, False)
        if form == "list":
            given, begin = [], 0
            for size, single in plain.call_sizes():
                part = {name: array[begin : begin + size] for name, array in d_ys.items()}
                given.append(self.given(part, batched, single) if rng.random() < 0.8 else None)
                if given[-1] is None:
                    for array in part.values():
                        array[:] = 0
                begin += size
        d_state = {s.name: np.zeros((batch, *s.node.type.shape)) for s in plain.cell.states}
        passed = None
        if with_state and not plain.gap:
            passed = {}
            for name, array in d_state.items():
                if rng.random() < 0.8:
                    array[:] = rng.standard_normal(array.shape)
                    passed[name] = array if batched else array[0]
        grads = self.net.backward(given, passed)
        d_params, d_xs, d_first = plain.backward(d_ys, d_state)
        assert grads.steps == count
        assert grads.params.keys() == d_params.keys() and grads.state.keys() == d_first.keys()
        for name, array in d_params.items():
            close(grads.params[name], array, f"d {name}")
        for name, array in d_first.items():
            close(grads.state[name], array if batched else array[0], f"d {name}")
        parts = grads.inputs if isinstance(grads.inputs, tuple) else (grads.inputs,)
        for x, part in zip(plain.cell.inputs, parts, strict=True):
            assert (part is None) == (x.name not in d_xs)
            if part is not None:
                close(part, self.shown(d_xs[x.name], batched, False), f"d {x.name}")

    # -- mistakes --------------------------------------------------------------------------------

    @rule(which=st.integers(0, 19), seed=seeds)
    def mistake(self, which: int, seed: int) -> None:
        """A call that is refused changes nothing; the calls after it will tell."""
        mistakes = list(self.mistakes(np.random.default_rng(seed)))
        code, wrong = mistakes[which % len(mistakes)]
        before, params = self.net._at, self.net._params
        try:
            wrong()
        except rnnc.Error as error:
            assert error.code == code, f"{error.code} for {code}: {error}"
        else:
            raise AssertionError(f"no {code}")
        assert self.net._at is before and self.net._params is params

    def mistakes(self, rng: np.random.Generator) -> Iterator[tuple[str, Any]]:
        net, plain = self.net, self.plain
        batch, batched = self.rows(2, True)
        xs = self.given(self.drawn(rng, 3, batch), batched, False)
        first, *others = xs if isinstance(xs, tuple) else (xs,)
        all_of = (lambda x: (x, *others)) if others else (lambda x: x)

        def limited() -> None:
            net.history_limit, kept = 1, net.history_limit
            try:
                net.scan(xs)
            finally:
                net.history_limit = kept

        wrong_name: Any = {3: 3}

        def with_state() -> None:
            net.state = {"nothing": np.zeros(3)}

        yield "array-shape", lambda: net.scan(all_of(np.zeros((2, 2, 2, 2, 2))))
        yield "array-dtype", lambda: net.scan(all_of(first.astype(complex)))
        yield "array-shape", lambda: net.scan(xs, starts=np.zeros((5, 5), bool))
        yield "array-dtype", lambda: net.scan(xs, starts=np.zeros(3))
        if batch:  # a batch of no rows has no row that is too long
            yield "out-of-range", lambda: net.scan(xs, lengths=np.full(batch, 4))
        yield "bad-setting", lambda: net.scan(xs, boundaries=0)
        yield "out-of-range", lambda: net.scan(xs, boundaries=[7])
        yield "unknown-names", lambda: net.load_params({**net.params, "nothing": np.zeros(2)})
        yield (
            "array-shape",
            lambda: net.load_params({**net.params, next(iter(net.params)): np.zeros(7)}),
        )
        yield "unknown-names", with_state
        yield "bad-checkpoint", lambda: rnnc.load_net(__file__)
        yield "checkpoint-file", lambda: net.save("/nowhere/at/all")
        yield "bad-setting", lambda: net.save("unused", extra=wrong_name)
        if plain.training and batch:
            yield "history-full", limited
        if plain.rows is not None:
            other = (batch + 1, True) if batched else (2, True)
            ours = self.given(self.drawn(rng, 3, other[0]), True, False)
            yield "state-mismatch", lambda: net.scan(ours)
        if plain.carry is not None and plain.rows and plain.cell.states:
            yield ("out-of-range" if batched else "state-mismatch"), lambda: net.reset(rows=[batch])
        if not plain.calls:
            yield "nothing-recorded", lambda: net.backward(None)
        else:
            yield "array-shape", lambda: net.backward([None] * (len(plain.calls) + 1))
            code = "state-mismatch" if plain.gap else "unknown-names"
            yield code, lambda: net.backward(None, {"nothing": np.zeros(2)})

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
