"""Calls: which function a name stands for, its arguments bound to its parameters, the result.

In: `f(a, b, axis=0)` and the scope it stands in. Out: its value. A `fn` is inlined: its body is
written out in a scope of its own, which sees the arguments and the names of its file.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...grammar.limits import DEEPEST_CALL
from ...grammar.problems import Collector, Problem
from ...grammar.problems_of_names import RecursiveFunction
from ...grammar.problems_of_values import UnknownOption, WrongArgumentCount
from ...grammar.syntax import Argument, Call, Keyword, Name

# Calls hold expressions and inline statements, which hold calls: hence whole modules.
from . import expressions, hints, reductions, statements
from .functions import FUNCTIONS, Function, Parameter
from .modules import FunctionDefinition
from .prelude import prelude, prelude_source
from .scope import Scope
from .tensors import Site, needs_real, not_a_tensor
from .values import BAD, Bad, Complex, Operand, SubCell, Tensor, Work, describe

MOST_CALLS = 3  # of a chain of calls that are shown
STEPS_OF_A_CALL = 2  # what writing out a body costs, in equations, beside the body

_Named = Sequence[tuple[Keyword, Operand]]
_Bound = Mapping[str, Operand | tuple[Operand, ...]]


def call(node: Call, scope: Scope) -> Work:
    """The value of a call; BAD if it has a problem, which is recorded."""
    scope.run.step(node.span)
    callee = scope.find(node.function.id)
    positional: list[Operand] = []
    named: list[tuple[Keyword, Operand]] = []
    for argument in node.arguments:
        if isinstance(argument, Keyword):
            words = _words(callee, argument.name)
            named.append((argument, (yield _operand(argument.value, scope, words))))
        else:
            words = _words(callee, len(positional))
            positional.append((yield _operand(argument, scope, words)))
    site = Site(scope.run, node.span, node.function.id, scope.path)
    given = (*positional, *(value for _, value in named))
    spoiled = any(isinstance(value.value, Bad) for value in given)
    try:
        if isinstance(callee, Function | FunctionDefinition):
            bound = _bind(node, callee, positional, named, advise=not scope.run.problems.is_full)
            if spoiled:
                return BAD
            if isinstance(callee, Function):
                return (yield _built_in(callee, site, bound, scope))
            return (yield inline(callee, site, bound, scope))
        if isinstance(callee, SubCell):
            if named:
                raise UnknownOption(
                    "a sub-cell is called without names",
                    named[0][0].name_span,
                    hints=["its options are given where 'use' makes it"],
                )
            return BAD if spoiled else (yield callee.call(scope, node.span, tuple(positional)))
        if isinstance(callee, Bad):
            return BAD
        raise hints.not_callable(node, callee)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD


def _words(callee: object, key: str | int) -> tuple[str, ...]:
    """The words that an argument may be, by its name or its place."""
    known = callee.parameters if isinstance(callee, Function) else ()
    return next((p.words for at, p in enumerate(known) if key in (at, p.name)), ())


def _operand(argument: Argument, scope: Scope, words: tuple[str, ...]) -> Work:
    if isinstance(argument, Name) and argument.id in words:
        return Operand(argument.id, argument.span)
    return (yield expressions.operand(argument, scope))


def parameters_of(callee: Function | FunctionDefinition) -> Sequence[Parameter]:
    """The parameters of a function, built in or not."""
    if isinstance(callee, Function):
        return callee.parameters
    return [Parameter(name.id) for name in callee.declaration.parameters]


def _bind(
    node: Call,
    callee: Function | FunctionDefinition,
    positional: Sequence[Operand],
    named: _Named,
    *,
    advise: bool,
) -> _Bound:
    """Arguments by parameter; a default stands where the call does."""
    parameters = parameters_of(callee)
    bound: dict[str, Operand | tuple[Operand, ...]] = {}
    rest = list(positional)
    for parameter in parameters:
        if parameter.many:
            bound[parameter.name], rest = tuple(rest), []
        elif rest:
            bound[parameter.name] = rest.pop(0)
    if rest:
        most = len(positional) - len(rest)
        raise _wrong_count(node, callee, len(positional), f"at most {most}", rest[0])
    names = [parameter.name for parameter in parameters if not parameter.many]
    for keyword, value in named:
        if keyword.name not in names:
            raise UnknownOption(
                f"'{node.function.id}' has no argument '{keyword.name}'",
                keyword.name_span,
                notes=[f"it is '{callee.signature}'"] if advise else [],
                hints=hints.did_you_mean(keyword.name, names) if advise else [],
            )
        if keyword.name in bound:
            raise WrongArgumentCount(
                f"'{keyword.name}' is given twice", keyword.name_span,
                notes=[f"it is '{callee.signature}'"],
            )  # fmt: skip
        bound[keyword.name] = value
    for parameter in parameters:
        if parameter.name not in bound:
            if parameter.default is None:
                least = sum(p.default is None for p in parameters)
                raise _wrong_count(node, callee, len(positional), str(least), None)
            bound[parameter.name] = Operand(parameter.default, node.span)
    return bound


def _wrong_count(
    node: Call,
    callee: Function | FunctionDefinition,
    given: int,
    wanted: str,
    first_too_many: Operand | None,
) -> WrongArgumentCount:
    plural = "s" * (wanted not in ("1", "at most 1"))
    advice = []
    if callee is FUNCTIONS.get("max") or callee is FUNCTIONS.get("min"):
        advice = [f"'{node.function.id}imum(a, b)' takes the larger or smaller of two values"]
    return WrongArgumentCount(
        f"'{node.function.id}' takes {wanted} argument{plural}, not {given}",
        first_too_many.span if first_too_many else node.span,
        "this one is too many" if first_too_many else "",
        notes=[f"it is '{callee.signature}'"],
        hints=advice,
    )


def _built_in(function: Function, site: Site, bound: _Bound, scope: Scope) -> Work:
    ordered = [bound[parameter.name] for parameter in function.parameters]
    try:
        if not function.takes_complex:
            _check_real(function, ordered)
        if function.build is not None:
            return function.build(site, *ordered)
        definition = prelude()[function.name]
        names = [name.id for name in definition.declaration.parameters]
        if function.over == "elements":
            return (yield inline(definition, site, bound, scope))
        value, axis = bound["x"], bound["axis"]
        assert isinstance(value, Operand) and isinstance(axis, Operand)
        node, at = reductions.to_last(site, value, axis)
        inner = {**{name: bound[name] for name in names}, "x": Operand(node, value.span)}
        result = yield inline(definition, site, inner, scope)
        if not isinstance(result, Tensor):
            return result
        if function.over == "keeps":
            return reductions.from_last(site, result, at)
        keepdims = bound["keepdims"]
        assert isinstance(keepdims, Operand)
        return reductions.keep(site, result, keepdims, at)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD


def _check_real(function: Function, given: Sequence[Operand | tuple[Operand, ...]]) -> None:
    for parameter, each in zip(function.parameters, given, strict=True):
        for operand in each if isinstance(each, tuple) else (each,):
            if isinstance(operand.value, Complex):
                raise needs_real(function.name, operand, parameter.for_complex)


def inline(definition: FunctionDefinition, site: Site, bound: _Bound, scope: Scope) -> Work:
    """The result of a `fn` with its parameters bound."""
    run, declaration = site.run, definition.declaration
    if run.inlining[definition] == DEEPEST_CALL:
        run.problems.add(RecursiveFunction(f"'{definition.name}' calls itself", site.span))
        return BAD
    run.step(site.span, STEPS_OF_A_CALL)
    body = Scope(run, definition.module, scope.path)
    for parameter in declaration.parameters:
        value = bound[parameter.id]
        assert isinstance(value, Operand)
        body.bind(parameter.id, value.value, parameter.span, equation=False)
    run.inlining[definition] += 1
    outer, run.problems = run.problems, Collector(len(run.problems.problems))
    caller = run.built_in_call
    if _is_built_in(definition):
        run.built_in_call = caller or site.span
    yield statements.block(declaration.body, body)
    result = yield expressions.operand(declaration.result, body)
    run.built_in_call = caller
    inner, run.problems = run.problems, outer
    run.inlining[definition] -= 1
    problem = None if isinstance(result.value, Bad) else not_a_tensor(result)
    if problem:
        inner.add(problem)
    for found in inner.problems:
        run.problems.add(_seen_from(found, definition, site, bound))
    return BAD if problem else result.value


def _is_built_in(definition: FunctionDefinition) -> bool:
    return definition.module.file.span.source is prelude_source()


def _seen_from(
    problem: Problem, definition: FunctionDefinition, site: Site, bound: _Bound
) -> Problem:
    """A problem within a `fn`, told to who called it.

    The source of a built-in function is not the user's: the call is at fault as a whole.
    """
    if not _is_built_in(definition):
        call = site.span, f"in this call of '{definition.name}'"
        problem.related = (*problem.related[:MOST_CALLS], call)  # the innermost ones and the first
        return problem
    given = [value for value in bound.values() if isinstance(value, Operand)]
    return type(problem)(
        f"the arguments of '{site.name}' do not fit",
        site.span,
        related=[(value.span, f"this is {describe(value.value)}") for value in given
                 if value.span is not site.span],
        notes=[problem.headline, *problem.notes],
    )  # fmt: skip
