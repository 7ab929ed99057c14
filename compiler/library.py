"""Libraries: the cells of a `.rnn` file, ready for sizes.

In: a path or a text. Out: a `Library`, whose cells are attributes and items. Each is a
`Template`: called with sizes and options it gives an `ir.Cell`.

    library = load("gru.rnn")
    cell = library.GRU(3, 16)
"""

from __future__ import annotations

import os
from collections.abc import Hashable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import cache, cached_property
from os import PathLike
from pathlib import Path
from typing import Any, ClassVar, Final

from .. import grammar
from ..grammar.problems import Collector, Error, Problem, Problems
from ..grammar.problems_of_names import NoCell
from ..grammar.problems_of_values import UnrolledTooLarge
from ..grammar.source import Span, visible
from .compose import compose
from .decompose import links_of
from .doubts import doubts
from .elaborate import CellDefinition, Module, elaborate
from .elaborate.hints import closest
from .elaborate.python import values_from_python
from .elaborate.settings import Setting, settings_of
from .elaborate.values import Value
from .elaborate.witnesses import elaborate_at_witnesses
from .ensemble import ensembled
from .files import FileError, Kept
from .ir import Cell
from .loading import MOST_LISTED, Loader, is_standard, standard, standard_texts
from .modifiers import MODIFIERS, ModifierError, modified
from .origin import Chained, Ensembled, Linked, Made, Modified, Origin, Plain, Sources
from .shapes import Dim

TEXT: Final = "<string>"  # the name of a source that was loaded from no file

EXAMPLE = "cell Mean(n): (h[n], x[n]) -> (h', h') { h' = 0.9 * h + 0.1 * x }"


class CallError(Error, TypeError):
    """A cell was called with sizes or options that it does not take.

    Sizes are positive integers, in the order of the cell's header or by name: `LSTM(10, 5)` or
    `LSTM(10, hidden=5)`. Options with a default may be left out; a function is given by its name,
    `Dense(10, 5, act="relu")`.
    """

    code: ClassVar[str] = "bad-call"


class NoSuchCellError(Error, AttributeError, KeyError):
    """A library has no cell of this name.

    `rnnc cells` lists the standard ones, `rnnc check FILE` those of a file. Cells that a file
    imports are not among its own.
    """

    code: ClassVar[str] = "no-such-cell"

    def __str__(self) -> str:
        return str(self.args[0])


class Template:
    """A cell whose sizes are open."""

    def __init__(self, definition: CellDefinition, sources: Sources) -> None:
        self.definition = definition
        self.sources = sources
        self.name = definition.name
        self.signature = definition.signature
        self.documentation = definition.declaration.documentation
        self.__doc__ = f"{self.signature}\n\n{self.documentation}".rstrip()

    @cached_property
    def settings(self) -> tuple[Setting, ...]:
        """Its sizes and options, in the order of its header."""
        return settings_of(self.definition)

    def __call__(self, /, *sizes: Any, **settings: Any) -> Cell:
        """The cell with its sizes and options bound.

        Args:
            sizes: in the order of the header; options may follow.
            settings: sizes and options by name; a function by its name as a string.
        Raises:
            CallError: a size is missing or no positive integer, or an option is unknown or of
                another kind.
            Problems: what is wrong with the cell at these sizes.
        """
        problems = Collector()
        values = values_from_python(self.definition, sizes, settings, problems)
        if problems.errors:
            raise CallError(_call_message(self.signature, problems.errors))
        cell = elaborate(self.definition, values, problems)
        _raise_errors(problems)
        assert cell is not None
        bound = {name: _plain(value) for name, value in cell.settings.items()}
        return replace(cell, origin=Origin(self.sources, self.name, bound))

    def __repr__(self) -> str:
        return f"<cell {self.signature}>"


