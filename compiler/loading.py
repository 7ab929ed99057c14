"""Reading `.rnn` files and what they import.

In: a path or a text. Out: a `Module` with every name it declares or imports, checked. A source may
read only files in or below the folder of the file that was loaded first, whatever `..` and
symbolic links say.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import ClassVar

from .. import grammar
from ..grammar.limits import DEEPEST_IMPORT, LARGEST_SOURCE
from ..grammar.problems import Collector, Error, Problems
from ..grammar.problems_of_names import (
    DuplicateName,
    ImportCycle,
    ImportNotFound,
    ImportOutsideRoot,
    ImportTooDeep,
    NothingImported,
)
from ..grammar.source import Span
from ..grammar.syntax import File, FunctionDeclaration, Import, Name
from .elaborate.hints import did_you_mean
from .elaborate.modules import CellDefinition, Definition, FunctionDefinition, Module
from .elaborate.names import check_names

MOST_LISTED = 12  # names of a file in one message
MOST_BYTES = 4 * LARGEST_SOURCE  # of a file are read; the parser refuses what is over 256 KiB


class FileError(Error, OSError):
    """A source file cannot be read: it is missing, no regular file, too large, or not UTF-8.

    Save it as UTF-8, under 256 KiB, and give its path.
    """

    code: ClassVar[str] = "unreadable-file"

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(f"{path}: {reason}")
        self.reason = reason


def read_text(path: Path) -> str:
    """The text of a source file.

    Raises:
        FileError: it cannot be read.
    """
    try:
        # A device or a pipe would never end, and opening one may wait for its other side.
        if not stat.S_ISREG(os.stat(path).st_mode):
            raise FileError(path, "this is no regular file")
        with open(path, "rb") as file:
            data = file.read(MOST_BYTES + 1)
    except FileError:
        raise
    except (OSError, ValueError) as error:
        raise FileError(path, getattr(error, "strerror", None) or str(error)) from None
    if len(data) > MOST_BYTES:
        raise FileError(path, "this is larger than 256 KiB")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        looks = " (it looks like UTF-16)" if data[:2] in (b"\xff\xfe", b"\xfe\xff") else ""
        raise FileError(path, f"this is not UTF-8 at byte {error.start}{looks}") from None


@cache
def standard(name: str) -> CellDefinition:
    """The standard cell `name`."""
    loader = Loader(None)
    module = loader.define(Module(grammar.std(name)), None)
    assert not loader.problems.problems, loader.problems.problems[0].render()
    found = module.definitions[name]
    assert isinstance(found, CellDefinition)
    return found


class Loader:
    """Loads one file and those it imports, each once. Problems gather in `problems`."""

    def __init__(
        self,
        root: Path | None,
        *,
        read: Callable[[Path], str] = read_text,
        parse: Callable[[str, str], File] = grammar.parse,
    ) -> None:
        """Load nothing yet.

        Args:
            root: the folder that no import leaves, its real path; None where there is none.
            read: gives the text of a file, or raises a FileError.
            parse: gives the tree of a text and the name of its file, or raises Problems.
        """
        self.root = root
        self._read = read
        self._parse = parse
        self.problems = Collector()
        self._loaded: dict[Path, Module | None] = {}
        self._reading: list[Path] = []  # from the first file down to the one being read

    def file(self, path: Path, name: str) -> Module | None:
        """The module of a file by its real path; None if it has no tree.

        Raises:
            FileError: it cannot be read.
        """
        if path not in self._loaded:
            text = self._read(path)
            self._reading.append(path)
            self._loaded[path] = self.text(text, name, path.parent)
            self._reading.pop()
        return self._loaded[path]

    def text(self, text: str, name: str, folder: Path | None) -> Module | None:
        """The module of a text; None if it has no tree."""
        try:
            return self.define(Module(self._parse(text, name)), folder)
        except Problems as found:
            for problem in found.problems:
                self.problems.add(problem)
            return None

    def define(self, module: Module, folder: Path | None) -> Module:
        """Fill in the definitions of a module, and check every name in it."""
        for declaration in module.file.declarations:
            match declaration:
                case Import():
                    self._import(declaration, module, folder)
                case FunctionDeclaration():
                    self._define(FunctionDefinition(module, declaration), module)
                case _:
                    self._define(CellDefinition(module, declaration), module)
        check_names(module, self.problems)
        return module

    def _define(self, definition: Definition, module: Module, imported: Name | None = None) -> None:
        """Add a definition to a module; `imported` is its name in an import."""
        span = imported.span if imported else definition.name_span
        if imported is None:
            module.declared.append(definition)
        first = module.spans.setdefault(definition.name, span)
        if first is span:
            module.definitions[definition.name] = definition
            return
        self.problems.add(
            DuplicateName(
                f"'{definition.name}' is defined twice",
                span,
                related=[(first, "first defined here")],
                hints=["give one of them another name"],
            )
        )

    # -- imports -------------------------------------------------------------------------------

    def _import(self, declaration: Import, module: Module, folder: Path | None) -> None:
        if declaration.file is None:
            where, names = "the standard library", grammar.std_names()
            found: dict[str, Definition] = {name: standard(name) for name in names}
            unknown = set[str]()
        else:
            where = f"'{declaration.file}'"
            source = self._imported(declaration.file, declaration.origin_span, folder)
            if source is None:
                module.unknown.update(name.id for name in declaration.names)
                return
            found = {definition.name: definition for definition in source.own()}
            unknown = source.unknown
        for name in declaration.names:
            if name.id in found:
                self._define(found[name.id], module, name)
                continue
            module.unknown.add(name.id)
            if name.id not in unknown:
                has = ", ".join([*found][:MOST_LISTED]) or "nothing"
                has += ", ..." if len(found) > MOST_LISTED else ""
                self.problems.add(
                    NothingImported(
                        f"{where} has no '{name.id}'",
                        name.span,
                        notes=[f"it has {has}"],
                        hints=[] if self.problems.is_full else did_you_mean(name.id, found),
                    )
                )

    def _imported(self, file: str, span: Span, folder: Path | None) -> Module | None:
        """The module of an imported file; None if it has none, which a problem tells."""
        if self.root is None or folder is None:
            self.problems.add(
                ImportNotFound(
                    f"'{file}' cannot be imported into a text",
                    span,
                    notes=["a text that was not loaded from a file has no folder to look in"],
                    hints=["save it as a file, and load that"],
                )
            )
            return None
        path = Path(os.path.realpath(folder / file))
        if os.path.isabs(file) or not path.is_relative_to(self.root):
            self.problems.add(
                ImportOutsideRoot(
                    f"'{file}' is outside the folder of the file that was loaded first",
                    span,
                    notes=["a source may read only files in or below that folder"],
                )
            )
        elif path in self._reading:
            circle = [*self._reading[self._reading.index(path) :], path]
            words = " -> ".join(part.name for part in circle)
            self.problems.add(
                ImportCycle("files import each other in a circle", span, notes=[words])
            )
        elif len(self._reading) >= DEEPEST_IMPORT:
            self.problems.add(
                ImportTooDeep(f"imports are nested more than {DEEPEST_IMPORT} deep", span)
            )
        else:
            shown = os.path.normpath(os.path.join(os.path.dirname(span.source.name), file))
            try:
                return self.file(path, shown)
            except FileError as error:
                missing = not path.exists()
                self.problems.add(
                    ImportNotFound(
                        f"'{file}' {'does not exist' if missing else 'cannot be read'}",
                        span,
                        notes=[] if missing else [error.reason],
                        hints=_beside(file, folder),
                    )
                )
        return None


def _beside(file: str, folder: Path) -> list[str]:
    """A hint with the closest name of a source in the folder that `file` names."""
    inner, name = os.path.split(file)
    try:
        names = sorted(path.name for path in (folder / inner).glob("*.rnn"))
    except (OSError, ValueError):
        return []
    return did_you_mean(file, [os.path.join(inner, each) for each in names if each != name])
