"""A cell is made again from its origin: the same IR, with nothing read but what was kept."""

from __future__ import annotations

import os
import shutil
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnc.compiler import library
from rnnc.compiler.compose import compose
from rnnc.compiler.decompose import layers_of, links_of
from rnnc.compiler.elaborate.functions import FUNCTIONS
from rnnc.compiler.files import FileError
from rnnc.compiler.ir import Cell
from rnnc.compiler.origin import Linked, Origin, Sources
from rnnc.compiler.text import show
from rnnc.grammar.problems import Problems
from tests.compiler.hand_built import lstm

MAIN = """
import Leaf, twice from "leaf.rnn"
import Pair from "sub/pair.rnn"
import Other from "linked.rnn"
import GRU from std
cell Main(n, scale = 0.1, act = tanh, on = true) = Leaf(n) >> Pair(n) >> Other(n)
    >> Last(n, scale, act, on) >> GRU(n, n)
cell Last(n, scale: float, act: function, on: bool): ((), x[n]) -> ((), y) {
    if on { y = act(twice(scale * x)) } else { y = x }
}
"""
FILES = {
    "main.rnn": MAIN,
    "leaf.rnn": "cell Leaf(n): ((), x[n]) -> ((), y) { y = 2 * x }\nfn twice(a) = 2 * a\n",
    "sub/pair.rnn": 'import Leaf from "../leaf.rnn"\ncell Pair(n) = Leaf(n) >> Leaf(n)\n',
    "sub/other.rnn": 'import Pair from "pair.rnn"\ncell Other(n) = Pair(n) >> Pair(n)\n',
}


def origin_of(cell: Cell) -> Origin:
    assert isinstance(cell.origin, Origin)
    return cell.origin


@pytest.fixture
def main(tmp_path: Path) -> Any:
    for name, text in FILES.items():
        path = tmp_path / "there" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    os.symlink("sub/other.rnn", tmp_path / "there/linked.rnn")
    return library.load(tmp_path / "there/main.rnn").Main


def test_a_cell_of_files_that_are_gone_is_made_again(main: Any, tmp_path: Path) -> None:
    cell = main(3, scale=0.7, act="twice", on=True)
    shutil.rmtree(tmp_path / "there")
    again = library.remade(origin_of(cell))
    assert show(again) == show(cell)
    assert again.origin == cell.origin and again.settings == cell.settings
    sources = origin_of(cell).sources
    assert dict(sources.files) == FILES
    assert dict(sources.links) == {"linked.rnn": "sub/other.rnn"}
    assert list(sources.standard) == ["GRU"]


def test_what_was_not_kept_is_not_read(main: Any) -> None:
    """The files are there, but a cell is made of what its origin holds alone."""
    origin = origin_of(main(3))
    files = {name: text for name, text in FILES.items() if name != "leaf.rnn"}
    with pytest.raises(Problems, match="import-not-found"):
        library.remade(replace(origin, sources=replace(origin.sources, files=files)))
    with pytest.raises(FileError, match="was not kept"):
        library.remade(replace(origin, sources=Sources("main.rnn")))


def test_every_function_is_an_option_by_its_name() -> None:
    cells = library.loads("cell C(n, f = tanh): ((), x[n]) -> ((), y) { y = sum(f(x)) + x }")
    taken = set()
    for name in FUNCTIONS:
        with suppress(Problems):  # it takes more than a vector
            cell = cells.C(3, f=name)
            assert show(library.remade(origin_of(cell))) == show(cell)
            taken.add(name)
    assert {"tanh", "silu", "gelu", "softmax", "identity", "layer_norm"} < taken


@pytest.mark.parametrize("scale", [0.1, 1e300, -0.0, 5e-324])
def test_numbers_are_kept_to_the_last_bit(scale: float) -> None:
    text = "cell C(n, s = 1.0): ((), x[n]) -> ((), y) { y = s * x }"
    cell = library.loads(text).C(2, scale)
    assert show(library.remade(origin_of(cell))) == show(cell)


def test_standard_cells_keep_their_texts() -> None:
    for name in library.std():
        template = library.std()[name]
        needed = [setting for setting in template.settings if setting.default is None]
        cell = template(*[4] * len(needed))
        assert show(library.remade(origin_of(cell))) == show(cell)


def test_a_standard_cell_of_another_version_is_the_one_that_was_kept() -> None:
    text = "cell GRU(inputs, hidden): (h[hidden], x[inputs]) -> (h', h') { h' = 0.5 * h + sum(x) }"
    sources = Sources(standard={"GRU": text})
    cell = library.remade(Origin(sources, "GRU", {"inputs": 2, "hidden": 3}))
    assert not cell.params and cell.origin == Origin(sources, "GRU", {"inputs": 2, "hidden": 3})
    main = Sources("m", {"m": "import GRU from std\ncell M(n) = GRU(n, n)"}, {}, {"GRU": text})
    assert not library.remade(Origin(main, "M", {"n": 2})).params


