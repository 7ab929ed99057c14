"""A net that was saved goes on where it stood: bit for bit, in any process, on any backend."""

from __future__ import annotations

import copy
import os
import pickle
import pickletools
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime.arrays import Array
from rnnc.runtime.cell import BoundCell
from rnnc.runtime.errors import CheckpointFileError
from rnnc.runtime.recur import Recur
from tests.compiler.hand_built import lstm
from tests.runtime.models import close, dense, elman, leaky, numpy_of, random

OPTIONS = """
fn twice(a) = 2 * a
cell Own(n, act = tanh, scale = 0.1, on = true): (h[n] = h0, x[n]) -> (h', h') {
    param h0[n] = normal(1)
    if on { h' = act(scale * h + x) } else { h' = x }
}
"""


def at_start() -> Recur:
    return elman()


def in_the_middle() -> Recur:
    net = elman()
    net.scan(random(5, 2, 3))
    return net


def without_batch() -> Recur:
    net = rnnc.LSTM(3, 4, seed=7)
    net.scan(random(5, 3))
    return net


def with_rows_to_reset() -> Recur:
    net = elman(batch_first=True, history=3)
    net.scan(random(3, 5, 3))
    net.reset(rows=[2])
    return net


def in_eval() -> Recur:
    net = leaky(exact=True).eval()
    net.scan((random(5, 2, 3), random(5, 2)))
    net.history_limit = 12345
    return net


def after_no_steps() -> Recur:
    net = elman()
    net.scan(np.zeros((0, 4, 3)))
    return net


def without_state() -> Recur:
    net = dense()
    net.scan(random(3, 2, 4))
    return net


def with_options() -> Recur:
    cells: Any = rnnc.loads(OPTIONS)
    net = rnnc.Recur(cells.Own(3, act="twice", scale=0.7), dtype="float64", fast=True)
    net.scan(random(5, 2, 3))
    return net


def a_chain() -> Recur:
    members = rnnc.Embedding(5, 3, seed=1), rnnc.Chain(rnnc.GRU(3, 4), rnnc.Dense(4, 2, act="relu"))
    net = rnnc.Chain(*members)
    net.scan(np.array([[1, 2], [4, 0]]))
    return net


STORIES: list[Callable[[], Recur]] = [
    at_start, in_the_middle, without_batch, with_rows_to_reset, in_eval, after_no_steps,
    without_state, with_options, a_chain,
]  # fmt: skip


def inputs(net: Recur) -> Any:
    """Three more steps that fit the net's state."""
    cell = net.cell.cell
    like = net._at.like
    lead = (3,) if like is None or not like.batched else (3, like.batch)
    lead = lead[::-1] if net._inputs.batch_first else lead
    found = []
    for x in cell.inputs:
        shape = (*lead, *x.node.type.shape)
        found.append(random(*shape) if x.node.type.kind == "real" else np.ones(shape, int))
    return tuple(found) if cell.input_is_tuple else found[0]


def same(found: Any, wanted: Any) -> None:
    """Equal to the last bit."""
    if isinstance(wanted, tuple):
        for one, other in zip(found, wanted, strict=True):
            same(one, other)
    elif wanted is None:
        assert found is None
    else:
        assert found.dtype == wanted.dtype and np.array_equal(found, wanted)


def same_by_name(found: Any, wanted: Any) -> None:
    assert list(found) == list(wanted)
    for name in wanted:
        same(found[name], wanted[name])


def through_a_file(net: Recur, tmp_path: Path) -> Recur:
    net.save(tmp_path / "net")
    found: Recur = rnnc.load_net(tmp_path / "net")
    return found


def through_a_pickle(net: Recur, _tmp_path: Path) -> Recur:
    found: Recur = pickle.loads(pickle.dumps(net))
    return found


@pytest.mark.parametrize("through", [through_a_file, through_a_pickle])
@pytest.mark.parametrize("story", STORIES)
def test_a_net_goes_on_bit_for_bit(
    story: Callable[[], Recur], through: Callable[[Recur, Path], Recur], tmp_path: Path
) -> None:
    net = story()
    recorded = net.recorded
    loaded = through(net, tmp_path)
    assert (loaded.recorded, net.recorded) == (0, recorded), "a boundary, of the new net alone"
    same_by_name(loaded.params, net.params)
    same_by_name(loaded.state, net.state)
    assert repr(loaded) == repr(net) and loaded.training == net.training
    assert loaded.history_limit == net.history_limit
    net.truncate()
    xs = inputs(net)
    ys = net.scan(xs, boundaries=2)
    same(loaded.scan(xs, boundaries=2), ys)
    same_by_name(loaded.state, net.state)
    assert loaded.recorded == net.recorded
    if net.training:
        d_ys = tuple(map(np.ones_like, ys)) if isinstance(ys, tuple) else np.ones_like(ys)
        theirs, mine = loaded.backward(d_ys), net.backward(d_ys)
        same_by_name(theirs.params, mine.params)
        same_by_name(theirs.state, mine.state)
        same(theirs.inputs, mine.inputs)


