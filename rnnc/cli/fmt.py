"""`rnnc fmt`: files in the one layout.

In: files, folders, or standard input. Out: the same files laid out by `grammar/format.py`, or what
would change in them. A file with mistakes stays as it is.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..compiler.files import FileError, read_text
from ..grammar.format import format_text
from ..grammar.problems import Error
from ..grammar.source import visible
from .differences import out_diff, unified
from .errors import OutputError
from .output import write
from .printing import out, out_json, report, report_as_data
from .settings import STANDARD_INPUT, read_standard_source
from .statuses import FINE, WRONG


@dataclass(slots=True)
class _File:
    """What the command finds out about one file."""

    name: str
    before: str = ""
    after: str = ""
    errors: list[Error] = field(default_factory=list)

    @property
    def changes(self) -> bool:
        return self.before != self.after

    @property
    def diff(self) -> list[str]:
        return list(unified(self.before, self.after, self.name, f"{self.name} (formatted)"))


def fmt(paths: Sequence[str], *, check: bool, diff: bool, as_json: bool) -> int:
    """Run the command.

    Args:
        paths: files; folders, of which every `.rnn` file is taken; "-" for standard input, whose
            layout goes to standard output.
        check: write nothing, and say by the exit status whether a file would change.
        diff: write nothing, and print what would change.
        as_json: print one JSON document instead of text.
    Returns:
        The exit status: 1 if a file has mistakes, or if `check` and one would change.
    """
    writes = not (check or diff)
    files = []
    for path in _files(paths):
        file = _formatted(path)
        files.append(file)
        if writes and path != "-" and file.changes and not file.errors:
            try:
                write(path, file.after.encode())
            except OutputError as error:
                file.errors.append(error)
        if not as_json:
            _print(file, check=check, diff=diff)
    would_change = check and any(file.changes for file in files)
    status = WRONG if would_change or any(file.errors for file in files) else FINE
    if as_json:
        out_json({"ok": status == FINE, "files": [_as_data(file) for file in files]})
    return status


def _files(paths: Sequence[str]) -> Iterator[str]:
    """Every file once. Links that are named are followed, those within a folder are not."""
    seen: set[str] = set()
    for path in paths:
        found: Sequence[str] = [path]
        if path != "-" and os.path.isdir(path):
            found = [
                os.path.join(folder, name)
                for folder, folders, names in _walk(path)
                for name in names
                if name.endswith(".rnn") and not os.path.islink(os.path.join(folder, name))
            ]
            if not found:
                print(f"rnnc: note: there is no .rnn file in {path}", file=sys.stderr)
        for name in found:
            if (real := os.path.realpath(name)) not in seen:
                seen.add(real)
                yield name


def _walk(path: str) -> Iterator[tuple[str, list[str], list[str]]]:
    """A folder and those within, hidden ones left out, in an order that is always the same."""

    def fail(error: OSError) -> None:
        raise FileError(Path(error.filename or path), error.strerror or str(error))

    for folder, folders, names in os.walk(path, onerror=fail):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        yield folder, folders, sorted(names)


def _formatted(path: str) -> _File:
    file = _File(STANDARD_INPUT if path == "-" else path)
    try:
        if path == "-":
            file.before = file.after = read_standard_source()
        else:
            file.before = file.after = read_text(Path(path))
        file.after = format_text(file.before, file.name)
    except Error as error:
        file.errors.append(error)
    return file


def _print(file: _File, *, check: bool, diff: bool) -> None:
    for error in file.errors:
        report(error)
    if file.errors:
        return
    if diff:
        out_diff(file.diff)
    elif file.name == STANDARD_INPUT and not check:
        sys.stdout.flush()
        sys.stdout.buffer.write(file.after.encode())
        sys.stdout.buffer.flush()
    elif file.changes:
        out(f"{visible(file.name)} {'would change' if check else 'is formatted'}")


def _as_data(file: _File) -> dict[str, Any]:
    return {
        "file": file.name,
        "changes": file.changes,
        "diff": "\n".join(file.diff),
        "problems": [item for error in file.errors for item in report_as_data(error)],
    }
