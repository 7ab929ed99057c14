"""Whatever happens to the cache, programs compute what they did, and no file is half a file."""

from __future__ import annotations

import os
import shutil
import sys
import warnings
from pathlib import Path
from typing import Any

import pytest

import rnnc
from rnnc.compiler.pipeline import Goal, compile_cell
from rnnc.runtime import launch, verdicts
from tests.faults import cache
from tests.faults.cache import failing_call, full_after, source, torn
from tests.faults.nets import compiled
from tests.faults.run import run_apart

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="forks, and limits files by signal")

MODULE = "def build(B, dtype):\n    return lambda steps: B * steps\n# {}\n"


def load(note: str, folder: Path) -> str:
    """Load a small module as a new process would; the file it came from."""
    launch._load.cache_clear()
    with rnnc.options(cache=folder):
        build = launch.load(MODULE.format(note))
    assert build(2, None)(3) == 6
    return build.__code__.co_filename


def test_eight_processes_begin_on_a_cold_cache() -> None:
    run_apart("cold-cache", count=1)


def test_a_process_that_is_killed_leaves_no_half_a_module() -> None:
    run_apart("killed", count=2)


def test_a_disk_that_is_full_at_any_byte_costs_the_file_alone(tmp_path: Path) -> None:
    size = len(MODULE.format("full").encode())
    for most in range(size):
        with full_after(most):
            assert load("full", tmp_path).startswith("<rnnc_")
        assert not list(tmp_path.iterdir()), f"full after {most} bytes"
    assert load("full", tmp_path).startswith(str(tmp_path))


@pytest.mark.parametrize("problem", cache.PROBLEMS, ids=os.strerror)
def test_any_call_to_the_system_may_fail(problem: int, tmp_path: Path) -> None:
    for held in (False, True):
        for at in range(100):
            if not held:
                shutil.rmtree(tmp_path / "cache", ignore_errors=True)
            with failing_call(at, problem) as failing:
                file = load("system", tmp_path / "cache")
            assert Path(file).exists() or file.startswith("<rnnc_")
            assert not torn(tmp_path / "cache")
            if failing.left >= 0:
                break
        assert 0 < at < 100, "every call has failed once"
        held_file = load("system", tmp_path / "cache")
        assert Path(held_file).read_text() == MODULE.format("system")


def test_a_file_that_is_cut_off_anywhere_is_written_again(tmp_path: Path) -> None:
    path, whole = Path(load("cut", tmp_path)), MODULE.format("cut").encode()
    for stop in range(len(whole)):
        path.write_bytes(whole[:stop])
        assert load("cut", tmp_path) == str(path)
        assert path.read_bytes() == whole


def test_a_verdict_that_is_cut_off_or_changed_anywhere_counts_as_none(tmp_path: Path) -> None:
    cell = rnnc.cells.GRU(3, 4).cell
    with rnnc.options(cache=tmp_path):
        programs = compile_cell(cell, Goal(record=True))
        verdicts.keep(programs, "head", verdicts.Verdict((0, 0), ("a line",)))
        (path,) = tmp_path.iterdir()
        whole = path.read_bytes()
        assert verdicts.known(programs, "head") == verdicts.Verdict((0, 0), ("a line",))
        for at in range(len(whole)):
            said = "head\n0 0\n"
            if whole[:at].decode() != whole.decode():
                path.write_bytes(whole[:at])
                assert verdicts.known(programs, "head") is None, f"cut off after {at} bytes"
            if at < len(said):
                path.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
                assert verdicts.known(programs, "head") is None, f"byte {at} changed"


def litter(folder: Path, name: str) -> dict[str, Any]:
    """What may lie in a cache under the name of a module, none of it one."""
    path = folder / name
    return {
        "a folder": path.mkdir,
        "a folder with a file": (path / "file").mkdir,
        "a pipe": lambda: os.mkfifo(path),
        "a link to nowhere": lambda: path.symlink_to(folder / "nowhere"),
        "a link to itself": lambda: path.symlink_to(path),
        "a link to a device": lambda: path.symlink_to("/dev/zero"),
        "another text": lambda: path.write_text("raise SystemExit"),
        "no text": lambda: path.write_bytes(b"\xff\xfe\x00"),
        "a terabyte": lambda: os.truncate(_touched(path), 1 << 40),
    }


def _touched(path: Path) -> Path:
    path.touch()
    return path


@pytest.mark.parametrize("kind", litter(Path(), ""))
def test_what_lies_in_the_way_is_neither_run_nor_waited_for(kind: str, tmp_path: Path) -> None:
    path = Path(load(kind, tmp_path))
    path.unlink()
    (tmp_path / "rnnc_orphan.tmp").touch()
    if "file" in kind:
        path.mkdir()
    litter(tmp_path, path.name)[kind]()
    file = load(kind, tmp_path)
    assert file in (str(path), f"<{path.stem}>")
    if "folder" not in kind:
        assert path.read_text() == MODULE.format(kind) and path.is_file()


def test_a_folder_that_is_deleted_while_nets_run_costs_nothing(tmp_path: Path) -> None:
    with rnnc.options(cache=tmp_path / "cache"):
        wanted = compiled(source(-1))
        launch._load.cache_clear()
        net = rnnc.Recur(rnnc.loads(source(-1)).Tiny(3, 4))
        shutil.rmtree(tmp_path / "cache")
        net.scan([[1.0, 2.0, 3.0]])
        shutil.rmtree(tmp_path / "cache")
        net.eval().scan([[1.0, 2.0, 3.0]])
        assert compiled(source(-1)) == wanted


def test_entries_of_the_future_and_of_another_version_are_entries(tmp_path: Path) -> None:
    """G 125 and 130 of the list of bad inputs: an entry's name depends on its text alone."""
    path = Path(load("now", tmp_path))
    other = tmp_path / "rnnc_0123456789abcdef01234567.py"
    other.write_text("another version's")
    os.utime(path, (2**33, 2**33))
    assert load("now", tmp_path) == str(path)
    assert path.stat().st_mtime == 2**33, "it was found, not written again"
    assert load("another text", tmp_path) not in (str(path), str(other))
    assert other.read_text() == "another version's"


def test_a_folder_in_which_nothing_can_be_made_costs_the_file_alone() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for folder in ("/proc/rnnc", "/dev/null/rnnc", "/dev/full"):
            assert load(folder, Path(folder)).startswith("<rnnc_")