@pytest.mark.parametrize("story", STORIES)
def test_saving_what_was_loaded_gives_the_same_bytes(
    story: Callable[[], Recur], tmp_path: Path
) -> None:
    beside = {"one": {"two": np.arange(3.0)}, "none": {}}
    story().save(tmp_path / "first", extra=beside)
    net, extra = rnnc.load_net(tmp_path / "first", with_extra=True)
    net.save(tmp_path / "second", extra=extra)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_a_library_of_files_needs_none_of_them(tmp_path: Path) -> None:
    (tmp_path / "own.rnn").write_text(
        'import twice from "deep/f.rnn"\n' + OPTIONS.replace("fn twice(a) = 2 * a\n", "")
    )
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep/f.rnn").write_text("fn twice(a) = 2 * a\n")
    cells: Any = rnnc.load(tmp_path / "own.rnn")
    net = rnnc.Recur(cells.Own(3, act="twice"))
    net.save(tmp_path / "net")
    (tmp_path / "own.rnn").write_text("this is no cell")
    (tmp_path / "deep/f.rnn").unlink()
    same(rnnc.load_net(tmp_path / "net").scan(random(4, 3)), net.scan(random(4, 3)))


@pytest.mark.parametrize("step", [2**32 - 2, 2**63 - 2])
def test_the_position_in_the_stream_outgrows_no_width(step: int, tmp_path: Path) -> None:
    """Boundaries of a period fall where they would with integers of any size."""
    net = elman()
    net._at = replace(net._at, step=step)
    net = through_a_file(net, tmp_path)
    net(random(2, 3))
    net.scan(random(4, 2, 3), boundaries=7)
    assert net._at.step == step + 5
    again = through_a_file(net, tmp_path)
    assert again._at.step == step + 5
    other = elman()
    other(random(2, 3))
    other.scan(random(4, 2, 3), boundaries=[t for t in range(4) if (step + 1 + t) % 7 == 0])
    close(net.backward(np.ones((5, 2, 4))).params, other.backward(np.ones((5, 2, 4))).params)


def test_a_mark_that_an_interrupt_left_keeps_no_net_from_being_saved(tmp_path: Path) -> None:
    net = elman()

    def call() -> None:
        net._turns.take(net, sys._getframe())  # and an interrupt, before it is given back

    call()
    same_by_name(through_a_file(net, tmp_path).params, net.params)
    call()
    same_by_name(pickle.loads(pickle.dumps(net)).params, net.params)


def test_a_read_only_file_is_not_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    net, path = elman(), tmp_path / "net"
    net.save(path)
    before = path.read_bytes()
    net(random(2, 3))
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write anywhere
    with pytest.raises(CheckpointFileError, match="read-only"):
        net.save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(("limit", "kept"), [(1, 1), (2**70, 2**63 - 1)])
def test_any_limit_of_a_history_is_kept(limit: int, kept: int, tmp_path: Path) -> None:
    net = elman()
    net.history_limit = limit
    assert through_a_file(net, tmp_path).history_limit == kept


def test_parameters_alone_are_loaded_into_a_net_that_is_there(tmp_path: Path) -> None:
    trained, net = elman(seed=3), elman(seed=4)
    trained.save(tmp_path / "net")
    net.load_params(rnnc.load_net(tmp_path / "net").params)
    same_by_name(net.params, trained.params)
    with pytest.raises(rnnc.Error, match="has no U, h0") as caught:
        rnnc.Dense(3, 2).load_params(rnnc.load_net(tmp_path / "net").params)
    assert caught.value.code == "unknown-names"


# -- copies and pickles ----------------------------------------------------------------------------


def test_a_pickle_holds_sources_and_arrays_and_no_code() -> None:
    for whole in (in_the_middle(), a_chain().cell, rnnc.GRUCell(3, 4)):
        data = pickle.dumps(whole)
        strings = {a for op, a, _ in pickletools.genops(data) if isinstance(a, str)}
        modules = {s for s in strings if s.startswith(("rnnc.", "numpy", "builtins", "copyreg"))}
        assert {m.split(".")[0] for m in modules} <= {"rnnc", "numpy", "copyreg"}
        assert b"def build" not in data and b"def run" not in data
        assert any("cell " in s for s in strings), "its source"


