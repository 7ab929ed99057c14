"""Bad input: each is a coded error of the kind a user would catch, and the net is as it was."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import errors
from rnnc.runtime.recur import Recur
from tests.runtime.models import bound, close, elman, leaky, random

X = random(4, 2, 3)

CALLS: list[tuple[str, Callable[[Recur], Any], type[BaseException], str]] = [
    # shapes
    ("features", lambda n: n.scan(random(4, 2, 5)), ValueError, "x has 5 features, Elman takes 3"),
    ("rank 4", lambda n: n.scan(random(4, 2, 2, 3)), ValueError, r"\[time, batch, 3\]"),
    ("rank 0", lambda n: n(1.5), ValueError, r"\[3\] or \[batch, 3\] for one step"),
    ("sequence to a step", lambda n: n(X), ValueError, "call net.scan for a sequence"),
    ("step to a scan", lambda n: n.scan(X[0, 0]), ValueError, "call net itself for one step"),
    ("ragged", lambda n: n([[1.0, 2.0], [3.0]]), ValueError, "different shapes"),
    ("batch changed", lambda n: n(X[0, :1]), RuntimeError, r"holds 2 rows.*1; call reset\(\)"),
    ("batch lost", lambda n: n(X[0, 0]), RuntimeError, r"no batch axis.*reset\(\)"),
    ("swapped", lambda n: n.scan(X[:2].swapaxes(0, 1)[:, [0] * 4]), RuntimeError, "swap"),
    # kinds of number
    ("integers", lambda n: n(np.ones((2, 3), int)), TypeError, r"x\.astype\(np\.float64\)"),
    ("truth values", lambda n: n(np.ones((2, 3), bool)), TypeError, "holds bool"),
    ("complex", lambda n: n(np.ones((2, 3), complex)), TypeError, r"x\.real"),
    ("strings", lambda n: n([["a", "b", "c"]] * 2), TypeError, "x holds"),
    ("dates", lambda n: n(np.zeros((2, 3), "M8[s]")), TypeError, "datetime64"),
    ("None", lambda n: n(None), TypeError, "Python objects"),
    ("generator", lambda n: n.scan(x for x in X), TypeError, "Python objects"),
    ("masked", lambda n: n(np.ma.ones((2, 3))), TypeError, "filled"),
    # masks
    ("starts shape", lambda n: n.scan(X, starts=np.zeros((2, 4), bool)), ValueError, r"bool\[4\]"),
    ("starts kind", lambda n: n.scan(X, starts=np.zeros((4, 2))), TypeError, "truth values"),
    ("starts 2", lambda n: n.scan(X, starts=[0, 1, 2, 0]), TypeError, "truth values"),
    ("lengths count", lambda n: n.scan(X, lengths=[1, 2, 3]), ValueError, "each of 2 rows"),
    ("lengths kind", lambda n: n.scan(X, lengths=[1.0, 2.0]), TypeError, "integers"),
    ("lengths high", lambda n: n.scan(X, lengths=[1, 5]), IndexError, "holds 5.*4 steps"),
    ("lengths low", lambda n: n.scan(X, lengths=[-1, 4]), IndexError, "holds -1"),
    ("period 0", lambda n: n.scan(X, boundaries=0), ValueError, "at least 1"),
    ("period 1.5", lambda n: n.scan(X, boundaries=1.5), TypeError, "a period"),
    ("boundary step", lambda n: n.scan(X, boundaries=[4]), IndexError, "names step 4"),
    ("weights shape", lambda n: n.scan(X, boundaries=np.ones((2, 4))), ValueError, r"real\[4\]"),
    ("weight below 0", lambda n: n.scan(X, boundaries=[1, -0.5, 1, 1]), ValueError, "holds -0.5"),
    ("weight NaN", lambda n: n.scan(X, boundaries=[1, 1, np.nan, 1]), ValueError, "holds nan"),
    ("boundary True", lambda n: n.scan(X, boundaries=True), ValueError, r"bool\[4\]"),
    # state and parameters
    ("state missing", lambda n: setattr(n, "state", {}), ValueError, "also needs h"),
    ("state unknown", lambda n: setattr(n, "state", {"h": X[0, 0], "c": 1.0}), ValueError, "no c"),
    ("state shape", lambda n: setattr(n, "state", {"h": X[0]}), ValueError, r"\[batch, 4\]"),
    ("state kind", lambda n: setattr(n, "state", {"h": np.ones(4, int)}), TypeError, "int64"),
    ("state no dict", lambda n: setattr(n, "state", random(4)), TypeError, "a dict"),
    ("param unknown", lambda n: n.load_params({"b": random(4), "V": 1}), ValueError, "has no V"),
    ("param shape", lambda n: n.load_params({"b": random(4), "W": X}), ValueError, r"\[4, 3\]"),
    ("param kind", lambda n: n.load_params({"b": np.ones(4, bool)}), TypeError, "bool"),
    ("reset rows", lambda n: n.reset(rows=[2]), IndexError, "row 2.*2 rows"),
    ("reset mask", lambda n: n.reset(rows=[True]), ValueError, r"bool\[2\]"),
    ("reset negative", lambda n: n.reset(rows=[-1]), IndexError, "row -1"),
    ("reset flags", lambda n: n.reset(rows=[1, 1]), ValueError, "names a row twice.*rows != 0"),
    ("reset floats", lambda n: n.reset(rows=[0.0]), TypeError, "indices"),
    # cotangents
    ("d_ys shape", lambda n: n.backward(random(2, 4)), ValueError, r"3 recorded.*\[3, 2, 4\]"),
    ("d_ys count", lambda n: n.backward([None]), ValueError, "each of 2 calls"),
    ("d_ys entry", lambda n: n.backward([None, random(3)]), ValueError, r"d_ys\[1\] is \[2, 4\]"),
    ("d_ys kind", lambda n: n.backward(np.ones((3, 2, 4), int)), TypeError, "int64"),
    ("d_state", lambda n: n.backward(None, {"c": 1.0}), ValueError, "has no c"),
    ("d_state shape", lambda n: n.backward(None, {"h": random(4)}), ValueError, r"\[2, 4\]"),
]  # fmt: skip


def started() -> Recur:
    """A net that has recorded two steps in one call and one in another."""
    net = elman()
    net.scan(random(2, 2, 3, seed=5))
    net(random(2, 3, seed=6))
    return net


def snapshot(net: Recur) -> dict[str, Any]:
    grads = net.backward(np.ones((net.recorded, 2, 4)))
    return {
        **{f"param {name}": array for name, array in net.params.items()},
        **{f"state {name}": array for name, array in net.state.items()},
        **{f"gradient {name}": array for name, array in grads.params.items()},
        "inputs": grads.inputs,
    }


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize(
    ("call", "kind", "message"), [c[1:] for c in CALLS], ids=[c[0] for c in CALLS]
)
def test_a_refused_call_says_why_and_changes_nothing(
    call: Callable[[Recur], Any], kind: type[BaseException], message: str
) -> None:
    net = started()
    before = snapshot(net)
    with pytest.raises(kind, match=message) as caught:
        call(net)
    assert isinstance(caught.value, rnnc.Error)
    assert caught.value.code in errors.ERRORS
    close(snapshot(net), before, 0)


@pytest.mark.torch
def test_torch_tensors_are_refused_with_the_conversion() -> None:
    import torch

    net = elman()
    with pytest.raises(TypeError, match=r"pass x\.numpy\(\)"):
        net(torch.zeros(3))
    with pytest.raises(TypeError, match=r"pass x\.detach\(\)\.numpy\(\)"):
        net(torch.zeros(3, requires_grad=True))


def test_several_inputs_are_counted_and_compared() -> None:
    net = leaky()
    with pytest.raises(ValueError, match=r"2 inputs, a tuple \(x, dt\).*got an ndarray"):
        net(random(3))
    with pytest.raises(ValueError, match=r"also needs dt"):
        net({"x": random(3)})
    with pytest.raises(ValueError, match=r"dt has \[3\] and x \[4\]"):
        net.scan((random(4, 3), random(3)))
    net((random(3), 0.5))
    with pytest.raises(ValueError, match=r"\(d_y, d_mass\)"):
        net.backward(random(2))


def test_tokens_are_integers_within_their_table() -> None:
    net = Recur(bound("Embedding", 5, 3))
    for token, kind in [(5, IndexError), (-1, IndexError), (1.0, TypeError), (True, TypeError)]:
        with pytest.raises(kind, match="token holds"):
            net(token)
    assert net(np.uint8(4)).shape == (3,)


@pytest.mark.parametrize(
    "keywords",
    [
        {"dtype": "float16"},
        {"dtype": 3},
        {"history": 0},
        {"seed": 0.5},
        {"backend": "x"},
        {"exact": "no"},
        {"fast": 1},
        {"batch_first": "no"},
    ],
)
def test_settings_are_checked(keywords: dict[str, Any]) -> None:
    with pytest.raises(rnnc.Error) as caught:
        elman(**keywords)
    assert caught.value.code == "bad-setting"


def test_recur_of_something_else_says_what_it_takes() -> None:
    wrong: Any
    for wrong in (3, rnnc.cells.GRU):
        with pytest.raises(ValueError, match="takes a cell with its sizes"):
            Recur(wrong)
    for wrong in (elman(), rnnc.Chain(rnnc.GRU(3, 4), rnnc.GRU(4, 4))):
        with pytest.raises(ValueError, match=r"is a net already; net\.cell is its cell"):
            Recur(wrong, seed=3)
    with pytest.raises(ValueError, match=r"is a net already$"):
        Recur(rnnc.Stack([rnnc.cells.GRU(3, 4)]))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=r"set net\.state"):
        Recur(bound("Elman", 3, 4), np.zeros(4))


def interrupted_at(count: int) -> Callable[..., Any]:
    """A trace function that raises at the `count`-th line that runs in this package's runtime."""
    left = count

    def trace(frame: Any, event: str, _arg: Any) -> Any:
        nonlocal left
        file = frame.f_code.co_filename
        # A lock is safe from signals, which strike after calls, but not from a trace of its `with`.
        if "runtime" not in file or file.endswith("products.py"):
            return None
        if event == "line":
            left -= 1
            if left < 0:
                raise KeyboardInterrupt
        return trace

    return trace


