"""What a net means, by the plainest means: a list of the steps it remembers, and the oracle.

In: calls, each as arrays of float64 with all their axes, [T, B, ...]. Out: outputs, the state, and
gradients of all remembered steps, row by row and step by step. Where `Recur` joins buffers, shares
programs and masks rows, this has `if`s.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Any

import numpy as np

from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell, Node
from rnnc.runtime.arrays import Array

Named = dict[str, Array]


@dataclass
class Resets:
    """Rows that start anew, at the initial state or at values of the user's."""

    initial: Array  # bool[B]
    placed: Array  # bool[B]
    values: Named  # [B, ...]; what rows hold that are not placed is not read

    def then(self, later: Resets) -> Resets:
        """Both; of two resets of a row the later one holds."""
        anew = later.initial | later.placed
        return Resets(
            later.initial | (self.initial & ~anew),
            later.placed | (self.placed & ~anew),
            {n: where(later.placed, a, self.values[n]) for n, a in later.values.items()},
        )

    def within(self, rows: Array) -> Resets:
        return Resets(self.initial & rows, self.placed & rows, self.values)

    def put(self, state: Named, initial: Named) -> Named:
        return {
            n: where(self.placed, self.values[n], where(self.initial, initial[n], a))
            for n, a in state.items()
        }


@dataclass
class Step:
    """One remembered step of all rows."""

    params: Named
    xs: Named  # [B, ...]
    before: Named  # [B, ...]
    begins: Resets  # of rows that run it
    waits: Resets  # of rows that are held: their reset is still to come
    weights: Array  # [B]: what a cotangent is multiplied by before it
    valid: Array
    after_gap: bool  # whether steps that nobody remembers came before it


@dataclass
class Called:
    """One remembered call: how many steps had been recorded when it ended."""

    end: int
    single: bool
    states: bool  # whether it returned its states


@dataclass
class Found:
    """What running back finds."""

    params: Named
    xs: Named  # [N, B, ...]
    first: Named  # [B, ...], of the state before the first step
    starts: Named  # [N, B, ...], of the values that rows were reset to


