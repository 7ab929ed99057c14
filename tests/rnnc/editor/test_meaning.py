"""Where a name is declared, and the outline of a text."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc import grammar
from rnnc.editor.meaning import comment_in, meaning_at, std_path, word_at
from rnnc.editor.outline import symbols
from rnnc.editor.workspace import Workspace
from rnnc.grammar.source import Source
from tests.rnnc.editor.opened import opened

TEXT = """\
import LSTM from std
fn twice(a) {
    b = a + a
    return b
}
cell One(n, act = twice): (h[n] = h0, x[n]) -> (h', y) {
    param h0[n]
    use inner = LSTM(n, n)
    if n > 1 { s = x } else { s = h }
    for l in 0..3 { s = s * l }
    h' = act(s)
    y = h' + twice(h)
}
cell Two(n) = One(n) >> last: One(n)
"""


@pytest.mark.parametrize(
    ("mark", "declared", "line"),
    [
        ("= a| + a", "a", 2),
        ("return |b", "b", 3),
        ("[n] = |h0", "h0", 7),
        ("= |LSTM(", "LSTM", 3),  # in its own file
        ("h' = act(|s)", "s", 9),  # where it was bound first
        ("= |s * l", "s", 9),
        ("s * |l", "l", 10),
        ("    |h' = act", "h'", 11),
        ("-> (|h'", "h'", 11),
        (", |y)", "y", 12),
        ("= |h' +", "h'", 11),
        ("twice(|h)", "h", 6),
        ("+ |twice(h", "twice", 2),
        ("act = |twice", "twice", 2),
        ("= |act(s", "act", 6),
        ("= |One(n) >", "One", 6),
        ("last: |One(n)", "One", 6),
    ],
)
def test_a_name_leads_to_its_declaration(mark: str, declared: str, line: int) -> None:
    analysis, at = opened(TEXT.replace(mark.replace("|", ""), mark, 1))
    found = meaning_at(analysis, at)
    assert found and found.declared
    place = analysis.place(found.declared)
    assert (place.text, place.source.position(place.start)[0]) == (declared, line)


def test_imported_names_lead_into_their_files(tmp_path: Path) -> None:
    (tmp_path / "lib.rnn").write_text("\n# A cell.\ncell Other(n) = B(n)\nfn f(x) = x\n", "utf-8")
    texts = Workspace()
    text = 'import f from "lib.rnn"\nimport LSTM from std\nfn g(x) = f(x)\n'
    texts.open("it", text, str(tmp_path / "it.rnn"))
    analysis = texts.analysis("it")
    for place, start in ((text.index("f(x)"), 4), (text.index("lib"), 1)):
        found = meaning_at(analysis, place)
        assert found and found.declared
        name, span = texts.locate(analysis, found.declared)
        assert name == str(tmp_path / "lib.rnn")
        assert span.source.position(span.start)[0] == start
    found = meaning_at(analysis, text.index("LSTM"))
    assert found and found.declared
    assert std_path(found.declared) == str(grammar.std_file("LSTM"))


def test_the_outline_has_every_declaration_and_what_is_in_it() -> None:
    text = "\n\n" + TEXT
    analysis, _ = opened(text + "|")
    found = symbols(analysis)
    assert [(each.name, each.sort) for each in found] == [
        ("twice", "function"), ("One", "cell"), ("Two", "cell"),
    ]  # fmt: skip
    one = found[1]
    assert one.detail == "(n, act = twice)"
    assert [(each.name, each.sort, each.detail) for each in one.inside] == [
        ("h", "state", "real[B,n]"),
        ("x", "input", "real[T,B,n]"),
        ("h0", "parameter", "real[n]"),
        ("inner", "sub-cell", "LSTM"),
    ]
    for each in found:
        assert each.span.text.startswith(("cell", "fn")) and each.name_span.text == each.name
        assert each.span.start <= each.name_span.start < each.name_span.stop <= each.span.stop


def test_a_text_with_mistakes_has_the_outline_of_what_can_be_read() -> None:
    analysis, _ = opened(TEXT.replace("b = a + a", "b = a +") + "cell (|\n")
    assert [each.name for each in symbols(analysis)] == ["twice", "One", "Two"]


def test_words_end_where_names_do() -> None:
    source = Source("it", "h' = x̂ + Wé2 # word")
    words = {found.text for at in range(len(source.text)) if (found := word_at(source, at))}
    assert words == {"h'", "x̂", "Wé2"}
    assert comment_in('a "#" # b') == 6 and comment_in("a") is None and comment_in('"#') is None
