"""An ensemble is a cell whose values have the members in front, and is what its members are."""

from __future__ import annotations

import pytest

from rnnc.compiler.compose import compose
from rnnc.compiler.cost import Sizes
from rnnc.compiler.ensemble import ensembled
from rnnc.compiler.ir import Cell, Node
from rnnc.compiler.library import loads, remade, std
from rnnc.compiler.origin import Ensembled
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.passes.classify import Recurrence, classify
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.same import same
from rnnc.compiler.text import read, show
from rnnc.compiler.verify import verify
from rnnc.runtime.program import compile
from tests.compiler import hand_built, members
from tests.compiler.hand_built import Numbers, draw_masks
from tests.compiler.members import OWN, away_from_zero, member_of, together
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

COUNT = 3
SEPARATE_RUNS = Bound(1e-12, 1e-11)

TRIED = {
    **members.TRIED,
    **{make.__name__: make for make in (hand_built.attention, hand_built.tokens)},
}

each_cell = pytest.mark.parametrize("name", TRIED)
each_way = pytest.mark.parametrize("shared", [True, False], ids=["shared", "own"])


@each_cell
@each_way
@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
def test_values_and_gradients_are_those_of_separate_runs(
    name: str, shared: bool, masks: tuple[str, ...]
) -> None:
    cell = TRIED[name]()
    whole = ensembled(cell, COUNT, shared_inputs=shared)
    n = away_from_zero(Numbers.draw(whole, steps=5, rows=3))
    drawn = draw_masks(masks, n.steps, n.rows)
    found = by_program(compile(whole, "numpy", "float64"), n, drawn)
    alone = compile(cell, "numpy", "float64")
    apart = [member_of(n, at, shared_inputs=shared) for at in range(COUNT)]
    runs = [by_program(alone, numbers, drawn) for numbers in apart]
    assert_within(found, together(runs, shared_inputs=shared), SEPARATE_RUNS)


@each_cell
@each_way
def test_it_verifies_and_its_text_reads_back(name: str, shared: bool) -> None:
    whole = ensembled(TRIED[name](), COUNT, shared_inputs=shared)
    verify(whole)
    assert same(read(show(whole)), whole)


@each_cell
@each_way
def test_its_recurrence_is_that_of_its_members(name: str, shared: bool) -> None:
    cell = TRIED[name]()

    def kind(cell: Cell) -> Recurrence:
        return classify(simplify(scan(cell)))

    assert kind(ensembled(cell, COUNT, shared_inputs=shared)) == kind(cell)


def types(cell: Cell) -> dict[str, str]:
    nodes: dict[str, Node] = {p.name: p.node for p in cell.params}
    nodes |= {s.name: s.node for s in cell.states}
    nodes |= {v.name: v.node for v in (*cell.inputs, *cell.outputs, *cell.named)}
    return {name: str(node.type) for name, node in nodes.items()}


def test_all_that_members_have_of_their_own_has_them_in_front() -> None:
    found = types(ensembled(OWN.Learned(3, 4), 5))
    assert found["W"] == "real[members,hidden,inputs]"
    assert found["ramp"] == "real[members,hidden]"
    assert found["h"] == found["h'"] == "real[B,members,hidden]"
    assert (found["x"], found["gain"], found["y"]) == (
        "real[B,inputs]",
        "real[B]",
        "real[B,members]",
    )


def test_inputs_may_be_the_members_own() -> None:
    found = types(ensembled(OWN.Learned(3, 4), 5, shared_inputs=False))
    assert (found["x"], found["gain"]) == ("real[B,members,inputs]", "real[B,members]")


def test_what_follows_from_shared_inputs_alone_is_computed_once() -> None:
    cell = loads("""
        cell C(n): (h[n], x[n]) -> (h', h') {
            param w[n]
            warm = tanh(x)
            h' = w * h + warm
        }""").C(3)
    assert types(ensembled(cell, 5))["warm"] == "real[B,n]"
    assert types(ensembled(cell, 5, shared_inputs=False))["warm"] == "real[B,members,n]"


def test_the_products_of_a_shared_input_are_one_product() -> None:
    whole = simplify(scan(ensembled(std().Dense(3, 2), 5)))
    (product,) = (node.attr[0] for node in whole if node.op.name == "einsum")
    assert product == "abc,c->ab"


def test_the_settings_have_the_members_of_every_map_from_the_outermost_on() -> None:
    """Named as the text of a cell names sizes that share a name."""
    pair = ensembled(std().Dense(3, 4), 2)
    assert dict(pair.settings)["members"] == 2
    outer = ensembled(ensembled(pair, 5, shared_inputs=False), 6)
    wanted = {"members": 6, "members.2": 5, "members.3": 2, "inputs": 3, "outputs": 4}
    assert {name: value for name, value in outer.settings.items() if name != "act"} == wanted
    assert "sizes members = 6, members.2 = 5, members.3 = 2," in show(outer)
    assert same(read(show(outer)), outer)
    # a size that an author calls so
    own = loads("cell C(members): (h[members], x[members]) -> (h', h') { h' = h + x }").C(7)
    assert ensembled(own, 3).settings == {"members": 3, "members.2": 7}


def test_what_a_map_of_a_map_costs_is_said_in_the_members_of_both() -> None:
    cell = loads("cell C(n): (h[n], x[n]) -> (h', h') { param W[n, 3]; h' = h * W[:, 0] + x }").C(4)
    cost = Sizes(ensembled(ensembled(cell, 2), 5)).cost()
    assert str(cost.parameters) == "3*(members.2)*members*n"
    assert cost.parameters.value == 5 * 2 * 4 * 3


def test_ensembles_of_ensembles_and_in_chains_are_cells() -> None:
    inner = ensembled(std().GRU(3, 4), 2)
    verify(ensembled(inner, 3))
    assert types(ensembled(inner, 3))["W"] == "real[members,members,3,hidden,inputs]"
    chain = compose([inner, ensembled(std().Dense(4, 2), 2, shared_inputs=False)])
    verify(chain)
    assert [p.init.members for p in chain.params] == [(2,)] * 6


def test_it_is_made_again_from_its_origin() -> None:
    whole = ensembled(std().GRU(3, 4), 5, shared_inputs=False)
    assert isinstance(whole.origin, Ensembled)
    assert same(remade(whole.origin), whole)
    assert ensembled(hand_built.elman(), 5).origin is None