def test_a_bound_cell_is_pickled_with_what_it_starts_with() -> None:
    drawn = BoundCell(rnnc.GRUCell(3, 4).cell, seed=5, dtype="float64", label="G")
    given = elman().cell
    for cell in (drawn, given):
        again = pickle.loads(pickle.dumps(cell))
        same_by_name(again.params, cell.params)
        assert (again.seed, again.dtype, repr(again)) == (cell.seed, cell.dtype, repr(cell))
        assert copy.deepcopy(cell) is cell and copy.copy(cell) is cell


def test_a_deep_copy_goes_on_by_itself() -> None:
    net = in_the_middle()
    twin = copy.deepcopy([net])[0]
    xs = inputs(net)
    same(twin.scan(xs), net.scan(xs))
    assert twin.recorded == net.recorded == 8
    twin.reset()
    assert net.recorded == 8


def test_what_has_no_source_is_not_saved(tmp_path: Path) -> None:
    net = rnnc.Recur(lstm(3, 4))
    function: Any = rnnc.Recur(lambda h, x: (h, x), 0)
    for attempt in (
        lambda: net.save(tmp_path / "net"),
        lambda: pickle.dumps(net),
        lambda: pickle.dumps(net.cell),
        lambda: function.save(tmp_path / "net"),
    ):
        with pytest.raises(rnnc.Error) as caught:
            attempt()
        assert caught.value.code == "bad-checkpoint" and isinstance(caught.value, ValueError)
    assert not list(tmp_path.iterdir())


# -- what is kept beside ---------------------------------------------------------------------------


def kept(tmp_path: Path, **beside: Any) -> dict[str, Any]:
    dense().save(tmp_path / "net", extra=beside)
    _, found = rnnc.load_net(tmp_path / "net", with_extra=True)
    return dict(found)


BASE = np.arange(24.0).reshape(2, 3, 4)
ARRAYS: dict[str, Array] = {
    "in the order of Fortran": np.asfortranarray(BASE), "strided": BASE[:, ::2, 1::2],
    "from behind": BASE[::-1, :, ::-1], "one for all": np.broadcast_to(np.float32(2), (3, 4)),
    "transposed": BASE.T, "big-endian": BASE.astype(">f8"), "empty": np.zeros((0, 3)),
    "a number": np.array(2.5), "nan": np.array([np.nan, -0.0, np.inf, 5e-324]),
    **{dtype: np.array([0, 1, 2]).astype(dtype) for dtype in
       ("float16", "float32", "int8", "int64", "uint16", "uint64", "bool")},
}  # fmt: skip


@pytest.mark.parametrize("name", ARRAYS)
def test_an_array_is_kept_however_it_lies_in_memory(name: str, tmp_path: Path) -> None:
    array = ARRAYS[name]
    found = kept(tmp_path, a=array, b=array)["b"]
    assert found.dtype == array.dtype.newbyteorder("=") and found.shape == array.shape
    assert found.tobytes() == array.astype(found.dtype).tobytes()
    assert found.flags.writeable


def test_numbers_lists_and_names_of_any_kind_are_kept(tmp_path: Path) -> None:
    beside = {"n": 3, "losses": [1.5, 2.5], "": {"a b\n\0é🦜": True, "x.y": {}, "none": {"of": {}}}}
    found = kept(tmp_path, **beside)
    assert found["n"] == 3 and found["losses"].tolist() == [1.5, 2.5]
    assert list(found[""]) == list(beside[""]) and found[""]["none"] == {"of": {}}  # type: ignore[call-overload]


def too_deep() -> dict[str, Any]:
    found: dict[str, Any] = {}
    found["again"] = found
    return found


