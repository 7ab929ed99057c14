"""The pages of the standard cells are as the cells are, can be typeset, and their snippets run."""

from __future__ import annotations

import io
import re
from contextlib import redirect_stdout

import pytest

from rnnc.compiler import library
from rnnc.grammar import std_names
from tests.conftest import Golden
from tests.docs.gallery import ROOT, families, index, mathematics, page, usage

FOLDER = ROOT / "docs" / "cells"
# What GitHub's Markdown typesets, of all that LaTeX has.
COMMANDS = {
    "aligned", "alpha", "ast", "begin", "beta", "cases", "cdot", "colon", "cos", "delta", "dots",
    "end", "epsilon", "eta", "exp", "frac", "gamma", "ge", "gg", "infty", "le", "left", "log",
    "mathrm", "max", "min", "mod", "mu", "ne", "neg", "nu", "odot", "omega", "otimes", "overline",
    "phi", "pi", "quad", "right", "sigma", "sin", "sqrt", "tanh", "tau", "text", "theta", "times",
    "top", "vee", "wedge", "zeta",
}  # fmt: skip


@pytest.fixture
def update(request: pytest.FixtureRequest) -> bool:
    return bool(request.config.getoption("--update-golden"))


@pytest.mark.parametrize("name", std_names())
def test_a_page_is_as_its_cell(name: str, update: bool) -> None:
    Golden(FOLDER / f"{name}.md", update=update)(page(name))


def test_the_index_is_as_the_cells(update: bool) -> None:
    Golden(FOLDER / "README.md", update=update)(index())


def test_every_cell_is_of_one_family_and_every_page_of_a_cell() -> None:
    named = [name for names in families().values() for name in names]
    assert sorted(named) == [*std_names()]
    assert {path.stem for path in FOLDER.iterdir()} == {*std_names(), "README"}


@pytest.mark.parametrize("name", std_names())
def test_the_usage_on_a_page_runs_and_prints_what_stands_there(name: str) -> None:
    text = usage(library.std()[name])
    with redirect_stdout(io.StringIO()) as printed:
        exec(text, {})
    _, _, promised = text.rpartition("# ")
    assert printed.getvalue().strip() == promised


@pytest.mark.parametrize("name", std_names())
def test_the_mathematics_of_a_page_can_be_typeset(name: str) -> None:
    blocks = re.findall(r"^```math\n(.*?)^```$", page_on_disk(name), re.MULTILINE | re.DOTALL)
    assert 1 <= len(blocks) <= 2
    for text in blocks:
        assert not broken(text), text


@pytest.mark.parametrize(
    "text",
    [
        "a_{t", "a}", "\\left(a", "\\begin{aligned} a &= b", "\\operatorname{f}", "\\frobnicate",
        "\\begin{aligned}\na &= b &= c\n\\end{aligned}", "a $ b", "a_b_c",
    ],
)  # fmt: skip
def test_what_cannot_be_typeset_is_found(text: str) -> None:
    assert broken(text)


def test_options_that_are_open_have_equations_of_their_own() -> None:
    gru = library.std().GRU
    assert "if not" in mathematics(gru, {})
    assert "if not" not in mathematics(gru, {"bias": True, "reset_after": True})


@pytest.mark.parametrize("name", [*std_names(), "README"])
def test_links_lead_somewhere(name: str) -> None:
    links = re.findall(r"\]\((?!\w+:)([^)#]+)", page_on_disk(name))
    assert links and not [link for link in links if not (FOLDER / link).exists()]


def page_on_disk(name: str) -> str:
    return (FOLDER / f"{name}.md").read_text(encoding="utf-8")


def broken(text: str) -> list[str]:
    """What is wrong with a formula: brackets, environments, commands, columns, scripts."""
    found = [f"\\{name}" for name in re.findall(r"\\([A-Za-z]+)", text) if name not in COMMANDS]
    found += re.findall(r"[$#%]", text)
    found += re.findall(r"_(?:\w|\{[^{}]*\})_", text.replace("\\_", ""))
    open_: list[str] = []
    pairs = {"}": "{", "\\right": "\\left", "\\end": "\\begin"}
    for part in re.findall(r"(?<!\\)[{}]|\\left\b|\\right\b|\\begin\b|\\end\b", text):
        if part not in pairs:
            open_.append(part)
        elif not open_ or open_.pop() != pairs[part]:
            found.append(part)
    body, cases = text, 1
    while cases:  # the innermost ones
        body, cases = re.subn(r"\\begin\{cases\}(?:(?!\\begin).)*?\\end\{cases\}", "", body)
    found += [line for line in body.splitlines() if line.count("&") > 1]
    return found + open_