def interruptions(action: Callable[[], Any]) -> Iterator[None]:
    """Run `action`, interrupted at every line in turn, until it gets through."""
    for count in range(10_000):
        previous = sys.gettrace()
        sys.settrace(interrupted_at(count))
        try:
            action()
            return
        except KeyboardInterrupt:
            pass
        finally:
            sys.settrace(previous)
        yield
    raise AssertionError("never got through")


@pytest.mark.usefixtures("each_library")
@pytest.mark.parametrize("history", [None, 3])
def test_an_interrupt_at_any_line_leaves_a_net_as_it_was(history: int | None) -> None:
    net, xs, starts = elman(history=history), random(4, 2, 3), np.eye(4, 2, dtype=bool)
    for x in xs[:3]:
        net(x)
    net.reset(rows=[1])
    before, twin = snapshot(net), copy.copy(net)
    twin.scan(xs, starts=starts, boundaries=2)
    points = 0
    for _ in interruptions(lambda: net.scan(xs, starts=starts, boundaries=2)):
        points += 1
        if net.recorded == twin.recorded and (net.state["h"] == twin.state["h"]).all():
            break  # on its way back to the caller: the call is done, wholly
        close(snapshot(net), before, 0)
    assert points > 50, "the whole call was swept"
    close(snapshot(net), snapshot(twin), 0)
