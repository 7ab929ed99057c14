"""What is wrong with a text that is being written is what `rnnc check` says of it, always."""

from __future__ import annotations

import random
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from rnnc import grammar
from rnnc.compiler import library
from rnnc.compiler.elaborate import CellDefinition
from rnnc.compiler.ir import Cell
from rnnc.editor import analysis as module
from rnnc.editor.analysis import Analysis
from rnnc.editor.completion import completions_at
from rnnc.editor.diagnostics import diagnostics
from rnnc.editor.hover import hover_at
from rnnc.editor.outline import symbols
from rnnc.editor.pieces import Pieces
from rnnc.editor.workspace import Workspace
from rnnc.grammar.problems import Problem, Problems
from rnnc.grammar.source import Span
from tests.library.table import CORE

TESTS = Path(__file__).parents[2]
BAD = [
    path
    for floor in ("grammar", "compiler")
    for path in (TESTS / floor / "bad").glob("*.rnn")
    if not path.stem.startswith("unrolled")  # these take seconds, and are like the others here
]
GOOD = [grammar.std_file(name) for name in grammar.std_names()]
CELLS = "\n".join(grammar.std_file(name).read_text("utf-8") for name in CORE)  # in one text

Told = list[tuple[str, str, str, list[tuple[str, int, int]]]]


def told(problems: Iterable[Problem], analysis: Analysis | None = None) -> Told:
    """Everything that is said of problems, with the places where it is."""

    def place(span: Span) -> tuple[str, int, int]:
        span = analysis.place(span) if analysis else span
        return Path(span.source.name).name, span.start, span.stop

    found = [
        (each.code, each.headline, each.severity, [place(each.span)]
         + [place(span) for span, _ in each.related])
        for each in problems
    ]  # fmt: skip
    return sorted(found, key=lambda each: (each[3], each[0]))


def checked(text: str) -> Told:
    """What `rnnc check` finds in a text before it compiles."""
    try:
        return told(library.loads(text, "it").check())
    except Problems as found:
        return told(found.problems)


@pytest.mark.parametrize("path", sorted(BAD), ids=lambda path: path.stem)
def test_every_bad_source_has_the_problems_of_the_command(path: Path) -> None:
    try:
        wanted = told(library.load(path).check())
    except Problems as found:
        wanted = told(found.problems)
    texts = Workspace()
    texts.open("it", path.read_bytes().decode("utf-8"), str(path))
    analysis = texts.analysis("it")
    assert told(analysis.problems, analysis) == wanted
    assert [each.code for each in diagnostics(analysis)]


def test_the_shipped_cells_have_no_problems_in_pieces() -> None:
    pieces = Pieces("it")
    assert pieces.parse(CELLS) == grammar.parse(CELLS, "it")
    places = [pieces.place(each.span) for each in pieces.tree.declarations]
    assert places[-1].text == pieces.tree.declarations[-1].span.text
    assert [each.start for each in places] == sorted(each.start for each in places)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "# only a comment",
        "cell A(n): ((), x[n]) -> ((), y) { y = x }; fn f(a) = a\nfn g(a) = f(a)",
        "fn f(a) = a\r# \N{GRINNING FACE}\rfn g(a) = f(a)\r",
        "cell A(n): ((), x[n]) -> ((), y) {\ncell_ = x\ny = cell_\n}\n",
        "cell A(n): ((), x[n]) -> ((), y) {\nfn\u0303 = x\ny = fn\u0303\n}",
        "fn f(a) = (\n\ncell A(n): ((), x[n]) -> ((), y) { y = f(x) }",
        2 * "cell A(n): ((), x[n]) -> ((), y) { y = x }\n\n",
        "\ufeff# a mark\nfn f(a) = a\n\ufefffn g(a) = a\n",
        "x" * 300_000,
    ],
)
def test_strange_texts_have_the_problems_of_the_command(text: str) -> None:
    texts = Workspace()
    texts.open("it", text, None)
    analysis = texts.analysis("it")
    assert told(analysis.problems, analysis) == checked(text)


def test_after_many_edits_the_problems_are_those_of_the_text() -> None:
    rng = random.Random(0)
    written = [
        "",
        "(",
        "}",
        "\n",
        "q",
        "'",
        "#",
        "h' = x\n",
        "cell ",
        "fn f(a) = a\n",
        "\u2028",
        "2",
    ]
    start = "\n".join(file.read_text("utf-8") for file in GOOD[:3])
    texts = Workspace()
    texts.open("it", start, None)
    for turn in range(60):
        text = texts.documents["it"].text
        at = rng.randrange(len(text) + 1)
        texts.change("it", text[:at] + rng.choice(written) + text[at + rng.choice((0, 0, 1, 3)) :])
        analysis = texts.analysis("it")
        assert told(analysis.problems, analysis) == checked(texts.documents["it"].text)
        if turn % 3 == 2:  # not ever more mistakes
            texts.change("it", start)
            assert not texts.analysis("it").problems


