"""Ensembles from Python: they draw, run, train, save and come apart as separate nets would."""

from __future__ import annotations

import copy
import json
import pickle
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.origin import DEEPEST, MOST_MEMBERS
from rnnc.runtime.errors import (
    ChainError,
    CheckpointError,
    RangeError,
    SettingError,
    ShapeError,
)
from rnnc.runtime.params import initialise, member_seed
from tests.compiler.members import OWN
from tests.runtime.models import close

COUNT, STEPS, ROWS = 4, 6, 3
DRAWS = np.random.default_rng(3)
XS = DRAWS.normal(size=(STEPS, ROWS, 3))
OWN_XS = DRAWS.normal(size=(STEPS, ROWS, COUNT, 3))


def nets_of(net: rnnc.Recur) -> list[rnnc.Recur]:
    return [rnnc.Recur(member) for member in rnnc.members(net)]


def gru(**keywords: Any) -> rnnc.Recur:
    return rnnc.Recur(rnnc.ensemble(rnnc.cells.GRU(3, 5), COUNT, **keywords), dtype="float64")


# -- parameters ----------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [lambda: OWN.Learned(3, 4), lambda: OWN.Scalars()])
@pytest.mark.parametrize("shared", [True, False])
def test_each_member_is_drawn_as_the_cell_itself(make: Callable[[], Any], shared: bool) -> None:
    """Whatever fan its initialisers depend on, and for consts too."""
    cell = make()
    drawn = rnnc.ensemble(cell, COUNT, shared_inputs=shared).values(seed=7)
    for at in range(COUNT):
        alone = initialise(cell, member_seed(7, at), np.dtype("float64"))
        assert alone.keys() == drawn.keys()
        for name, array in alone.items():
            assert np.array_equal(drawn[name][at], array), name


def test_members_of_ensembles_within_ensembles_are_drawn_apart() -> None:
    cell = rnnc.cells.GRU(3, 4)
    drawn = rnnc.ensemble(rnnc.ensemble(cell, 2), 3).values(seed=1)["U"]
    alone = initialise(cell.cell, member_seed(member_seed(1, 2), 1), np.dtype("float64"))
    assert np.array_equal(drawn[2, 1], alone["U"])
    assert len({matrix.tobytes() for matrix in drawn.reshape(6, 3, 4, 4)}) == 6


def test_more_members_change_none() -> None:
    few, many = (rnnc.ensemble(rnnc.cells.LSTM(3, 4), n).values(0)["W"] for n in (2, 5))
    assert np.array_equal(many[:2], few)


def test_a_stack_draws_layers_of_one_kind_apart() -> None:
    cell = OWN.Inner(3)
    layers = [rnnc.ensemble(cell, COUNT), rnnc.ensemble(cell, COUNT, shared_inputs=False)]
    params = rnnc.Stack(layers).params
    both = (*params["0.U"], *params["1.U"])
    assert len({matrix.tobytes() for matrix in both}) == 2 * COUNT


# -- together and apart --------------------------------------------------------------------------


def test_nets_become_an_ensemble_and_the_ensemble_nets() -> None:
    nets = [rnnc.GRU(3, 5, dtype="float64", seed=seed) for seed in range(COUNT)]
    whole = rnnc.Recur(rnnc.ensemble(nets))
    ys = whole.scan(XS)
    for at, net in enumerate(nets):
        close(ys[:, :, at], net.scan(XS), 1e-13)
    for net, again in zip(nets, nets_of(whole), strict=True):
        assert all(np.array_equal(net.params[n], array) for n, array in again.params.items())
    assert f"{whole}" == "Recur(ensemble(GRUCell(3, 5), 4))"


def test_members_have_the_parameters_that_a_net_has_now() -> None:
    net = gru()
    net.load_params({"b": np.full((COUNT, 3, 5), 2.0)})
    member = rnnc.members(net)[1]
    assert (member.params["b"] == 2).all()
    assert np.array_equal(member.params["U"], net.params["U"][1])
    assert f"{member}" == "ensemble(GRU(3, 5), 4)[1]"


