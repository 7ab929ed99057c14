"""Ctrl-C, whenever it comes: one line and status 130, no traceback, no part of a file."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path

import pytest

import rnnc
from rnnc.cli import interrupts, main
from rnnc.cli.statuses import FINE, INTERRUPTED, INTERRUPTED_WORDS
from rnnc.runtime import launch

HOME = Path(rnnc.__file__).parents[1]  # of the package under test, installed or not
RUN = ["run", "std", "RNN", "--set", "inputs=1", "--set", "hidden=2", "--input", "xs.csv"]
LONG = ["check", *["std"] * 50]  # more than is done until it is interrupted
LINE = f"{INTERRUPTED_WORDS}\n"

needs_signals = pytest.mark.skipif(os.name == "nt", reason="needs POSIX signals")

# A command that is interrupted when it first looks for a module.
STRUCK = """
import signal, sys

class Finder:
    @staticmethod
    def find_spec(name, *_):
        if name == {module!r}:
            {strike}

from rnnc.cli import interrupts, main
sys.meta_path.insert(0, Finder)
sys.exit(main())
"""
# What `python -m rnnc` does, after a sign that Python itself has started.
AS_MODULE = """
import os, runpy

os.write(1, b".")
runpy.run_module("rnnc", run_name="__main__", alter_sys=True)
"""
RAISED = "signal.raise_signal(signal.SIGINT)"
# Python ignores what is raised there, as where it gives the lock of an import back.
LOST = "type('Lost', (), {'__del__': lambda self: signal.raise_signal(signal.SIGINT)})()"


@pytest.fixture(autouse=True)
def plain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("RNNC_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("RNNC_BACKEND", "numpy")
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "xs.csv").write_text("1\n2\n")


def start(*arguments: str, **env: str) -> subprocess.Popen[str]:
    """A new interpreter with these arguments, and variables besides those that there are."""
    return subprocess.Popen(
        [sys.executable, *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        env={**os.environ, "PYTHONPATH": str(HOME), **env},
        # What a shell has put behind it ignores Ctrl-C, and so would its children.
        preexec_fn=partial(signal.signal, signal.SIGINT, signal.SIG_DFL),
    )  # fmt: skip


def test_ctrl_c_while_a_module_is_written_leaves_no_part_of_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: object) -> None:
        raise KeyboardInterrupt

    launch._load.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(os, "replace", interrupt)
        assert main(RUN) == INTERRUPTED
    assert capsys.readouterr().err == LINE
    assert os.listdir(tmp_path / "cache") == []
    assert main(RUN) == FINE


@needs_signals
def test_ctrl_c_while_it_compiles_ends_with_130_and_a_whole_cache(tmp_path: Path) -> None:
    with start("-m", "rnnc", *LONG, RNNC_DEBUG="1") as process:
        assert process.stderr
        process.stderr.readline()  # the first program is compiled
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == INTERRUPTED
    assert said.splitlines()[-1] == INTERRUPTED_WORDS
    assert "Traceback" not in said
    for path in (tmp_path / "cache").glob("*.py"):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()[:24]
        assert path.name == f"rnnc_{digest}.py"


@needs_signals
@pytest.mark.parametrize("strike", [RAISED, LOST], ids=["raised", "lost"])
@pytest.mark.parametrize(
    "module",
    ["rnnc.cli.call", "argparse", "rnnc.grammar.syntax", "numpy", "rnnc.cli.check", "lark"],
)
def test_ctrl_c_while_a_module_is_imported_is_one_line(module: str, strike: str) -> None:
    with start("-c", STRUCK.format(module=module, strike=strike), *LONG) as process:
        printed, said = process.communicate(timeout=60)
    assert (process.returncode, printed, said) == (INTERRUPTED, "", LINE)


@needs_signals
@pytest.mark.parametrize("delay", range(10, 300, 25))
def test_ctrl_c_at_any_moment_of_the_start_is_one_line(delay: int) -> None:
    with start("-c", AS_MODULE, *LONG) as process:
        assert process.stdout
        assert process.stdout.read(1)  # before that, what is interrupted is Python's own start
        time.sleep(delay / 1000)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    if "Traceback" in said and "in main\n" not in said and delay < 200:
        pytest.skip("the command had not begun: some 5 ms go by between Python's start and `main`")
    # To a shell, both are 130. Python dies of the signal at the end, if the exception has been
    # through an `exec` of text.
    ends = [(INTERRUPTED, LINE), (-signal.SIGINT, LINE)]
    assert (process.returncode, said) in ends


@needs_signals
def test_a_command_that_is_to_ignore_ctrl_c_ignores_it() -> None:
    program = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + STRUCK
    with start("-c", program.format(module="argparse", strike=RAISED), "cells") as process:
        _, said = process.communicate(timeout=60)
    assert (process.returncode, said) == (FINE, "")


@needs_signals
def test_an_exception_that_something_makes_of_ctrl_c_is_an_interrupt(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(interrupts, "_end", signal.default_int_handler)  # as a command has it
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt), interrupts.raised():
            try:
                signal.raise_signal(signal.SIGINT)
            except KeyboardInterrupt:
                raise SystemError("initialisation failed") from None
        with pytest.raises(SystemError, match="of its own"), interrupts.raised():
            raise SystemError("of its own")
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
