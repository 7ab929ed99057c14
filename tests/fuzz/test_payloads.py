"""No text of a user reaches generated source, and none moves a terminal's cursor."""

from __future__ import annotations

import os
import re
from itertools import cycle
from pathlib import Path

import pytest

import rnnc
from rnnc.cli import main
from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.pipeline import BACKENDS, Goal, compile_cell
from rnnc.compiler.text import show
from tests.compiler.backends.allowed_source import findings
from tests.compiler.backends.sources import CELLS
from tests.fuzz.payloads import (
    CELL,
    CONTEXTS,
    NAMES,
    PAYLOADS,
    Attempt,
    attempts,
    renamings,
)


def sources_of(cell: Cell, backend: str) -> tuple[str, str]:
    """The text of the modules of a cell."""
    programs = compile_cell(cell, Goal(("starts", "valid"), backend=backend))
    assert programs.backward is not None
    return programs.forward.source, programs.backward.source


def cell_of(attempt: Attempt) -> Cell:
    loaded = library.loads(attempt.text, attempt.file)
    (name,) = loaded
    return loaded[name](*attempt.sizes, **attempt.options)


PLAIN = {backend: sources_of(cell_of(Attempt("", CELL)), backend) for backend in BACKENDS}


def test_there_are_enough_of_them() -> None:
    assert sum(len(list(attempts(where))) for where in CONTEXTS) >= 300
    assert len(list(renamings())) == len(NAMES) >= 40


@pytest.mark.parametrize("where", CONTEXTS)
def test_a_payload_is_refused_or_changes_nothing(
    where: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for backend, attempt in zip(cycle(BACKENDS), attempts(where), strict=False):
        try:
            cell = cell_of(attempt)
        except rnnc.Error as error:
            said = str(error)
        else:
            said = show(cell)
            assert sources_of(cell, backend) == PLAIN[backend], attempt.label
        assert all(sign.isprintable() or sign == "\n" for sign in said), attempt.label
    assert not os.listdir(tmp_path)


def test_names_that_python_has_are_names() -> None:
    """The source is the same to the letter, so it computes the same."""
    for backend, attempt in zip(cycle(BACKENDS), renamings(), strict=False):
        assert sources_of(cell_of(attempt), backend) == PLAIN[backend], attempt.label


@pytest.mark.parametrize("name", CELLS)
def test_generated_source_is_made_of_what_is_allowed(name: str) -> None:
    for backend in BACKENDS:
        for source in sources_of(CELLS[name](), backend):
            assert not findings(source)


@pytest.mark.parametrize(
    "source",
    [
        "import os",
        "from os import system",
        "__import__('os')",
        "x = (lambda: 1)()",
        "def f(a):\n    return a.__class__",
        "def f(a):\n    return open(a)",
        "x = 'rm -rf /'",
        "x = f'{1}'",
        "class A: pass",
        "x = [y for y in (1, 2)]",
        "x = b'bytes'",
    ],
)
def test_what_is_not_allowed_is_found(source: str) -> None:
    assert findings(source)


FILE_NAMES = [*(p for p in PAYLOADS if not re.search("[/\0\ud800]", p)), os.fsdecode(b"caf\xe9")]


@pytest.mark.parametrize("payload", FILE_NAMES)
def test_a_files_name_is_shown_and_no_more(
    payload: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / f"{payload}.rnn"
    path.write_text(CELL.replace("h' = z", "h' = zz"), encoding="utf-8")
    assert main(["check", str(path)]) == 1
    said = capfd.readouterr().err
    assert "did you mean 'z'?" in said
    assert all(sign.isprintable() or sign == "\n" for sign in said)
