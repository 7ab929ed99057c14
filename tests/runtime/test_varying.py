"""Steps that ran with parameters of their own are run back at once, each with its own."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import history
from rnnc.runtime.recur import Recur
from tests.library.table import CORE
from tests.runtime.models import close

ROWS = 3
SIZES = (1, 1, 2, 3, 1, 0, 1, 2, 1, 1)  # of the calls; each has new parameters, but the last
LEARNED = """
    cell Learned(n, m): (h[m] = h0, x[n]) -> (h', h') {
        param W[m, n] = normal(0.4), U[m, m] = normal(0.4), h0[m] = normal(1)
        const d[m] = uniform(0.5, 1)
        h' = tanh(W @ dropout(x, 0.3) + U @ (d * h))
    }
"""


def net_of(name: str, **keywords: Any) -> Recur:
    cells = rnnc.loads(LEARNED) if name == "Learned" else rnnc.cells
    maker = cells[name]
    sizes = {setting.name: 4 for setting in maker.template.settings if setting.kind == "size"}
    return Recur(maker(**sizes), dtype="float64", **keywords)


class Story:
    """Calls with parameters that change in between, and the cotangents of their outputs."""

    def __init__(self, net: Recur, masked: bool) -> None:
        draws = np.random.default_rng(2)
        cell = net.cell.cell
        self.masked = masked
        self.start = dict(net.params)
        self.trained = [p.name for p in cell.params if p.trained]
        self.moves = [
            {n: draws.normal(0, 0.1, net.params[n].shape) for n in self.trained} for _ in SIZES
        ]
        lead = [(size, ROWS) for size in SIZES]
        self.xs = [
            tuple(self._numbers(draws, (*at, *map(int, x.node.type.shape)), x) for x in cell.inputs)
            for at in lead
        ]
        self.starts = [draws.random(at) < 0.3 for at in lead]
        self.lengths = [draws.integers(0, size + 1, ROWS) for size in SIZES]

    @staticmethod
    def _numbers(draws: Any, shape: tuple[int, ...], value: Any) -> Any:
        is_real = value.node.type.kind == "real"
        return draws.normal(size=shape) if is_real else draws.integers(0, 3, shape)

    def told(self, net: Recur, shift: Mapping[str, Any] | None = None) -> list[Any]:
        """Run all calls, with parameters that are shifted alike in every step; their outputs."""
        shift = shift or dict.fromkeys(self.trained, 0.0)
        found = []
        for at, (x, move) in enumerate(zip(self.xs, self.moves, strict=True)):
            if at < len(SIZES) - 1:
                net.load_params({n: self.start[n] + move[n] + shift[n] for n in self.trained})
            masks: dict[str, Any] = {}
            if self.masked:
                masks = {"starts": self.starts[at], "lengths": self.lengths[at]}
            ys = net.scan(x if net.cell.cell.input_is_tuple else x[0], **masks)
            found.append(ys if isinstance(ys, tuple) else (ys,))
        return found


def weights_of(outputs: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    draws = np.random.default_rng(3)
    return [tuple(draws.normal(size=y.shape) for y in ys) for ys in outputs]


def loss_of(outputs: Sequence[tuple[Any, ...]]) -> float:
    pairs = zip(outputs, weights_of(outputs), strict=True)
    return float(sum((w * y).sum() for ys, ws in pairs for y, w in zip(ys, ws, strict=True)))


def gradients_of(net: Recur, outputs: Sequence[tuple[Any, ...]]) -> Any:
    several = net.cell.cell.output_is_tuple
    return net.backward([ws if several else ws[0] for ws in weights_of(outputs)])


@pytest.fixture
def apart(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Turns joining off until it is undone."""
    monkeypatch.setattr(history, "MOST_ALIKE", 0)
    yield monkeypatch


