"""Libraries: cells as attributes and items; the standard cells; the page's examples."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.compiler import library
from rnnc.compiler.ir import Cell, Param, State, Value
from rnnc.compiler.library import NoSuchCellError
from rnnc.grammar.problems import Problems
from tests.library.table import CORE

LANGUAGE = Path(__file__).parent.parent / "grammar" / "language.rnn"

# Sizes, then by path: parameters; then states, inputs and outputs, of each cell of the page.
EXAMPLES: dict[str, tuple[tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "LSTM": ((3, 5), {
        "W": (4, 5, 3), "U": (4, 5, 5), "b": (4, 5), "h": (5,), "c": (5,), "x": (3,), "-> h'": (5,),
    }),
    "GRU": ((3, 5), {
        "W": (3, 5, 3), "U": (3, 5, 5), "b": (3, 5), "d": (3, 5), "h": (5,), "x": (3,),
        "-> h'": (5,),
    }),
    "Dense": ((3, 5), {"W": (5, 3), "b": (5,), "x": (3,), "-> y": (5,)}),
    "Embedding": ((7, 3), {"E": (7, 3), "token": (), "-> y": (3,)}),
    "SLSTM": ((3, 6, 2), {
        "W": (4, 6, 3), "R": (4, 2, 3, 3), "b": (4, 6), "h": (6,), "c": (6,), "n": (6,), "m": (6,),
        "x": (3,), "-> h'": (6,),
    }),
    "DeltaNet": ((3, 4, 5), {
        "Wq": (4, 3), "Wk": (4, 3), "Wv": (5, 3), "wb": (3,), "S": (5, 4), "x": (3,), "-> y": (5,),
    }),
    "MinGRU": ((3, 5), {
        "Wz": (5, 3), "Wh": (5, 3), "h": (5,), "x": (3,), "-> h'": (5,),
    }),
    "CharLM": ((7, 5), {
        "0.E": (7, 5), "1.W": (4, 5, 5), "1.U": (4, 5, 5), "1.b": (4, 5), "2.W": (7, 5),
        "2.b": (7,), "1.h": (5,), "1.c": (5,), "token": (), "-> y": (7,),
    }),
}  # fmt: skip

NOT_ON_THE_PAGE: dict[str, tuple[tuple[int, ...], dict[str, tuple[int, ...]]]] = {
    "RNN": ((3, 5), {
        "W": (5, 3), "U": (5, 5), "b": (5,), "h": (5,), "x": (3,), "-> h'": (5,),
    }),
    "LSTMP": ((3, 5, 2), {
        "W": (4, 5, 3), "U": (4, 5, 2), "P": (2, 5), "b": (4, 5), "h": (2,), "c": (5,), "x": (3,),
        "-> h'": (2,),
    }),
}  # fmt: skip


def shapes(cell: Cell) -> dict[str, tuple[int, ...]]:
    parts: list[Param | State | Value] = [*cell.params, *cell.states, *cell.inputs]
    found = {part.name: tuple(part.node.type.shape) for part in parts}
    assert all(state.new.type.shape == state.node.type.shape for state in cell.states)
    assert all(state.initial.type.shape == state.node.type.shape for state in cell.states)
    return found | {f"-> {output.name}": output.node.type.shape for output in cell.outputs}


@pytest.mark.parametrize("name", EXAMPLES)
def test_the_examples_of_the_language_have_the_shapes_they_say(name: str) -> None:
    sizes, expected = EXAMPLES[name]
    assert shapes(library.load(LANGUAGE)[name](*sizes)) == expected


def test_the_examples_are_right_at_any_sizes() -> None:
    page = library.load(LANGUAGE)
    assert set(page) == set(EXAMPLES)
    assert not page.check()


def test_the_first_standard_cells_are_those_of_the_page() -> None:
    std = library.std()
    assert set(CORE) == {*EXAMPLES, *NOT_ON_THE_PAGE} - {"CharLM"}
    for name in CORE:
        sizes, expected = (EXAMPLES | NOT_ON_THE_PAGE)[name]
        assert shapes(std[name](*sizes)) == expected


@pytest.mark.parametrize("name", ["RNN", "LSTM", "LSTMP", "GRU"])
def test_a_cell_without_bias_has_no_such_parameter(name: str) -> None:
    std, (sizes, expected) = library.std(), (EXAMPLES | NOT_ON_THE_PAGE)[name]
    found = shapes(std[name](*sizes, bias=False))
    assert found == {n: shape for n, shape in expected.items() if n not in ("b", "d")}


def test_every_standard_cell_names_its_paper() -> None:
    for name in library.std():
        documentation = library.std()[name].documentation
        assert any(year in documentation for year in map(str, range(1950, 2030))), name


def test_cells_are_attributes_and_items() -> None:
    cells = library.loads("# Adds.\ncell Add(n, k = 2): ((), x[n]) -> ((), y) {\ny = x + k\n}")
    assert list(cells) == ["Add"] and len(cells) == 1 and "Add" in cells and "Sub" not in cells
    assert cells.Add is cells["Add"] and "Add" in dir(cells)
    assert cells.Add.name == "Add" and cells.Add.documentation == "Adds."
    assert repr(cells.Add) == "<cell Add(n, k = 2)>"
    assert repr(cells) == "<library <string>: Add>"
    made = cells.Add(3)
    assert (made.name, made.documentation) == ("Add", "Adds.")
    assert made.span is not None and made.span.text == "Add"


def test_a_cell_that_is_not_there_is_an_error_with_the_closest_name() -> None:
    with pytest.raises(AttributeError, match="std has no cell 'LSTN'; did you mean LSTM"):
        _ = library.std().LSTN
    with pytest.raises(KeyError, match="std has no cell 'LSTN'; did you mean LSTM"):
        _ = library.std()["LSTN"]
    with pytest.raises(NoSuchCellError, match=r"it has ATR, AntisymmetricRNN, .*, \.\.\.$"):
        library.std()["Transformer"]


def test_imported_cells_are_no_cells_of_the_file() -> None:
    text = "import LSTM from std\ncell Net(n) = LSTM(n, n)"
    assert list(library.loads(text)) == ["Net"]


def test_check_tells_the_problems_of_every_cell() -> None:
    cell = "cell {}(n): ((), x[n]) -> ((), y) {{\ny = x + x[1:]\n}}\n"
    with pytest.raises(Problems) as caught:
        library.loads(cell.format("A") + cell.format("B")).check()
    assert [problem.code for problem in caught.value.problems] == ["shape-mismatch"] * 2


def test_check_returns_warnings() -> None:
    cells = library.loads("cell A(n): ((), x[n]) -> ((), y) {\nz = x\ny = 2 * x\n}")
    assert [warning.code for warning in cells.check()] == ["unused-name"]


@pytest.mark.parametrize("text", ["", "\n\n# only a comment\n", "fn twice(a) = 2 * a"])
def test_a_source_without_a_cell_is_refused(text: str) -> None:
    with pytest.raises(Problems) as caught:
        library.loads(text)
    assert [problem.code for problem in caught.value.problems] == ["no-cell"]
