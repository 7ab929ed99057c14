"""Modifiers from Python: bound cells that begin as they should, run in every net, and are kept."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.compiler.modifiers import MODIFIERS, ModifierError
from rnnc.compiler.same import same
from rnnc.runtime.errors import ChainError
from tests.compiler.modifiers.cases import CASES, SIZE

XS = np.random.default_rng(2).normal(size=(6, 3, SIZE))

each_case = pytest.mark.parametrize("name", CASES)


def net_of(cell: Any, **keywords: Any) -> rnnc.Recur:
    return rnnc.Recur(cell, dtype="float64", **keywords)


def test_the_namespace_is_the_table() -> None:
    assert dir(rnnc.modifiers) == sorted(MODIFIERS)
    for name, modifier in MODIFIERS.items():
        function = getattr(rnnc.modifiers, name)
        assert function is getattr(rnnc.modifiers, name)
        assert function.__name__ == name
        assert modifier.signature in function.__doc__ and modifier.source in function.__doc__
    with pytest.raises(AttributeError, match="did you mean 'residual'"):
        _ = rnnc.modifiers.residul
    assert not hasattr(rnnc.modifiers, "__path__")


@each_case
def test_python_has_the_same_cell(name: str) -> None:
    assert same(CASES[name].bound.cell, CASES[name].cell)


def test_a_cell_prints_as_it_was_made() -> None:
    cell = rnnc.modifiers.clip_state(rnnc.cells.LSTM(3, 4), 0.5, c=2)
    assert str(cell) == "clip_state(LSTM(3, 4), 0.5, c=2)"
    outer = rnnc.modifiers.weight_norm(cell, on=["W", "U"])
    assert str(outer) == "weight_norm(clip_state(LSTM(3, 4), 0.5, c=2), on=['W', 'U'])"


def test_no_equations_are_shown_that_are_not_its_own() -> None:
    cell = rnnc.modifiers.residual(rnnc.cells.GRU(3, 3))
    assert cell._repr_latex_() is None
    assert "residual(GRU(3, 3))" in cell._repr_html_() and r"\tanh" not in cell._repr_html_()


def test_seed_dtype_and_backend_are_those_of_the_cell() -> None:
    cell = rnnc.cells.LSTM(3, 4, seed=7, dtype="float64")
    found = rnnc.modifiers.weight_norm(cell, "U")
    assert (found.seed, found.dtype, found.backend) == (7, "float64", "auto")
    assert np.array_equal(found.params["U"], cell.params["U"])


def test_a_net_is_modified_as_it_stands() -> None:
    net = net_of(rnnc.cells.GRU(SIZE, SIZE))
    net.load_params({name: 1.5 * array for name, array in net.params.items()})
    normed = net_of(rnnc.modifiers.weight_norm(net, ["W", "U"]))
    integrated = net_of(rnnc.modifiers.multiplicative_integration(net))
    wanted = net.scan(XS)
    for found in (normed, integrated):
        np.testing.assert_allclose(found.scan(XS), wanted, rtol=1e-13)
    fewer = rnnc.modifiers.low_rank(net, "U", 2)
    assert np.array_equal(fewer.values()["W"], net.params["W"])
    assert fewer.values()["U_left"].shape == (3, SIZE, 2)


@pytest.mark.parametrize("members", [None, 2])
def test_blocks_start_from_those_along_the_diagonal(members: int | None) -> None:
    plain = rnnc.cells.GRU(SIZE, SIZE, seed=3)
    net = net_of(rnnc.ensemble(plain, members) if members else plain)
    net.load_params({name: 1.5 * array for name, array in net.params.items()})
    found = rnnc.modifiers.block_diagonal(net, ["U", "W"], 2).values()
    for name in ("U", "W"):
        whole = net.params[name]
        corners = [whole[..., :2, :2], whole[..., 2:, 2:]]
        np.testing.assert_array_equal(found[name], np.stack(corners, axis=-3))
    np.testing.assert_array_equal(found["b"], net.params["b"])


def test_a_seed_draws_a_modified_net_anew() -> None:
    """As of any cell that has parameters of its own."""
    net = net_of(rnnc.cells.GRU(SIZE, SIZE))
    net.load_params({name: 1.5 * array for name, array in net.params.items()})
    normed = rnnc.modifiers.weight_norm(net, "U")
    again = net_of(rnnc.cells.GRU(SIZE, SIZE), seed=1)
    np.testing.assert_array_equal(net_of(normed, seed=1).params["U"], again.params["U"])
    np.testing.assert_array_equal(net_of(net.cell, seed=1).params["U"], again.params["U"])


def test_a_chain_and_an_ensemble_are_modified_as_they_stand() -> None:
    chain = rnnc.Chain(rnnc.cells.LSTM(SIZE, 3), rnnc.cells.GRU(3, SIZE), dtype="float64")
    found = rnnc.Recur(rnnc.modifiers.weight_norm(chain, ["0.U", "1.W"]))
    np.testing.assert_allclose(found.scan(XS), chain.scan(XS), rtol=1e-13)
    many = net_of(rnnc.ensemble(rnnc.cells.GRU(SIZE, 3), 2))
    found = net_of(rnnc.modifiers.weight_norm(many, "U"))
    np.testing.assert_allclose(found.scan(XS), many.scan(XS), rtol=1e-13)
    with pytest.raises(ChainError, match="is no ensemble"):
        rnnc.members(found)


@each_case
def test_it_is_kept_and_made_again(name: str, tmp_path: Path) -> None:
    cell = CASES[name].bound
    net = net_of(cell)
    net.scan(XS[:3])
    path = tmp_path / "net"
    net.save(path)
    again = [rnnc.load_net(path), pickle.loads(pickle.dumps(net)), copy.deepcopy(net)]
    wanted = net.scan(XS[3:])
    for other in again:
        assert str(other.cell) == str(cell)
        assert other.cell.cell.origin == cell.cell.origin
        assert np.array_equal(other.scan(XS[3:]), wanted)


@each_case
def test_it_stands_in_stacks_chains_and_ensembles(name: str, tmp_path: Path) -> None:
    cell = CASES[name].bound
    stack = rnnc.Stack([cell, rnnc.cells.GRU(SIZE, SIZE), cell], dtype="float64", seed=1)
    chain = rnnc.Chain(cell, rnnc.cells.GRU(SIZE, SIZE), cell, dtype="float64", seed=1)
    np.testing.assert_allclose(stack.scan(XS), chain.scan(XS), rtol=1e-12, atol=1e-12)
    many = net_of(rnnc.ensemble(cell, 2))
    apart = [net_of(member).eval().scan(XS) for member in rnnc.members(many)]
    many.eval()  # in training, members draw for themselves
    np.testing.assert_allclose(many.scan(XS), np.stack(apart, 2), rtol=1e-12, atol=1e-12)
    many.train()
    nets: tuple[Any, ...] = (stack, chain, many)
    for at, net in enumerate(nets):
        net.save(tmp_path / f"{at}")
        other: Any = rnnc.load_net(tmp_path / f"{at}")
        assert np.array_equal(other.scan(XS), net.scan(XS))


LINK_BY_LINK = {
    "zoneout": (0.3,),
    "clip_state": (0.3,),
    "recurrent_dropout": (0.3, "sequence"),
    "update_dropout": (0.3, "sequence"),
    "drop_connect": (["0.U", "1.U"], 0.3),
    "weight_norm": (["0.U", "1.U"],),
    "layer_norm": (),
}


@pytest.mark.parametrize("name", LINK_BY_LINK)
def test_a_modified_chain_is_a_stack_of_its_links(name: str) -> None:
    chain = rnnc.Chain(rnnc.cells.LSTM(SIZE, 3), rnnc.cells.GRU(3, SIZE), dtype="float64")
    whole = getattr(rnnc.modifiers, name)(chain, *LINK_BY_LINK[name])
    net, stack = net_of(whole), rnnc.Stack(whole, dtype="float64")
    assert set(stack.params) == set(net.params)
    for each in (net, stack):
        each.eval()
    np.testing.assert_allclose(stack.scan(XS), net.scan(XS), rtol=1e-12, atol=1e-12)


def test_what_is_near_is_named() -> None:
    with pytest.raises(ModifierError, match="did you mean 'h'"):
        rnnc.modifiers.clip_state(rnnc.cells.LSTM(3, 4), hh=1.0)
    with pytest.raises(ModifierError, match="did you mean 'Wx'"):
        plain = rnnc.loads("cell C(n): ((), x[n]) -> ((), y) { param Wx[n, n]; y = Wx @ x }")
        rnnc.modifiers.weight_norm(plain.C(3), on="Wxx")
    with pytest.raises(ChainError):
        rnnc.modifiers.residual(3)  # type: ignore[arg-type]


def test_a_function_of_python_is_no_cell_to_modify() -> None:
    with pytest.raises(ChainError):
        rnnc.modifiers.residual(rnnc.Recur(lambda h, x: (h + x, h), 0.0))


FORGED = [
    {"modifier": "no_such", "arguments": {}},
    {"modifier": "clip_state", "arguments": {"g": 1.0}},
    {"modifier": "clip_state", "arguments": {"h": "1"}},
    {"modifier": "skew", "arguments": {"on": 3}},
]


@pytest.mark.parametrize("said", FORGED, ids=str)
def test_an_origin_that_does_not_fit_is_an_error(said: Any) -> None:
    from rnnc.compiler import library
    from rnnc.compiler.origin import Modified

    made = rnnc.cells.LSTM(3, 4).cell.origin
    assert made is not None
    with pytest.raises(ModifierError):
        library.remade(Modified(made, said["modifier"], said["arguments"]))
