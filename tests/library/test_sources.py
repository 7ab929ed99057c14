"""Every standard cell is written as a page of the library: short, with its paper, in one form."""

from __future__ import annotations

import re

import pytest

from rnnc import grammar
from rnnc.compiler import library
from rnnc.compiler.same import same
from rnnc.compiler.text import read, show
from rnnc.grammar.format import format_text
from rnnc.grammar.syntax import CellDeclaration, Import
from tests.library.subject import SUBJECTS, Subject

NAMES = grammar.std_names()
MOST_LINES = 40
YEAR = re.compile(r"\b(19[5-9]\d|20[0-2]\d)\b")
# Where a paper is to be found.
PLACE = re.compile(r"arXiv:\d{4}\.\d{4,5}|doi:10\.\d{4,9}/\S+|\b[\w-]+(\.[\w-]+)+/\S+")


def text_of(name: str) -> str:
    return grammar.std(name).span.source.text


@pytest.mark.parametrize("name", NAMES)
def test_a_cell_names_its_paper_and_where_it_is(name: str) -> None:
    documentation = library.std()[name].documentation
    assert YEAR.search(documentation) and PLACE.search(documentation)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_holds_one_cell_in_at_most_forty_lines_as_the_formatter_has_them(name: str) -> None:
    text = text_of(name)
    assert text.count("\n") <= MOST_LINES
    assert format_text(text, name) == text
    *imports, cell = grammar.std(name).declarations
    assert isinstance(cell, CellDeclaration)
    assert all(isinstance(each, Import) and each.file is None for each in imports)


@pytest.mark.parametrize("name", NAMES)
def test_a_file_is_named_after_its_cell(name: str) -> None:
    stem = grammar.std_file(name).name.removesuffix(".rnn")
    assert stem.replace("_", "") == name.lower()


def test_sizes_come_before_options() -> None:
    for name in NAMES:
        open_ = [setting.default is None for setting in library.std()[name].settings]
        assert open_ == sorted(open_, reverse=True), name


def test_the_library_is_beyond_doubt() -> None:
    """At any sizes, and without a warning."""
    assert not library.std().check()


@pytest.mark.parametrize("subject", SUBJECTS, ids=str)
def test_the_text_of_a_cell_reads_back(subject: Subject) -> None:
    text = show(subject.cell)
    assert same(read(text), subject.cell) and same(subject.cell, read(text))
