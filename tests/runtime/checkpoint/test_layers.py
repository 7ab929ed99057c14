"""Stacks and both directions that were saved go on where they stood, or are refused."""

from __future__ import annotations

import copy
import gc
import pickle
import pickletools
from collections.abc import Callable
from pathlib import Path
from time import process_time
from typing import Any
from unittest import mock

import numpy as np
import pytest

import rnnc
from rnnc.compiler.elaborate import elaborate
from rnnc.runtime.layered import Layered
from tests.compiler.hand_built import lstm
from tests.fuzz.forgery import Parts
from tests.pace import is_soon
from tests.runtime.checkpoint.test_checkpoint import same, same_by_name
from tests.runtime.checkpoint.test_refusals import change
from tests.runtime.models import bound, random

OWN = """
import Embedding, GRU, Dense from std
fn twice(a) = 2 * a
cell Own(n, act = tanh): (h[n] = h0, x[n]) -> (h', h') { param h0[n] = normal(1)
    h' = act(0.1 * h + x) }
cell Deep(n, act = tanh) = Embedding(5, n) >> encoder: repeat(2, Own(n, act)) >> top: Dense(n, n)
"""


def both(merge: str = "concat", **keywords: Any) -> rnnc.Bidirectional:
    cell = bound("Elman", 3, 2)
    return rnnc.Bidirectional(cell, cell, merge=merge, **{"dtype": "float64", **keywords})


def mixed(**keywords: Any) -> rnnc.Stack:
    elman = bound("Elman", 4, 2)
    layers = [rnnc.LSTMCell(3, 4), rnnc.Bidirectional(elman, elman), rnnc.GRUCell(4, 4)]
    return rnnc.Stack(layers, **{"dtype": "float64", "seed": 5, **keywords})


def at_start() -> Layered:
    return mixed(dropout=0.3, residual=[1, 2])


def in_the_middle() -> Layered:
    net = mixed(dropout=0.4, residual=[2])
    net.scan(random(5, 2, 3))
    return net


def one_mask_a_call() -> Layered:
    net = mixed(dropout=0.4, per_sequence=True, batch_first=True)
    net.scan(random(2, 5, 3), lengths=[5, 2])
    return net


def in_both_directions() -> Layered:
    net = both("mean")
    net.scan(random(5, 2, 3))
    return net


def with_states_that_were_set() -> Layered:
    net = both("sum", exact=True)
    net.state = {"forward.h": random(2, 2), "backward.h": random(2, 2, seed=1)}
    net.scan(random(5, 2, 3), lengths=[5, 0])  # the second row is still to begin
    return net


def with_rows_to_reset() -> Layered:
    net = mixed(dropout=0.2)
    net.scan(random(5, 2, 3))
    net.reset(rows=[1])
    return net


def with_rows_to_reset_to_values() -> Layered:
    net = mixed()
    net.scan(random(5, 2, 3))
    values = {s.name: random(2, *map(int, s.node.type.shape)) for s in net._cell.states}
    net.reset(rows=[0], state=values)
    return net


def in_a_window() -> Layered:
    net = rnnc.Stack([rnnc.GRUCell(3, 4), bound("Dense", 4, 2)], dropout=0.3, history=3)
    net.scan(random(5, 2, 3))
    net.history_limit = 123456
    return net


def without_batch_in_eval() -> Layered:
    net = mixed(dropout=0.3).eval()
    net.scan(random(5, 3))
    return net


def after_no_steps() -> Layered:
    net = mixed()
    net.scan(np.zeros((0, 4, 3)))
    return net


def of_several_sources() -> Layered:
    cells: Any = rnnc.loads(OWN)
    chain = rnnc.Chain(rnnc.GRU(3, 4), rnnc.Dense(4, 3, act="relu"))
    net = rnnc.Stack([rnnc.Embedding(5, 3), chain, cells.Own(3, act="twice")], residual=[2])
    net.scan(np.array([[1, 2], [4, 0]]))
    return net


def without_states() -> Layered:
    dense = bound("Dense", 3, 2)
    net = rnnc.Stack([rnnc.Bidirectional(dense, dense), bound("Dense", 4, 3)], dropout=0.4)
    net.scan(random(5, 2, 3))
    return net


