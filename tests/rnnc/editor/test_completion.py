"""What may be written at a place."""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc import grammar
from rnnc.compiler.elaborate.functions import FUNCTIONS
from rnnc.compiler.elaborate.parameters import INITIALISERS
from rnnc.compiler.modifiers import MODIFIERS
from rnnc.editor.completion import Completion, completions_at
from tests.rnnc.editor.opened import opened, typed

BODY = """\
import LSTM from std
fn mix(a, b) = a + b
cell Own(n, act = tanh): (h[n], x[n]) -> (h', h') {{
    use inner = LSTM(n, n)
    param W[n, n]
    const D[n]
    z = W @ x
    for l in 0..2 {{
        q = z
    }}
    if n > 1 {{
        w = z
    }}
    {here}
    h' = z
    after = z
}}
"""


def offered(text: str, path: Path | None = None) -> dict[str, Completion]:
    """What is offered where `|` stands, by label."""
    return {each.label: each for each in completions_at(*opened(text, path))[1]}


@pytest.mark.parametrize("here", ["y = |", "y = W @ (x + |", "y = mix(|", "y = W @ |\n    p = x"])
def test_names_in_scope_are_offered_with_their_shapes(here: str) -> None:
    found = offered(BODY.format(here=here))
    wanted = {
        "W": ("parameter", "real[n,n]"),
        "D": ("constant", "real[n]"),
        "z": ("equation", "real[T,B,n]"),
        "x": ("input", "real[T,B,n]"),
        "h": ("state", "real[B,n]"),
        "inner": ("sub-cell", "LSTM"),
        "n": ("option", "size"),
        "act": ("option", "tanh"),
        "mix": ("function", "mix(a, b)"),
        "sum": ("built-in function", FUNCTIONS["sum"].signature),
        "pi": ("number", "3.141592653589793"),
        "t": ("value of a step", ""),
        "training": ("value of a step", ""),
    }
    before, at = BODY.format(here=""), here
    texts = completions_at(*typed(before, BODY.format(here=at)))[1]
    for label, (sort, detail) in wanted.items():
        assert found[label].sort == sort
        assert {each.label: each.detail for each in texts}[label] == detail
    assert {"w", "h'", "true"} <= set(found)
    assert not {"q", "l", "after", "param"} & set(found)  # of the loop, further down, a statement's


def test_what_stays_within_a_loop_is_offered_within_it() -> None:
    text = BODY.format(here="").replace("q = z", "q = z\n        p = |z")
    assert {"q", "l", "z"} <= set(offered(text))


def test_a_line_begins_with_a_statement_and_an_unindented_one_with_a_declaration() -> None:
    assert {"param", "use", "for", "if"} <= set(offered(BODY.format(here="pa|")))
    assert {"cell", "fn", "import"} <= set(offered("|"))


@pytest.mark.parametrize("text", ["import | from std", "import |", "import LSTM, | from std"])
def test_an_import_offers_the_standard_cells(text: str) -> None:
    found = offered(text)
    assert set(grammar.std_names()) <= set(found) and "tanh" not in found
    assert found["LSTM"].detail == "LSTM(inputs, hidden, bias = true)"


def test_an_import_offers_the_files_beside_and_what_is_in_them(tmp_path: Path) -> None:
    (tmp_path / "lib.rnn").write_text("fn helper(x) = x\ncell A(n) = B(n)\n", "utf-8")
    path = tmp_path / "main.rnn"
    assert set(offered("import helper from |", path)) == {"std", "lib.rnn"}
    assert offered("import helper from |", path)["lib.rnn"].text == '"lib.rnn"'
    span, found = completions_at(*opened('import helper from "l|"', path))
    assert span.text == "l" and [each.text for each in found] == ["lib.rnn"]
    assert {"helper", "A"} <= set(offered('import | from "lib.rnn"', path))
    assert set(offered('import | from "../lib.rnn"', path / "in" / "it.rnn")) == {"from"}


@pytest.mark.parametrize(
    "line", ["    use other = |", "cell C(n) = |", "cell C(n) = Own(n) >> |", "cell C(n) = a: |"]
)
def test_where_a_cell_must_stand_cells_are_offered(line: str) -> None:
    text = BODY.format(here=line) if line.startswith(" ") else BODY.format(here="") + line
    assert set(offered(text)) == {"LSTM", "Own", "repeat", *MODIFIERS}


@pytest.mark.parametrize(
    ("here", "labels"),
    [
        ("y = sum(x, |", {"axis=", "keepdims="}),
        ("y = layer_norm(mix(x, x), |", {"eps=", "axis="}),
        ("use o = Own(n, |", {"n=", "act="}),
    ],
)
def test_a_call_offers_the_arguments_that_have_names(here: str, labels: set[str]) -> None:
    found = offered(BODY.format(here=here))
    assert labels == {label for label in found if label.endswith("=")}


def test_a_parameter_offers_initialisers() -> None:
    assert set(offered(BODY.format(here="param V[n] = |"))) == set(INITIALISERS)


@pytest.mark.parametrize("here", ["y = x  # co|mment", 'y = einsum("i|j", x)'])
def test_comments_and_patterns_offer_nothing(here: str) -> None:
    assert not offered(BODY.format(here=here))


def test_a_completion_replaces_the_word_that_is_begun() -> None:
    span, _ = completions_at(*opened(BODY.format(here="y = W @ h'|")))
    assert span.text == "h'"
