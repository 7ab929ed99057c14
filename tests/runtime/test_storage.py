"""A file is replaced whole or not at all, whatever the disk, the system or a signal does."""

from __future__ import annotations

import errno
import os
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import rnnc
from rnnc.runtime import storage
from rnnc.runtime.storage import write
from tests.runtime.models import elman

ROOT = Path(__file__).parents[2]
OLD, NEW = b"old", b"new" * 1000
CALLS = ("open", "write", "fsync", "close", "replace", "stat", "chmod")


class Failing:
    """The module `os`, whose n-th call of some functions fails, or is interrupted."""

    def __init__(self, nth: int, error: BaseException) -> None:
        self.left = nth
        self.error = error
        self.path = os.path

    def __getattr__(self, name: str) -> Any:
        function = getattr(os, name)
        if name not in CALLS:
            return function

        def call(*args: Any, **keywords: Any) -> Any:
            self.left -= 1
            if self.left == 0:
                if name == "close":  # a system closes it and then tells
                    function(*args)
                raise self.error
            return function(*args, **keywords)

        return call


ERRORS = [
    OSError(errno.ENOSPC, "No space left on device"), OSError(errno.EROFS, "Read-only file system"),
    OSError(errno.EACCES, "Permission denied"), OSError(errno.EDQUOT, "Quota exceeded"),
    OSError(errno.EIO, "Input/output error"), KeyboardInterrupt(), MemoryError(),
]  # fmt: skip


