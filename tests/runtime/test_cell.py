"""Cells as functions, Python functions as cells, cells in a row, and the names on the face."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.recur import Recur
from tests.runtime.models import bound, close, dense, elman, leaky, random


def test_a_cell_is_a_function_of_state_and_input() -> None:
    cell, x = rnnc.RNNCell(10, 5), random(10)
    h: Any = np.zeros(5)
    for _ in range(3):
        previous = h
        h, y = cell(h, x)
        p = cell.params
        close(h, np.tanh(p["W"] @ x + p["U"] @ previous + p["b"]), 1e-5)
        close(y, h, 0)
    hs, _ = cell(np.stack([previous, previous]), np.stack([x, x]))
    close(hs, np.stack([h, h]), 1e-5)


def test_several_states_are_a_tuple_and_none_is_left_out() -> None:
    cell = rnnc.LSTMCell(3, 4, dtype="float64")
    state, y = cell(cell.initial(), random(3))
    assert [part.shape for part in state] == [(4,), (4,)]
    net = Recur(cell)
    close(net(random(3)), y)
    close(tuple(net.state.values()), state)
    again, _ = cell(net.state, random(3))
    assert [part.shape for part in again] == [(4,), (4,)]
    assert cell.initial(7)[0].shape == (7, 4)
    with pytest.raises(ValueError, match=r"a tuple \(h, c\)"):
        cell(y, random(3))
    with pytest.raises(ValueError, match=r"h is \[4\]"):
        cell((random(2, 4), random(2, 4)), random(3))

    linear = bound("Dense", 3, 2)
    close(linear(random(3).astype(np.float32)), dense(3, 2, dtype="float32")(random(3)))
    with pytest.raises(ValueError, match=r"called as cell\(x\)"):
        linear(random(3), random(3))


def test_a_net_starts_from_its_cells_parameters() -> None:
    cell = rnnc.GRUCell(3, 4, seed=5)
    close(dict(Recur(cell).params), dict(cell.params), 0)
    close(dict(rnnc.GRU(3, 4, seed=5).params), dict(cell.params), 0)
    assert not np.allclose(Recur(cell, seed=6).params["W"], cell.params["W"])
    net = Recur(cell)
    net.load_params({"W": np.zeros_like(net.params["W"])})
    assert not net.cell.params["W"].any()
    assert cell.params["W"].any()


def test_a_cell_is_compiled_once_for_the_same_options() -> None:
    cell = BoundCell(bound("Elman", 2, 2).cell)
    assert Recur(cell)._program is Recur(cell)._program
    assert Recur(cell)._program is not Recur(cell, dtype="float64")._program


def test_names_print_as_they_are_written() -> None:
    assert repr(rnnc.RNNCell(10, 5)) == "RNNCell(10, 5)"
    assert repr(rnnc.RNN(10, 5)) == "Recur(RNNCell(10, 5))"
    assert repr(elman()) == "Recur(Elman(3, 4))"
    assert repr(rnnc.Chain(elman(), dense())) == "Recur(Chain(Elman(3, 4), Dense(4, 2)))"


# -- chains --------------------------------------------------------------------------------------


def test_a_chain_is_its_members_one_after_the_other() -> None:
    first, second = elman(3, 4), dense(4, 2)
    first.load_params({"b": random(4)})
    net, xs, d_ys = rnnc.Chain(first, second), random(6, 2, 3), random(6, 2, 2)
    ys = second.scan(first.scan(xs))
    close(net.scan(xs), ys)
    grads, late = net.backward(d_ys), second.backward(d_ys)
    early = first.backward(late.inputs)
    close(grads.inputs, early.inputs)
    close(grads.params, {
        **{f"0.{name}": d for name, d in early.params.items()},
        **{f"1.{name}": d for name, d in late.params.items()},
    })  # fmt: skip
    close(dict(net.state), {"0.h": first.state["h"]})
    net.reset()
    close(np.stack([net(x) for x in xs]), ys)


def test_a_chain_leaves_its_members_alone() -> None:
    first = elman(3, 4)
    first(random(3))
    state = first.state["h"]
    net = rnnc.Chain(first, dense())
    close(net.state["0.h"], first.params["h0"])
    net(random(3))
    net.load_params({"0.b": random(4)})
    close(first.state["h"], state, 0)
    assert not np.allclose(first.params["b"], net.params["0.b"])


def test_the_same_cell_twice_has_parameters_of_its_own_each_time() -> None:
    cell = bound("Elman", 3, 3)
    net = rnnc.Chain(cell, cell, seed=1, dtype="float64")
    assert not np.allclose(net.params["0.W"], net.params["1.W"])
    one, two = (Recur(cell, dtype="float64") for _ in range(2))
    for at, member in enumerate((one, two)):
        member.load_params({name: net.params[f"{at}.{name}"] for name in member.params})
    xs = random(5, 2, 3)
    close(net.scan(xs), two.scan(one.scan(xs)))


def test_members_may_have_several_inputs_and_outputs() -> None:
    net = rnnc.Chain(leaky())
    ys = net.scan((random(3, 2, 3), np.ones((3, 2))))
    assert [y.shape for y in ys] == [(3, 2, 2), (3, 2)]
    tokens = rnnc.Chain(rnnc.Embedding(7, 3), rnnc.GRU(3, 4), rnnc.Dense(4, 7, act="tanh"))
    ys = tokens.scan(np.arange(7))
    assert ys.shape == (7, 7)
    grads = tokens.backward(ys)
    assert grads.inputs is None and grads.params["0.E"].any()
    with pytest.raises(IndexError, match="rows 0 to 6"):
        tokens(7)


@pytest.mark.parametrize(
    ("members", "message"),
    [
        ((), "at least one"),
        ((elman(3, 4), dense(5, 2)), r"member 1.*takes real\[5\], but is fed real\[4\]"),
        ((elman(3, 4), leaky()), r"real\[3\] and real\[\]"),
        ((elman(3, 4), np.tanh), "not of <ufunc"),
        ((elman(3, 4), dense(dtype="float32")), "float32 and float64"),
    ],
)
def test_members_that_do_not_fit_are_refused(members: tuple[Any, ...], message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        rnnc.Chain(*members)
    assert isinstance(caught.value, rnnc.Error) and caught.value.code == "chain-mismatch"


# -- plain functions -----------------------------------------------------------------------------


def decay(h: Array, x: Array) -> tuple[Array, Array]:
    h *= 0.5
    h += x
    if not np.isfinite(x).all():
        raise FloatingPointError("not finite")
    return h, h


def test_a_plain_function_runs_with_a_state() -> None:
    start = np.ones(2)
    net: Any = Recur(decay, start)
    close(net(np.ones(2)), [1.5, 1.5])
    y = net(np.ones(2))
    y[:] = 7
    close(net.state, [1.75, 1.75])
    close(start, [1, 1])
    net.reset()
    close(net.scan(np.ones((3, 2))), [[1.5] * 2, [1.75] * 2, [1.875] * 2])
    net.state = np.zeros(2)
    close(net(np.ones(2)), [1, 1])
    assert repr(net) == "Recur(decay)" and not net.params


def test_a_function_that_fails_leaves_the_state_as_it_was() -> None:
    net: Any = Recur(decay, np.ones(2))
    with pytest.raises(FloatingPointError):
        net.scan([np.ones(2), np.array([1, np.nan])])
    close(net.state, [1, 1])
    broken: Any = Recur(lambda h, x: h, 0.0)
    with pytest.raises(ValueError, match=r"returns \(state, output\)"):
        broken(1.0)


def test_outputs_that_do_not_stack_are_refused() -> None:
    growing: Any = Recur(lambda h, x: (h + 1, np.ones(h)), 1)
    with pytest.raises(ValueError, match="different shapes"):
        growing.scan([0, 0])
    with pytest.raises(ValueError, match="or there is none"):
        growing.scan([])


def test_a_function_has_no_gradient_and_says_so() -> None:
    net: Any = Recur(decay, np.ones(2))
    net(np.ones(2))
    net.truncate()
    with pytest.raises(rnnc.Error, match=r"no derivative.*\.rnn cell") as caught:
        net.backward(np.ones(2))
    assert caught.value.code == "no-gradient"


# -- the face ------------------------------------------------------------------------------------


def test_the_face_is_what_it_lists() -> None:
    assert all(hasattr(rnnc, name) for name in rnnc.__all__)
    assert {"GRU", "LSTM", "RNN", "Dense", "Embedding"} <= set(rnnc.cells)
    assert rnnc.cells["GRU"](3, 4).params.keys() == rnnc.cells.GRU(3, 4).params.keys()
    assert "hidden" in (rnnc.cells.GRU.__doc__ or "")
    assert "GRU" in dir(rnnc.cells)
    with pytest.raises(AttributeError, match="did you mean GRU"):
        rnnc.cells.GRUU  # noqa: B018


def test_a_file_of_cells_is_a_namespace(tmp_path: Any) -> None:
    path = tmp_path / "mine.rnn"
    path.write_text("cell Sum(n): (s[n], x[n]) -> (s', s') { s' = s + x }")
    net = Recur(rnnc.load(path).Sum(2))
    close(net.scan(np.ones((3, 2))), [[1, 1], [2, 2], [3, 3]])


@pytest.mark.parametrize("path", [None, 5, b"a.rnn", "a\0b"])
def test_what_is_no_path_is_refused(path: Any) -> None:
    with pytest.raises(ValueError, match=r"path of a \.rnn file") as caught:
        rnnc.load(path)
    assert isinstance(caught.value, rnnc.Error)


@pytest.mark.parametrize("text", [None, 5, b"cell"])
def test_what_is_no_text_is_refused(text: Any) -> None:
    with pytest.raises(ValueError, match="takes a text") as caught:
        rnnc.loads(text)
    assert isinstance(caught.value, rnnc.Error)
