"""What the word at a place stands for, where it was declared, and what it is worth.

In: an analysis and an offset. Out: a `Meaning`. Names of bodies are resolved by the compiler's own
check of names, which keeps what it found in `Module.uses`; the rest is looked up as it does.
"""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import Literal, TypeAlias

from .. import grammar
from ..compiler.elaborate.environment import Bound
from ..compiler.elaborate.environment import Sort as Bindable
from ..compiler.elaborate.functions import FUNCTIONS, Function
from ..compiler.elaborate.modules import Definition
from ..compiler.elaborate.parameters import INITIALISERS
from ..compiler.elaborate.scope import CONSTANTS
from ..compiler.elaborate.stream import WORDS
from ..compiler.elaborate.values import Value
from ..compiler.modifiers import MODIFIERS
from ..grammar.source import Source, Span
from ..grammar.syntax import Import
from .analysis import Analysis, Elaborated
from .keywords import KEYWORDS

Sort: TypeAlias = (
    Bindable
    | Literal[
        "new state", "cell", "function", "built-in function", "number", "initialiser", "keyword",
        "value of a step", "modifier",
        "file",
    ]
)  # fmt: skip

_WORD = re.compile(r"[^\W\d][\w\u0300-\u036f]*'?")


@dataclass(frozen=True, slots=True)
class Meaning:
    """A word of a text and what it stands for. Spans as `Analysis.place` takes them."""

    name: str  # as it is compared; of a new state without the prime
    span: Span
    sort: Sort
    declared: Span | None = None
    subject: Definition | Function | None = None


def word_at(source: Source, offset: int) -> Span | None:
    """The word that holds or touches the offset, unless it stands in a comment."""
    line, column = source.position(offset)
    start, text = source.line_starts[line - 1], source.line(line)
    code = len(text) if (found := comment_in(text)) is None else found
    for match in _WORD.finditer(text, 0, code):
        if match.start() <= column - 1 <= match.end():
            return Span(source, start + match.start(), start + match.end())
    return None


def comment_in(line: str) -> int | None:
    """Where the comment of a line begins, if it has one."""
    found = re.match(r'(?:[^#"]|"[^"]*+"?+)*+(?=#)', line)
    return found.end() if found else None


def meaning_at(analysis: Analysis, offset: int) -> Meaning | None:
    """What stands at an offset; None for what has no meaning of its own."""
    for declaration in analysis.module.file.declarations:
        if isinstance(declaration, Import) and declaration.file is not None:
            place = analysis.place(declaration.origin_span)
            if place.source is analysis.source and place.start <= offset <= place.stop:
                return _file(analysis, declaration)
    word = word_at(analysis.source, offset)
    if word is None:
        return None
    local = analysis.local(word.start, word.stop)
    name = unicodedata.normalize("NFKC", word.text)
    bound = analysis.module.uses.get(local)
    if bound is not None:
        return _bound(name, local, bound)
    return _looked_up(analysis, name, local)


def _bound(name: str, span: Span, bound: Bound) -> Meaning:
    is_new = name.endswith("'")
    return Meaning(name.rstrip("'"), span, "new state" if is_new else bound.sort, bound.span)


def _looked_up(analysis: Analysis, name: str, span: Span) -> Meaning | None:
    """A name of the file, of the language or of its library, in the order in which they hide."""
    definition = analysis.module.definitions.get(name)
    if definition is not None:
        sort: Sort = "cell" if definition.noun == "cell" else "function"
        return Meaning(name, span, sort, definition.name_span, definition)
    if name in KEYWORDS:
        return Meaning(name, span, "keyword")
    if name in INITIALISERS and _starts_a_parameter(analysis.source, analysis.place(span)):
        return Meaning(name, span, "initialiser")
    if name in FUNCTIONS:
        return Meaning(name, span, "built-in function", None, FUNCTIONS[name])
    if name in WORDS:
        return Meaning(name, span, "value of a step")
    if name in MODIFIERS:
        return Meaning(name, span, "modifier")
    return Meaning(name, span, "number") if name in CONSTANTS else None


def _starts_a_parameter(source: Source, span: Span) -> bool:
    """Whether a word is the initial value in `param W[n] = normal(1)`; some are functions too."""
    line, column = source.position(span.start)
    before = source.line(line)[: column - 1]
    return re.match(r"\s*(param|const)\b", before) is not None and before.rstrip().endswith("=")


def _file(analysis: Analysis, declaration: Import) -> Meaning:
    assert declaration.file is not None
    for name in declaration.names:
        definition = analysis.module.definitions.get(name.id)
        if definition is not None:
            start = Span(definition.module.file.span.source, 0, 0)
            return Meaning(declaration.file, declaration.origin_span, "file", start)
    return Meaning(declaration.file, declaration.origin_span, "file")


def declared_in(analysis: Analysis, span: Span) -> Definition | None:
    """The declaration of the text that a span of it stands in."""
    for definition in analysis.module.own():
        inside = definition.declaration.span
        if inside.source is span.source and inside.start <= span.start < inside.stop:
            return definition
    return None


def worth(analysis: Analysis, declared: Span) -> tuple[Value, Elaborated] | None:
    """What a name is worth that is bound at a place, and in which cell.

    While its cell has a mistake, it is what the name was worth before.
    """
    for cell in analysis.cells:
        if declared in cell.worth:
            return cell.worth[declared], cell
    definition = declared_in(analysis, declared)
    cell_before = analysis.before.get(definition.name) if definition else None
    if cell_before is not None:
        for span, value in cell_before.worth.items():
            if span.text == declared.text:
                return value, cell_before
    return None


def std_path(span: Span) -> str | None:
    """The path of the standard cell that a span is in; None for other spans."""
    folder, _, file = span.source.name.partition("/")
    name = file.removesuffix(".rnn")
    return str(grammar.std_file(name)) if folder == "std" and name in grammar.std_names() else None
