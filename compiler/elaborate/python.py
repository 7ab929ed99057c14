"""Sizes and options as Python gives them.

In: positional and named Python values. Out: a value for each setting of a cell, or problems.
"""

from __future__ import annotations

import numbers
import operator
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ...grammar.problems import Collector, Problem
from ...grammar.problems_of_names import UnknownFunction
from ...grammar.problems_of_values import BadArgument
from ...grammar.source import Span
from . import hints, settings
from .functions import FUNCTIONS, Function
from .modules import CellDefinition, FunctionDefinition
from .run import Run
from .scope import Scope
from .values import BAD, Operand, Value
from .work import finish


def values_from_python(
    definition: CellDefinition,
    sizes: Sequence[Any],
    named: Mapping[str, Any],
    problems: Collector,
) -> dict[str, Value]:
    """A value for each setting, by name; problems are added to `problems`."""
    scope = Scope(Run(problems), definition.module)
    declared = {setting.name: setting for setting in settings.settings_of(definition)}
    in_order = [*declared.values()] + [None] * len(sizes)
    positional = [_given(v, s, definition, scope) for v, s in zip(sizes, in_order, strict=False)]
    by_name = {
        name: _given(value, declared.get(name), definition, scope) for name, value in named.items()
    }
    found = finish(settings.bind(definition, positional, by_name, definition.name_span, scope))
    assert isinstance(found, dict)
    return found


def _given(
    value: Any, setting: settings.Setting | None, definition: CellDefinition, scope: Scope
) -> settings.Given:
    span = setting.declared.name_span if setting else definition.name_span
    is_word = isinstance(value, str) and setting is not None and setting.kind != "function"
    try:
        # A word for a size is no function that is unknown.
        found = str(value) if is_word else _value(value, span, scope)
        return settings.Given(Operand(found, span))
    except Problem as problem:
        scope.run.problems.add(problem)
        return settings.Given(Operand(BAD, span))


def _value(value: Any, span: Span, scope: Scope) -> Value:
    """A Python value as the language has it."""
    if isinstance(value, bool | np.bool_):
        return bool(value)
    if isinstance(value, str):
        return _function(value, span, scope)
    if isinstance(value, numbers.Real) and not hasattr(value, "__index__"):
        return float(value)
    try:
        return operator.index(value)
    except TypeError:
        raise BadArgument(
            f"'{span.text}' cannot be a {type(value).__name__}", span, f"this is {value!r:.50}"
        ) from None


def _function(name: str, span: Span, scope: Scope) -> Function | FunctionDefinition:
    own = {n: d for n, d in scope.module.definitions.items() if isinstance(d, FunctionDefinition)}
    found = own.get(name) or FUNCTIONS.get(name)
    if found is None:
        raise UnknownFunction(
            f"there is no function '{name}'",
            span,
            hints=hints.did_you_mean(name, [*own, *FUNCTIONS]),
        )
    return found
