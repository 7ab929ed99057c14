"""Generated modules as files: found again, replaced where they were tampered with, done without."""

from __future__ import annotations

import gc
import inspect
import linecache
import os
import shutil
import traceback
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import rnnc
from rnnc.runtime import launch
from rnnc.runtime.errors import CacheWarning

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


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_folder(path: Path) -> None:
    path.mkdir()


def a_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


@pytest.mark.parametrize("make", [a_pipe, a_folder, a_device, a_link_to_nothing])
def test_what_is_no_file_in_the_place_of_one_is_not_read(
    make: Callable[[Path], None], tmp_path: Path
) -> None:
    file, _ = build(make.__name__, tmp_path)
    Path(file).unlink()
    make(Path(file))
    launch._load.cache_clear()
    assert build(make.__name__, tmp_path)[1] == "return (steps * B / 0,)"


def test_a_folder_that_cannot_be_used_costs_the_file_and_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    file, line = build("no folder", tmp_path / "file")
    assert file.startswith("<rnnc_")
    assert line == "return (steps * B / 0,)"


@pytest.mark.parametrize("place", ["cache", "file/cache"])
def test_inspect_finds_the_text_that_runs_whatever_lies_on_disk(place: str, tmp_path: Path) -> None:
    """Triton compiles what `inspect` says of a kernel."""
    (tmp_path / "file").touch()
    source = SOURCE.format(f"inspected in {place}")
    with rnnc.options(cache=tmp_path / place):
        build = launch.load(source)
    for file in tmp_path.rglob("rnnc_*.py"):
        file.write_text("def build(B, dtype):\n    return 'another'\n")
    linecache.checkcache()
    assert inspect.getsource(build) in source
    assert "steps * B / 0" in inspect.getsource(build)


def test_what_is_cached_is_for_its_user_alone_and_text(tmp_path: Path) -> None:
    with rnnc.options(cache=tmp_path / "cache"):
        launch.load(SOURCE.format("private"))
    (file,) = (tmp_path / "cache").iterdir()
    assert file.suffix == ".py"
    for path in (file, file.parent):
        assert path.stat().st_mode & 0o77 == 0


@pytest.mark.skipif(os.name != "posix", reason="modes say nothing about who may write here")
@pytest.mark.parametrize("mode", [0o777, 0o770, 0o702])
def test_a_folder_that_others_may_write_into_is_not_used_and_said_once(
    mode: int, tmp_path: Path
) -> None:
    folder = tmp_path / f"shared {mode:o}"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.warns(CacheWarning, match=f"{folder} is not used: its mode {mode:o} lets others"):
        file, line = build(f"shared {mode}", folder)
    assert file.startswith("<rnnc_") and line == "return (steps * B / 0,)"
    build(f"again in {mode}", folder)  # which would fail if it were said again
    assert not list(folder.iterdir())


@pytest.mark.skipif(os.name != "posix", reason="nobody owns a folder here")
def test_a_folder_of_another_user_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    uid = os.geteuid()
    monkeypatch.setattr(os, "geteuid", lambda: uid + 1)
    with pytest.warns(CacheWarning, match="is not used: it belongs to another user"):
        assert build("foreign", tmp_path)[0].startswith("<rnnc_")


def test_an_interrupt_while_a_file_is_put_in_place_is_not_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(source: str, target: Path) -> None:
        shutil.rmtree(tmp_path)
        raise KeyboardInterrupt

    monkeypatch.setattr(os, "replace", interrupted)
    with pytest.raises(KeyboardInterrupt):
        build("interrupted", tmp_path)


def test_lines_are_forgotten_with_the_last_who_can_run_them(tmp_path: Path) -> None:
    source = SOURCE.format("forgotten")

    def known() -> int:
        gc.collect()
        return sum(source.splitlines(True) in entry for entry in linecache.cache.values())

    with rnnc.options(cache=tmp_path):
        run = launch.load(source)(2, np.float32)
        launch._load.cache_clear()
        assert known() == 1, "a traceback of it would show them"
        again = launch.load(source)
        del run
        assert known() == 1, "those of the module that took its place"
        launch._load.cache_clear()
        del again
        assert known() == 0


@pytest.mark.torch
@pytest.mark.parametrize("place", ["cache", "file/cache"])
def test_a_kernel_runs_from_its_text(place: str, tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    pytest.importorskip("triton")
    (tmp_path / "file").touch()
    with rnnc.options(cache=tmp_path / place):
        run = launch.load(KERNEL.format(place))(3, torch.float32)
    x = torch.arange(5.0, device="cuda" if torch.cuda.is_available() else "cpu")
    assert run(1, x)[0].tolist() == [0, 2, 4, 6, 8]


KERNEL = """\
import torch
import triton
import triton.language as tl

# {}
@triton.jit
def double(x, y, count, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    tl.store(y + at, 2 * tl.load(x + at, mask=at < count), mask=at < count)


def build(B, dtype):
    def run(steps, x):
        y = torch.empty_like(x)
        double[(1,)](x, y, x.numel(), 8)
        return (y,)
    return run
"""