def of_a_chain() -> Layered:
    cells: Any = rnnc.loads(OWN)
    net = rnnc.Stack(cells.Deep(3, act="twice"), dropout=0.3, residual=[2, 3], seed=4)
    net.scan(np.array([[1, 2], [4, 0]]))
    net.reset(rows=[1])
    return net


def of_a_chain_of_python() -> Layered:
    """One member of it is no layer of its own."""
    half = rnnc.loads("cell Half(n): ((), x[n]) -> ((), y) { y = x / 2 }").Half(4)
    chain = rnnc.Chain(rnnc.LSTM(3, 4), half, rnnc.Chain(rnnc.GRU(4, 2), rnnc.Dense(2, 2)))
    net = rnnc.Stack(chain)
    net.scan(random(5, 2, 3))
    return net


def of_a_chain_of_nets() -> Layered:
    return rnnc.Stack(rnnc.Chain(rnnc.LSTM(3, 4), rnnc.GRU(4, 2), dtype="float32", seed=2))


def of_an_ensemble_of_chains() -> Layered:
    cells: Any = rnnc.loads(OWN)
    net = rnnc.Stack(rnnc.ensemble(cells.Deep(3), 2))
    net.scan(np.array([[1, 2], [4, 0]]))
    return net


def with_names() -> Layered:
    gru = rnnc.GRUCell(3, 2)
    net = rnnc.Stack({"both": rnnc.Bidirectional(gru, gru), "größe": rnnc.Dense(4, 2)})
    net.scan(random(5, 2, 3), lengths=[5, 0])
    net.reset(rows=[0])
    return net


STORIES: list[Callable[[], Layered]] = [
    at_start, in_the_middle, one_mask_a_call, in_both_directions, with_states_that_were_set,
    with_rows_to_reset, with_rows_to_reset_to_values, in_a_window, without_batch_in_eval,
    after_no_steps, of_several_sources, without_states, of_a_chain, of_a_chain_of_python,
    of_a_chain_of_nets, of_an_ensemble_of_chains, with_names,
]  # fmt: skip


def inputs(net: Layered) -> Any:
    """Three more steps that fit the net's state."""
    (x,) = net._first._cell.inputs
    likes = [inner._at.like for inner in net._nets().values() if inner._cell.states]
    like = likes[0] if likes else None
    lead = (3,) if like is None or not like.batched else (3, like.batch)
    shape = (*(lead[::-1] if net._inputs.batch_first else lead), *map(int, x.node.type.shape))
    return random(*shape) if x.node.type.kind == "real" else np.ones(shape, int)


def through_a_file(net: Layered, tmp_path: Path) -> Layered:
    net.save(tmp_path / "net")
    found: Layered = rnnc.load_net(tmp_path / "net")
    return found


def through_a_pickle(net: Layered, _tmp_path: Path) -> Layered:
    found: Layered = pickle.loads(pickle.dumps(net))
    return found


def through_copies(net: Layered, _tmp_path: Path) -> Layered:
    found = copy.deepcopy([copy.copy(net)])[0]
    found.truncate()
    return found


@pytest.mark.parametrize("through", [through_a_file, through_a_pickle, through_copies])
@pytest.mark.parametrize("story", STORIES)
def test_it_goes_on_bit_for_bit(
    story: Callable[[], Layered], through: Callable[[Layered, Path], Layered], tmp_path: Path
) -> None:
    net = story()
    recorded = net.recorded
    loaded = through(net, tmp_path)
    assert type(loaded) is type(net) and repr(loaded) == repr(net)
    assert (loaded.recorded, net.recorded) == (0, recorded), "a boundary, of the new net alone"
    assert (loaded.training, loaded.history_limit) == (net.training, net.history_limit)
    same_by_name(loaded.params, net.params)
    net.truncate()
    xs = inputs(net)
    for boundaries in (2, None):  # the backward direction begins anew in the second call
        same_by_name(loaded.state, net.state)
        same(loaded.scan(xs, boundaries=boundaries), net.scan(xs, boundaries=boundaries))
    assert loaded.recorded == net.recorded
    if net.training:
        d_ys = [np.ones_like(net.scan(xs)), *[None] * (len(net._ran) - 1)][::-1]
        loaded.scan(xs)
        theirs, mine = loaded.backward(d_ys), net.backward(d_ys)
        same_by_name(theirs.params, mine.params)
        same(theirs.inputs, mine.inputs)
        if not mine.starts:  # the new net knows values that rows were reset to as its first state
            same_by_name(theirs.state, mine.state)


