"""Generated modules as files: found again, replaced where they were tampered with, done without."""

from __future__ import annotations

import traceback
from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc.runtime import launch

SOURCE = """\
def build(B, dtype):
    def run(steps):
        return (steps * B / 0,)
    return run
# {}
"""


def build(note: str, folder: Path) -> tuple[str, str]:
    """Load a module that fails when it runs; the file and the line that its traceback shows."""
    with rnnc.options(cache=folder):
        run = launch.load(SOURCE.format(note))(2, np.float32)
    with pytest.raises(ZeroDivisionError) as caught:
        run(3)
    last = traceback.extract_tb(caught.value.__traceback__)[-1]
    return last.filename, last.line or ""


def test_a_module_is_a_file_that_tracebacks_show(tmp_path: Path) -> None:
    file, line = build("a file", tmp_path / "cache")
    assert Path(file).parent == tmp_path / "cache"
    assert Path(file).read_text() == SOURCE.format("a file")
    assert line == "return (steps * B / 0,)"


def test_a_file_that_was_changed_is_replaced_and_never_run(tmp_path: Path) -> None:
    file, _ = build("changed", tmp_path)
    for wrong in (b"raise SystemExit", b"\xff\xfe"):
        Path(file).write_bytes(wrong)
        launch._load.cache_clear()
        assert build("changed", tmp_path)[0] == file
        assert Path(file).read_text() == SOURCE.format("changed")
    assert [path.name for path in tmp_path.iterdir()] == [Path(file).name]


def test_a_folder_that_cannot_be_used_costs_the_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file, line = build("no folder", tmp_path / "file")
    assert file.startswith("<rnnc_")
    assert line == "return (steps * B / 0,)"