def test_an_edit_elaborates_its_own_cell_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []

    def counted(definition: CellDefinition, *more: Any) -> list[Cell]:
        seen.append(definition.name)
        return library.checked(definition, *more)

    monkeypatch.setattr(module, "checked", counted)
    texts = Workspace()
    texts.open("it", CELLS, None)
    texts.analysis("it")
    assert sorted(seen) == sorted(CORE)
    for text in (
        CELLS.replace("= sigmoid(o) * tanh", "= sigmoid(o) * relu"),
        "# above\n\n" + CELLS,
    ):
        seen.clear()
        texts.change("it", text)
        texts.analysis("it")
        assert seen == ["LSTM"]  # the second time, because its old text is back


def test_a_cell_is_elaborated_again_when_what_it_reads_changes() -> None:
    cell = "cell A(n, m): ((), (x[n], y[m])) -> ((), z) { z = f(x, y) }\n"
    texts = Workspace()
    texts.open("it", "fn f(a, b) = a\n" + cell, None)
    assert not texts.analysis("it").problems
    texts.change("it", "fn f(a, b) = a + b\n" + cell)
    assert [each.code for each in texts.analysis("it").problems] == ["shape-mismatch"]
    texts.change("it", "fn f(a, b) = g(a, b)\nfn g(a, b) = b\n" + cell)
    assert not texts.analysis("it").problems
    texts.change("it", "fn f(a, b) = g(a, b)\nfn g(a, b) = b - a\n" + cell)
    assert [each.code for each in texts.analysis("it").problems] == ["shape-mismatch"]


# -- imports -------------------------------------------------------------------------------------


def test_what_is_imported_is_read_as_the_editor_shows_it(tmp_path: Path) -> None:
    lib, main = tmp_path / "lib.rnn", tmp_path / "main.rnn"
    lib.write_text("fn f(a) = a\n", "utf-8")
    text = 'import f from "lib.rnn"\ncell A(n): ((), x[n]) -> ((), y) { y = f(x) }\n'
    texts = Workspace()
    texts.open("main", text, str(main))
    assert not texts.analysis("main").problems
    texts.open("lib", "fn g(a) = a\n", str(lib))
    assert [each.code for each in texts.analysis("main").problems] == ["nothing-imported"]
    texts.close("lib")
    assert not texts.analysis("main").problems
    lib.write_text("fn f(a, b) = a\n", "utf-8")  # saved by another program
    assert [each.code for each in texts.analysis("main").problems] == ["wrong-argument-count"]


def test_a_mistake_in_an_imported_file_is_shown_at_the_import(tmp_path: Path) -> None:
    (tmp_path / "lib.rnn").write_text("# first\nfn f(a) = b\n", "utf-8")
    text = '\nimport f from "lib.rnn"\ncell A(n): ((), x[n]) -> ((), y) { y = f(x) }\n'
    texts = Workspace()
    texts.open("main", text, str(tmp_path / "main.rnn"))
    (found,) = diagnostics(texts.analysis("main"))
    assert found.span.text == '"lib.rnn"' and "there is no 'b' here" in found.message
    ((place, _),) = found.related
    assert place.text == "b" and place.source.position(place.start) == (2, 11)


def test_files_that_import_each_other_are_refused_as_by_the_command(tmp_path: Path) -> None:
    a, b = tmp_path / "a.rnn", tmp_path / "b.rnn"
    a.write_text('import g from "b.rnn"\nfn f(x) = x\n', "utf-8")
    b.write_text('import f from "a.rnn"\nfn g(x) = x\n', "utf-8")
    texts = Workspace()
    texts.open("a", a.read_text("utf-8"), str(a))
    assert "import-cycle" in [each.code for each in diagnostics(texts.analysis("a"))]


def test_no_text_reaches_outside_its_folder(tmp_path: Path) -> None:
    (tmp_path / "secret.rnn").write_text("fn f(x) = x\n", "utf-8")
    (tmp_path / "in").mkdir()
    texts = Workspace()
    texts.open("it", 'import f from "../secret.rnn"\n', str(tmp_path / "in" / "it.rnn"))
    assert [each.code for each in diagnostics(texts.analysis("it"))] == ["import-outside-root"]


# -- what is being written -----------------------------------------------------------------------


def test_no_text_leaves_a_question_without_an_answer() -> None:
    rng = random.Random(1)
    sources = [path.read_text("utf-8") for path in sorted(BAD)] + [CELLS]
    for _ in range(80):
        text, other = rng.choice(sources), rng.choice(sources)
        texts = Workspace()
        texts.open("it", text, None)
        texts.analysis("it")
        at, start = rng.randrange(len(text) + 1), rng.randrange(len(other) + 1)
        texts.change("it", text[:at] + other[start : start + rng.randrange(40)] + text[at + 2 :])
        analysis = texts.analysis("it")
        diagnostics(analysis)
        symbols(analysis)
        for offset in (min(at, len(analysis.source.text)), 0, len(analysis.source.text)):
            hover_at(analysis, offset)
            completions_at(analysis, offset)


def test_a_text_that_is_parsed_twice_has_its_problems_in_their_places() -> None:
    pieces = Pieces("it")
    text = CELLS + "\nfn f(a) = (a\n\nfn g(a) = a\n"
    for _ in range(2):
        with pytest.raises(Problems) as found:
            pieces.parse(text)
        (problem,) = found.value.problems
        assert pieces.place(problem.span).start == text.index("(a\n")