@pytest.mark.parametrize("story", STORIES)
def test_saving_what_was_loaded_gives_the_same_bytes(
    story: Callable[[], Layered], tmp_path: Path
) -> None:
    story().save(tmp_path / "first", extra={"n": 1})
    net, extra = rnnc.load_net(tmp_path / "first", with_extra=True)
    net.save(tmp_path / "second", extra=extra)
    assert (tmp_path / "first").read_bytes() == (tmp_path / "second").read_bytes()


def test_parameters_of_nets_and_where_dropout_is_drawn_from_are_kept(tmp_path: Path) -> None:
    """Not drawn anew from the seed that the masks have."""
    net = rnnc.Stack([rnnc.GRU(3, 3, seed=8), rnnc.GRUCell(3, 3)], dropout=0.5, seed=3)
    net.load_params({"0.b": np.ones((3, 3))})
    loaded = through_a_file(net, tmp_path)
    same_by_name(loaded.params, net.params)
    xs = random(4, 2, 3)
    same(loaded.scan(xs), net.scan(xs))


def test_training_goes_on_bit_for_bit(tmp_path: Path) -> None:
    net, optimiser = mixed(dropout=0.3, residual=[1]), rnnc.Adam(0.1)

    def train(net: Any, optimiser: Any) -> None:
        for at in range(3):
            ys = net.scan(random(4, 2, 3, seed=at))
            _, d_ys = rnnc.squared_error(ys, np.ones((4, 2, 4)))
            net.load_params(optimiser.step(net.params, net.backward(d_ys).params))
            net.truncate()

    train(net, optimiser)
    net.save(tmp_path / "net", extra={"adam": optimiser.state})
    train(net, optimiser)
    again, beside = rnnc.load_net(tmp_path / "net", with_extra=True)
    resumed = rnnc.Adam(0.1)
    resumed.state = beside["adam"]
    train(again, resumed)
    same_by_name(again.params, net.params)
    same_by_name(again.state, net.state)


def test_a_pickle_holds_sources_and_arrays_and_no_code() -> None:
    data = pickle.dumps(in_the_middle())
    strings = {a for op, a, _ in pickletools.genops(data) if isinstance(a, str)}
    modules = {s for s in strings if s.startswith(("rnnc.", "numpy", "builtins", "copyreg"))}
    assert {m.split(".")[0] for m in modules} <= {"rnnc", "numpy", "copyreg"}
    assert b"def build" not in data and any("cell " in s for s in strings)


def test_what_has_no_source_is_not_saved(tmp_path: Path) -> None:
    net = rnnc.Stack([rnnc.GRUCell(3, 3), lstm(3, 4)])
    for attempt in (lambda: net.save(tmp_path / "net"), lambda: pickle.dumps(net)):
        with pytest.raises(rnnc.Error, match="no source") as caught:
            attempt()
        assert caught.value.code == "bad-checkpoint"
    assert not list(tmp_path.iterdir())


@pytest.mark.torch
@pytest.mark.usefixtures("stand_in")
def test_a_stack_of_tensors_is_saved_as_its_arrays(tmp_path: Path) -> None:
    import torch

    net = mixed(dtype="float32", dropout=0.3)
    xs = torch.tensor(random(5, 2, 3)).float()
    net.scan(xs)
    net.reset(rows=[1])
    loaded = through_a_file(net, tmp_path)
    assert torch.equal(loaded.scan(xs), net.scan(xs))
    on_numpy = rnnc.load_net(tmp_path / "net", backend="numpy")
    assert on_numpy.scan(xs.numpy()).dtype == np.float32


# -- files that lie --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    net = mixed(dropout=0.4, residual=[1, 2])
    net.scan(random(5, 2, 3))
    net.reset(rows=[1])
    path = tmp_path_factory.mktemp("whole") / "net"
    net.save(path)
    rnnc.load_net(path)
    return path.read_bytes()


