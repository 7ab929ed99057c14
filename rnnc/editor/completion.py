"""What may be written at a place.

In: an analysis and an offset. Out: `Completion`s, those in scope first. What is being written is
rarely well formed, so the line up to the offset decides by its words alone, and the names in scope
are those of the last statements above that could be read.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .. import grammar
from ..compiler.elaborate.calls import parameters_of
from ..compiler.elaborate.functions import FUNCTIONS, Function
from ..compiler.elaborate.modules import CellDefinition, Definition, FunctionDefinition
from ..compiler.elaborate.parameters import INITIALISERS
from ..compiler.elaborate.scope import CONSTANTS
from ..compiler.elaborate.settings import settings_of
from ..compiler.elaborate.stream import WORDS
from ..compiler.files import read_text
from ..compiler.loading import standard
from ..compiler.modifiers import MODIFIERS
from ..grammar.parse import parse_what_can_be
from ..grammar.problems import Collector, Error
from ..grammar.source import Source, Span
from ..grammar.syntax import (
    Bind,
    CellDeclaration,
    Const,
    File,
    For,
    FunctionDeclaration,
    If,
    Import,
    Name,
    Param,
    Statement,
    Use,
)
from ..grammar.walk import items_in, names_in
from .analysis import Analysis
from .hover import worth_text
from .keywords import DECLARATIONS, KEYWORDS, LITERALS, OPERATORS, STATEMENTS
from .meaning import Sort, comment_in, worth

_TAKES_A_CELL = re.compile(
    r"(^\s*use\s+\w+\s*=|>>|^\s*cell\s+\w+\s*\([^)]*\)\s*=)\s*(\w+\s*:)?\s*$"
)


@dataclass(frozen=True, slots=True)
class Completion:
    """A word that may be written. `text` is what to write, if that is more than `label`."""

    label: str
    sort: Sort
    detail: str = ""
    documentation: str = ""
    text: str = ""


def completions_at(analysis: Analysis, offset: int) -> tuple[Span, list[Completion]]:
    """What may be written at an offset.

    Returns:
        The word that is being written, which a completion replaces, and the completions: a label
        once, with the meaning that hides the others.
    """
    line, column = analysis.source.position(offset)
    before = analysis.source.line(line)[: column - 1]
    in_string = before.count('"') % 2 == 1
    started = re.search(r'[^"]*$' if in_string else r"[\w\u0300-\u036f]*'?$", before)
    assert started is not None  # both patterns match nothing, too
    word = Span(analysis.source, offset - len(started[0]), offset)
    found = dict[str, Completion]()
    if comment_in(before) is None:
        for each in _candidates(analysis, before[: started.start()], in_string, word.start):
            found.setdefault(each.label, each)
    return word, list(found.values())


def _candidates(
    analysis: Analysis, written: str, in_string: bool, offset: int
) -> Iterator[Completion]:
    """What may follow `written`, the line up to the word that is being written, at its offset."""
    if re.match(r"\s*import\b", written):
        yield from _importable(analysis, written, in_string, offset)
    elif in_string:
        return
    elif _TAKES_A_CELL.search(written):
        yield from _cells(analysis)
    elif re.match(r"\s*(param|const)\b.*=\s*$", written):
        for name in INITIALISERS:
            yield Completion(name, "initialiser", ", ".join(INITIALISERS[name].numbers))
    else:
        yield from _arguments(analysis, written)
        yield from _in_scope(analysis, offset)
        yield from _of_the_file(analysis)
        yield from _of_the_language(written)


def _importable(
    analysis: Analysis, written: str, in_string: bool, offset: int
) -> Iterator[Completion]:
    """After `from`, where cells may come from; before it, what the place named there has."""
    if re.search(r'\bfrom\s*"?$', written):
        if not in_string:
            yield Completion("std", "keyword", KEYWORDS["std"])
        for file in _files_beside(analysis.source.name):
            yield Completion(file, "file", text=file if in_string else f'"{file}"')
        return
    line, column = analysis.source.position(offset)
    after = analysis.source.line(line)[column - 1 :]
    origin = re.search(r'\bfrom\s*"([^"]*)"', after)
    if origin is None:
        for name in grammar.std_names():
            yield _definition(standard(name))
    else:
        yield from _declared(_tree_beside(analysis.source.name, origin[1]))
    yield Completion("from", "keyword", KEYWORDS["from"])


def _tree_beside(name: str, file: str) -> File | None:
    """What can be read of another source in the folder of a file, or below."""
    if not os.path.dirname(name):  # a text in no file
        return None
    folder = os.path.realpath(os.path.dirname(name))
    path = Path(os.path.realpath(os.path.join(folder, file)))
    if path.is_relative_to(folder):
        try:
            return parse_what_can_be(Source(file, read_text(path)), Collector())
        except Error:
            pass
    return None


def _declared(tree: File | None) -> Iterator[Completion]:
    for each in tree.declarations if tree else ():
        if not isinstance(each, Import):
            sort: Sort = "function" if isinstance(each, FunctionDeclaration) else "cell"
            yield Completion(each.name, sort, documentation=each.documentation)


def _files_beside(name: str) -> list[str]:
    """The other sources in the folder of a file."""
    folder = os.path.dirname(name)
    try:
        names = sorted(os.listdir(folder)) if folder else []
    except OSError:
        return []
    return [each for each in names if each.endswith(".rnn") and each != os.path.basename(name)]


def _cells(analysis: Analysis) -> Iterator[Completion]:
    for definition in analysis.module.definitions.values():
        if isinstance(definition, CellDefinition):
            yield _definition(definition)
    yield Completion("repeat", "keyword", KEYWORDS["repeat"])
    for modifier in MODIFIERS.values():
        if modifier.name not in analysis.module.definitions:
            detail, more = modifier.signature, modifier.documentation
            yield Completion(modifier.name, "function", detail, more)


def _definition(definition: Definition) -> Completion:
    sort: Sort = "cell" if isinstance(definition, CellDefinition) else "function"
    documentation = definition.declaration.documentation
    return Completion(definition.name, sort, definition.signature, documentation)


def _arguments(analysis: Analysis, before: str) -> Iterator[Completion]:
    """The named arguments of the call that is open at the end of a line."""
    opened = re.search(r"(\w+)\s*\((?:[^()]|\([^()]*\))*$", before)
    if opened is None or re.search(r"=\s*$", before):
        return
    callee = analysis.module.definitions.get(opened[1]) or FUNCTIONS.get(opened[1])
    if isinstance(callee, CellDefinition):
        for setting in settings_of(callee):
            default = f" = {setting.default}" if setting.default else ""
            yield _argument(setting.name, f"{setting.kind}{default}")
    elif isinstance(callee, Function | FunctionDefinition):
        for parameter in parameters_of(callee):
            if parameter.default is not None:
                yield _argument(parameter.name, f"{parameter.default!r} else")


def _argument(name: str, detail: str) -> Completion:
    return Completion(f"{name}=", "option", detail)


# -- names ---------------------------------------------------------------------------------------


def _in_scope(analysis: Analysis, offset: int) -> Iterator[Completion]:
    """The names of the body that the offset is in, those bound last first."""
    local = analysis.local(offset, offset)
    for definition in analysis.module.own():
        declaration = definition.declaration
        span = declaration.span
        if span.source is not local.source or not span.start <= local.start <= span.stop:
            continue
        names: list[tuple[str, Span, Sort]] = []
        if isinstance(declaration, FunctionDeclaration):
            names += [(each.id, each.span, "argument") for each in declaration.parameters]
        else:
            for setting in declaration.settings:
                names.append((setting.name, setting.name_span, "option"))
        if isinstance(declaration, CellDeclaration):
            for item in items_in(declaration.carry):
                names.append((item.name, item.name_span, "state"))
                names.append((f"{item.name}'", item.name_span, "new state"))
            for item in items_in(declaration.input):
                names.append((item.name, item.name_span, "input"))
        if isinstance(declaration, CellDeclaration | FunctionDeclaration):
            names += _bound_above(declaration.body, local.start)
        for name, bound, sort in reversed(names):
            found = worth(analysis, bound)
            yield Completion(name, sort, worth_text(*found).lstrip(" :=") if found else "")


def _bound_above(body: Iterable[Statement], offset: int) -> Iterator[tuple[str, Span, Sort]]:
    """What the statements above an offset bind for it: what a loop binds stays inside."""
    for statement in body:
        if statement.span.start >= offset:
            return
        inside = offset < statement.span.stop
        match statement:
            case Bind(target=target) if not inside:
                for name in names_in(target):
                    if isinstance(name, Name):
                        yield name.id, name.span, "equation"
            case Param(items=items) | Const(items=items) if not inside:
                sort: Sort = "parameter" if isinstance(statement, Param) else "constant"
                for item in items:
                    yield item.name, item.name_span, sort
            case Use(name=name, name_span=span) if not inside:
                yield name, span, "sub-cell"
            case For(variable=variable, body=inner) if inside:
                yield variable.id, variable.span, "loop variable"
                yield from _bound_above(inner, offset)
            case If(body=inner, orelse=orelse):
                yield from _bound_above(inner, offset)
                yield from _bound_above(orelse, offset)


def _of_the_file(analysis: Analysis) -> Iterator[Completion]:
    yield from map(_definition, analysis.module.definitions.values())


def _of_the_language(before: str) -> Iterator[Completion]:
    for function in FUNCTIONS.values():
        yield Completion(
            function.name, "built-in function", function.signature, function.documentation
        )
    for name, value in CONSTANTS.items():
        yield Completion(name, "number", f"{value!r}")
    for name, value_of_step in WORDS.items():
        yield Completion(name, "value of a step", "", value_of_step.documentation)
    starts = re.fullmatch(r"\s*(.*[;{]\s*)?", before) is not None
    within = (*LITERALS, *OPERATORS, "else", "in")
    words = (*DECLARATIONS, *STATEMENTS, "else") if starts else within
    for keyword in words:
        yield Completion(keyword, "keyword", KEYWORDS[keyword])
