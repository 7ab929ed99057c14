"""A cell's header arguments: sizes and options, their kinds, and binding values to them.

In: the header, and what a link, a `use` or a call from Python gives. Out: a value for each
setting, or problems at the places of the wrong ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

from ...grammar import syntax
from ...grammar.problems import Problem
from ...grammar.problems_of_values import (
    BadArgument,
    BadSize,
    MissingSize,
    UnknownOption,
    WrongArgumentCount,
)
from ...grammar.source import Span
from ...grammar.syntax import Binary, Call, Expression, Name, Number, Truth, Unary
from ..ir import Node
from ..shapes import Dim
from . import arguments, expressions, hints
from .functions import FUNCTIONS, Function
from .modules import CellDefinition, FunctionDefinition, Module
from .scope import Scope
from .values import BAD, Bad, Operand, Value, Work, describe, is_known

Kind: TypeAlias = Literal["size", "float", "bool", "function"]
KINDS: Mapping[str, Kind] = {
    "size": "size", "float": "float", "bool": "bool", "function": "function",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Setting:
    """One header argument. `default` is as written; a size or option without one must be given."""

    name: str
    kind: Kind
    default: str | None
    declared: syntax.Setting


@dataclass(frozen=True, slots=True)
class Given:
    """A value for a setting, and where a problem with it is shown."""

    operand: Operand
    name_span: Span | None = None  # of `act` in `act=tanh`


def settings_of(definition: CellDefinition) -> tuple[Setting, ...]:
    """The settings of a cell, in the order of its header."""
    found: dict[str, Setting] = {}
    for declared in definition.declaration.settings:
        kind = KINDS.get(declared.kind or "") or _kind_of(declared, found, definition.module)
        default = " ".join(declared.default.span.text.split()) if declared.default else None
        found[declared.name] = Setting(declared.name, kind, default, declared)
    return tuple(found.values())


def _kind_of(declared: syntax.Setting, before: Mapping[str, Setting], module: Module) -> Kind:
    """What a default makes a setting: `2` a size, `2.0` a number, `tanh` a function."""
    match declared.default:
        case None:
            return "size"
        case Truth():
            return "bool"
        case Name(id=name) if name in before:
            return before[name].kind
        case Name(id=name) if name in FUNCTIONS or name in module.definitions:
            return "function"
        case default:
            return "size" if _is_whole(default, before) else "float"


def _is_whole(expression: Expression, before: Mapping[str, Setting]) -> bool:
    """Whether a default is made of integers and sizes alone."""
    todo: list[object] = [expression]
    while todo:
        match todo.pop():
            case Number(text=text):
                if not text.isdigit():
                    return False
            case Name(id=name):
                if name not in before or before[name].kind != "size":
                    return False
            case Unary(operand=operand):
                todo.append(operand)
            case Binary(op=op, left=left, right=right):
                if op in ("^", "@"):
                    return False
                todo += (left, right)
            case Call():
                return False
    return True


def bind(
    definition: CellDefinition,
    positional: Sequence[Given],
    named: Mapping[str, Given],
    span: Span,
    scope: Scope,
) -> Work:
    """A value for each setting, by name; BAD where there is a problem, which is recorded.

    Args:
        definition: the cell.
        positional, named: what is given for its settings.
        span: what is at fault where something is missing.
        scope: where problems are recorded.
    """
    problems, settings = scope.run.problems, settings_of(definition)
    given: dict[str, Given] = {}
    for setting, value in zip(settings, positional, strict=False):
        given[setting.name] = value
    for value in positional[len(settings) :][:1]:
        problems.add(
            WrongArgumentCount(
                f"'{definition.name}' takes {len(settings)} sizes and options, "
                f"not {len(positional)}",
                value.operand.span,
                "this one is too many",
                notes=[_header(definition)],
            )
        )
    names = [setting.name for setting in settings]
    for name, value in named.items():
        place = value.name_span or value.operand.span
        if name not in names:
            problems.add(
                UnknownOption(
                    f"'{definition.name}' has no size or option '{name}'",
                    place,
                    notes=[_header(definition)],
                    hints=[] if problems.is_full else hints.did_you_mean(name, names),
                )
            )
        elif name in given:
            problems.add(
                WrongArgumentCount(f"'{name}' is given twice", place, notes=[_header(definition)])
            )
        else:
            given[name] = value

    # A default may speak of the settings before it.
    own = Scope(scope.run, definition.module)
    missing: list[str] = []
    for setting in settings:
        value_of: Value = BAD
        if setting.name in given:
            value_of = _accepted(setting, given[setting.name].operand, definition, scope)
        elif setting.default is not None:
            value_of = yield default_of(setting, definition, own)
        else:
            missing.append(setting.name)
        own.bind(setting.name, value_of, setting.declared.name_span, equation=False)
    if missing:
        words = " and ".join(f"'{name}'" for name in missing)
        problems.add(
            MissingSize(
                f"'{definition.name}' needs a value for {words}",
                span,
                notes=[_header(definition)],
            )
        )
    return {name: entry.value for name, entry in own.entries.items()}


def _header(definition: CellDefinition) -> str:
    return f"the cell is '{definition.signature}'"


def default_of(setting: Setting, definition: CellDefinition, before: Scope) -> Work:
    """The default of a setting; BAD if it is of another kind, which is recorded.

    Args:
        setting: one with a default.
        definition: the cell.
        before: a scope that has the settings before it.
    """
    assert setting.declared.default is not None
    sized = setting.kind == "size"
    value = yield expressions.operand(setting.declared.default, before, sized)
    return _accepted(setting, value, definition, before)


def _accepted(setting: Setting, given: Operand, definition: CellDefinition, scope: Scope) -> Value:
    """What is given for a setting, as its kind has it; BAD if it is of another."""
    if isinstance(given.value, Bad):
        return BAD
    try:
        return _checked(setting, given)
    except Problem as problem:
        problem.notes += (_header(definition),)
        scope.run.problems.add(problem)
        return BAD


def _checked(setting: Setting, given: Operand) -> Value:
    value, what, advice = given.value, f"'{setting.name}'", list[str]()
    if isinstance(value, Node):
        raise arguments.known_only_later(what, given.span, value)
    match setting.kind:
        case "size":
            if not isinstance(value, int) or isinstance(value, bool):
                raise BadSize(
                    f"{what} is a size, a positive integer",
                    given.span,
                    f"this is {describe(value)}",
                )
            if value < 1 and setting.declared.kind is None and setting.default is not None:
                advice = [f"a whole default makes a size: for a number write '{value}.0'"]
            try:
                return Dim(arguments.positive(given, what), setting.name, arguments.dim(given))
            except Problem as problem:
                problem.hints += tuple(advice)
                raise
        case "float":
            if is_known(value) and not isinstance(value, bool):
                return float(value)
            if isinstance(value, str) and setting.default == value:
                advice = ["a word is no option: choose by a truth value, 'if NAME { ... }'"]
            sort = "a number"
        case "bool":
            if isinstance(value, bool):
                return value
            sort = "true or false"
        case "function":
            if isinstance(value, Function | FunctionDefinition):
                return value
            sort = "a function, such as tanh"
    raise BadArgument(f"{what} is {sort}", given.span, f"this is {describe(value)}", hints=advice)
