"""What the statements of a body do: bind names, set states, declare, loop, choose.

In: statements and the scope they change. Out: nothing; problems are recorded, and the names whose
equation has one are bound to BAD, so that what reads them says nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence

from ...grammar.problems import Problem
from ...grammar.problems_of_values import KindMismatch, ShapeMismatch, TupleMismatch
from ...grammar.syntax import (
    Bind,
    Const,
    For,
    If,
    Name,
    Param,
    Pattern,
    Primed,
    Statement,
    TuplePattern,
    Use,
)
from ..shapes import Shape

# Sub-cells have bodies, and bodies make sub-cells: hence whole modules.
from . import arguments, expressions, header, hints, links, parameters, tuples
from .arrange import part, reshaped
from .scope import Entry, Scope
from .tensors import Site, not_a_tensor
from .tuples import DISCARDED
from .values import (
    BAD,
    Bad,
    Operand,
    Tensor,
    Value,
    Work,
    describe,
    is_known,
    kind_of,
    sizes_note,
)


def block(statements: Sequence[Statement], scope: Scope) -> Work:
    """Do statements in their order."""
    for statement in statements:
        scope.run.step(statement.span)
        match statement:
            case Bind(target=target, value=value):
                bind(target, (yield expressions.operand(value, scope)), scope)
            case Param(items=items) | Const(items=items):
                trained = isinstance(statement, Param)
                for item in items:
                    yield parameters.declare(item, scope, trained)
            case Use():
                yield _use(statement, scope)
            case For():
                yield _loop(statement, scope)
            case If():
                yield _choose(statement, scope)


def bind(target: Pattern, value: Operand, scope: Scope) -> None:
    """Give the names and states of `target` the parts of `value`."""
    try:
        _bind(target, value, scope)
    except Problem as problem:
        scope.run.problems.add(problem)
        _spoil(target, scope)


def _bind(target: Pattern, value: Operand, scope: Scope) -> None:
    if isinstance(value.value, Bad):
        _spoil(target, scope)
    elif isinstance(target, Primed):
        scope.set_state(target.id, _new_state(target, value, scope), target.span)
    elif isinstance(target, Name):
        if target.id != DISCARDED:
            scope.bind(target.id, _named(target, value, scope), target.span)
    elif isinstance(value.value, tuple):
        for item, of in tuples.match_pattern(target, value):
            bind(item, of, scope)
    elif alone := tuples.only_name(target):
        bind(alone, value, scope)
    else:
        _take_apart(target, value, scope)


def _spoil(target: Pattern, scope: Scope) -> None:
    """Make every name of `target` BAD, so that what reads it says nothing."""
    match target:
        case TuplePattern(items=items):
            for item in items:
                _spoil(item, scope)
        case Primed(id=name, span=span):
            scope.new.setdefault(name, Entry(BAD, span))
        case Name(id=name, span=span) if name != DISCARDED:
            scope.spoil(name, span)


def _named(name: Name, value: Operand, scope: Scope) -> Value:
    """`value`, labelled with the name it gets."""
    if isinstance(value.value, tuple):
        raise TupleMismatch(
            f"'{name.id}' cannot hold a tuple",
            value.span,
            f"this is {tuples.nesting(value)}",
            hints=["take it apart on the left of '=', as in '(h', c'), y = ...'"],
        )
    problem = not_a_tensor(value)
    if problem:
        raise problem
    if kind_of(value.value) == "int":
        raise KindMismatch(
            "an integer input is only an index",
            value.span,
            f"this is {describe(value.value)}",
            hints=[f"'E[{value.span.text}]' picks a row of E"],
        )
    if isinstance(value.value, Tensor):
        scope.run.name(value.value, scope.path + name.id)
    return value.value


def _new_state(state: Primed, value: Operand, scope: Scope) -> Value:
    """`value` as the new value of a state: of its shape; a number fills it."""
    slot = scope.states[state.id]
    problem = not_a_tensor(value)
    if problem:
        raise problem
    site = Site(scope.run, value.span, f"{state.id}'")
    if not header.is_of_kind(slot, value.value):
        raise _wrong_kind(state, value)
    if isinstance(value.value, Tensor) and value.value.type.shape != slot.type.shape:
        raise ShapeMismatch(
            f"state '{state.id}' keeps its shape",
            value.span,
            f"this is {describe(value.value)}",
            related=[(slot.span, f"'{state.id}' is {slot}")],
            notes=sizes_note(slot.type.shape, value.value.type.shape),
        )
    return scope.run.name(header.fit_slot(slot, value.value, site), f"{scope.path}{state.id}'")


def _wrong_kind(state: Primed, value: Operand) -> Problem:
    holds, advice = "numbers", []
    if kind_of(value.value) == "bool":
        advice = ["'where(test, 1, 0)' makes numbers of truth values"]
    elif kind_of(value.value) == "complex":
        holds = "real numbers"
        advice = [f"declare it as '{state.id}[...]: complex' in the header, or take the real part"]
    return KindMismatch(
        f"state '{state.id}' holds {holds}",
        value.span,
        f"this is {describe(value.value)}",
        hints=advice,
    )


def _take_apart(target: TuplePattern, value: Operand, scope: Scope) -> None:
    """`a, b = v`: the parts of `v` along its leading axis."""
    problem = not_a_tensor(value)
    if problem:
        raise problem
    node, count = value.value, len(target.items)
    if not isinstance(node, Tensor) or not node.type.rank:
        raise TupleMismatch(
            f"a single number cannot be taken apart into {count}",
            value.span,
            f"this is {describe(node)}",
        )
    shape: Shape = node.type.shape
    if shape[0] != count:
        raise TupleMismatch(
            f"{count} names for {int(shape[0])} parts",
            target.span,
            related=[(value.span, f"this is {describe(node)}")],
            notes=["'a, b = v' takes the leading axis apart", *sizes_note(shape[:1])],
        )
    site = Site(scope.run, value.span, "=")
    for at, item in enumerate(target.items):
        if isinstance(item, TuplePattern):
            raise TupleMismatch(
                "a part of a tensor is taken apart in an equation of its own", item.span
            )
        piece = reshaped(site, part(site, node, 0, at, at + 1), shape[1:])
        bind(item, Operand(piece, value.span), scope)


def _use(statement: Use, scope: Scope) -> Work:
    made = yield links.use(statement.links, scope, f"{scope.path}{statement.name}.")
    try:
        scope.bind(statement.name, made, statement.name_span, equation=False)
    except Problem as problem:
        scope.run.problems.add(problem)
        scope.spoil(statement.name, statement.name_span)


def _loop(statement: For, scope: Scope) -> Work:
    ends = []
    for end in (statement.start, statement.stop):
        value = yield expressions.operand(end, scope, True)
        ends.append(_whole(value, scope))
    start, stop = ends
    if start is None or stop is None:
        _spoil_block(statement.body, scope)
        return
    if not statement.body:
        return
    for at in range(start, stop):
        inner = scope.within()
        inner.bind(statement.variable.id, at, statement.variable.span, equation=False)
        yield block(statement.body, inner)


def _whole(value: Operand, scope: Scope) -> int | None:
    if isinstance(value.value, Bad):
        return None
    try:
        return int(arguments.whole(value, "a loop's bound"))
    except Problem as problem:
        scope.run.problems.add(problem)
        return None


def _spoil_block(body: Sequence[Statement], scope: Scope) -> None:
    """Make BAD what a loop or a branch would have bound, had its head been right."""
    todo = list(body)
    while todo:
        match todo.pop():
            case Bind(target=target):
                _spoil(target, scope)
            case For(body=inner):
                todo += inner
            case If(body=inner, orelse=orelse):
                todo += (*inner, *orelse)
            case Param(items=items) | Const(items=items):
                for item in items:
                    scope.spoil(item.name, item.name_span)
            case Use(name=name, name_span=span):
                scope.spoil(name, span)


def _choose(statement: If, scope: Scope) -> Work:
    condition = statement.condition
    advice = [hints.choosing_later(condition.span.text)]
    value = yield expressions.known(condition, scope, "the condition of 'if'", advice)
    if isinstance(value, bool):
        yield block(statement.body if value else statement.orelse, scope)
        return
    if is_known(value):
        scope.run.problems.add(
            KindMismatch(
                "the condition of 'if' is true or false",
                condition.span,
                f"this is {describe(value)}",
                hints=[f"compare it: '{condition.span.text} > 0'"],
            )
        )
    _spoil_block((*statement.body, *statement.orelse), scope)
