"""Where the texts of a source and of what it imports come from: a disk, or a checkpoint.

In: real paths. Out: texts, or a `FileError` that says why there is none.
"""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import ClassVar, Protocol

from .. import grammar
from ..grammar.limits import LARGEST_SOURCE
from ..grammar.problems import Error
from .elaborate.hints import did_you_mean
from .origin import Sources

MOST_BYTES = 4 * LARGEST_SOURCE  # of a file are read; the parser refuses what is over 256 KiB


class FileError(Error, OSError):
    """A source file cannot be read: it is missing, no regular file, too large, or not UTF-8.

    Save it as UTF-8, under 256 KiB, and give its path.
    """

    code: ClassVar[str] = "unreadable-file"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


class Files(Protocol):
    """The files that a source may import, and the standard cells."""

    def real(self, path: Path) -> Path:
        """The path that `path` leads to."""

    def exists(self, path: Path) -> bool:
        """Whether there is anything at a real path."""

    def text(self, path: Path) -> str:
        """The text of the file at a real path; FileError where there is none to read."""

    def near(self, file: str, folder: Path) -> list[str]:
        """A hint with the closest name of a source, where there is one."""

    def standard_names(self) -> tuple[str, ...]:
        """Of the standard cells."""

    def standard_text(self, name: str) -> str:
        """The text of one of them."""


class OnDisk:
    """The files of this machine, and the standard cells of this rnnc."""

    def real(self, path: Path) -> Path:
        return Path(os.path.realpath(path))

    def exists(self, path: Path) -> bool:
        return path.exists()

    def text(self, path: Path) -> str:
        return read_text(path)

    def near(self, file: str, folder: Path) -> list[str]:
        inner, name = os.path.split(file)
        try:
            names = sorted(path.name for path in (folder / inner).glob("*.rnn"))
        except (OSError, ValueError):
            return []
        return did_you_mean(file, [os.path.join(inner, each) for each in names if each != name])

    def standard_names(self) -> tuple[str, ...]:
        return grammar.std_names()

    def standard_text(self, name: str) -> str:
        return grammar.std(name).span.source.text


class Kept:
    """The texts that were kept with a cell: nothing else is read, of the disk or of this rnnc."""

    root = Path("/")  # of no disk: the first file's folder, as it were

    def __init__(self, sources: Sources) -> None:
        self._sources = sources

    def real(self, path: Path) -> Path:
        target = self._sources.links.get(relative(path, self.root))
        return Path(os.path.normpath(path if target is None else self.root / target))

    def exists(self, path: Path) -> bool:
        return relative(path, self.root) in self._sources.files

    def text(self, path: Path) -> str:
        if not self.exists(path):
            raise FileError(path, "this was not kept with the cell")
        return self._sources.files[relative(path, self.root)]

    def near(self, file: str, folder: Path) -> list[str]:
        return []

    def standard_names(self) -> tuple[str, ...]:
        return tuple(self._sources.standard)

    def standard_text(self, name: str) -> str:
        return self._sources.standard[name]


def relative(path: Path, root: Path) -> str:
    """A path below `root` as `Sources` has it."""
    return path.relative_to(root).as_posix()


def read_text(path: Path) -> str:
    """The text of a source file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        # A device or a pipe would never end, and opening one may wait for its other side.
        mode = os.stat(path).st_mode
        if stat.S_ISDIR(mode):
            raise FileError(path, "this is a folder: name a file of it, such as cell.rnn")
        if not stat.S_ISREG(mode):
            raise FileError(path, "this is no regular file")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(path, getattr(error, "strerror", None) or str(error)) from None
    return decoded(data, path)


def decoded(data: bytes, path: Path) -> str:
    """The text of a source that was read from `path`, at most one byte more than `MOST_BYTES`.

    Raises:
        FileError: it is too large, or not UTF-8.
    """
    if len(data) > MOST_BYTES:
        raise FileError(path, "this is larger than 256 KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        looks = " (it looks like UTF-16)" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise FileError(path, f"this is not UTF-8 at byte {error.start}{looks}") from None