def test_what_a_standard_cell_is_made_of_is_kept_with_it() -> None:
    cell = library.loads("import NestedLSTM from std\ncell M(n) = NestedLSTM(n, n)").M(2)
    texts = origin_of(cell).sources.standard
    assert set(texts) == {"NestedLSTM", "LSTM"}
    assert origin_of(library.std().NestedLSTM(2, 3)).sources.standard == texts
    # Another version of the part alone makes another cell.
    older = {**texts, "LSTM": texts["LSTM"].replace("tanh(g)", "relu(g)")}
    again = library.remade(
        Origin(Sources(standard=older), "NestedLSTM", {"inputs": 2, "hidden": 2})
    )
    assert "relu" in show(again) and "relu" not in show(library.std().NestedLSTM(2, 2))


def test_a_standard_cell_that_imports_itself_is_an_error() -> None:
    text = "import GRU from std\ncell GRU(n): ((), x[n]) -> ((), y) { y = x }"
    with pytest.raises(Problems):
        library.remade(Origin(Sources(standard={"GRU": text}), "GRU", {"n": 2}))


def test_a_chain_is_made_of_its_members_origins() -> None:
    cells = library.std()
    whole = compose([cells.LSTM(3, 4), compose([cells.Dense(4, 4), cells.Dense(4, 2)])])
    assert whole.origin is not None
    assert show(library.remade(whole.origin)) == show(whole)


@pytest.mark.parametrize("text", [
    "cell C(n, s = 0.0) = first: G(n, s) >> repeat(2, GRU(n, n))",
    "cell C(n, s = 0.0) = encoder: repeat(2, G(n, s)) >> GRU(n, n)",
])  # fmt: skip
def test_a_link_of_a_chain_is_made_of_the_chains_origin(text: str) -> None:
    text += """
cell G(n, s: float): ((h[n]), x[n]) -> ((h'), h') { param W[n, n]; h' = W @ maximum(x, s) + h }
import GRU from std
"""
    layers = [layer for s in (0.0, -0.0) for layer in layers_of(library.loads(text).C(3, s))]
    origins = [layer.cell.origin for layer in layers]
    again = library.all_remade([origin for origin in origins if origin is not None])
    for layer, cell in zip(layers, again, strict=True):
        assert show(cell) == show(layer.cell) and cell.origin == layer.cell.origin
    assert show(again[0]) != show(again[len(layers) // 2])  # 0 and -0 are equal


def test_a_member_of_a_composed_chain_has_its_own_origin() -> None:
    cells = library.std()
    members = [cells.LSTM(3, 4), compose([cells.Dense(4, 4), cells.Dense(4, 2)])]
    links = links_of(compose(members))
    assert [link.cell.origin for link in links] == [member.origin for member in members]
    assert links[0].cell.name == "LSTM"
    half = library.loads("cell Half(n): ((), x[n]) -> ((), y) { y = x / 2 }").Half(4)
    (origin,) = [link.cell.origin for link in links_of(compose([members[0], half]))]
    assert isinstance(origin, Linked) and origin.path == "0"
    hand = compose([lstm(3, 4), cells.Dense(4, 2)])
    assert [link.cell.origin for link in links_of(hand)] == [None, None]


def test_a_link_that_a_chain_does_not_have_is_an_error() -> None:
    cells = library.std()
    chain, gru = compose([cells.LSTM(3, 4), cells.Dense(4, 4)]).origin, cells.GRU(2, 2).origin
    assert chain is not None and gru is not None
    for made in (Linked(chain, "2"), Linked(gru, "0")):
        with pytest.raises(library.NoSuchCellError, match="no link"):
            library.remade(made)


def test_what_was_built_by_hand_has_no_origin() -> None:
    assert lstm(3, 4).origin is None
    assert compose([library.std().LSTM(3, 4), lstm(4, 2)]).origin is None


def test_an_import_that_leaves_the_folder_and_comes_back_is_found(tmp_path: Path) -> None:
    folder = tmp_path / "there"
    folder.mkdir()
    (folder / "leaf.rnn").write_text(FILES["leaf.rnn"])
    text = 'import Leaf from "../there/leaf.rnn"\ncell Main(n) = Leaf(n) >> Leaf(n)\n'
    (folder / "main.rnn").write_text(text)
    cell = library.load(folder / "main.rnn").Main(3)
    shutil.rmtree(folder)
    assert show(library.remade(origin_of(cell))) == show(cell)