def spoilt(tmp_path: Path, data: bytes) -> str:
    """What is said of a file of `data`; soon."""
    path = tmp_path / "spoilt"
    path.write_bytes(data)
    gc.disable()  # it goes over all that the process holds, and not for a file's sake
    try:
        begun = process_time()
        with pytest.raises(rnnc.Error) as caught:
            rnnc.load_net(path)
        seconds = process_time() - begun
    finally:
        gc.enable()
    assert is_soon(seconds, 0.2)
    assert caught.value.code == "bad-checkpoint" and str(path) in str(caught.value)
    return str(caught.value)


def test_what_is_known_of_each_row_is_named_by_path(whole: bytes) -> None:
    table = Parts.of(whole).table
    flags = {name for name, entry in table.items() if entry["dtype"] == "BOOL"}
    paths = ["0", "1.forward", "1.backward", "2"]
    assert flags == {"begun.1", *(f"resets.{path}" for path in paths)}


def changes(path: str, *values: Any) -> list[Callable[[Any], None]]:
    return [change(path, value) for value in values]


WRONG = [
    *changes("cell.kind", "stacks", None, 3, [], "bidirectional", KeyError),
    *changes("cell.layers", [], None, {}, "text", [1], [[]], ["a"], KeyError),
    *changes("cell.dropout", 1.0, -0.1, 1, True, "0.4", None, KeyError),
    *changes("cell.per_sequence", 0, None, KeyError),
    *changes("cell.seed", 0.5, True, None, KeyError),
    *changes("cell.residual", [0, 1], [2, 1], [1, 1], [3], [-1], [True], [1.0], {"1": 1}, 1, None),
    *changes("cell.paths", ["0", "1"], ["0", "1", "1"], ["0", "1.forward", "1"], ["0", "1", "a.b."],
             ["0", "1", "02"], ["0", "1", "cell"], ["0", "1", 2], ["0", "1", None], ["0", "1", ""],
             ["0", "2", "1"], ["0", "1", "x"], {}, "012", None, KeyError),
    *changes("net.batch", None, 3), change("net.history", 3), change("net.dtype", "float32"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.__name__)
def test_what_is_said_wrongly_of_a_stack_is_refused(
    wrong: Callable[[Any], None], whole: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(whole)
    wrong(parts.said)
    spoilt(tmp_path, parts.bytes())


def of_layer(at: int, path: str, *values: Any) -> list[Callable[[Any], None]]:
    def within(changing: Callable[[Any], None]) -> Callable[[Any], None]:
        def changing_it(said: Any) -> None:
            changing(said["cell"]["layers"][at])

        changing_it.__name__ = f"layer {at} {changing.__name__}"
        return changing_it

    return [within(changing) for changing in changes(path, *values)]


WRONG_LAYERS = [
    *of_layer(1, "kind", "stack", "both", None, KeyError),
    *of_layer(1, "merge", "max", None, [], "sum", KeyError),
    *of_layer(1, "forward", [], None, 3, {"cell": 0, "label": ""}, KeyError),
    *of_layer(1, "backward", [], None, 3, {"cell": 0, "label": ""}, KeyError),
    *of_layer(0, "label", "\x1b[31mred", None, 3, KeyError),
    *of_layer(0, "cell", [], None, {}, "GRU", KeyError),
    *of_layer(0, "cell.settings.hidden", 5), *of_layer(0, "cell.sources", 9),
    *of_layer(0, "cell.name", "GRU"), *of_layer(2, "kind", "bidirectional"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_LAYERS, ids=lambda wrong: wrong.__name__)
def test_what_is_said_wrongly_of_a_layer_is_refused(
    wrong: Callable[[Any], None], whole: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(whole)
    wrong(parts.said)
    spoilt(tmp_path, parts.bytes())


@pytest.fixture(scope="module")
def of_links(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("links") / "net"
    of_a_chain().save(path)
    rnnc.load_net(path)
    return path.read_bytes()


WRONG_LINKS = [
    *of_layer(0, "cell.link", "1", "encoder", "encoder.0", "0.", "", 0, None, [], KeyError),
    *of_layer(0, "cell.of", [], None, {}, "Deep", 0, {"link": "0"}, KeyError),
    *of_layer(1, "cell.of.link", "0", "top", "x", None),
    *of_layer(1, "cell.of.of.settings.n", 4), *of_layer(1, "cell.of.of.name", "Own"),
]  # fmt: skip


@pytest.mark.parametrize("wrong", WRONG_LINKS, ids=lambda wrong: wrong.__name__)
def test_what_is_said_wrongly_of_a_link_is_refused(
    wrong: Callable[[Any], None], of_links: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(of_links)
    wrong(parts.said)
    spoilt(tmp_path, parts.bytes())


def test_links_within_links_without_end_are_refused(of_links: bytes, tmp_path: Path) -> None:
    for depth in (1, 10, 300, 450):
        parts = Parts.of(of_links)
        layer = parts.said["cell"]["layers"][0]
        for _ in range(depth):
            layer["cell"] = {"link": "0", "of": layer["cell"]}
        spoilt(tmp_path, parts.bytes())


def test_a_chain_of_many_links_is_made_once(tmp_path: Path) -> None:
    cells: Any = rnnc.loads("import GRU from std\ncell Deep(n) = repeat(60, GRU(n, n))")
    net = rnnc.Stack(cells.Deep(1))
    net.save(tmp_path / "net")
    with mock.patch("rnnc.compiler.library.elaborate", wraps=elaborate) as made:
        rnnc.load_net(tmp_path / "net")
    assert made.call_count == 2  # to read its arrays, and to make the net


@pytest.mark.parametrize("order", [[2, 1, 0], [0, 1], [0, 1, 2, 2], [0, 0, 2]])
def test_other_layers_or_another_order_are_refused(
    order: list[int], whole: bytes, tmp_path: Path
) -> None:
    parts = Parts.of(whole)
    layers = parts.said["cell"]["layers"]
    parts.said["cell"]["layers"] = [layers[at] for at in order]
    spoilt(tmp_path, parts.bytes())


def test_layers_whose_sizes_do_not_fit_are_refused(tmp_path: Path) -> None:
    """Their arrays are those of their cells."""
    rnnc.Bidirectional(rnnc.GRUCell(3, 2), rnnc.GRUCell(3, 3)).save(tmp_path / "net")
    parts = Parts.of((tmp_path / "net").read_bytes())
    parts.said["cell"]["merge"] = "sum"
    assert "do not fit" in spoilt(tmp_path, parts.bytes())
    mixed().save(tmp_path / "net")
    parts = Parts.of((tmp_path / "net").read_bytes())
    parts.said["cell"]["residual"] = [0]
    assert "no residual connection" in spoilt(tmp_path, parts.bytes())


def test_arrays_of_no_layer_are_refused(whole: bytes, tmp_path: Path) -> None:
    for name, other in (("params.0.W", "params.3.W"), ("params.0.W", "params.W"),
                        ("begun.1", "begun.0"), ("begun.1", "begun"), ("resets.2", "resets"),
                        ("resets.0", "resets.1"), ("state.1.forward.h", "state.1.h")):  # fmt: skip
        parts = Parts.of(whole)
        parts.table[other] = parts.table.pop(name)
        assert f"{other} belongs to nothing" in spoilt(tmp_path, parts.bytes())
    parts = Parts.of(whole)
    parts.table["begun.1"]["shape"] = [1, 2]
    assert "begun.1 is bool[1, 2], not bool[2]" in spoilt(tmp_path, parts.bytes())


def test_too_many_cells_are_refused_both_ways(whole: bytes, tmp_path: Path) -> None:
    parts = Parts.of(whole)
    parts.said["cell"]["layers"] *= 70  # 3 layers of 4 cells
    assert "more than 256" in spoilt(tmp_path, parts.bytes())
    parts = Parts.of(whole)
    for _ in range(300):
        parts.said["cell"]["layers"][0] = {"cell": parts.said["cell"]["layers"][0], "label": ""}
    spoilt(tmp_path, parts.bytes())
    net = rnnc.Stack([rnnc.Chain(*[rnnc.Dense(2, 2)] * 64)] * 5)
    with pytest.raises(rnnc.Error, match="256"):
        net.save(tmp_path / "net")