@dataclass
class PlainNet:
    """A net of one cell; `carry` is None while it is at the initial state."""

    cell: Cell
    params: Named
    window: int | None
    training: bool = True
    carry: Named | None = None
    rows: tuple[int, bool] | None = None  # how many, and whether the user sees them
    waiting: Resets | None = None  # before the next step
    steps: list[Step] = field(default_factory=list)
    calls: list[Called] = field(default_factory=list)
    recorded: int = 0  # steps since the last boundary, those that left the window included
    gap: bool = False  # whether the state is not what the last remembered step returned
    fresh: bool = True  # whether the first remembered step started from the initial state
    stream: int = 0

    # -- calls -----------------------------------------------------------------------------------

    def initial(self, batch: int) -> Named:
        return oracle.initial(self.cell, self.params, batch)

    def present(self, batch: int) -> Named:
        """The state as a user sees it, [B, ...]."""
        initial = self.initial(batch)
        carry = initial if self.carry is None else self.carry
        return carry if self.waiting is None else self.waiting.put(carry, initial)

    def resets(self, starts: Array, places: Named | None) -> Resets:
        """Rows, bool[B], that start anew, at these places if there are any, [B, ...]."""
        if places is None:
            return Resets(starts, np.zeros_like(starts), self.initial(len(starts)))
        return Resets(np.zeros_like(starts), starts, places)

    def call(
        self, xs: Named, rows: tuple[int, bool], *, single: bool, states: bool = False,
        starts: Array | None = None, places: Named | None = None, lengths: Array | None = None,
        period: int | None = None, weights: Array | None = None,
    ) -> tuple[Named, Named]:  # fmt: skip
        """Outputs, and states as each step left them, [T, B, ...]."""
        (batch, _), count = rows, len(next(iter(xs.values())))
        if not self.steps:
            self.fresh = self.carry is None
        outs = {y.name: np.zeros((count, batch, *y.node.type.shape)) for y in self.cell.outputs}
        left = {s.name: np.zeros((count, batch, *s.node.type.shape)) for s in self.cell.states}
        for t in range(count):
            valid = np.full(batch, True) if lengths is None else t < lengths
            begins = self.resets(
                np.full(batch, False) if starts is None else starts[t],
                None if places is None else {n: a[t] for n, a in places.items()},
            )
            weight = np.ones(batch) if weights is None else weights[t]
            if period is not None and self.stream % period == 0:
                weight = np.zeros(batch)
            self._step({n: x[t] for n, x in xs.items()}, batch, begins, weight, valid, outs, t)
            for name, array in self.present(batch).items():
                left[name][t] = array
        if not self.cell.states and not self.training:  # nothing says how many rows come next
            self.carry = None
            return outs, left
        self.rows = rows
        if self.training:
            self.calls.append(Called(self.recorded, single, states))
            if self.window is not None and len(self.steps) > self.window:
                self.steps = self.steps[-self.window :]
                self.fresh = False
                gone = self.recorded - self.window
                self.calls = [call for call in self.calls if call.end > gone]
        return outs, left

    def _step(
        self, xs: Named, batch: int, begins: Resets, weights: Array, valid: Array, outs: Named,
        t: int,
    ) -> None:  # fmt: skip
        initial = self.initial(batch)
        if self.carry is None:
            self.carry = initial
        waiting = self.waiting or self.resets(np.full(batch, False), None)
        waits, begins = waiting.within(~valid), waiting.then(begins).within(valid)
        before = begins.put(waits.put(self.carry, initial), initial)
        after = {name: array.copy() for name, array in before.items()}
        for b in range(batch):
            if valid[b]:
                found = oracle.evaluate(roots(self.cell), self._leaves(self.params, xs, before, b))
                for state in self.cell.states:
                    after[state.name][b] = found[state.new]
                for y in self.cell.outputs:
                    outs[y.name][t, b] = found[y.node]
        if self.training:
            if not self.steps:  # an initial state has a gradient
                weights = np.ones(batch)
            self.steps.append(
                Step(self.params, xs, before, begins, waits, weights, valid, self.gap)
            )
            self.recorded += 1
            self.gap = False
        else:
            self.gap = self.gap or bool(self.calls)
        left = self.training and (waits.initial | waits.placed).any()  # else the reset is done
        self.carry, self.waiting = after, waits if left else None
        self.stream += 1

    def _leaves(self, params: Named, xs: Named, carry: Named, b: int) -> dict[Node, Array]:
        kinds = {x.name: float if x.node.type.kind == "real" else int for x in self.cell.inputs}
        return {
            **{p.node: params[p.name] for p in self.cell.params},
            **{x.node: np.asarray(xs[x.name][b], kinds[x.name]) for x in self.cell.inputs},
            **{s.node: carry[s.name][b] for s in self.cell.states},
        }

    # -- gradients -------------------------------------------------------------------------------

    def backward(self, d_ys: Named, d_state: Named, d_states: Named) -> Found:
        """Cotangents of all that went into the remembered steps.

        Args:
            d_ys, d_states: [N, B, ...]; d_state: [B, ...] of the present state.
        """
        assert self.rows is not None
        batch, count = self.rows[0], len(self.steps)
        pullback = pullback_of(self.cell)
        sums = oracle.Gradients({p.name: np.zeros(p.node.type.shape) for p in self.cell.params})
        real = [x for x in self.cell.inputs if x.node.type.kind == "real"]
        d_xs = {x.name: np.zeros((count, batch, *x.node.type.shape)) for x in real}
        d_starts = {name: np.zeros_like(array) for name, array in d_states.items()}
        ct = {name: array.copy() for name, array in d_state.items()}
        if self.waiting is not None:
            self._into_resets(self.params, ct, self.waiting, sums)
        for t, step in reversed(list(enumerate(self.steps))):
            for name, array in d_states.items():
                ct[name] += array[t]
            self._into_resets(step.params, ct, step.waits, sums)
            for b in map(int, np.flatnonzero(step.valid)):
                seeds = {f"state.{name}": array[b].copy() for name, array in ct.items()}
                seeds |= {f"out.{name}": d[t, b] for name, d in d_ys.items()}
                back = pullback(self._leaves(step.params, step.xs, step.before, b), seeds)
                for p in self.cell.params:
                    sums.params[p.name] += back.get(p.node, 0)
                for x in real:
                    d_xs[x.name][t, b] = back.get(x.node, 0)
                for s in self.cell.states:
                    ct[s.name][b] = back.get(s.node, 0)
            for name, array in self._into_resets(step.params, ct, step.begins, sums).items():
                d_starts[name][t] = array
            for array in ct.values():
                array[step.valid] = (array.T * step.weights).T[step.valid]
                if step.after_gap and t:
                    array[:] = 0
        first = {name: array.copy() for name, array in ct.items()}
        if self.fresh:
            params = self.steps[0].params if self.steps else self.params
            self._to_initial(params, ct, np.full(batch, True), sums)
        return Found(sums.params, d_xs, first, d_starts)

    def _into_resets(self, params: Named, ct: Named, rows: Resets, sums: oracle.Gradients) -> Named:
        """Of the values that rows were reset to; nothing is left for what came before."""
        self._to_initial(params, ct, rows.initial, sums)
        found = {n: where(rows.placed, a, np.zeros_like(a)) for n, a in ct.items()}
        for array in ct.values():
            array[rows.placed] = 0
        return found

    def _to_initial(self, params: Named, ct: Named, rows: Array, sums: oracle.Gradients) -> None:
        """What reaches rows that were reset goes to what the initial state is made of."""
        fixed = {p.node: params[p.name] for p in self.cell.params}
        trained = [p for p in self.cell.params if p.trained]
        for s in self.cell.states:
            for b in np.flatnonzero(rows):
                oracle._into_initial(trained, s.initial, ct[s.name][b], fixed, sums, np.float64)
                ct[s.name][b] = 0

    def call_parts(self) -> list[tuple[slice, Called]]:
        """Each call, and which of the remembered steps are its own."""
        gone, begin, found = self.recorded - len(self.steps), 0, []
        for call in self.calls:
            found.append((slice(begin, call.end - gone), call))
            begin = call.end - gone
        return found

    # -- boundaries ------------------------------------------------------------------------------

    def truncate(self) -> None:
        self.steps, self.calls, self.recorded, self.gap = [], [], 0, False
        if not self.cell.states:
            self.carry = self.rows = None
        self.fresh = self.carry is None

    def saved(self) -> None:
        """A boundary, and rows that go to values are there."""
        if self.waiting is not None and self.rows is not None:
            waits, initial = self.waiting, self.initial(self.rows[0])
            if self.carry is None:
                self.carry, waits = initial, replace(waits, initial=~waits.placed)
            self.carry = replace(waits, initial=waits.placed & False).put(self.carry, initial)
            self.waiting = replace(waits, placed=waits.placed & False)
        self.truncate()

    def reset(self) -> None:
        self.carry = self.rows = self.waiting = None
        self.truncate()

    def reset_rows(self, rows: Array, state: Named | None) -> None:
        if state is None and self.carry is None and self.waiting is None:
            return  # all are at the initial state
        if self.cell.states:
            self.rows = len(rows), True
            later = self.resets(rows, state)
            self.waiting = later if self.waiting is None else self.waiting.then(later)

    def set_state(self, state: Named, rows: tuple[int, bool]) -> None:
        self.reset()
        if self.cell.states:
            self.carry, self.rows, self.fresh = state, rows, False

    def copied(self) -> PlainNet:
        twin = deepcopy(self, {id(self.cell): self.cell})
        for mine, other in zip(self.steps, twin.steps, strict=True):
            other.params = mine.params
        twin.params = self.params
        return twin


def where(rows: Array, yes: Array, no: Array) -> Array:
    """Rows of `yes` where `rows`, bool[B], says so, and of `no` elsewhere."""
    return np.where(rows.reshape(-1, *[1] * (no.ndim - 1)), yes, no)


@cache
def roots(cell: Cell) -> tuple[Node, ...]:
    return (*(s.new for s in cell.states), *(y.node for y in cell.outputs))


@cache
def pullback_of(cell: Cell) -> Any:
    return oracle._Pullback(cell, [p for p in cell.params if p.trained], np.float64)
