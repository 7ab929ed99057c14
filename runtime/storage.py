"""Files on a disk, read with care, replaced whole or not at all.

In: paths and bytes. Out: an open file, or a file that holds the bytes; else a
`CheckpointFileError`, and the path holds what it held before, or all of the bytes.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from typing import BinaryIO

from ..grammar.problems import Error
from .errors import CheckpointFileError

TEMPORARY = ".rnnc-"  # what the name of a file begins with until it is whole


@contextmanager
def reading(path: str) -> Iterator[tuple[BinaryIO, int]]:
    """An open file, and its size in bytes.

    Raises:
        CheckpointFileError: naming the path; also where a read fails within the `with`.
    """
    with _naming(path, "read"):
        # A device or a pipe would never end, and opening one may wait for its other side.
        _check_regular(path, os.stat(path).st_mode)
        with open(path, "rb") as file:
            yield file, os.fstat(file.fileno()).st_size


def write(path: str, data: bytes) -> None:
    """Make a file of `data`, or replace what a file holds, as `replace` does.

    Raises:
        CheckpointFileError: naming the path.
    """
    with _naming(path, "written"):
        replace(path, data)


def replace(path: str, data: bytes) -> None:
    """Make a file of `data`, or replace what a file holds; a link's target, not the link.

    The bytes go into a file beside it, reach the disk, and only then take its place: after a crash
    at any moment the path holds either what it held before, or all of `data`. A new file has the
    permissions that other new files get, a replaced one those that it had; one that may not be
    written is not replaced either.

    Raises:
        OSError: the path holds what it held.
    """
    target = os.path.realpath(path)
    mode = _mode(path, target)
    if mode is not None and not os.access(target, os.W_OK):
        raise PermissionError(errno.EACCES, "this file is read-only", path)
    folder = os.path.dirname(target)
    temporary = os.path.join(folder, f"{TEMPORARY}{os.urandom(8).hex()}.tmp")
    try:
        _fill(temporary, data, mode)
        os.replace(temporary, target)
    except BaseException:
        _remove(temporary)
        raise
    _sync_folder(folder)


def _mode(path: str, target: str) -> int | None:
    """The permissions of the file that is replaced; None where there is none."""
    try:
        mode = os.stat(target).st_mode
    except FileNotFoundError:
        return None
    _check_regular(path, mode)
    return stat.S_IMODE(mode)


def _fill(path: str, data: bytes, mode: int | None) -> None:
    """A new file with these bytes, on the disk."""
    flags = os.O_CREAT | os.O_EXCL | os.O_WRONLY | getattr(os, "O_BINARY", 0)
    handle = os.open(path, flags, 0o666 if mode is None else 0o600)
    try:
        if mode is not None:
            os.chmod(path, mode)
        left = memoryview(data)
        while left:
            left = left[os.write(handle, left) :]
        os.fsync(handle)
    finally:
        os.close(handle)


def _remove(path: str) -> None:
    try:
        os.unlink(path)
    except OSError:  # it was not made yet, or took its place already
        pass


def _sync_folder(folder: str) -> None:
    """Put the new entry of a folder on the disk, where a system lets one."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.ENOTSUP):  # as some network file systems answer
            raise
    finally:
        os.close(handle)


def _check_regular(path: str, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "this is a folder", path)
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "this is no regular file", path)


@contextmanager
def _naming(path: str, action: str) -> Iterator[None]:
    """Errors of the system say which path they are about, and what was tried."""
    try:
        yield
    except Error:
        raise
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        found = CheckpointFileError(f"{path!r} cannot be {action}: {reason}")
        found.errno = getattr(error, "errno", None)
        raise found from None