def _call_message(signature: str, problems: Sequence[Problem]) -> str:
    lines = [f"{problem.headline}: {problem.label}".rstrip(": ") for problem in problems]
    advice = [f" hint: {hint}" for problem in problems for hint in problem.hints]
    return "\n".join(map(visible, [f"{signature}: {lines[0]}", *lines[1:], *advice]))


class Library:
    """The cells of one file by name, as attributes and items."""

    def __init__(
        self, templates: Mapping[str, Template], name: str, warnings: Sequence[Problem] = ()
    ) -> None:
        self.name = name
        self.warnings = tuple(warnings)
        self._templates = templates

    def __getitem__(self, name: str) -> Template:
        if name in self._templates:
            return self._templates[name]
        near = closest(name, self._templates)
        some = ", ".join([*self][:MOST_LISTED]) + ", ..." * (len(self) > MOST_LISTED)
        advice = f"did you mean {near}?" if near else f"it has {some or 'none'}"
        raise NoSuchCellError(f"{self.name} has no cell {name!r}; {advice}")

    def __getattr__(self, name: str) -> Template:
        if name.startswith("_"):
            raise AttributeError(name)
        return self[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._templates)

    def __len__(self) -> int:
        return len(self._templates)

    def __contains__(self, name: object) -> bool:
        return name in self._templates

    def __dir__(self) -> list[str]:
        return [*super().__dir__(), *self]

    def __repr__(self) -> str:
        return f"<library {self.name}: {', '.join(self)}>"

    def check(self, sizes: Mapping[str, Any] | None = None) -> tuple[Problem, ...]:
        """Elaborate every cell at two sets of distinct sizes, so that none fits by accident.

        Args:
            sizes: values for some sizes and options, by name; for every cell that has them.
        Returns:
            Warnings.
        Raises:
            Problems: everything that is wrong.
        """
        problems = Collector()
        for warning in self.warnings:
            problems.add(warning)
        for template in self._templates.values():
            checked(template.definition, dict(sizes or {}), problems)
            if any(isinstance(problem, UnrolledTooLarge) for problem in problems.errors):
                break  # the cells below may hold this one, and would take as long each
        _raise_errors(problems)
        return tuple(problems.warnings)


def checked(
    definition: CellDefinition,
    sizes: Mapping[str, Any],
    problems: Collector,
    worth: dict[Span, Value] | None = None,
) -> list[Cell]:
    """A cell at the witness sizes; what is wrong with it, and doubtful, goes into `problems`.

    Args:
        worth: what names are worth where they are bound is put into it.
    """
    cells = elaborate_at_witnesses(definition, dict(sizes), problems, worth)
    for warning in (found for cell in cells[:1] for found in doubts(cell)):
        problems.add(warning)
    return cells


def load(path: str | PathLike[str]) -> Library:
    """The library of a `.rnn` file.

    Raises:
        Problems: everything wrong with the form and the names of it and of what it imports.
        FileError: it cannot be read.
    """
    name = os.fspath(path)
    try:
        real = Path(os.path.realpath(name))
    except ValueError as error:  # no path has such a sign
        raise FileError(Path(name), str(error)) from None
    loader = Loader(real.parent)
    try:
        module = loader.file(real, name)
    except FileError as error:  # under the name that was given
        raise FileError(Path(name), error.reason) from None
    return library_of(loader, module, name, loader.sources(real.name))


def loads(text: str, name: str = TEXT) -> Library:
    """The library of a text. It may import standard cells, but no files.

    Raises:
        Problems: everything wrong with its form and its names.
    """
    loader = Loader(None)
    module = loader.text(text, name, None)
    sources = replace(loader.sources(TEXT), files={TEXT: text})
    return library_of(loader, module, name, sources)


def remade(made: Made) -> Cell:
    """The cell that was made from these sources with these settings, from nothing else.

    Raises:
        Problems, CallError, NoSuchCellError, ModifierError, TypeProblem: this rnnc cannot make it.
    """
    return all_remade([made])[0]