@pytest.mark.parametrize("masked", [False, True], ids=["plain", "masked"])
@pytest.mark.parametrize("name", [*CORE, "Learned"])
def test_gradients_are_those_of_a_shift_of_all_parameters(name: str, masked: bool) -> None:
    """The sum over the steps, each at its own parameters, is what a shift of all of them does."""
    net = net_of(name)
    story = Story(net, masked)
    outputs = story.told(net)
    found = gradients_of(net, outputs)
    assert any(segment.varies for segment in net._at.history.segments)
    draws, step = np.random.default_rng(5), 1e-5
    for n in story.trained:
        way = draws.normal(size=story.start[n].shape)
        ends = []
        for sign in (step, -step):
            other = net_of(name)
            shift = {m: sign * way if m == n else 0.0 for m in story.trained}
            ends.append(loss_of(story.told(other, shift)))
        wanted = (ends[0] - ends[1]) / (2 * step)
        np.testing.assert_allclose((found.params[n] * way).sum(), wanted, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize("window", [None, 7])
@pytest.mark.parametrize("name", [*CORE, "Learned"])
def test_together_they_give_what_they_give_apart(
    name: str, window: int | None, apart: pytest.MonkeyPatch
) -> None:
    def run() -> tuple[Any, int]:
        net = net_of(name, history=window)
        story = Story(net, masked=False)
        outputs = story.told(net)
        kept, left = [], net.recorded
        for ys in weights_of(outputs)[::-1]:
            kept.append(tuple(y[max(0, len(y) - left) :] for y in ys))
            left -= min(left, len(ys[0]))
        stacked = tuple(map(np.concatenate, zip(*kept[::-1], strict=True)))
        d_ys = stacked if net.cell.cell.output_is_tuple else stacked[0]
        return net.backward(d_ys), len(net._at.history.segments)

    separate, pieces = run()
    apart.undo()
    joined, fewer = run()
    assert fewer < pieces
    assert joined.steps == separate.steps
    for found, wanted in ((joined.params, separate.params), (joined.state, separate.state)):
        for n in wanted:
            close(found[n], wanted[n])
    inputs = (g.inputs if isinstance(g.inputs, tuple) else (g.inputs,) for g in (joined, separate))
    for a, b in zip(*inputs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            close(a, b)


def test_copies_go_on_from_steps_with_parameters_of_their_own() -> None:
    net = net_of("LSTM")
    story = Story(net, masked=False)
    story.told(net)
    twin = copy.deepcopy(net)
    moved = {n: net.params[n] + 0.1 for n in ("W", "U")}
    for each in (net, twin):
        each.load_params(moved)
        each.scan(story.xs[0][0])
        each.scan(story.xs[1][0])
    d_ys = np.random.default_rng(7).normal(size=(net.recorded, ROWS, 4))
    assert net.recorded == sum(SIZES) + SIZES[0] + SIZES[1]
    close(twin.backward(d_ys).params, net.backward(d_ys).params)


def test_weight_transforms_and_consts_that_change_keep_steps_apart() -> None:
    normed = Recur(rnnc.modifiers.weight_norm(rnnc.LSTMCell(4, 4), on="U"), dtype="float64")
    story = Story(normed, masked=False)
    outputs = story.told(normed)
    assert not any(segment.varies for segment in normed._at.history.segments)
    found = gradients_of(normed, outputs)
    assert all(np.isfinite(d).all() for d in found.params.values())

    net = net_of("Learned")
    x = np.ones((1, ROWS, 4))
    net.scan(x)
    net.load_params({"d": net.params["d"] + 1})
    net.scan(x)
    assert len(net._at.history.segments) == 2


def test_parameters_that_are_large_are_kept_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history, "MOST_BYTES", 5 * 2 * 4 * 4 * 4 * 8)  # five steps of W and U
    net = net_of("LSTM")
    for _ in range(12):
        net.load_params({"U": net.params["U"] + 0.1})
        net.scan(np.ones((1, ROWS, 4)))
    lengths = [len(segment.buffer) for segment in net._at.history.segments]
    assert lengths == [5, 5, 2]
