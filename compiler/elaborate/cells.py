"""Cells with their sizes bound: what they take, and one step of them written out.

In: a cell's declaration and a value for each of its settings. Out: an `Instance`, whose step can
be written out any number of times: once for the cell itself, once for each call of a sub-cell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from ...grammar.problems import Problem
from ...grammar.problems_of_values import TupleMismatch
from ...grammar.source import Span
from ...grammar.syntax import CellDeclaration, ChainDeclaration
from ...grammar.walk import items_in
from . import header, statements, tuples
from .modules import Module
from .run import Run
from .scope import Scope
from .tuples import Tree
from .values import BAD, Bad, Operand, Slot, Slots, SubCell, Value, Work


@dataclass(frozen=True, slots=True)
class Step:
    """One step written out: trees shaped like the carry (twice) and the output."""

    carry: Tree  # of nodes, or BAD
    initial: Tree  # of nodes, or BAD; empty where it was not asked for
    output: Tree  # of `header.Named`


class Instance(ABC):
    """A cell with its sizes bound. Slots of a chain's states are named by path: `0.h`."""

    name: str
    carry: Slots
    input: Slots

    @abstractmethod
    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        """Write one step out.

        Args:
            run: where parameters are declared and problems recorded.
            path: in front of every name: "", "inner.", "0.".
            carry, inputs: a value for each slot.
            initial: whether the states' initial values are wanted.
        Returns:
            A `Step`.
        """


class Declared(Instance):
    """A cell that is declared with a body."""

    def __init__(
        self, declaration: CellDeclaration, module: Module, values: Mapping[str, Value]
    ) -> None:
        self.name = declaration.name
        self.declaration = declaration
        self.module = module
        self.values = values

    def resolve(self, run: Run) -> Work:
        """Find out the types of states and inputs; whether all of them have one."""
        scope = settings_scope(self.declaration, self.module, self.values, run)
        self.carry = yield header.slots(self.declaration.carry, scope)
        self.input = yield header.slots(self.declaration.input, scope)
        return not any(isinstance(slot, Bad) for slot in tuples.flatten((self.carry, self.input)))

    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        scope = settings_scope(self.declaration, self.module, self.values, run, path)
        states = tuples.flatten(self.carry)
        scope.states = {slot.name: slot for slot in states}
        given = (*tuples.flatten(carry), *tuples.flatten(inputs))
        for slot, value in zip((*states, *tuples.flatten(self.input)), given, strict=True):
            scope.bind(slot.name, value, slot.span, equation=False)
        yield statements.block(self.declaration.body, scope)
        new = [header.new_value(slot, scope) for slot in states]
        starts: Tree = ()
        if initial:
            found = []
            for item, slot in zip(items_in(self.declaration.carry), states, strict=True):
                found.append((yield header.initial(item, slot, scope)))
            starts = tuples.rebuild(self.carry, iter(found))
        if not any(isinstance(value, Bad) for value in new):
            yield header.outputs(self.declaration.new_carry, scope)  # checks its annotations
        output = yield header.outputs(self.declaration.output, scope)
        header.check_names(self.declaration.output, scope)
        return Step(tuples.rebuild(self.carry, iter(new)), starts, output)


def settings_scope(
    declaration: CellDeclaration | ChainDeclaration,
    module: Module,
    values: Mapping[str, Value],
    run: Run,
    path: str = "",
) -> Scope:
    """The scope of a cell in which its sizes and options are bound, and nothing else."""
    scope = Scope(run, module, path)
    for setting in declaration.settings:
        scope.bind(setting.name, values[setting.name], setting.name_span, equation=False)
    return scope


@dataclass(frozen=True, slots=True)
class Member:
    """One cell of a chain: the path in front of its names, and where it is written."""

    path: str
    instance: Instance
    span: Span


class Chain(Instance):
    """Cells one after the other: the output of each is the input of the next."""

    def __init__(self, name: str, members: Sequence[Member]) -> None:
        self.name = name
        self.members = members
        self.carry = tuple([_prefixed(m.path, m.instance.carry) for m in members])
        self.input = members[0].instance.input

    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        new, starts, output = [], [], ()
        for at, member in enumerate(self.members):
            if at:
                inputs = _passed_on(run, output, self.members[at - 1], member)
            step = yield member.instance.step(run, path + member.path, carry[at], inputs, initial)
            new.append(step.carry)
            starts.append(step.initial)
            output = step.output
        return Step(tuple(new), tuple(starts), output)


def _prefixed(path: str, slots: Slots) -> Slots:
    if isinstance(slots, Slot):
        return replace(slots, name=path + slots.name)
    return tuple([_prefixed(path, slot) for slot in slots])


def _passed_on(run: Run, output: Tree, before: Member, after: Member) -> Tree:
    """The output of one member as the input of the next."""
    given, slots = tuples.flatten(output), tuples.flatten(after.instance.input)
    if len(given) != len(slots):
        run.problems.add(
            TupleMismatch(
                f"'{after.instance.name}' takes {_count(len(slots), 'input')}",
                after.span,
                related=[(before.span, f"this gives {_count(len(given), 'output')}")],
            )
        )
        return tuples.rebuild(after.instance.input, iter([BAD] * len(slots)))
    name, span, verb = after.instance.name, after.span, "it is given"
    values = [
        header.filled(slot, Operand(value.value, span), name, run, verb)
        for slot, value in zip(slots, given, strict=True)
    ]
    return tuples.rebuild(after.instance.input, iter(values))


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'s' * (number != 1)}"


class Used(SubCell):
    """What `use` binds: an instance and the path of its parameters."""

    def __init__(self, instance: Instance, path: str) -> None:
        self.instance = instance
        self.path = path

    def call(self, scope: Scope, span: Span, arguments: tuple[Operand, ...]) -> Work:
        instance, run = self.instance, scope.run
        slots = (instance.carry, instance.input)
        name = self.path.removeprefix(scope.path).rstrip(".")
        try:
            pairs = tuples.match_slots(slots, arguments, span, name)
        except Problem as problem:
            run.problems.add(problem)
            return BAD
        values = [header.filled(slot, given, name, run) for slot, given in pairs]
        carry, inputs = tuples.rebuild(slots, iter(values))
        step = yield instance.step(run, self.path, carry, inputs, False)
        named = tuples.flatten(step.output)
        output = tuples.rebuild(step.output, iter([each.value for each in named]))
        return tuples.as_value((step.carry, output), span)
