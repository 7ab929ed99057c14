"""Random stories of calls, resets and boundaries, against a net that keeps every step in a list."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest

from rnnc.runtime.arrays import Array
from rnnc.runtime.recur import Recur
from tests.runtime.models import close, elman, numpy_of, random

pytestmark = pytest.mark.usefixtures("each_library")

INPUTS, HIDDEN, BATCH = 3, 4, 3


@dataclass
class Step:
    """One recorded step of all rows."""

    params: dict[str, Array]
    x: Array
    before: Array
    after: Array
    starts: Array
    cuts: Array
    valid: Array
    after_gap: bool


@dataclass
class Model:
    """What `Recur` promises, by the plainest means."""

    params: dict[str, Array]
    window: int | None
    h: Array | None = None  # None: the initial state
    training: bool = True
    steps: list[Step] = field(default_factory=list)
    waiting: Array = field(default_factory=lambda: np.zeros(BATCH, bool))  # rows to reset
    gap: bool = False  # whether the state is not what the last recorded step returned
    fresh: bool = True  # whether the first recorded step started from the initial state
    stream: int = 0

    def scan(self, xs: Array, masks: dict[str, Any]) -> Array:
        ys = np.zeros((len(xs), BATCH, HIDDEN))
        for t, x in enumerate(xs):
            p = self.params
            initial = np.tile(p["h0"], (BATCH, 1))
            if self.h is None:
                self.h, self.waiting = initial, np.zeros(BATCH, bool)
                self.fresh = not self.steps
            elif not self.steps:
                self.fresh = False
            starts = self.waiting | masks.get("starts", np.zeros((len(xs), BATCH), bool))[t]
            cuts = np.full(BATCH, self.stream % masks.get("boundaries", self.stream + 1) == 0)
            cuts = cuts & ("boundaries" in masks) & bool(self.steps)
            valid = t < masks.get("lengths", np.full(BATCH, len(xs)))
            entered = np.where((self.waiting | (starts & valid))[:, None], initial, self.h)
            after = np.tanh(x @ p["W"].T + entered @ p["U"].T + p["b"])
            self.h = np.where(
                valid[:, None], after, np.where(self.waiting[:, None], entered, self.h)
            )
            ys[t] = np.where(valid[:, None], after, 0)
            if self.training:
                self.steps.append(Step(p, x, entered, after, starts, cuts, valid, self.gap))
                self.gap = False
                if self.window and len(self.steps) > self.window:
                    self.steps.pop(0)
                    self.fresh = False
            else:
                self.gap = bool(self.steps)
            self.waiting = self.waiting & ~valid & self.training
            self.stream += 1
        return ys

    def backward(self, d_ys: Array, d_h: Array) -> tuple[dict[str, Array], Array, Array]:
        d = {name: np.zeros(array.shape) for name, array in self.params.items()}
        d_xs = np.zeros((len(self.steps), BATCH, INPUTS))
        ct = d_h.copy()
        d["h0"] += ct[self.waiting].sum(axis=0)
        ct[self.waiting] = 0
        for t, s in reversed(list(enumerate(self.steps))):
            pre = np.where(s.valid[:, None], (ct + d_ys[t]) * (1 - s.after**2), 0)
            d["W"] += pre.T @ s.x
            d["U"] += pre.T @ s.before
            d["b"] += pre.sum(axis=0)
            d_xs[t] = pre @ s.params["W"]
            ct = np.where(s.valid[:, None], pre @ s.params["U"], ct)
            reset = s.starts & s.valid
            d["h0"] += ct[reset].sum(axis=0)
            ct[reset] = 0
            ct[s.cuts & s.valid] = 0
            if s.after_gap and t:
                ct[:] = 0
        if self.fresh:
            d["h0"] += ct.sum(axis=0)
        return d, d_xs, ct


class Story:
    """One net and its model, told the same."""

    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        window = [None, None, 1, 5][int(self.rng.integers(4))]
        self.net: Recur = elman(INPUTS, HIDDEN, history=window)
        self.model = Model(numpy_of(self.net.params), window)
        self.told: list[str] = [f"history={window}"]

    def go_on(self) -> None:
        action = self.rng.choice(
            ["step", "step", "scan", "scan", "masks", "truncate", "reset", "rows", "load", "eval",
             "state", "backward", "backward"]
        )  # fmt: skip
        self.told.append(str(action))
        getattr(self, action)()
        if self.model.h is not None:
            want = np.where(self.model.waiting[:, None], self.model.params["h0"], self.model.h)
            close(self.net.state["h"], want)
        assert self.net.recorded == len(self.model.steps)

    def step(self) -> None:
        x = self.rng.standard_normal((BATCH, INPUTS))
        close(self.net(x), self.model.scan(x[None], {})[0])

    def scan(self, masks: dict[str, Any] | None = None) -> None:
        steps = int(self.rng.integers(1, 7))
        masks = {name: make(steps) for name, make in (masks or {}).items()}
        xs = self.rng.standard_normal((steps, BATCH, INPUTS))
        close(self.net.scan(xs, **masks), self.model.scan(xs, masks))

    def masks(self) -> None:
        makers: dict[str, Any] = {
            "starts": lambda steps: self.rng.random((steps, BATCH)) < 0.3,
            "lengths": lambda steps: self.rng.integers(0, steps + 1, BATCH),
            "boundaries": lambda _steps: int(self.rng.integers(1, 5)),
        }
        names = [name for name in makers if self.rng.random() < 0.7]
        self.scan({name: makers[name] for name in names})

    def truncate(self) -> None:
        self.net.truncate()
        self.model.steps, self.model.gap = [], False
        self.model.fresh = self.model.h is None

    def reset(self) -> None:
        self.net.reset()
        self.model.h = None
        self.truncate()

    def rows(self) -> None:
        mask = self.rng.random(BATCH) < 0.5
        self.net.reset(rows=mask)
        if self.model.h is not None:
            self.model.waiting = self.model.waiting | mask

    def load(self) -> None:
        name = str(self.rng.choice(["W", "U", "b"]))
        new: Array = 0.5 * np.asarray(self.rng.standard_normal(self.model.params[name].shape))
        self.net.load_params({name: new})
        self.model.params = {**self.model.params, name: new}

    def eval(self) -> None:
        self.net.eval()
        self.model.training = False
        self.scan()
        self.net.train()
        self.model.training = True

    def state(self) -> None:
        new = self.rng.standard_normal((BATCH, HIDDEN))
        self.net.state = {"h": new}
        self.model.h, self.model.waiting = new, np.zeros(BATCH, bool)
        self.truncate()

    def backward(self) -> None:
        if not self.model.steps:
            return
        d_ys = self.rng.standard_normal((len(self.model.steps), BATCH, HIDDEN))
        d_h = np.zeros((BATCH, HIDDEN)) if self.model.gap else random(BATCH, HIDDEN)
        grads = self.net.backward(d_ys, None if self.model.gap else {"h": d_h})
        d_params, d_xs, d_first = self.model.backward(d_ys, d_h)
        close(grads.params, d_params, 1e-10)
        close(grads.inputs, d_xs, 1e-10)
        close(grads.state["h"], d_first, 1e-10)
        assert grads.steps == len(self.model.steps)


@pytest.mark.parametrize("seed", range(150))
def test_a_net_does_what_its_model_says(seed: int) -> None:
    story = Story(seed)
    try:
        for _ in range(15):
            story.go_on()
        story.backward()
    except Exception as error:
        error.add_note(f"the story: {', '.join(story.told)}")
        raise
