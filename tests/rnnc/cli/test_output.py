"""Files that commands are told to write: whole, or as they were."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

from rnnc.cli import main
from rnnc.cli.statuses import FINE, INTERRUPTED, WRONG

SIZES = ["std", "RNN", "--set", "inputs=1", "--set", "hidden=2"]
COMMANDS = {
    "a.svg": ["graph", *SIZES],
    "a.csv": ["run", *SIZES, "--input", "xs.npy"],
    "a.npy": ["run", *SIZES, "--input", "xs.npy"],
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("RNNC_CACHE", str(tmp_path / "cache"))
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path / "out")
    np.save("xs.npy", np.ones((3, 1)))
    return tmp_path / "out"


@pytest.mark.parametrize(
    "raised, status",
    [(OSError(28, "No space left on device"), WRONG), (KeyboardInterrupt(), INTERRUPTED)],
)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_fails_while_it_is_written_leaves_the_old_file_and_no_other(
    name: str,
    raised: BaseException,
    status: int,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(COMMANDS[name]) == FINE  # what it compiles is written before
    Path(name).write_text("old")
    write, before = os.write, sorted(os.listdir(folder))

    def fail(handle: int, data: bytes) -> int:
        write(handle, data[:3])
        raise raised

    with monkeypatch.context() as patched:
        patched.setattr(os, "write", fail)
        assert main([*COMMANDS[name], "--output", name]) == status
    assert status == INTERRUPTED or f"{name} cannot be written: No space" in capsys.readouterr().err
    assert Path(name).read_text() == "old"
    assert sorted(os.listdir(folder)) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_written_takes_the_place_of_what_was_there(name: str) -> None:
    Path(name).write_text("old")
    assert main([*COMMANDS[name], "--output", name]) == FINE
    assert Path(name).read_bytes()[:4] in (b"<svg", b"h'[0", b"\x93NUM")


@pytest.mark.skipif(sys.platform == "win32", reason="there is no /dev/null")
def test_a_device_is_written_to_and_not_replaced() -> None:
    assert main([*COMMANDS["a.csv"], "--output", "/dev/null"]) == FINE
    assert not os.path.isfile("/dev/null")