@pytest.mark.parametrize(
    ("beside", "code"),
    [
        ({"a": "text"}, "array-dtype"), ({"a": None}, "array-dtype"), ({"a": 1j}, "array-dtype"),
        ({"a": np.ma.array([1])}, "array-dtype"), ({"a": np.longdouble(1)}, "array-dtype"),
        ({"a": [[1], [1, 2]]}, "array-shape"), ({3: 1}, "bad-setting"), ([1], "bad-setting"),
        ({"\ud800": 1}, "bad-setting"), ({"a.b": 1, "a": {"b": 2}}, "bad-setting"),
        (too_deep(), "bad-setting"),
    ],
)  # fmt: skip
def test_what_cannot_be_kept_is_refused_before_the_file_is_touched(
    beside: Any, code: str, tmp_path: Path
) -> None:
    with pytest.raises(rnnc.Error) as caught:
        dense().save(tmp_path / "net", extra=beside)
    assert caught.value.code == code
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("make", [lambda: rnnc.Adam(0.1), lambda: rnnc.SGD(0.1, momentum=0.9)])
def test_an_optimiser_goes_on_bit_for_bit(make: Callable[[], Any], tmp_path: Path) -> None:
    net, optimiser = elman(), make()

    def train(net: Recur, optimiser: Any) -> None:
        for _ in range(3):
            _, d_ys = rnnc.squared_error(net.scan(random(4, 2, 3)), np.ones((4, 2, 4)))
            net.load_params(optimiser.step(net.params, net.backward(d_ys).params))
            net.truncate()

    train(net, optimiser)
    net.save(tmp_path / "net", extra={"optimiser": optimiser.state})
    train(net, optimiser)
    again, beside = rnnc.load_net(tmp_path / "net", with_extra=True)
    resumed = make()
    resumed.state = beside["optimiser"]
    train(again, resumed)
    same_by_name(again.params, net.params)


@pytest.mark.parametrize(
    "wrong",
    [
        {}, {"steps": 1, "first": {}, "second": {}, "third": {}}, 3,
        {"steps": -1, "first": {}, "second": {}}, {"steps": 1.5, "first": {}, "second": {}},
        {"steps": 1, "first": {"W": np.ones(2)}, "second": {}},
        {"steps": 1, "first": {"W": np.ones(2)}, "second": {"W": np.ones(3)}},
        {"steps": 1, "first": {"W": "text"}, "second": {"W": np.ones(3)}},
    ],
)  # fmt: skip
def test_an_optimiser_refuses_what_is_no_state_of_it(wrong: Any) -> None:
    optimiser = rnnc.Adam()
    with pytest.raises(rnnc.Error):
        optimiser.state = wrong
    assert optimiser.state == {"steps": 0, "first": {}, "second": {}}


# -- other backends, and none of the library -------------------------------------------------------


@pytest.mark.torch
@pytest.mark.usefixtures("stand_in")
@pytest.mark.parametrize("dtype", ["float32", "float64", "bfloat16", "float16"])
def test_a_net_of_tensors_is_saved_as_its_arrays(dtype: str, tmp_path: Path) -> None:
    import torch

    net = rnnc.LSTM(3, 4, dtype=dtype)
    xs = torch.tensor(random(5, 2, 3)).to(getattr(torch, dtype))
    net.scan(xs)
    net.reset(rows=[1])
    net.save(tmp_path / "net")
    loaded = rnnc.load_net(tmp_path / "net")
    for name in net.params:
        assert torch.equal(loaded.params[name], net.params[name])
    assert torch.equal(loaded.scan(xs), net.scan(xs))
    loaded.save(tmp_path / "again")
    if dtype in ("float32", "float64"):
        on_numpy = rnnc.load_net(tmp_path / "net", backend="numpy")
        close(on_numpy.params, numpy_of(net.params))
        assert on_numpy.scan(numpy_of(xs)).dtype == dtype
    else:
        with pytest.raises(rnnc.Error) as caught:
            rnnc.load_net(tmp_path / "net", backend="numpy")
        assert caught.value.code == "bad-setting"


@pytest.mark.torch
@pytest.mark.usefixtures("stand_in")
def test_moments_of_tensors_go_on_as_tensors() -> None:
    import torch

    gradients = {"W": torch.ones(3)}
    params = {"W": torch.zeros(3)}
    for make in (rnnc.Adam, lambda: rnnc.SGD(0.1, momentum=0.9)):
        optimiser, resumed = make(), make()
        params_then = optimiser.step(params, gradients)
        resumed.state = {
            name: {n: a.numpy() for n, a in part.items()} if isinstance(part, dict) else part
            for name, part in optimiser.state.items()
        }
        one, other = (o.step(params_then, gradients)["W"] for o in (optimiser, resumed))
        assert torch.equal(one, other)


def test_without_safetensors_the_extra_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    elman().save(tmp_path / "net")
    monkeypatch.setitem(__import__("sys").modules, "safetensors", None)
    for attempt in (
        lambda: elman().save(tmp_path / "other"),
        lambda: rnnc.load_net(tmp_path / "net"),
    ):
        with pytest.raises(ImportError, match=r"rnnc\[checkpoints\]") as caught:
            attempt()
        assert isinstance(caught.value, rnnc.Error) and "\n" not in str(caught.value)
    same_by_name(pickle.loads(pickle.dumps(elman())).params, elman().params)
