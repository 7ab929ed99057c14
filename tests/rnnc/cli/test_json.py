"""`--json`: one document from every command, with the keys that `docs/commands.md` promises."""

from __future__ import annotations

import io
import json
import re
import sys
from pathlib import Path
from typing import Any

import pytest

from rnnc.cli import check, doctor, emit, main, parser
from rnnc.cli.statuses import BROKEN, FINE, MISUSED, WRONG

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "commands.md"
BAD = str(ROOT / "tests" / "grammar" / "bad" / "bad-name.rnn")
RNN = ("std", "RNN", "--set", "inputs=1", "--set", "hidden=2")
CALLS = {
    "new": ("Mine",),
    "check": (str(ROOT / "grammar" / "cells" / "rnn.rnn"),),
    "fmt": (str(ROOT / "examples" / "own_cell.rnn"), "--check"),
    "show": RNN,
    "graph": RNN,
    "diff": (*RNN[:2], "hoist", *RNN[2:]),
    "run": (*RNN, "--input", "xs.csv"),
    "ops": (),
    "passes": (),
    "cells": (),
    "explain": ("shape-mismatch",),
    "doctor": (),
}
PROBLEM = {"code", "severity", "message"}
PLACED = PROBLEM | {"file", "line", "column", "length", "label", "notes", "hints"}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(doctor, "_problem_of", lambda backend: "")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xs.csv").write_text("1\n2\n")


def promised(command: str) -> list[list[str]]:
    """The keys of a document and of what its lists hold, as the page has them."""
    (row,) = re.findall(rf"^\| `{command}` \| (.*) \|$", PAGE.read_text("utf-8"), re.MULTILINE)
    parts = re.split(r"; |, and", row)
    return [re.findall(r"`(\w+)`", part) for part in parts]


def document(capsys: pytest.CaptureFixture[str], *arguments: str, status: int = FINE) -> Any:
    assert main([*arguments, "--json"]) == status
    captured = capsys.readouterr()
    found = json.loads(captured.out)
    assert found["ok"] is (status == FINE)
    return found


def test_every_command_that_reports_can_report_json() -> None:
    _, commands = parser._parser()
    assert {name for name, made in commands.items() if "--json" in made.flags} == {*CALLS, "emit"}


@pytest.mark.parametrize("command", CALLS)
def test_a_document_has_the_keys_that_are_promised(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, command, *CALLS[command])
    keys: set[str] = {"ok"}
    for names in promised(command):
        first, *others = names
        if first in found and isinstance(found[first], list) and isinstance(found[first][0], dict):
            assert set(found[first][0]) == set(others)
            keys.add(first)
        else:
            keys |= set(names)
    assert set(found) == keys - ({"file"} if command in ("run", "graph") else set())


def test_emit_has_the_keys_that_are_promised(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emit, "require_compiler", lambda: None)
    monkeypatch.setattr(emit, "compile_fitting", lambda *_: ())
    monkeypatch.setattr(emit, "_heading", lambda *_: {"cell": "RNN"})
    found = document(capsys, "emit", *RNN, "--out", "out")
    assert {"ok", *promised("emit")[0]} <= set(found)
    written = json.loads(Path("out/program.json").read_text())
    assert {name: found[name] for name in written} == written


def test_run_says_where_outputs_are(capsys: pytest.CaptureFixture[str]) -> None:
    given = ("run", *RNN, "--input", "xs.csv")
    outputs = document(capsys, *given)["outputs"]
    assert [len(row) for row in outputs] == [2, 2]
    assert document(capsys, *given, "--output", "ys.csv")["file"] == "ys.csv"
    assert main([*given]) == FINE
    assert capsys.readouterr().out == Path("ys.csv").read_text()


def test_explain_without_a_code_has_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    codes = document(capsys, "explain")["codes"]
    assert len(codes) > 80
    assert all(code["explanation"] and code["severity"] in ("error", "warning") for code in codes)


# -- what goes wrong -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "status", "code"),
    [
        (["frobnicate"], MISUSED, "usage"),
        (["show"], MISUSED, "usage"),
        (["show", "std", "RNN", "--stage", "hosit"], MISUSED, "usage"),
        (["show", "std", "RMM"], WRONG, "no-such-cell"),
        (["explain", "nothing"], WRONG, "unknown-code"),
        (["run", *RNN, "--input", "none.csv"], WRONG, "bad-data"),
        (["new", "for"], MISUSED, "usage"),
    ],
)
def test_an_error_is_a_document_too(
    arguments: list[str], status: int, code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    found = document(capsys, *arguments, status=status)
    assert set(found) == {"ok", "problems"}
    (problem,) = found["problems"]
    assert set(problem) == PROBLEM
    assert problem["code"] == code


@pytest.mark.parametrize("command", ["show", "run", "diff"])
def test_a_mistake_in_a_source_has_its_place(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    more = ["hoist"] if command == "diff" else []
    found = document(capsys, command, BAD, *more, status=WRONG)
    assert all(set(problem) == PLACED for problem in found["problems"])


@pytest.mark.parametrize("command", ["check", "fmt"])
def test_a_mistake_in_one_of_several_files_is_in_that_file(
    command: str, capsys: pytest.CaptureFixture[str]
) -> None:
    good, bad = document(capsys, command, *CALLS[command], BAD, status=WRONG)["files"]
    assert good["problems"] == []
    assert all(set(problem) == PLACED for problem in bad["problems"])


def test_a_mistake_of_rnnc_is_a_document_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "check", lambda *_, **__: 1 // 0)
    (problem,) = document(capsys, "check", "std", status=BROKEN)["problems"]
    assert problem["code"] == "internal-error"
    assert "ZeroDivisionError" in problem["message"]


def test_a_lack_of_memory_is_a_document_too(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise MemoryError("unable to allocate 1 TiB")

    monkeypatch.setattr(check, "check", fail)
    (problem,) = document(capsys, "check", "std", status=WRONG)["problems"]
    assert problem["code"] == "out-of-memory"
    assert main(["check", "std"]) == WRONG
    assert "not enough memory: unable to allocate 1 TiB" in capsys.readouterr().err


def test_a_stream_that_lacks_signs_gets_the_escapes_of_json(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    text = "# é 漢 😀\ncell Größe(n): (h[n], x[n]) -> (h', h') { h' = x }\n"
    Path("cell.rnn").write_text(text, "utf-8")
    stream = io.TextIOWrapper(io.BytesIO(), "ascii", errors="backslashreplace")
    monkeypatch.setattr(sys, "stdout", stream)
    assert main(["fmt", "cell.rnn", "--check", "--json"]) == WRONG
    assert isinstance(stream.buffer, io.BytesIO)
    found = json.loads(stream.buffer.getvalue())
    assert "é 漢 😀" in found["files"][0]["diff"]


def test_what_json_has_no_number_for_is_a_string(capsys: pytest.CaptureFixture[str]) -> None:
    Path("cell.rnn").write_text("cell A(): ((), x[]) -> ((), y) { y = 1 / x }\n")
    Path("xs.csv").write_text("0\n2\n")
    found = document(capsys, "run", "cell.rnn", "--input", "xs.csv")
    assert found["outputs"] == [["inf"], [0.5]]