@pytest.mark.parametrize("shared", [True, False])
def test_a_net_runs_steps_and_goes_back_as_its_members_do(shared: bool) -> None:
    """In several calls, with all that a call may say, and the states returned."""
    net = gru(shared_inputs=shared)
    nets = nets_of(net)
    xs = XS if shared else OWN_XS
    starts = np.random.default_rng(1).random((STEPS, ROWS)) < 0.3
    said = {"starts": starts, "lengths": [STEPS, 2, 0], "boundaries": 2}
    ys, states = net.scan(xs, states=True, **said)
    y = net(xs[0])
    d_ys = np.random.default_rng(2).normal(size=(STEPS + 1, ROWS, COUNT, 5))
    d_state = {"h": d_ys[0]}
    grads = net.backward(d_ys, d_state, [{"h": d_ys[1:]}, None])
    d_xs = 0.0
    for at, one in enumerate(nets):
        mine = xs if shared else xs[:, :, at]
        own_ys, own_states = one.scan(mine, states=True, **said)
        close(ys[:, :, at], own_ys)
        close(states["h"][:, :, at], own_states["h"])
        close(y[:, at], one(mine[0]))
        close(net.state["h"][:, at], one.state["h"])
        back = one.backward(
            d_ys[:, :, at], {"h": d_ys[0][:, at]}, [{"h": d_ys[1:][:, :, at]}, None]
        )
        close({n: g[at] for n, g in grads.params.items()}, dict(back.params), 1e-11)
        close(grads.state["h"][:, at], back.state["h"], 1e-11)
        d_xs = d_xs + back.inputs if shared else d_xs
        if not shared:
            close(grads.inputs[:, :, at], back.inputs, 1e-11)
    if shared:
        close(grads.inputs, d_xs, 1e-11)


def test_a_learned_initial_state_has_its_gradient_from_every_reset() -> None:
    net = rnnc.Recur(rnnc.ensemble(OWN.Learned(3, 4), COUNT), dtype="float64")
    gain, d_y = XS[..., 0], np.ones((2 * STEPS, ROWS, COUNT))
    nets = nets_of(net)
    for one in (net, *nets):
        one.scan((XS, gain))
        one.reset([1])
        one.scan((XS, gain))
    found = net.backward((None, d_y)).params["h0"]
    for at, one in enumerate(nets):
        close(found[at], one.backward((None, d_y[..., at])).params["h0"], 1e-11)


@pytest.mark.parametrize("shared", [True, False])
def test_tokens_pick_rows_of_each_members_table(shared: bool) -> None:
    cell = rnnc.Chain(rnnc.Embedding(5, 3), rnnc.GRU(3, 4)).cell
    net = rnnc.Recur(rnnc.ensemble(cell, COUNT, shared_inputs=shared), dtype="float64", seed=2)
    lead = (STEPS, ROWS) if shared else (STEPS, ROWS, COUNT)
    tokens = np.random.default_rng(0).integers(0, 5, lead)
    tokens[2:, 1] = 99  # padding may be anything
    ys = net.scan(tokens, lengths=[STEPS, 2, STEPS])
    grads = net.backward(np.ones_like(ys))
    for at, one in enumerate(nets_of(net)):
        mine = tokens if shared else tokens[:, :, at]
        close(ys[:, :, at], one.scan(mine, lengths=[STEPS, 2, STEPS]))
        back = one.backward(np.ones_like(ys[:, :, at]))
        close(grads.params["0.E"][at], back.params["0.E"], 1e-11)
    with pytest.raises(RangeError, match="token holds 99, but its table has rows 0 to 4"):
        net.scan(tokens)


def test_layers_of_a_stack_may_be_ensembles(tmp_path: Path) -> None:
    below = rnnc.ensemble(rnnc.cells.LSTM(3, 4), COUNT)
    both = rnnc.ensemble(rnnc.cells.GRU(4, 2), COUNT, shared_inputs=False)
    net = rnnc.Stack([below, rnnc.Bidirectional(both, both)], dtype="float64", seed=1)
    net.save(tmp_path / "net.safetensors")
    again = rnnc.load_net(tmp_path / "net.safetensors")
    ys = net.scan(XS)
    assert f"{again}" == f"{net}" and np.array_equal(again.scan(XS), ys)
    grads = net.backward(np.ones_like(ys))
    assert ys.shape == (STEPS, ROWS, COUNT, 4)
    kinds = {"0": rnnc.cells.LSTM(3, 4), "1.forward": rnnc.cells.GRU(4, 2)}
    kinds["1.backward"] = kinds["1.forward"]
    for at in range(COUNT):
        first, ahead, behind = kinds.values()
        one = rnnc.Stack([first, rnnc.Bidirectional(ahead, behind)], dtype="float64")
        one.load_params({name: array[at] for name, array in net.params.items()})
        close(ys[:, :, at], one.scan(XS))
        back = one.backward(np.ones((STEPS, ROWS, 4)))
        close({n: g[at] for n, g in grads.params.items()}, dict(back.params), 1e-11)


