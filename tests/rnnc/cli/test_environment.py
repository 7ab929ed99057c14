"""What the environment of a command may be: variables, folders, terminals."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import rnnc
from rnnc.cli import main
from rnnc.cli.statuses import FINE, MISUSED, WRONG
from rnnc.runtime import launch

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
OWN = str(Path(__file__).parents[3] / "examples" / "own_cell.rnn")
RUN = ["run", "std", "RNN", "--set", "inputs=1", "--set", "hidden=2", "--input", "xs.csv"]


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RNNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RNNC_BACKEND", "numpy")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xs.csv").write_text("1\n2\n")


def python(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """A new interpreter with these arguments, and variables besides those that there are."""
    return subprocess.run(
        [sys.executable, *arguments], capture_output=True, text=True, encoding="utf-8",
        env={**os.environ, "PYTHONPATH": str(HOME), **env}, timeout=120,
    )  # fmt: skip


# -- variables -----------------------------------------------------------------------------------


def test_a_variable_that_is_no_option_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNNC_DBUG", "1")
    monkeypatch.setenv("RNNC_XYZ", "1")
    assert main(["cells"]) == FINE
    assert capsys.readouterr().err == (
        "rnnc: warning: RNNC_DBUG: there is no such option; did you mean RNNC_DEBUG?\n"
        "rnnc: warning: RNNC_XYZ: there is no such option\n"
    )


def test_a_value_that_cannot_be_ends_the_command_and_names_the_variable(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RNNC_VERIFY", "loud")
    assert main(["cells"]) == WRONG
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "error[bad-option]: RNNC_VERIFY is 'loud'; it must be 0, 1 or 2\n"


@pytest.mark.parametrize(
    ("arguments", "status"),
    [(["show", "std", "RMM"], WRONG), (["frobnicate"], MISUSED), (["check", "no.rnn"], WRONG)],
)
def test_a_traceback_is_for_who_asks_for_it(
    arguments: list[str], status: int,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.setenv("RNNC_DEBUG", "1")
    assert main(arguments) == status
    assert "Traceback" not in capsys.readouterr().err
    monkeypatch.setenv("RNNC_TRACEBACK", "1")
    monkeypatch.setenv("RNNC_DEBUG", "wrong as well")
    assert main(arguments) in (status, WRONG)
    assert "Traceback" in capsys.readouterr().err


def test_colours_can_be_forced_and_no_is_no(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("NO_COLOR", raising=False)
    for value, coloured in (("1", True), ("0", False), ("", False)):
        monkeypatch.setenv("FORCE_COLOR", value)
        main(["explain", "nothing"])
        assert ("\x1b" in capsys.readouterr().err) is coloured
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("NO_COLOR", "1")
    main(["explain", "nothing"])
    assert "\x1b" not in capsys.readouterr().err


# -- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variable", "value"),
    [("HOME", "/dev/null/home"), ("XDG_CACHE_HOME", "xs.csv"), ("RNNC_CACHE", "xs.csv/cache")],
)
def test_without_a_cache_a_command_works_and_says_so_once(
    variable: str, value: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
) -> None:  # fmt: skip
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    launch._load.cache_clear()
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path / "cache"))
    assert main(RUN) == FINE
    expected = capsys.readouterr()
    assert expected.err == ""
    monkeypatch.delenv("RNNC_CACHE")
    launch._load.cache_clear()
    monkeypatch.setenv(variable, str(tmp_path / value) if value.startswith("xs") else value)
    assert main(RUN) == FINE
    captured = capsys.readouterr()
    assert captured.out == expected.out
    assert captured.err.startswith("rnnc: note: ")
    assert captured.err.endswith("; going on without a cache\n")
    assert captured.err.count("\n") == 1


def test_a_relative_cache_folder_is_ignored_as_its_specification_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", "caches")
    assert launch.cache_folder() == tmp_path / ".cache" / "rnnc"


def test_without_a_home_nothing_is_written_into_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setattr(os.path, "expanduser", lambda path: path)  # as where nobody is known
    launch._load.cache_clear()
    assert main(RUN) == FINE
    assert "going on without a cache" in capsys.readouterr().err
    assert os.listdir(tmp_path) == ["xs.csv"]


def test_a_folder_for_temporary_files_that_is_missing_does_no_harm() -> None:
    done = python("-m", "rnnc", *RUN, TMPDIR="/nowhere", RNNC_CACHE="cache")
    assert (done.returncode, done.stderr) == (FINE, "")


# -- terminals and interpreters ------------------------------------------------------------------


def test_a_poor_terminal_gets_text_that_it_can_show(tmp_path: Path) -> None:
    path = tmp_path / "bad.rnn"
    path.write_text("cell Größe(n): (h[n], x[n]) -> (h', h') { h' = ŵ }\n", "utf-8")
    poor = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONIOENCODING": "ascii", "COLUMNS": "20",
            "LINES": "5", "TERM": "dumb"}  # fmt: skip
    done = python("-m", "rnnc", "check", str(path), **poor)
    assert done.returncode == WRONG
    assert "error[unknown-name]" in done.stderr and "\\u0175" in done.stderr
    for arguments in (["fmt", "--help"], ["fmt", "--diff", str(path)]):
        done = python("-m", "rnnc", *arguments, **poor)
        assert (done.returncode, done.stderr) == (FINE, "")
        assert done.stdout.isascii()


def test_an_interpreter_that_drops_docstrings_and_asserts_and_takes_no_warning_works() -> None:
    options = ("-OO", "-W", "error", "-X", "dev", "-s")
    done = python(*options, "-m", "rnnc", "check", OWN, PYTHONHASHSEED="7")
    assert done.stderr == ""
    assert done.returncode == FINE
    assert done.stdout.count("gradient    right") == 2
    done = python(*options, "-m", "rnnc", "explain", "shape-mismatch")
    assert (done.returncode, done.stderr) == (FINE, "")
    assert "-OO" in done.stdout


def test_what_is_printed_does_not_depend_on_hashes(capsys: pytest.CaptureFixture[str]) -> None:
    arguments = [*RUN[1:-2], "--stage", "source", "--backend", "triton"]
    assert main(["show", *arguments]) == FINE
    done = python("-m", "rnnc", "show", *arguments, PYTHONHASHSEED="7")
    assert done.stdout == capsys.readouterr().out
