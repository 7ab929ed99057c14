"""`links_of` takes a chain apart; put together again it is the same cell."""

from __future__ import annotations

from dataclasses import replace

import pytest

from rnnc.compiler.compose import compose
from rnnc.compiler.decompose import layers_of, links_of
from rnnc.compiler.ir import Value
from rnnc.compiler.library import loads
from rnnc.compiler.same import same
from rnnc.compiler.text import show
from tests.compiler.hand_built import lstm

SOURCE = """
import Embedding, LSTM, GRU, Dense from std

cell Reader(vocab, width, depth = 2) = Embedding(vocab, width)
                                    >> repeat(depth, LSTM(width, width))
                                    >> scores: Dense(width, vocab)

cell Nested(n) = outer: Inner(n) >> GRU(n, n)
cell Inner(n) = first: LSTM(n, n) >> second: Dense(n, n)

cell Last(n): (old[n], x[n]) -> (old', y) {
    old' = x
    y = old
}
cell Delayed(n) = Dense(n, n) >> Last(n) >> GRU(n, n)

cell Half(n): ((), x[n]) -> ((), y) { y = x / 2 }
cell Halved(n) = GRU(n, n) >> Half(n) >> Dense(n, n)

cell Turned(n): (h[n], x[n]) -> (h', h') {
    param U[n, n]
    h' = matrix_exp(U - U.T) @ h + eye(n) @ x
}
cell BothTurned(n) = Turned(n) >> Turned(n)

cell Copies(n, depth) = encoder: repeat(depth, GRU(n, n)) >> repeat(depth, Inner(n))
"""
LIBRARY = loads(SOURCE)
CHAINS = {
    "Reader": (LIBRARY.Reader(7, 4), ["0", "1", "2", "scores"]),
    "Nested": (LIBRARY.Nested(3), ["outer", "1"]),
    "Delayed": (LIBRARY.Delayed(3), ["0", "1", "2"]),
    "Halved": (LIBRARY.Halved(3), ["0", "2"]),
    "Copies": (LIBRARY.Copies(3, 2), ["encoder", "2", "3"]),
    "what both read and neither owns": (LIBRARY.BothTurned(3), ["0", "1"]),
    "one link": (compose([LIBRARY.Inner(3)]), ["0"]),
}


@pytest.mark.parametrize("name", CHAINS)
def test_a_chain_is_what_its_links_are_together(name: str) -> None:
    cell, paths = CHAINS[name]
    links = links_of(cell)
    assert [link.path for link in links] == paths
    again = compose([link.cell for link in links], paths)
    assert same(replace(again, name=cell.name, settings=cell.settings), cell)
    assert [v.name for v in again.named] == [
        v.name for v in cell.named if v.name.partition(".")[0] in paths
    ]


def test_cells_that_were_built_by_hand_stand_in_the_order_of_their_numbers() -> None:
    cell = compose([lstm(3, 4), LIBRARY.Inner(4), lstm(4, 2)])
    assert [link.path for link in links_of(cell)] == ["0", "1", "2"]


def test_a_link_of_a_chain_of_chains_is_a_chain() -> None:
    inner, _ = links_of(CHAINS["Nested"][0])
    assert [link.path for link in links_of(inner.cell)] == ["first", "second"]


def test_a_member_without_names_belongs_to_the_one_before_it() -> None:
    first, _ = links_of(CHAINS["Halved"][0])
    assert [param.name for param in first.cell.params] == ["W", "U", "b", "d"]
    assert " 2.0" in show(first.cell)


def test_what_reads_more_than_the_link_before_it_is_no_chain() -> None:
    cell, _ = CHAINS["Nested"]
    (y,), early = cell.outputs, cell.states[0]
    for other in (early.node, early.new):
        skipping = replace(cell, outputs=(Value("y", y.node + other),))
        assert links_of(skipping) == ()
    late = cell.states[-1]
    feedback = replace(cell, states=(replace(early, new=early.new + late.node), *cell.states[1:]))
    assert links_of(feedback) == ()


def test_links_that_share_a_parameter_are_no_chain() -> None:
    cell = compose([LIBRARY.Inner(3), LIBRARY.Inner(3)])
    assert len(links_of(cell)) == 2
    (y,), (bias,) = cell.outputs, (p for p in cell.params if p.name == "0.second.b")
    assert links_of(replace(cell, outputs=(Value("y", y.node * bias.node),))) == ()


def test_copies_that_share_a_name_are_layers_each_by_itself() -> None:
    for depth, paths in ((2, ["encoder.0", "encoder.1", "2", "3"]), (1, ["encoder", "1"])):
        layers = layers_of(LIBRARY.Copies(3, depth))
        assert [layer.path for layer in layers] == paths
    assert [layer.path for layer in layers_of(CHAINS["Nested"][0])] == ["outer", "1"]


def test_one_cell_is_no_chain() -> None:
    assert links_of(LIBRARY.Last(3)) == ()
