"""What is shown of the word at a place: its kind, shape and axes; its rule; its documentation.

In: an analysis and an offset. Out: a span and Markdown, in which what a user wrote is code or
escaped.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..compiler.cost import Sizes
from ..compiler.elaborate.cells import Used
from ..compiler.elaborate.functions import Function
from ..compiler.elaborate.modules import CellDefinition, Definition, FunctionDefinition
from ..compiler.elaborate.parameters import INITIALISERS
from ..compiler.elaborate.scope import CONSTANTS
from ..compiler.elaborate.stream import WORDS
from ..compiler.elaborate.values import Complex, Tensor, Value, kind_of, parts_of
from ..compiler.ir import Node, toposort
from ..compiler.modifiers import MODIFIERS
from ..compiler.shapes import Dim
from ..grammar.source import Span
from .analysis import Analysis, Elaborated
from .derivative import derivative_of
from .keywords import KEYWORDS
from .meaning import Meaning, declared_in, meaning_at, worth


@dataclass(frozen=True, slots=True)
class Hover:
    """What to show, and the word that it is about."""

    span: Span
    markdown: str


def hover_at(analysis: Analysis, offset: int) -> Hover | None:
    """What to show at an offset; None where there is nothing to say."""
    meaning = meaning_at(analysis, offset)
    if meaning is None:
        return None
    parts = _parts(analysis, meaning)
    span = analysis.place(meaning.span)
    return Hover(span, "\n\n".join(part for part in parts if part)) if parts else None


def _parts(analysis: Analysis, meaning: Meaning) -> Sequence[str]:
    name, subject = meaning.name, meaning.subject
    match meaning.sort:
        case "keyword":
            return [code(name), plain(KEYWORDS[name])]
        case "number":
            return [code(f"{name} = {CONSTANTS[name]!r}"), "a number of the language"]
        case "value of a step":
            return [code(name), plain(WORDS[name].documentation)]
        case "modifier":
            modifier = MODIFIERS[name]
            return [code(modifier.signature), plain(modifier.documentation), modifier.source]
        case "initialiser":
            numbers = ", ".join(INITIALISERS[name].numbers)
            call = f"{name}({numbers})" if numbers else name
            return [code(call), "how a tensor starts; works on each matrix of its last two axes"]
        case "file":
            return []
    if isinstance(subject, Function):
        return _built_in(subject)
    if subject is not None:
        return _definition(analysis, subject)
    assert meaning.declared is not None
    found = worth(analysis, meaning.declared)
    prime = "'" if meaning.sort == "new state" else ""
    if found is None:
        return [code(name + prime), _where(analysis, meaning)]
    value, cell = found
    return [code(name + prime + worth_text(value, cell)), _where(analysis, meaning), _when(value)]


def _built_in(function: Function) -> Sequence[str]:
    lines = derivative_of(function)
    if function.build is None:
        written, *lines = lines
        return [code(function.signature), plain(function.documentation), code(written), *lines]
    rule = code("\n".join(lines)) if "=" in "".join(lines) else "".join(lines)
    return [code(function.signature), plain(function.documentation), rule]


def _definition(analysis: Analysis, definition: Definition) -> Sequence[str]:
    head = "cell" if isinstance(definition, CellDefinition) else "fn"
    place = analysis.place(definition.name_span)
    where = "" if place.source is analysis.source else f"from {code_of(place.source.name)}"
    text = definition.declaration.documentation
    lines = "  \n".join(plain(line) for line in text.splitlines())
    return [code(f"{head} {definition.signature}"), lines, where]


def _where(analysis: Analysis, meaning: Meaning) -> str:
    """`parameter of LSTM, line 4`."""
    assert meaning.declared is not None
    definition = declared_in(analysis, meaning.declared)
    owner = f" of {code_of(definition.name)}" if definition else ""
    place = analysis.place(meaning.declared)
    return f"{meaning.sort}{owner}, line {place.source.position(place.start)[0]}"


def worth_text(value: Value, cell: Elaborated) -> str:
    """What follows a name: `: real[B,hidden]`, ` = 3`, `: LSTM`; nothing for what is not known."""
    match value:
        case Node() | Complex():
            return f": {type_text(value, cell)}"
        case Dim():
            return ": size"
        case bool():
            return f" = {'true' if value else 'false'}"
        case int() | float():
            return f" = {value!r}"
        case Function() | FunctionDefinition():
            return f" = {value.name}"
        case Used():
            return f": {value.instance.name}"
    return ""


def type_text(value: Tensor, cell: Elaborated) -> str:
    """`real[T,B,4,hidden]`: with T where the value is known for every step before the loop."""
    type_ = value.type
    if cell.cell is not None:
        dims = [Sizes(cell.cell).name(dim) for dim in type_.shape]
    else:
        dims = [dim.text if isinstance(dim, Dim) else str(dim) for dim in type_.shape]
    time = ["T"] if type_.axes and not _reads_state(value) else []
    return f"{kind_of(value)}[{','.join([*time, *type_.lead, *dims])}]"


def _when(value: Value) -> str:
    if not isinstance(value, Tensor):
        return ""
    if not value.type.axes:
        return "the same at every step and in every row"
    if _reads_state(value):
        return "varies over batch and time; reads the state, so it is computed step by step"
    return "varies over batch and time; reads no state, so all steps are computed at once"


def _reads_state(value: Tensor) -> bool:
    return any(node.op.name == "carry" for node in toposort(parts_of(value)))


def code(text: str) -> str:
    """A block of code; empty if there is none."""
    return f"```rnn\n{text.replace('```', '')}\n```" if text else ""


def code_of(text: str) -> str:
    """A name within a line."""
    return f"`{text.replace('`', '')}`"


def plain(text: str) -> str:
    """`text` with nothing in it that Markdown or HTML would read."""
    text = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return re.sub(r"([\\`*_\[\]#|~!])", r"\\\1", text)
