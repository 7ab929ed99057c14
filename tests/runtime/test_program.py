"""The functional layer: what it takes and returns, and what it refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.program import Program
from tests.runtime.models import bound, close, random

X, DT = random(4, 2, 3), np.ones((4, 2))
LEAKY = rnnc.compile(bound("Leaky", 3, 2), dtype="float64")  # two states, inputs and outputs
EMBEDDING = rnnc.compile(bound("Embedding", 5, 3), dtype="float64")
PARAMS = bound("Leaky", 3, 2).draw(LEAKY.arrays)
CARRY = LEAKY.initial(PARAMS, 2)


def forward(program: Program = LEAKY, **changes: Any) -> Any:
    given = {"params": PARAMS, "carry": CARRY, "xs": (X, DT), **changes}
    return program.forward(**given)


def backward(d_ys: Any, d_carry: Any = None) -> Any:
    _, _, tape = forward()
    return LEAKY.backward(PARAMS, tape, d_ys, d_carry)


def test_it_returns_what_a_net_does() -> None:
    net = rnnc.Recur(bound("Leaky", 3, 2), dtype="float64")
    carry, ys, tape = forward()
    for found, wanted in zip(ys, net.scan((X, DT)), strict=True):
        close(found, wanted, 0)
    close(carry, dict(net.state), 0)
    d_ys = tuple(random(*y.shape, seed=1) for y in ys)
    d_params, d_carry, d_xs = LEAKY.backward(PARAMS, tape, d_ys)
    grads = net.backward(d_ys)
    close(d_params, grads.params, 0)
    close(d_carry, grads.state, 0)
    for found, wanted in zip(d_xs, grads.inputs, strict=True):
        close(found, wanted, 0)


def test_it_owns_no_state_and_records_when_asked() -> None:
    first, second = forward()[0], forward(record=False)[0]
    close(first, second, 0)
    assert forward(record=False)[2] is None


def test_a_cotangent_that_is_left_out_is_zero() -> None:
    zeros = tuple(np.zeros(y.shape) for y in forward()[1])
    d_carry = {"h": random(2, 2), "mass": np.zeros(2)}
    wanted = backward(zeros, d_carry)
    for d_ys in (None, (None, None), (zeros[0], None)):
        for part, other in zip(backward(d_ys, {"h": d_carry["h"]}), wanted, strict=True):
            if isinstance(other, dict):
                close(part, other, 0)


REFUSED: list[tuple[str, Callable[[], Any], type[Exception], str]] = [
    ("cell", lambda: rnnc.compile(3), ValueError, "a cell with its sizes.*not 3"),
    ("maker", lambda: rnnc.compile(rnnc.cells.GRU), ValueError, "a cell with its sizes"),
    ("exact", lambda: rnnc.compile(LEAKY.cell, exact="no"), ValueError, "exact is True or False"),  # type: ignore[arg-type]
    ("dtype", lambda: Program(LEAKY.cell, "int8"), ValueError, "float32 or float64"),
    ("params", lambda: forward(params={}), ValueError, "params also needs W, U"),
    ("param", lambda: forward(params={**PARAMS, "W": X}), ValueError, r"params\['W'\] is"),
    ("carry", lambda: forward(carry={"h": X[0]}), ValueError, "carry also needs mass"),
    ("state", lambda: forward(carry={**CARRY, "h": X[0]}), ValueError, r"carry\['h'\] is \[2, 3\]"),
    ("inputs", lambda: forward(xs=X), ValueError, "a tuple of 2 arrays: x, dt"),
    ("rank", lambda: forward(xs=(X[0], DT)), ValueError, r"it must be \[time, batch, 3\]"),
    ("steps", lambda: forward(xs=(X, DT[1:])), ValueError, r"dt is \[3, 2\].*\[4, 2\]"),
    ("integers", lambda: forward(xs=(X, DT.astype(int))), TypeError, r"dt\.astype"),
    ("starts", lambda: forward(starts=[True] * 4), ValueError, r"\[time, batch\] = \[4, 2\]"),
    ("flags", lambda: forward(starts=DT), TypeError, "truth values"),
    ("lengths", lambda: forward(lengths=[1]), ValueError, r"it must be \[2\]"),
    ("long", lambda: forward(lengths=[1, 5]), IndexError, "holds 5, but the sequence has 4 steps"),
    ("d_ys", lambda: backward((X,)), ValueError, "a tuple of 2"),
    ("d_y", lambda: backward((X, DT)), ValueError, r"d_ys\[0\] is"),
    ("d_carry", lambda: backward(None, {"c": DT}), ValueError, "d_carry has no c"),
    ("d_state", lambda: backward(None, {"h": DT}), ValueError, r"d_carry\['h'\] is"),
    (
        "token",
        lambda: EMBEDDING.forward({"E": random(5, 3)}, {}, np.array([[5]])),
        IndexError,
        "rows 0 to 4",
    ),
]  # fmt: skip


@pytest.mark.parametrize(
    ("call", "kind", "message"), [r[1:] for r in REFUSED], ids=[r[0] for r in REFUSED]
)
def test_what_does_not_fit_is_refused(
    call: Callable[[], Any], kind: type[Exception], message: str
) -> None:
    with pytest.raises(kind, match=message) as caught:
        call()
    assert isinstance(caught.value, rnnc.Error)


def test_a_cell_without_input_says_that_nothing_counts_its_steps() -> None:
    cell = rnnc.loads("cell C(n): (h[n], ()) -> (h', h') { h' = 0.5 * h }").C(3)
    with pytest.raises(rnnc.Error, match="how many steps"):
        rnnc.compile(cell).forward({}, {"h": np.ones((2, 3))}, ())
    with pytest.raises(rnnc.Error, match="how many steps"):
        rnnc.Recur(cell).scan(())


def test_tokens_past_a_rows_length_may_be_anything() -> None:
    tokens = np.array([[1, 4], [-7, 2]])
    _, ys, _ = EMBEDDING.forward({"E": random(5, 3)}, {}, tokens, lengths=[1, 2])
    close(ys[0, 0], random(5, 3)[1], 0)
    assert not ys[1, 0].any()
