"""What is wrong with a text, and what its names are worth.

In: the text of a file, and how to read those it imports. Out: an `Analysis`: the problems are those
that `rnnc check` finds before it compiles. Cells are elaborated at witness sizes, each again only
when it, or a declaration that it reads, has changed.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from ..compiler.elaborate import CellDefinition, Module
from ..compiler.elaborate.modules import Definition
from ..compiler.elaborate.values import Value
from ..compiler.files import OnDisk
from ..compiler.ir import Cell
from ..compiler.library import checked, library_of
from ..compiler.loading import Loader
from ..grammar.problems import Collector, Problem, Problems
from ..grammar.source import Source, Span
from ..grammar.syntax import File
from .pieces import Pieces

Read = Callable[[Path], str]
_Key = tuple[str, frozenset[Source]]


@dataclass(frozen=True, slots=True, eq=False)
class Elaborated:
    """What is known of one cell: its problems, and what names are worth where they are bound."""

    name: str
    problems: tuple[Problem, ...]
    cell: Cell | None  # at the first witness sizes
    worth: Mapping[Span, Value]


@dataclass(frozen=True, slots=True, eq=False)
class Analysis:
    """What is known of one text. Spans are of its pieces: `place` says where they are in it."""

    source: Source
    problems: tuple[Problem, ...]
    module: Module  # of what could be read
    read: Mapping[Path, str | None]  # the files that were asked for; None where one has no text
    pieces: Mapping[str, Pieces]  # of it and of the files that it imports, by their names
    cells: tuple[Elaborated, ...]
    before: Mapping[str, Elaborated]  # what was known of cells that have mistakes now, by name

    def place(self, span: Span) -> Span:
        """Where a span stands in its file."""
        pieces = self.pieces.get(span.source.name)
        return pieces.place(span) if pieces else span

    def local(self, start: int, stop: int) -> Span:
        """The span of these offsets of the text, as `module` and `cells` have it."""
        return self.pieces[self.source.name].local(start, stop)


class _Open(OnDisk):
    """The files of this machine, of which some are open and have other texts."""

    def __init__(self, read: Read) -> None:
        self._read = read

    def text(self, path: Path) -> str:
        return self._read(path)


@dataclass(slots=True)
class Analyser:
    """Analyses one file again and again, and keeps what has not changed in between."""

    _pieces: dict[str, Pieces] = field(default_factory=dict)
    _cells: dict[_Key, Elaborated] = field(default_factory=dict)
    _last: dict[str, Elaborated] = field(default_factory=dict)

    def analyse(self, text: str, name: str, path: Path | None, read: Read) -> Analysis:
        """Analyse the text.

        Args:
            text: of the file.
            name: the file's, which messages show; imported files have names relative to it.
            path: the file's real path; None if the text is in none.
            read: gives the text of a file, or raises a FileError.
        """
        asked: dict[Path, str | None] = {}
        names: set[str] = set()

        def read_noted(file: Path) -> str:
            if file == path:
                return text
            asked[file] = None
            asked[file] = found = read(file)
            return found

        def parse(part: str, its_name: str) -> File:
            names.add(its_name)
            return self._pieces.setdefault(its_name, Pieces(its_name)).parse(part)

        def loader() -> Loader:
            return Loader(path.parent if path else None, _Open(read_noted), parse=parse)

        loading = loader()
        module = loading.file(path, name) if path else loading.text(text, name, None)
        problems, cells = self._checked(loading, module, name)
        if module is None:  # of what could be read nothing is told, but its names are known
            tree = self._pieces[name].tree
            module = loader().define(Module(tree), path.parent if path else None)
        if cells:
            self._cells = cells
        else:
            keys = map(_key, _own_cells(module))
            cells = {key: self._cells[key] for key in keys if key in self._cells}
        last = {**self._last, **{cell.name: cell for cell in cells.values()}}
        self._last = {each: last[each] for each in last if each in module.definitions}
        self._pieces = {each: self._pieces[each] for each in names}
        return Analysis(
            self._pieces[name].source,
            problems,
            module,
            asked,
            dict(self._pieces),
            tuple(cells.values()),
            dict(self._last),
        )

    def _checked(
        self, loader: Loader, module: Module | None, name: str
    ) -> tuple[tuple[Problem, ...], dict[_Key, Elaborated]]:
        """The problems that `Library.check` finds, and the cells if they could be elaborated."""
        try:
            library = library_of(loader, module, name, loader.sources(name))
        except Problems as found:
            return found.problems, {}
        gathered = Collector()
        for warning in library.warnings:
            gathered.add(warning)
        cells = {}
        for each in library:
            key = _key(library[each].definition)
            cells[key] = self._cells.get(key) or _elaborated(library[each].definition)
            for problem in cells[key].problems:
                gathered.add(problem)
        return tuple(gathered.errors or gathered.warnings), cells


def _elaborated(definition: CellDefinition) -> Elaborated:
    problems, worth = Collector(), dict[Span, Value]()
    cells = checked(definition, {}, problems, worth)
    first = cells[0] if cells else None
    return Elaborated(definition.name, tuple(problems.problems), first, worth)


def _own_cells(module: Module) -> list[CellDefinition]:
    return [found for found in module.own() if isinstance(found, CellDefinition)]


def _key(definition: CellDefinition) -> _Key:
    """All that the elaboration of a cell depends on: its text, and those that it reads."""
    todo: list[Definition] = [definition]
    sources: set[Source] = set()
    while todo:
        found = todo.pop()
        source = found.declaration.span.source
        if source not in sources:
            sources.add(source)
            names = found.module.definitions
            todo += (names[word] for word in _words(source.text) & names.keys())
    return definition.name, frozenset(sources)


@lru_cache(maxsize=256)
def _words(text: str) -> frozenset[str]:
    """Every word of a text, as names are compared."""
    found = re.findall(r"\w[\w\u0300-\u036f]*", text)
    return frozenset(unicodedata.normalize("NFKC", word) for word in found)
