"""The command line as a whole: exit statuses, streams, and the tables it prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import rnnc
from rnnc.cli import check, doctor, main
from rnnc.cli.statuses import BROKEN, FINE, INTERRUPTED, MISUSED, PIPE_CLOSED, WRONG
from rnnc.compiler.elaborate.functions import FUNCTIONS
from rnnc.compiler.ops import OPS
from rnnc.compiler.ops.gradient import SLOPES
from rnnc.compiler.pipeline import PIPELINE
from rnnc.grammar.problems import PROBLEMS
from rnnc.runtime.errors import ERRORS

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
BAD = str(Path(__file__).parents[2] / "grammar" / "bad" / "bad-name.rnn")
COMMANDS = (
    "new", "check", "fmt", "show", "graph", "diff", "run", "emit", "ops", "passes", "cells",
    "explain", "lsp", "doctor",
)  # fmt: skip


def started(*arguments: str, env: dict[str, str] | None = None) -> subprocess.Popen[str]:
    """`python -m rnnc ...` as a process of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", "rnnc", *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "PYTHONPATH": str(HOME), **(env or {})},
    )


# -- exit statuses -------------------------------------------------------------------------------


@pytest.mark.parametrize("command", COMMANDS)
def test_help_shows_the_exit_statuses(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([command, "--help"]) == FINE
    shown = capsys.readouterr().out
    for status in (FINE, WRONG, MISUSED, BROKEN, INTERRUPTED, PIPE_CLOSED):
        assert re.search(rf"^  {status} ", shown, re.MULTILINE), status


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "COMMAND"),
        (["frobnicate"], "there are new, check"),
        (["chek"], "did you mean check?"),
        (["check", "std", "--jsn"], "did you mean --json?"),
        (["check", "std", "--frobnicate=3"], "no option --frobnicate; there are"),
        (["explain", "a", "b"], "no more arguments: 'b'"),
        (["run", "std", "GRU", "--dtype", "float31"], "float32"),
        (["run", "std", "GRU", "--backend", "cuda"], "triton"),
        (["show", "std", "GRU", "--set", "=3"], "NAME=VALUE"),
        (["show", "std", "GRU", "--set"], "--set"),
        (["check"], "FILE"),
        (["check", "std", "--jsn"], "--jsn"),
        (["run", "std", "GRU", "--seed", "x"], "--seed"),
        (["show", "std"], "LSTM"),
        (["show", "std", "GRU", "--set", "hidden"], "NAME=VALUE"),
        (["show", "std", "GRU", "--set", "hidden=[3]"], "hidden=[3]"),
        (["cells", "GRU", "--set", "hidden=8,inputs=4"], "--set hidden=8 --set inputs=4"),
        (["show", "std", "GRU", "--set", "hidden=3", "--set", "hidden=4"], "twice"),
        (["show", "std", "GRU", "--stage", "hosit"], "did you mean hoist?"),
        (["show", "std", "GRU", "--masks", "start"], "starts"),
    ],
)
def test_a_wrong_call_ends_with_status_2_and_says_why(
    arguments: list[str], says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == MISUSED
    captured = capsys.readouterr()
    assert says in captured.err
    assert captured.out == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["check", "no-such-file.rnn"], "unreadable-file"),
        (["check", "std", "--set", "hiden=3"], "unknown-setting"),
        (["check", "std", "--set", "hidden=0"], "bad-size"),
        (["show", "std", "LSTN"], "no-such-cell"),
        (["show", "std", "LSTM", "--set", "hidden=3"], "open-sizes"),
        (["show", "std", "LSTM", "--set", "hidden=3", "--set", "inputs=2.5"], "bad-call"),
        (["explain", "shape-mismach"], "unknown-code"),
    ],
)
def test_what_a_user_got_wrong_ends_with_status_1_and_a_code(
    arguments: list[str], code: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == WRONG
    captured = capsys.readouterr()
    assert f"error[{code}]" in captured.err
    assert captured.out == ""


def test_options_and_names_come_in_any_order(capsys: pytest.CaptureFixture[str]) -> None:
    sizes = ["--set", "inputs=1", "--set", "hidden=2"]
    assert main(["show", "std", *sizes, "RNN"]) == FINE
    first = capsys.readouterr().out
    assert main(["show", *sizes, "std", "RNN"]) == FINE
    assert capsys.readouterr().out == first
    assert main(["fmt", BAD, "--check", BAD]) == WRONG


def test_a_mistake_of_rnnc_asks_for_a_report(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object, **__: object) -> int:
        raise ZeroDivisionError("a mistake")

    monkeypatch.setattr(check, "check", fail)
    monkeypatch.setenv("RNNC_DEBUG", "1")
    assert main(["check", "std"]) == BROKEN
    plain = capsys.readouterr().err
    assert "error[internal-error]: ZeroDivisionError: a mistake" in plain
    assert "report" in plain
    assert "Traceback" not in plain

    monkeypatch.setenv("RNNC_TRACEBACK", "1")
    assert main(["check", "std"]) == BROKEN
    assert "Traceback" in capsys.readouterr().err


def test_ctrl_c_ends_without_a_traceback(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*_: object, **__: object) -> int:
        raise KeyboardInterrupt

    monkeypatch.setattr(check, "check", interrupt)
    assert main(["check", "std"]) == INTERRUPTED
    assert capsys.readouterr().err == "rnnc: interrupted\n"


def test_a_closed_pipe_ends_quietly() -> None:
    with started("ops") as process:
        assert process.stdout and process.stderr
        process.stdout.close()
        assert process.stderr.read() == ""
        process.stderr.close()
        assert process.wait() == PIPE_CLOSED


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full here")
@pytest.mark.parametrize(
    ("argument", "unbuffered"), [("cells", ""), ("cells", "1"), ("--help", "")]
)
def test_a_full_disk_is_no_mistake_in_rnnc(argument: str, unbuffered: str) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "rnnc", argument],
            stdout=full, stderr=subprocess.PIPE, text=True,
            env={**os.environ, "PYTHONPATH": str(HOME), "PYTHONUNBUFFERED": unbuffered},
        )  # fmt: skip
    assert done.returncode == PIPE_CLOSED
    assert done.stderr == "rnnc: cannot write: No space left on device\n"