@pytest.mark.parametrize("error", ERRORS, ids=repr)
@pytest.mark.parametrize("there", [True, False])
def test_whichever_call_fails_a_file_is_old_or_new(
    error: BaseException, there: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "net"
    outcomes = []
    for nth in range(1, 30):
        path.unlink(missing_ok=True)
        if there:
            path.write_bytes(OLD)
        shim = Failing(nth, error)
        with monkeypatch.context() as patch:
            patch.setattr(storage, "os", shim)
            try:
                write(str(path), NEW)
            except (rnnc.Error, KeyboardInterrupt, MemoryError) as caught:
                if isinstance(error, OSError):
                    assert isinstance(caught, OSError) and caught.errno == error.errno
                    assert str(caught) == f"{str(path)!r} cannot be written: {error.strerror}"
                else:
                    assert caught is error
        found = path.read_bytes() if path.exists() else None
        assert found in (OLD if there else None, NEW)
        assert os.listdir(tmp_path) == ["net"] * (found is not None), "nothing is left over"
        outcomes.append(found)
        if shim.left > 0:
            break
    assert shim.left > 0 and outcomes[-1] == NEW
    assert outcomes.index(NEW) >= 5, "it takes its place last"


def test_a_net_that_cannot_be_saved_is_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    net = elman()
    ys = net.scan(np.ones((3, 2, 3)))
    monkeypatch.setattr(storage, "os", Failing(2, ERRORS[0]))
    with pytest.raises(OSError, match="No space left"):
        net.save(tmp_path / "net")
    assert net.recorded == 3 and np.array_equal(net.state["h"], ys[-1])


# -- paths -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["a b", "it's", 'a "quoted" name', "new\nline", "naïve 🦜", "-rf", "~", "~root", "%s{}", "CON",
     "a" * 255, "x.pt", ".hidden", b"\xff\xfe".decode("utf-8", "surrogateescape")],
)  # fmt: skip
def test_a_name_is_taken_as_it_is(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    net = elman()
    net.save(name)
    assert os.listdir(tmp_path) == [name]
    assert np.array_equal(rnnc.load_net(name)(np.ones(3)), net(np.ones(3)))
    with pytest.raises(rnnc.Error) as caught:
        rnnc.load_net(f"{name}/net")
    assert caught.value.code == "checkpoint-file"


def a_folder(path: Path) -> None:
    path.mkdir()


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_a_device(path: Path) -> None:
    path.symlink_to("/dev/full")


def a_circle(path: Path) -> None:
    path.symlink_to(path.name)


def nothing(_path: Path) -> None:
    pass


def below_a_file(path: Path) -> None:
    path.parent.write_bytes(b"")


@pytest.mark.parametrize(
    ("make", "inside"),
    [(a_folder, False), (a_pipe, False), (a_link_to_a_device, False), (a_circle, False),
     (below_a_file, True), (nothing, True)],
)  # fmt: skip
@pytest.mark.parametrize("action", ["save", "load"])
def test_what_is_no_file_is_neither_written_nor_read(
    make: Callable[[Path], None], inside: bool, action: str, tmp_path: Path
) -> None:
    path = tmp_path / "there" / "net" if inside else tmp_path / "net"
    make(path)
    before = sorted(os.listdir(tmp_path))
    with pytest.raises(OSError) as caught:
        elman().save(path) if action == "save" else rnnc.load_net(path)
    assert isinstance(caught.value, rnnc.Error) and caught.value.code == "checkpoint-file"
    assert repr(str(path)) in str(caught.value)
    assert sorted(os.listdir(tmp_path)) == before


@pytest.mark.parametrize("name", ["a" * 256, "a/" * 2048])
def test_a_name_that_is_too_long_is_told(name: str, tmp_path: Path) -> None:
    for action in (elman().save, rnnc.load_net):
        with pytest.raises(OSError, match="File name too long") as caught:
            action(tmp_path / name)
        assert isinstance(caught.value, rnnc.Error) and caught.value.errno == errno.ENAMETOOLONG


@pytest.mark.parametrize("path", [3, None, "a\0b", b"net", ["net"]])
def test_what_is_no_path_is_refused(path: Any) -> None:
    for action in (elman().save, rnnc.load_net):
        with pytest.raises(rnnc.Error) as caught:
            action(path)
        assert caught.value.code == "bad-setting"


def test_a_link_is_followed_and_stays(tmp_path: Path) -> None:
    (tmp_path / "below").mkdir()
    target, link = tmp_path / "below" / "net", tmp_path / "latest"
    link.symlink_to("below/net")
    with pytest.raises(OSError, match="No such file"):
        rnnc.load_net(link)
    for _ in range(2):  # a dangling one, then one to a file
        elman().save(link)
        assert link.is_symlink() and target.is_file() and os.listdir(target.parent) == ["net"]
    rnnc.load_net(link)


def test_permissions_are_those_of_other_new_files_or_of_the_file_that_was_there(
    tmp_path: Path,
) -> None:
    path = tmp_path / "net"
    elman().save(path)
    (tmp_path / "other").touch()
    assert stat.S_IMODE(path.stat().st_mode) == stat.S_IMODE((tmp_path / "other").stat().st_mode)
    path.chmod(0o640)
    elman().save(path)
    assert stat.S_IMODE(path.stat().st_mode) == 0o640


def test_where_a_user_may_not_write_the_file_stays(tmp_path: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root may write anywhere")
    path = tmp_path / "net"
    path.write_bytes(OLD)
    tmp_path.chmod(0o500)
    with pytest.raises(OSError, match="Permission denied"):
        elman().save(path)
    tmp_path.chmod(0o700)
    assert path.read_bytes() == OLD


# -- processes -------------------------------------------------------------------------------------

SAVING = """
import itertools, sys
from rnnc.runtime import storage
path, sign = sys.argv[1:]
for turn in itertools.count():
    storage.write(path, b"%s %08d" % (sign.encode(), turn) * 20_000)
    print(turn, flush=True)
"""


def saving(path: Path, sign: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-c", SAVING, str(path), sign], cwd=ROOT, stdout=subprocess.PIPE
    )


def is_whole(data: bytes, signs: str) -> bool:
    return data[:1].decode() in signs and data == data[:10] * 20_000


def test_a_process_that_is_killed_leaves_a_whole_file() -> None:
    command = [sys.executable, "-m", "tests.fuzz.kills", "--count", "20"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "20 processes" in done.stdout and " 0 failed" in done.stdout


def test_of_two_processes_one_whole_file_is_left(tmp_path: Path) -> None:
    path = tmp_path / "net"
    children = [saving(path, sign) for sign in "ab"]
    seen, reads, end = set[bytes](), 0, time.monotonic() + 60
    try:
        for child in children:
            assert child.stdout is not None
            child.stdout.readline()
        # Both have had a turn with the processor by then, unless one of them never saves.
        while reads < 100 or (len(seen) < 2 and time.monotonic() < end):
            data = path.read_bytes()
            assert is_whole(data, "ab")
            seen.add(data[:1])
            reads += 1
            time.sleep(0.002)
    finally:
        for child in children:
            child.kill()
            child.communicate()
    assert seen == {b"a", b"b"}
    assert is_whole(path.read_bytes(), "ab")


@pytest.mark.skipif(os.name == "nt", reason="its folders have no pipes")
def test_what_is_no_checkpoint_has_no_error_of_one(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for name, says in {".": "this is a folder", "pipe": "this is no regular file"}.items():
        with pytest.raises(OSError, match=says) as caught:
            storage.replace(str(tmp_path / name), NEW)
        assert not isinstance(caught.value, rnnc.Error)
        with pytest.raises(OSError, match=f"cannot be written: {says}") as caught:
            write(str(tmp_path / name), NEW)
        assert isinstance(caught.value, rnnc.Error) and caught.value.code == "checkpoint-file"