# -- losses --------------------------------------------------------------------------------------


def test_a_loss_of_all_members_is_the_mean_of_theirs() -> None:
    """So its cotangent is a member's own over their number: `COUNT * d_ys` trains each alone."""
    net = gru()
    ys = net.scan(XS)
    targets = np.random.default_rng(1).normal(size=(STEPS, ROWS, 5))
    classes = np.random.default_rng(1).integers(0, 5, (STEPS, ROWS))
    mask = np.random.default_rng(1).random((STEPS, ROWS)) < 0.6
    for of, wanted in ((rnnc.squared_error, targets), (rnnc.cross_entropy, classes)):
        alike = np.broadcast_to(wanted[:, :, None], (STEPS, ROWS, COUNT, *wanted.shape[2:]))
        counts = np.broadcast_to(mask[:, :, None], (STEPS, ROWS, COUNT))
        loss, d_ys = of(ys, alike, counts)
        apart = [of(ys[:, :, at], wanted, mask) for at in range(COUNT)]
        assert loss == pytest.approx(np.mean([each for each, _ in apart]), rel=1e-13)
        for at, (_, d_y) in enumerate(apart):
            close(COUNT * d_ys[:, :, at], d_y, 1e-13)


# -- as a value ----------------------------------------------------------------------------------


def saved(net: rnnc.Recur, folder: Path) -> rnnc.Recur:
    net.save(folder / "net.safetensors")
    again: rnnc.Recur = rnnc.load_net(folder / "net.safetensors")
    return again


@pytest.mark.parametrize("way", ["file", "pickle", "copy"])
def test_it_goes_on_from_a_file_a_pickle_and_a_copy(way: str, tmp_path: Path) -> None:
    inner = rnnc.Chain(rnnc.LSTM(3, 4), rnnc.Dense(4, 2)).cell
    net = rnnc.Recur(rnnc.ensemble(inner, COUNT, shared_inputs=False), dtype="float64")
    net.scan(OWN_XS)
    ways: dict[str, Callable[[], rnnc.Recur]] = {
        "file": lambda: saved(net, tmp_path),
        "pickle": lambda: pickle.loads(pickle.dumps(net)),
        "copy": lambda: copy.copy(net),
    }
    other = ways[way]()
    assert f"{other}" == f"{net}"
    assert np.array_equal(other.scan(OWN_XS), net.scan(OWN_XS))
    assert len(rnnc.members(other)) == COUNT


def test_a_forged_number_of_members_is_refused(tmp_path: Path) -> None:
    from rnnc.runtime.checkpoint.description import read_text, text_of
    from rnnc.runtime.checkpoint.resume import snapshot_of

    text = text_of(snapshot_of(gru()), {})
    assert read_text(text)
    for forged in ("0", "-1", f"{MOST_MEMBERS + 1}", "2.0", "true", "null", '"4"'):
        with pytest.raises(CheckpointError, match=r"an ensemble of .* members"):
            read_text(text.replace('"members":4', f'"members":{forged}'))
    cell = json.loads(text)["cell"]
    within = text.replace(json.dumps(cell["ensemble"], separators=(",", ":")), json.dumps(cell))
    assert read_text(within)
    with pytest.raises(CheckpointError, match=r"an ensemble of 10000 members"):
        read_text(re.sub('"members": ?4', '"members":100', within))


def test_it_says_what_it_is() -> None:
    net = gru(shared_inputs=False)
    assert f"{net}" == "Recur(ensemble(GRU(3, 5), 4, shared_inputs=False))"
    report = f"{net.report()}"
    assert "U[members,3,hidden,hidden]" in report and "h[members,hidden]" in report
    assert {array.shape for array in net.trace(OWN_XS).values()} == {(STEPS, ROWS, COUNT, 5)}
    assert net._repr_latex_() == rnnc.Recur(rnnc.cells.GRU(3, 5))._repr_latex_()
    assert "ensemble(GRU(3, 5), 4, shared_inputs=False)" in net._repr_html_()


# -- what is wrong -------------------------------------------------------------------------------

CELL = rnnc.cells.GRU(3, 5)


