"""Links of chains and of `use`: the cells they name, with sizes bound.

In: `LSTM(n, 2 * n)`, `out: Dense(n, v)`, `repeat(3, LSTM(n, n))`, `residual(LSTM(n, n))` and the
scope they stand in. Out: instances, or BAD, once their problems are recorded.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ...grammar.limits import DEEPEST_CELL
from ...grammar.problems import Problem
from ...grammar.problems_of_values import BadArgument, UnrolledTooLarge
from ...grammar.syntax import Argument, Call, ChainDeclaration, Chained, Keyword, Link
from . import expressions, modified, settings
from .arguments import positive
from .cells import Chain, Declared, Instance, Member, Used, settings_scope
from .modules import CellDefinition
from .run import Run
from .scope import Scope
from .values import BAD, Bad, Value, Work

REPEAT = "repeat"
STEPS_OF_A_LINK = 40  # what its header costs, in equations


def instance_of(definition: CellDefinition, values: Mapping[str, Value], run: Run) -> Work:
    """The cell with its settings bound; BAD if it has problems, which are recorded."""
    if any(isinstance(value, Bad) for value in values.values()):
        return BAD
    declaration = definition.declaration
    if isinstance(declaration, ChainDeclaration):
        scope = settings_scope(declaration, definition.module, values, run)
        return (yield chain_of(declaration.links, scope, definition.name))
    declared = Declared(declaration, definition.module, values)
    return declared if (yield declared.resolve(run)) else BAD


def use(links: Sequence[Link], scope: Scope, path: str) -> Work:
    """The sub-cell that `use` makes of its links."""
    instance = yield _whole(links, scope)
    return BAD if isinstance(instance, Bad) else Used(instance, path)


def _whole(links: Sequence[Link], scope: Scope) -> Work:
    """One instance of some links: the one that there is, or their chain."""
    if len(links) == 1 and not _is_repeat(links[0], scope):
        return (yield _linked(links[0], scope))
    return (yield chain_of(links, scope, "the chain"))


def chain_of(links: Sequence[Link], scope: Scope, name: str) -> Work:
    """The chain of some links, each with its path: its label, or its position."""
    members: list[Member] = []
    spoiled = False
    for link in links:
        instances = yield _expanded(link, scope)
        for at, instance in enumerate(instances):
            path = str(len(members))
            if link.label is not None:
                path = link.label if len(instances) == 1 else f"{link.label}.{at}"
            members.append(Member(f"{path}.", instance, link.span))
            spoiled |= isinstance(instance, Bad)
    return BAD if spoiled else Chain(name, members)


def _is_repeat(link: Link, scope: Scope) -> bool:
    return link.cell.id == REPEAT and REPEAT not in scope.module.definitions


def _expanded(link: Link, scope: Scope) -> Work:
    """The instances a link stands for: one, or those that `repeat` makes."""
    if not _is_repeat(link, scope):
        return [(yield _linked(link, scope))]
    try:
        count, inner = _parts_of_repeat(link)
        number = yield expressions.operand(count, scope, True)
        if isinstance(number.value, Bad):
            return [BAD]
        times = positive(number, "the number of copies")
    except Problem as problem:
        scope.run.problems.add(problem)
        return [BAD]
    copies: list[Instance | Bad] = []
    for _ in range(times):
        if len(inner) == 1:
            copies += yield _expanded(inner[0], scope)
        else:
            copies.append((yield chain_of(inner, scope, "the chain")))
        if isinstance(copies[-1], Bad):
            return [BAD]  # the others would have the same problem
    return copies


def _parts_of_repeat(link: Link) -> tuple[Argument, Sequence[Link]]:
    if len(link.arguments) == 2:
        count, inner = link.arguments
        if isinstance(inner, Call):
            inner = Link(None, inner.function, inner.arguments, span=inner.span)
        links = inner.links if isinstance(inner, Chained) else [inner]
        if not isinstance(count, Keyword | Link | Chained):
            found = [each for each in links if isinstance(each, Link)]
            if len(found) == len(links):
                return count, found
    raise BadArgument(
        "'repeat' takes a number and a cell", link.span, hints=["write 'repeat(3, LSTM(n, n))'"]
    )


def _linked(link: Link, scope: Scope) -> Work:
    """The instance of one link; BAD if it has problems, which are recorded."""
    run = scope.run
    run.step(link.span, STEPS_OF_A_LINK)
    if modified.is_modifier(link, scope.module):
        return (yield _modified(link, scope))
    definition = scope.module.definitions.get(link.cell.id)
    assert isinstance(definition, CellDefinition), "`link_names.py` has refused another name"
    if run.depth == DEEPEST_CELL:
        run.problems.add(
            UnrolledTooLarge(f"cells are nested more than {DEEPEST_CELL} deep", link.cell.span)
        )
        return BAD
    kinds = {setting.name: setting.kind for setting in settings.settings_of(definition)}
    positional: list[settings.Given] = []
    named: dict[str, settings.Given] = {}
    for argument in link.arguments:
        name = argument.name if isinstance(argument, Keyword) else None
        inner = argument.value if isinstance(argument, Keyword) else argument
        if isinstance(inner, Link | Chained):
            run.problems.add(BadArgument("a cell is no argument", inner.span))
            return BAD
        at = dict(enumerate(kinds)).get(len(positional), "")
        sized = kinds.get(name or at) == "size"
        value = yield expressions.operand(inner, scope, sized)
        if isinstance(argument, Keyword):
            named[argument.name] = settings.Given(value, argument.name_span)
        else:
            positional.append(settings.Given(value))
    values = yield settings.bind(definition, positional, named, link.span, scope)
    run.depth += 1
    instance = yield instance_of(definition, values, run)
    run.depth -= 1
    return instance


def _modified(link: Link, scope: Scope) -> Work:
    """The instance that a modifier makes of the link it stands around."""
    inner, run = modified.within(link), scope.run
    assert inner, "`link_names.py` has refused a modifier around nothing"
    if run.depth == DEEPEST_CELL:
        run.problems.add(
            UnrolledTooLarge(f"cells are nested more than {DEEPEST_CELL} deep", link.cell.span)
        )
        return BAD
    run.depth += 1
    instance = yield _whole(inner, scope)
    if not isinstance(instance, Bad):
        instance = yield modified.around(link, instance, scope)
    run.depth -= 1
    return instance
