"""Reading `.rnn` files and what they import.

In: a path or a text. Out: a `Module` with every name it declares or imports, checked. A source may
read only files in or below the folder of the file that was loaded first, whatever `..` and
symbolic links say.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from pathlib import Path

from .. import grammar
from ..grammar.limits import DEEPEST_IMPORT, LARGEST_PROGRAM
from ..grammar.problems import Collector, Problem, Problems
from ..grammar.problems_of_names import (
    DuplicateName,
    ImportCycle,
    ImportNotFound,
    ImportOutsideRoot,
    ImportTooDeep,
    NothingImported,
)
from ..grammar.problems_of_syntax import TooLarge
from ..grammar.source import Span
from ..grammar.syntax import File, FunctionDeclaration, Import, Name
from .elaborate.hints import did_you_mean
from .elaborate.modules import CellDefinition, Definition, FunctionDefinition, Module
from .elaborate.names import check_names
from .files import FileError, Files, Kept, OnDisk, relative
from .modifiers import MODIFIERS
from .origin import Sources

MOST_LISTED = 12  # names of a file in one message


@cache
def standard(name: str) -> CellDefinition:
    """The standard cell `name`."""
    loader = Loader(None)
    module = loader.define(Module(grammar.std(name)), None)
    assert not loader.problems.problems, loader.problems.problems[0].render()
    found = module.definitions[name]
    assert isinstance(found, CellDefinition)
    return found


@cache
def standard_texts(name: str) -> Mapping[str, str]:
    """The text of the standard cell `name`, and of those that it is made of, by name."""
    file = grammar.std(name)
    imports = (each for each in file.declarations if isinstance(each, Import))
    found = {name: file.span.source.text}
    for part in (part for each in imports for part in each.names):
        found |= standard_texts(part.id)
    return found


def is_standard(name: str, text_of: Callable[[str], str | None]) -> bool:
    """Whether the standard cell `name` has the texts of this rnnc, its parts as well.

    Args:
        text_of: a standard cell's text by its name; None where there is none.
    """
    if name not in grammar.std_names():
        return False
    return all(text_of(part) == text for part, text in standard_texts(name).items())


class Loader:
    """Loads one file and those it imports, each once. Problems gather in `problems`."""

    def __init__(
        self,
        root: Path | None,
        files: Files | None = None,
        *,
        parse: Callable[[str, str], File] = grammar.parse,
    ) -> None:
        """Load nothing yet.

        Args:
            root: the folder that no import leaves, its real path; None where there is none.
            files: where texts are read; the disk by default.
            parse: gives the tree of a text and the name of its file, or raises Problems.
        """
        self.root = root
        self.files = files or OnDisk()
        self._parse = parse
        self.problems = Collector()
        self._texts: dict[str, str] = {}  # what was read, as `Sources` has it
        self._links: dict[str, str] = {}
        self._standard: dict[str, Definition | None] = {}
        self._loaded: dict[Path, Module | None] = {}
        self._reading: list[Path] = []  # from the first file down to the one being read
        self._characters = 0  # of all texts

    def file(self, path: Path, name: str) -> Module | None:
        """The module of a file by its real path; None if it has no tree.

        Raises:
            FileError: it cannot be read.
        """
        if path not in self._loaded:
            text = "" if self._is_full else self.files.text(path)
            self._characters += len(text)
            if self._is_full and self._reading:  # the first file has a limit of its own
                return None
            if self.root is not None:
                self._texts[relative(path, self.root)] = text
            self._reading.append(path)
            self._loaded[path] = self.text(text, name, path.parent)
            self._reading.pop()
        return self._loaded[path]

    @property
    def _is_full(self) -> bool:
        return self._characters > LARGEST_PROGRAM

    def text(self, text: str, name: str, folder: Path | None) -> Module | None:
        """The module of a text; None if it has no tree."""
        try:
            return self.define(Module(self._parse(text, name)), folder)
        except Problems as found:
            for problem in found.problems:
                self.problems.add(problem)
            return None

    def sources(self, main: str) -> Sources:
        """Every text that was read; `main` is the path of the first."""
        standard = {name: self.files.standard_text(name) for name in sorted(self._standard)}
        return Sources(main, dict(self._texts), dict(self._links), standard)

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
            where, names = "the standard library", self.files.standard_names()
            wanted = {name.id: self._standard_cell(name.id) for name in declaration.names}
            found = {name: cell for name, cell in wanted.items() if cell is not None}
            unknown = set[str]()
        else:
            where = f"'{declaration.file}'"
            source = self._imported(declaration.file, declaration.origin_span, folder)
            if source is None:
                module.unknown.update(name.id for name in declaration.names)
                return
            found = {definition.name: definition for definition in source.own()}
            names, unknown = tuple(found), source.unknown
        for name in declaration.names:
            if name.id in found:
                self._define(found[name.id], module, name)
                continue
            module.unknown.add(name.id)
            if name.id not in unknown:
                has = ", ".join(names[:MOST_LISTED]) or "nothing"
                has += ", ..." if len(names) > MOST_LISTED else ""
                self.problems.add(
                    NothingImported(
                        f"{where} has no '{name.id}'",
                        name.span,
                        notes=[f"it has {has}"],
                        hints=[] if self.problems.is_full else _importing(name.id, names),
                    )
                )

    def _standard_cell(self, name: str) -> Definition | None:
        """The standard cell `name`; None where there is none."""
        if name not in self._standard and name in self.files.standard_names():
            self._standard[name] = None  # to itself, should its text import it
            if is_standard(name, self._standard_text):
                self._standard[name] = standard(name)
                for part in standard_texts(name):
                    self._standard_cell(part)
            else:  # that of another version
                module = self.text(self.files.standard_text(name), f"std/{name}.rnn", None)
                self._standard[name] = module.definitions.get(name) if module else None
        return self._standard.get(name)

    def _standard_text(self, name: str) -> str | None:
        return self.files.standard_text(name) if name in self.files.standard_names() else None

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
        path = self.files.real(folder / file)
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
            said, found = relative(folder / file, self.root), relative(path, self.root)
            if os.path.normpath(Kept.root / said) != os.path.normpath(Kept.root / found):
                self._links[said] = found
            try:
                module = self.file(path, shown)
                if self._is_full:
                    self.problems.add(_too_large(span))
                    return None
                return module
            except FileError as error:
                missing = not self.files.exists(path)
                self.problems.add(
                    ImportNotFound(
                        f"'{file}' {'does not exist' if missing else 'cannot be read'}",
                        span,
                        notes=[] if missing else [error.reason],
                        hints=self.files.near(file, folder),
                    )
                )
        return None


def _too_large(span: Span) -> Problem:
    return TooLarge(
        f"the program has more than {LARGEST_PROGRAM // 2**20} MiB with this import",
        span,
        notes=["what a file imports counts, and what that imports"],
    )


def _importing(word: str, names: Sequence[str]) -> list[str]:
    """A hint for a name that a file does not have."""
    if word in MODIFIERS:
        return [f"'{word}' is a modifier, which needs no import"]
    return did_you_mean(word, names)
