"""`rnnc new`: what it writes checks, runs and trains; what is there already stays."""

from __future__ import annotations

import errno
import os
import re
from pathlib import Path

import pytest

from rnnc.cli import main, new
from rnnc.cli.statuses import FINE, MISUSED, WRONG
from rnnc.grammar.format import format_text


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def commands(shown: str) -> list[list[str]]:
    """The arguments of each `rnnc` command that is printed."""
    return [line.split() for line in re.findall(r"\brnnc (.*)", shown)]


def losses(text: str, updates: int) -> float:
    """What the training that the comments show comes to after some updates."""
    code = "\n".join(re.findall(r"^#     (.*)", text.partition("import numpy")[2], re.MULTILINE))
    code = code.replace("range(100)", f"range({updates})").replace("print(loss)", "")
    namespace: dict[str, float] = {}
    exec("import numpy as np\n" + code, namespace)
    return float(namespace["loss"])


@pytest.mark.parametrize("kind", new.KINDS)
def test_what_it_writes_checks_runs_and_trains(
    kind: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", "Größe", "--kind", kind]) == FINE
    path = folder / "größe.rnn"
    text = path.read_text("utf-8")
    assert "tarter" not in text
    assert format_text(text) == text
    check, run = commands(capsys.readouterr().out)
    assert main(check) == FINE
    captured = capsys.readouterr()
    assert "gradient    right" in captured.out
    assert captured.err == ""
    (folder / "one.csv").write_text("1\n")
    assert main([*run, "--input", "one.csv"]) == FINE
    assert re.fullmatch(r"y\[0\]\n-?[0-9.e-]+\n", capsys.readouterr().out)
    assert losses(text, 20) < losses(text, 1)


def test_what_is_there_already_stays(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "mine.rnn").write_text("mine")
    assert main(["new", "Mine"]) == WRONG
    assert "error[cannot-write]: mine.rnn is there already" in capsys.readouterr().err
    assert (folder / "mine.rnn").read_text() == "mine"


def test_a_disk_that_is_full_leaves_no_part_of_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    assert main(["new", "Mine"]) == WRONG
    assert "error[cannot-write]: mine.rnn cannot be written: No space" in capsys.readouterr().err
    assert not list(folder.iterdir())


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("", "is no name of a cell"),
        ("my-cell", "is no name of a cell"),
        ("cells/leaky.rnn", "as in Leaky"),
        ("../up", "is no name of a cell"),
        ("3D", "is no name of a cell"),
        ("for", "is a word of the language"),
        ("A" * 65, "at most 64 characters"),
        ("x", "cannot well be called 'x'"),
        ("tanh", "cannot well be called 'tanh'"),
        ("LSTM", "LSTM is a standard cell, 'import LSTM from std'; for one of your own, MyLSTM is"),
    ],
)
def test_a_name_that_a_cell_cannot_have_is_refused(
    name: str, says: str, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["new", name]) == MISUSED
    assert says in capsys.readouterr().err
    assert not list(folder.iterdir())


def test_a_name_is_normalised_as_in_the_language(folder: Path) -> None:
    assert main(["new", "ﬁ"]) == FINE
    assert [path.name for path in folder.iterdir()] == ["fi.rnn"]


def test_a_kind_that_there_is_not_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["new", "A", "--kind", "chian"]) == MISUSED
    assert "did you mean chain?" in capsys.readouterr().err
