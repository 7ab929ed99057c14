"""What a net means, by the plainest means: a list of the steps it remembers, and the oracle.

In: calls, each as arrays of float64 with all their axes, [T, B, ...]. Out: outputs, the state, and
gradients of all remembered steps, row by row and step by step. Where `Recur` joins buffers, shares
programs and masks rows, this has `if`s.
"""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import numpy as np

from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell, Node
from rnnc.runtime.arrays import Array

Named = dict[str, Array]


@dataclass
class Step:
    """One remembered step of all rows."""

    params: Named
    xs: Named  # [B, ...]
    before: Named  # [B, ...]
    starts: Array  # bool[B]
    cuts: Array
    valid: Array
    after_gap: bool  # whether steps that nobody remembers came before it


@dataclass
class Called:
    """One remembered call: how many steps had been recorded when it ended."""

    end: int
    single: bool


@dataclass
class PlainNet:
    """A net of one cell; `carry` is None while it is at the initial state."""

    cell: Cell
    params: Named
    window: int | None
    training: bool = True
    carry: Named | None = None
    rows: tuple[int, bool] | None = None  # how many, and whether the user sees them
    waiting: Array | None = None  # bool[B]: rows that are reset before the next step
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
        if self.carry is None:
            return initial
        return {
            name: self._reset_where(self.waiting, initial[name], a)
            for name, a in self.carry.items()
        }

    def _reset_where(self, rows: Array | None, yes: Array, no: Array) -> Array:
        if rows is None:
            return no
        return np.where(rows.reshape(-1, *[1] * (no.ndim - 1)), yes, no)

    def call(
        self, xs: Named, rows: tuple[int, bool], *, single: bool, starts: Array | None = None,
        lengths: Array | None = None, period: int | None = None, cuts: Array | None = None,
    ) -> Named:  # fmt: skip
        """Outputs, [T, B, ...]."""
        (batch, _), count = rows, len(next(iter(xs.values())))
        outs = {y.name: np.zeros((count, batch, *y.node.type.shape)) for y in self.cell.outputs}
        for t in range(count):
            valid = np.full(batch, True) if lengths is None else t < lengths
            begins = np.full(batch, False) if starts is None else starts[t].copy()
            cut = np.full(batch, False) if cuts is None else cuts[t].copy()
            cut |= period is not None and (self.stream % period == 0)
            self._step({n: x[t] for n, x in xs.items()}, batch, begins, cut, valid, outs, t)
        if not self.cell.states and not self.training:  # nothing says how many rows come next
            self.carry = None
            return outs
        self.rows = rows
        if self.training:
            self.calls.append(Called(self.recorded, single))
            if self.window is not None and len(self.steps) > self.window:
                self.steps = self.steps[-self.window :]
                self.fresh = False
                gone = self.recorded - self.window
                self.calls = [call for call in self.calls if call.end > gone]
        return outs

    def _step(
        self, xs: Named, batch: int, begins: Array, cut: Array, valid: Array, outs: Named, t: int
    ) -> None:  # fmt: skip
        initial = self.initial(batch)
        if self.carry is None:
            self.carry, self.waiting = initial, None
            self.fresh = True
        elif not self.steps:
            self.fresh = False
        waiting = np.full(batch, False) if self.waiting is None else self.waiting
        begins = begins | waiting
        before = {
            name: self._reset_where(waiting | (begins & valid), initial[name], a)
            for name, a in self.carry.items()
        }
        after = {name: array.copy() for name, array in self.carry.items()}
        for b in range(batch):
            if valid[b]:
                found = oracle.evaluate(roots(self.cell), self._leaves(self.params, xs, before, b))
                for state in self.cell.states:
                    after[state.name][b] = found[state.new]
                for y in self.cell.outputs:
                    outs[y.name][t, b] = found[y.node]
            elif not self.training:  # nobody remembers the reset, so it is done
                for name in after:
                    after[name][b] = before[name][b]
        if self.training:
            cut = cut & bool(self.steps)  # an initial state has a gradient
            self.steps.append(Step(self.params, xs, before, begins, cut, valid, self.gap))
            self.recorded += 1
            self.gap = False
        else:
            self.gap = self.gap or bool(self.calls)
        left = waiting & ~valid & self.training
        self.carry, self.waiting = after, left if left.any() else None
        self.stream += 1

    def _leaves(self, params: Named, xs: Named, carry: Named, b: int) -> dict[Node, Array]:
        kinds = {x.name: float if x.node.type.kind == "real" else int for x in self.cell.inputs}
        return {
            **{p.node: params[p.name] for p in self.cell.params},
            **{x.node: np.asarray(xs[x.name][b], kinds[x.name]) for x in self.cell.inputs},
            **{s.node: carry[s.name][b] for s in self.cell.states},
        }

    # -- gradients -------------------------------------------------------------------------------

    def backward(self, d_ys: Named, d_state: Named) -> tuple[Named, Named, Named]:
        """Of parameters, of inputs [N, B, ...], and of the state before the first step.

        Args:
            d_ys: [N, B, ...]; d_state: [B, ...] of the present state.
        """
        assert self.rows is not None
        batch = self.rows[0]
        pullback = pullback_of(self.cell)
        sums = oracle.Gradients({p.name: np.zeros(p.node.type.shape) for p in self.cell.params})
        real = [x for x in self.cell.inputs if x.node.type.kind == "real"]
        d_xs = {x.name: np.zeros((len(self.steps), batch, *x.node.type.shape)) for x in real}
        ct = {name: array.copy() for name, array in d_state.items()}
        if self.waiting is not None:
            self._to_initial(self.params, ct, self.waiting, sums)
        for t, step in reversed(list(enumerate(self.steps))):
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
            self._to_initial(step.params, ct, step.starts & step.valid, sums)
            for array in ct.values():
                array[step.cuts & step.valid] = 0
                if step.after_gap and t:
                    array[:] = 0
        first = {name: array.copy() for name, array in ct.items()}
        if self.fresh:
            params = self.steps[0].params if self.steps else self.params
            self._to_initial(params, ct, np.full(batch, True), sums)
        return sums.params, d_xs, first

    def _to_initial(self, params: Named, ct: Named, rows: Array, sums: oracle.Gradients) -> None:
        """What reaches rows that were reset goes to what the initial state is made of."""
        fixed = {p.node: params[p.name] for p in self.cell.params}
        for s in self.cell.states:
            for b in np.flatnonzero(rows):
                oracle._into_initial(self.cell, s.initial, ct[s.name][b], fixed, sums, np.float64)
                ct[s.name][b] = 0

    def call_sizes(self) -> list[tuple[int, bool]]:
        """How many steps of each call are remembered, and whether it was a single one."""
        begin, found = self.recorded - len(self.steps), []
        for call in self.calls:
            found.append((call.end - begin, call.single))
            begin = call.end
        return found

    # -- boundaries ------------------------------------------------------------------------------

    def truncate(self) -> None:
        self.steps, self.calls, self.recorded, self.gap = [], [], 0, False
        if not self.cell.states:
            self.carry = self.rows = None
        self.fresh = self.carry is None

    def reset(self) -> None:
        self.carry = self.rows = self.waiting = None
        self.truncate()

    def reset_rows(self, rows: Array) -> None:
        if self.carry is not None:
            self.waiting = rows if self.waiting is None else self.waiting | rows

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


@cache
def roots(cell: Cell) -> tuple[Node, ...]:
    return (*(s.new for s in cell.states), *(y.node for y in cell.outputs))


@cache
def pullback_of(cell: Cell) -> Any:
    return oracle._Pullback(cell, np.float64)