@pytest.mark.parametrize("count", [None, 0, -1, True, 2.0, "two", MOST_MEMBERS + 1, 10**30])
def test_a_number_of_members_that_is_none_is_refused(count: Any) -> None:
    with pytest.raises(SettingError, match="members"):
        rnnc.ensemble(CELL, count)


@pytest.mark.parametrize("cells", [None, 3, "GRU", rnnc.cells.GRU, lambda h, x: (h, x)])
def test_what_is_no_cell_is_refused(cells: Any) -> None:
    with pytest.raises(ChainError, match="nets are made of compiled cells"):
        rnnc.ensemble(cells, 2)


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        ([], "at least one member"),
        ([CELL, rnnc.cells.GRU(3, 4)], "member 1 is GRU.3, 4. and the first GRU.3, 5."),
        ([CELL, rnnc.cells.LSTM(3, 5)], "member 1 is LSTM"),
        ([rnnc.GRU(3, 5), rnnc.GRU(3, 5, dtype="float64")], "say dtype="),
        ([CELL, 3], "not of 3"),
    ],
    ids=str,
)
def test_cells_of_several_kinds_are_refused(cells: Any, message: str) -> None:
    with pytest.raises(ChainError, match=message):
        rnnc.ensemble(cells)


def test_ensembles_of_ensembles_have_no_more_members_either() -> None:
    inner = rnnc.ensemble(CELL, 100)
    assert rnnc.ensemble(inner, MOST_MEMBERS // 100)
    with pytest.raises(SettingError, match="an ensemble of 4100 members, more than 4096"):
        rnnc.ensemble(inner, MOST_MEMBERS // 100 + 1)
    for _ in range(DEEPEST - 1):
        inner = rnnc.ensemble(inner, 1)
    with pytest.raises(SettingError, match="ensembles within ensembles, more than 8 deep"):
        rnnc.ensemble(inner, 1)


def test_settings_that_contradict_are_refused() -> None:
    with pytest.raises(SettingError, match="members is 3, but there are 2 cells"):
        rnnc.ensemble([CELL, CELL], 3)
    with pytest.raises(SettingError, match="shared_inputs is True or False, got 'no'"):
        rnnc.ensemble(CELL, 2, shared_inputs="no")  # type: ignore[arg-type]
    with pytest.raises(SettingError, match="dtype"):
        rnnc.ensemble(CELL, 2, dtype="int8")


def test_nets_that_are_no_ensemble_have_no_members() -> None:
    with pytest.raises(ChainError, match=r"GRUCell\(3, 5\) is no ensemble"):
        rnnc.members(rnnc.GRU(3, 5))


def test_shapes_that_do_not_fit_are_refused_and_change_nothing() -> None:
    net = gru()
    net.scan(XS)
    before = net.state["h"].copy()
    for wrong in (OWN_XS, XS[..., :2]):
        with pytest.raises(ShapeError, match="x"):
            net.scan(wrong)
    with pytest.raises(ShapeError, match=r"W is \[4, 3, 5, 3\], got \[3, 5, 3\]"):
        net.load_params({"W": np.zeros((3, 5, 3))})
    with pytest.raises(ShapeError, match="d_ys"):
        net.backward(np.zeros((STEPS, ROWS, 5)))
    assert np.array_equal(net.state["h"], before) and net.recorded == STEPS


# -- on Triton -----------------------------------------------------------------------------------


@pytest.mark.torch
def test_nets_of_tensors_become_an_ensemble_and_come_apart() -> None:
    pytest.importorskip("triton")
    nets = [rnnc.GRU(3, 4, backend="triton", seed=seed) for seed in range(2)]
    whole = rnnc.Recur(rnnc.ensemble(nets))
    ys = whole.scan(XS)
    for at, (net, member) in enumerate(zip(nets, rnnc.members(whole), strict=True)):
        close(ys[:, :, at], net.scan(XS), 1e-6)
        assert all((net.params[name] == array).all() for name, array in member.params.items())


@pytest.mark.torch
def test_padding_of_members_tokens_may_be_anything_on_triton_too() -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    cell = rnnc.ensemble(OWN.Reader(5, 3), 2, shared_inputs=False, backend="triton")
    net = rnnc.Recur(cell)
    tokens = np.random.default_rng(0).integers(0, 5, (4, ROWS, 2))
    tokens[2:, 1] = 99
    ys = net.scan(tokens, lengths=[4, 2, 4])
    net.reset()
    assert (net.scan(torch.from_numpy(tokens), lengths=[4, 2, 4]).numpy() == ys).all()