def test_closed_standard_output_is_no_mistake_in_rnnc(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    assert main(["cells"]) == PIPE_CLOSED
    assert capsys.readouterr().err == "rnnc: standard output is closed\n"


# -- streams -------------------------------------------------------------------------------------


def test_results_are_plain_text_where_nobody_watches() -> None:
    with started("check", BAD, env={"PYTHONIOENCODING": "ascii"}) as process:
        shown, said = process.communicate()
    assert process.returncode == WRONG
    assert shown == ""
    assert "error[bad-name]" in said
    assert "\x1b" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(("variable", "value"), [("NO_COLOR", "1"), ("TERM", "dumb")])
def test_colours_are_for_terminals_that_want_them(
    variable: str, value: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    main(["check", BAD])
    assert "\x1b[1;31merror" in capsys.readouterr().err
    monkeypatch.setenv(variable, value)
    main(["check", BAD])
    assert "\x1b" not in capsys.readouterr().err


# -- tables --------------------------------------------------------------------------------------


def test_ops_lists_every_op_and_function(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["ops"]) == FINE
    words = re.findall(r"^  (\S+)", capsys.readouterr().out, re.MULTILINE)
    assert set(OPS) <= set(words)
    assert "sigmoid(a)" in words


def test_ops_tells_surrogates_from_functions(capsys: pytest.CaptureFixture[str]) -> None:
    main(["ops", "--json"])
    found = json.loads(capsys.readouterr().out)
    named = {kind: {each["name"] for each in found[kind]} for kind in ("functions", "surrogates")}
    assert named["surrogates"] == SLOPES.keys() - {"straight_through"}
    assert named["functions"] | named["surrogates"] == FUNCTIONS.keys()
    assert not named["functions"] & named["surrogates"]
    main(["ops"])
    functions, _, rest = capsys.readouterr().out.partition("\nsurrogates")
    assert "\n  arctan" not in functions and "\n  arctan" in rest


def test_passes_lists_the_pipeline_in_its_order(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["passes"]) == FINE
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[1] for line in lines] == [step.name for step in PIPELINE]
    for line, step in zip(lines, PIPELINE, strict=True):
        assert step.why in line


def errors(kind: type[rnnc.Error] = rnnc.Error) -> Iterator[type[rnnc.Error]]:
    """Every kind of error that rnnc raises, those that only hold others left out."""
    for inner in kind.__subclasses__():
        if inner not in (rnnc.Problem, rnnc.Problems) and inner.__module__.startswith("rnnc."):
            yield inner
        yield from errors(inner)


CODES = sorted(error.code for error in errors())


def test_every_kind_of_error_has_a_code_of_its_own() -> None:
    assert len(set(CODES)) == len(CODES)
    assert set(CODES) > set(PROBLEMS) | set(ERRORS)


@pytest.mark.parametrize("code", CODES)
def test_explain_knows_every_code(code: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain", code]) == FINE
    first, blank, sentence, gap, *rest = capsys.readouterr().out.splitlines()
    assert first in (f"error[{code}]", f"warning[{code}]")
    assert sentence and rest, "a sentence, then an example or what to do about it"
    assert (blank, gap) == ("", "")


def test_explain_without_a_code_lists_them_all(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["explain"]) == FINE
    codes = re.findall(r"^  (\S+)  ", capsys.readouterr().out, re.MULTILINE)
    assert codes == CODES


def test_doctor_is_content_with_this_machine(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("RNNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path))
    assert main(["doctor"]) == FINE
    shown = capsys.readouterr().out
    names = ("python", "numpy", "lark", "torch", "triton", "RNNC_VERIFY", "RNNC_VALIDATE", "cache")
    for name in (*names, "numpy backend", "triton backend"):
        assert re.search(rf"^{name} ", shown, re.MULTILINE), name
    assert "all is well" in shown


def test_doctor_says_what_a_backend_lacks_and_is_content(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in [name for name in os.environ if name.startswith("RNNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path))
    monkeypatch.setitem(sys.modules, "torch", None)
    assert main(["doctor"]) == FINE
    shown = capsys.readouterr().out
    assert re.search("^triton backend +cannot run: torch is not installed$", shown, re.MULTILINE)


def test_doctor_names_what_is_wrong(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path / "file"))
    monkeypatch.setenv("RNNC_DBUG", "1")
    assert main(["doctor"]) == WRONG
    assert "wrong: RNNC_DBUG, cache" in capsys.readouterr().out
    shared = tmp_path / "shared"
    shared.mkdir()
    shared.chmod(0o777)
    monkeypatch.setenv("RNNC_CACHE", str(shared))
    assert main(["doctor"]) == WRONG
    assert "cannot be used: its mode 777 lets others write into it" in capsys.readouterr().out
    monkeypatch.setenv("RNNC_DEBUG", "9")
    assert main(["doctor"]) == WRONG
    assert re.search("^RNNC_DEBUG +9 +<- RNNC_DEBUG is '9'", capsys.readouterr().out, re.MULTILINE)


def test_doctor_says_that_a_cache_of_many_modules_may_be_deleted(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor, "_problem_of", lambda backend: "")
    monkeypatch.setattr(doctor, "MANY", 3)
    for count in range(1, 4):
        (tmp_path / f"rnnc_{count}.py").touch()
        assert main(["doctor"]) == FINE
        (line,) = re.findall("^cache .*", capsys.readouterr().out, re.MULTILINE)
        assert f"{tmp_path}, {count} modules" in line
        assert ("the folder may be deleted" in line) == (count == 3)
