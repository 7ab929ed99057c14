"""Calls of a net that are refused, whatever it has been told before.

In: a net and its plain meaning. Out: the code of each error, and the call that raises it.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

import rnnc
from rnnc.runtime.recur import Recur
from tests.fuzz.plain_net import PlainNet


def mistakes(
    net: Recur, plain: PlainNet, rows: tuple[int, bool], xs: Any, more: Any
) -> Iterator[tuple[str, Any]]:
    """What a user might get wrong now.

    Args:
        rows: how many, and whether they have an axis; of the state, if that is known.
        xs: three steps that fit; more: three steps of more rows.
    """
    batch, batched = rows
    first, *others = xs if isinstance(xs, tuple) else (xs,)
    all_of = (lambda x: (x, *others)) if others else (lambda x: x)
    starts = np.zeros(3, bool)
    state = {
        s.name: np.zeros((*([batch] if batched else []), *map(int, s.node.type.shape)))
        for s in plain.cell.states
    }
    wrong_name: Any = {3: 3}
    no_flag: Any = 2

    def limited() -> None:
        net.history_limit, kept = 1, net.history_limit
        try:
            net.scan(xs)
        finally:
            net.history_limit = kept

    def with_state() -> None:
        net.state = {"nothing": np.zeros(3)}

    yield "array-shape", lambda: net.scan(all_of(np.zeros((2, 2, 2, 2, 2))))
    yield "array-dtype", lambda: net.scan(all_of(first.astype(complex)))
    yield "array-shape", lambda: net.scan(xs, starts=np.zeros((5, 5), bool))
    yield "array-dtype", lambda: net.scan(xs, starts=np.zeros(3))
    if batch:  # a batch of no rows has no row that is too long
        yield "out-of-range", lambda: net.scan(xs, lengths=np.full(batch, 4))
    yield "bad-setting", lambda: net.scan(xs, boundaries=0)
    yield "bad-setting", lambda: net.scan(xs, boundaries=[0.5, -1, 1])
    yield "array-shape", lambda: net.scan(xs, boundaries=np.ones(4))
    yield "out-of-range", lambda: net.scan(xs, boundaries=[7])
    yield "bad-setting", lambda: net.scan(xs, states=no_flag)
    yield "bad-setting", lambda: net.scan(xs, starts_at=state)
    yield "unknown-names", lambda: net.scan(xs, starts=starts, starts_at={**state, "nothing": 0})
    yield "bad-setting", lambda: net.reset(state=state)
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
        yield "state-mismatch", lambda: net.scan(more)
    if state:
        one = next(iter(state))
        wrong = {**state, one: np.zeros((7, 7, 7))}
        yield "array-shape", lambda: net.scan(xs, starts=starts, starts_at=wrong)
        yield "unknown-names", lambda: net.scan(xs, starts=starts, starts_at={})
        if batched:
            yield "array-shape", lambda: net.reset(rows=[], state=wrong)
            yield "out-of-range", lambda: net.reset(rows=[batch], state=state)
        elif plain.rows:
            yield "state-mismatch", lambda: net.reset(rows=[0], state=state)
        if plain.carry is not None:
            code = "out-of-range" if batched else "state-mismatch"
            yield code, lambda: net.reset(rows=[batch])
    if not plain.calls:
        yield "nothing-recorded", lambda: net.backward(None)
        return
    yield "array-shape", lambda: net.backward([None] * (len(plain.calls) + 1))
    yield "unknown-names", lambda: net.backward(None, None, {"nothing": 0})
    yield "array-shape", lambda: net.backward(None, None, [None] * (len(plain.calls) + 1))
    if not all(call.states for call in plain.calls):
        yield "nothing-recorded", lambda: net.backward(None, None, {})
    code = "state-mismatch" if plain.gap else "unknown-names"
    yield code, lambda: net.backward(None, {"nothing": np.zeros(2)})