def all_remade(each: Sequence[Made]) -> list[Cell]:
    """Several cells; a chain that some of them are links of is made once.

    Raises:
        As `remade`.
    """
    chains: dict[Hashable, dict[str, Cell]] = {}

    def link_of(made: Linked) -> Cell:
        key = _identity(made.whole)
        if key not in chains:
            chains[key] = {link.path: link.cell for link in links_of(again(made.whole))}
        if made.path not in chains[key]:
            raise NoSuchCellError(f"a chain has no link {made.path!r}")
        return chains[key][made.path]

    def again(made: Made) -> Cell:
        match made:
            case Linked():
                return link_of(made)
            case Chained(members):
                return compose([again(member) for member in members])
            case Ensembled(member, count, shared):
                return ensembled(again(member), count, shared_inputs=shared)
            case Modified(member, modifier, arguments):
                if modifier not in MODIFIERS:
                    raise ModifierError(f"there is no modifier {visible(modifier)!r}")
                return modified(again(member), modifier, (), arguments)
        return _remade_of_sources(made)

    return [again(made) for made in each]


def _identity(made: Made) -> Hashable:
    """The same for what makes the same cell; settings as text, where True is not 1 nor 0 -0."""
    match made:
        case Origin(sources, cell, settings):
            return id(sources), cell, repr(settings)
        case Chained(members):
            return tuple(map(_identity, members))
        case Ensembled(member, count, shared):
            return _identity(member), count, shared
        case Modified(member, modifier, arguments):
            return _identity(member), modifier, repr(arguments)
    return _identity(made.whole), made.path


def _remade_of_sources(made: Origin) -> Cell:
    main, texts = made.sources.main, made.sources.standard
    if not main and is_standard(made.cell, texts.get):
        return std()[made.cell](**made.settings)
    loader = Loader(Kept.root, Kept(made.sources))
    if main:
        module = loader.file(Kept.root / main, main)
    else:  # a standard cell of another version
        module = loader.text(texts.get(made.cell, ""), f"std/{made.cell}.rnn", None)
    return library_of(loader, module, main or "std", made.sources)[made.cell](**made.settings)


def library_of(loader: Loader, module: Module | None, name: str, sources: Sources) -> Library:
    """The library of what `loader` has loaded under this name.

    Raises:
        Problems: everything wrong with its form and its names.
    """
    problems = loader.problems
    cells: list[CellDefinition] = []
    if module is not None:
        cells = [found for found in module.own() if isinstance(found, CellDefinition)]
        if not cells and not problems.errors:
            source = module.file.span.source
            problems.add(
                NoCell(
                    f"there is no cell in {name}",
                    Span(source, 0, 0),
                    hints=[f"write one, such as '{EXAMPLE}'"],
                )
            )
    _raise_errors(problems)
    templates = {cell.name: Template(cell, sources) for cell in cells}
    return Library(templates, name, problems.warnings)


def _raise_errors(problems: Collector) -> None:
    """Raise the errors alone: while there are some, warnings are noise."""
    if problems.errors:
        raise Problems(problems.errors)


@cache
def std() -> Library:
    """The library of the standard cells."""
    return Library(_Standard(), "std")


class _Standard(Mapping[str, Template]):
    """The standard cells by name, each read when it is first asked for."""

    def __init__(self) -> None:
        self._read: dict[str, Template] = {}

    def __getitem__(self, name: str) -> Template:
        if name not in self._read:
            if name not in self:
                raise KeyError(name)
            sources = Sources(standard=standard_texts(name))
            self._read[name] = Template(standard(name), sources)
        return self._read[name]

    def __contains__(self, name: object) -> bool:
        return name in grammar.std_names()

    def __iter__(self) -> Iterator[str]:
        return iter(grammar.std_names())

    def __len__(self) -> int:
        return len(grammar.std_names())


def _plain(value: Any) -> Plain:
    """A setting without the expression that it came from."""
    found: Plain = int(value) if isinstance(value, Dim) else value
    return found
