"""Cells with their sizes bound: what they take, and one step of them written out.

In: a cell's definition and a value for each of its settings. Out: an `Instance`, whose step can be
written out any number of times: once for the cell itself, once for each call of a sub-cell.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ...grammar.problems import Problem
from ...grammar.problems_of_names import StateNotSet, UnknownCell
from ...grammar.problems_of_values import (
    BadArgument,
    BadInitialiser,
    KindMismatch,
    OutputMismatch,
    ShapeMismatch,
    TupleMismatch,
)
from ...grammar.source import Span
from ...grammar.syntax import (
    CellDeclaration,
    ChainDeclaration,
    Item,
    Items,
    Keyword,
    Link,
    Output,
    Outputs,
    Primed,
)
from ..ir import Node, const
from ..shapes import Kind, Type
from . import expressions, hints, settings, statements, tuples
from .arguments import positive
from .modules import CellDefinition
from .parameters import check_fits
from .run import Run
from .scope import Scope
from .tensors import Site, fit, kind_of, not_a_tensor
from .tuples import Tree
from .values import (
    BAD,
    Bad,
    Operand,
    Sizes,
    Slot,
    Slots,
    SubCell,
    Value,
    Work,
    describe,
    shape_of,
    sizes_note,
)

REPEAT = "repeat"  # in a chain: repeat(3, LSTM(h, h))


@dataclass(frozen=True, slots=True)
class Step:
    """One step written out: trees shaped like the carry (twice) and the output."""

    carry: Tree  # of nodes, or BAD
    initial: Tree  # of nodes, or BAD; () where it was not asked for
    output: Tree  # of `Named`


@dataclass(frozen=True, slots=True)
class Named:
    """An output: its name in the header, and its value, a node or BAD."""

    name: str
    value: Value


class Instance(ABC):
    """A cell with its sizes bound."""

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

    def __init__(self, definition: CellDefinition, values: Mapping[str, Value]) -> None:
        assert isinstance(definition.declaration, CellDeclaration)
        self.name = definition.name
        self.module = definition.module
        self.declaration = definition.declaration
        self.values = values

    def resolve(self, run: Run) -> Work:
        """Find out the types of states and inputs; whether all of them have one."""
        scope = self._scope(run, "")
        self.carry = yield _slots(self.declaration.carry, scope, "state")
        self.input = yield _slots(self.declaration.input, scope, "input")
        return not any(isinstance(slot, Bad) for slot in tuples.flatten((self.carry, self.input)))

    def _scope(self, run: Run, path: str) -> Scope:
        scope = Scope(run, self.module, path)
        for setting in self.declaration.settings:
            value = self.values[setting.name]
            scope.bind(setting.name, value, setting.name_span, equation=False)
        return scope

    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        scope = self._scope(run, path)
        states = tuples.flatten(self.carry)
        scope.states = {slot.name: slot for slot in states}
        given = (*tuples.flatten(carry), *tuples.flatten(inputs))
        for slot, value in zip((*states, *tuples.flatten(self.input)), given, strict=True):
            scope.bind(slot.name, value, slot.span, equation=False)
        yield statements.block(self.declaration.body, scope)
        new = [_new_value(slot, scope) for slot in states]
        starts = []
        if initial:
            items = _items(self.declaration.carry)
            for item, slot in zip(items, states, strict=True):
                starts.append((yield _initial(item, slot, scope)))
        output = yield _outputs(self.declaration.output, scope)
        return Step(
            tuples.rebuild(self.carry, iter(new)),
            tuples.rebuild(self.carry, iter(starts)) if initial else (),
            output,
        )


class Chain(Instance):
    """Cells one after the other: the output of each is the input of the next."""

    def __init__(self, name: str, links: Sequence[tuple[str, Instance, Span]]) -> None:
        self.name = name
        self.links = links
        self.carry = tuple(_prefixed(path, instance.carry) for path, instance, _ in links)
        self.input = links[0][1].input

    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        new, starts, output = [], [], ()
        for at, (own_path, instance, span) in enumerate(self.links):
            if at:
                inputs = _passed_on(run, output, self.links[at - 1], instance, span)
            step = yield instance.step(run, path + own_path, carry[at], inputs, initial)
            new.append(step.carry)
            starts.append(step.initial)
            output = step.output
        return Step(tuple(new), tuple(starts), output)


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
        filled = [_filled(run, slot, given, name) for slot, given in pairs]
        carry, inputs = tuples.rebuild(slots, iter(filled))
        step = yield instance.step(run, self.path, carry, inputs, False)
        output = tuples.rebuild(step.output, iter([n.value for n in tuples.flatten(step.output)]))
        return tuples.as_value((step.carry, output), span)


# -- making instances --------------------------------------------------------------------------


def instance_of(definition: CellDefinition, values: Mapping[str, Value], run: Run) -> Work:
    """The cell with its settings bound; BAD if it has problems, which are recorded."""
    if any(isinstance(value, Bad) for value in values.values()):
        return BAD
    if isinstance(definition.declaration, ChainDeclaration):
        scope = Scope(run, definition.module)
        for setting in definition.declaration.settings:
            value = values[setting.name]
            scope.bind(setting.name, value, setting.name_span, equation=False)
        return (yield chain_of(definition.declaration.links, scope, definition.name))
    declared = Declared(definition, values)
    return declared if (yield declared.resolve(run)) else BAD


def use(links: Sequence[Link], scope: Scope, path: str) -> Work:
    """The sub-cell that `use` makes of its links."""
    if len(links) == 1 and links[0].cell.id != REPEAT:
        instance = yield _linked(links[0], scope)
    else:
        instance = yield chain_of(links, scope, "the chain")
    return BAD if isinstance(instance, Bad) else Used(instance, path)


def chain_of(links: Sequence[Link], scope: Scope, name: str) -> Work:
    """The chain of some links, each with its path: its label, or its position."""
    found: list[tuple[str, Instance, Span]] = []
    bad = False
    for link in links:
        expanded = yield _expanded(link, scope)
        for at, (instance, span) in enumerate(expanded):
            path = str(len(found))
            if link.label is not None:
                path = link.label if len(expanded) == 1 else f"{link.label}.{at}"
            bad |= isinstance(instance, Bad)
            found.append((f"{path}.", instance, span))
    return BAD if bad else Chain(name, found)


def _expanded(link: Link, scope: Scope) -> Work:
    """The instances a link stands for: one, or those that `repeat` makes."""
    scope.run.step(link.span)
    if link.cell.id != REPEAT or REPEAT in scope.module.definitions:
        return [((yield _linked(link, scope)), link.span)]
    bad = [(BAD, link.span)]
    match link.arguments:
        case (count, Link() as inner) if not isinstance(count, Keyword | Link):
            number = yield expressions.operand(count, scope, True)
            if isinstance(number.value, Bad):
                return bad
            try:
                times = positive(number, "the number of copies")
            except Problem as problem:
                scope.run.problems.add(problem)
                return bad
            copies = []
            for _ in range(times):
                copies += yield _expanded(inner, scope)
                if isinstance(copies[-1][0], Bad):
                    return bad
            return copies
    scope.run.problems.add(
        BadArgument(
            "'repeat' takes a number and a cell", link.span, hints=["write 'repeat(3, LSTM(n, n))'"]
        )
    )
    return bad


def _linked(link: Link, scope: Scope) -> Work:
    """The instance of one link; BAD if it has problems, which are recorded."""
    scope.run.step(link.span)
    definition = scope.module.definitions.get(link.cell.id)
    if not isinstance(definition, CellDefinition):
        names = (n for n, d in scope.module.definitions.items() if isinstance(d, CellDefinition))
        scope.run.problems.add(
            UnknownCell(
                f"there is no cell '{link.cell.id}' here",
                link.cell.span,
                hints=hints.did_you_mean(link.cell.id, names),
            )
        )
        return BAD
    declared = settings.settings_of(definition)
    kinds = {setting.name: setting.kind for setting in declared}
    positional: list[settings.Given] = []
    named: dict[str, settings.Given] = {}
    for argument in link.arguments:
        keyword = argument if isinstance(argument, Keyword) else None
        inner = argument.value if isinstance(argument, Keyword) else argument
        if isinstance(inner, Link):
            scope.run.problems.add(
                BadArgument("a cell is no argument", inner.span, hints=["'>>' joins cells"])
            )
            return BAD
        if keyword is not None:
            kind = kinds.get(keyword.name)
        else:
            at = len(positional)
            kind = declared[at].kind if at < len(declared) else None
        value = yield expressions.operand(inner, scope, kind == "size")
        if keyword is None:
            positional.append(settings.Given(value))
        else:
            named[keyword.name] = settings.Given(value, keyword.name_span)
    values = yield settings.bind(definition, positional, named, link.span, scope)
    return (yield instance_of(definition, values, scope.run))


# -- what goes in ------------------------------------------------------------------------------


def _slots(items: Items, scope: Scope, what: str) -> Work:
    """The states or inputs of a header, as a tree of slots; BAD in the place of a wrong one."""
    if not isinstance(items, Item):
        parts = []
        for item in items.items:
            parts.append((yield _slots(item, scope, what)))
        return tuple(parts)
    assert items.shape is not None
    dims = yield expressions.shape(items.shape, scope)
    if isinstance(dims, Bad):
        return BAD
    kind: Kind = "int" if items.kind == "int" else "real"
    return Slot(items.name, Type(tuple(dims), kind, frozenset("B")), items.name_span)


def _prefixed(path: str, slots: Slots) -> Slots:
    if isinstance(slots, Slot):
        return Slot(path + slots.name, slots.type, slots.span)
    return tuple(_prefixed(path, slot) for slot in slots)


def _filled(run: Run, slot: Slot, given: Operand, name: str) -> Value:
    """What a call gives for a state or an input, checked; a number fills the whole shape."""
    try:
        return _checked(run, slot, given, name)
    except Problem as problem:
        run.problems.add(problem)
        return BAD


def _checked(run: Run, slot: Slot, given: Operand, name: str) -> Value:
    value, wanted = given.value, slot.name.rpartition(".")[2]
    if isinstance(value, Bad):
        return BAD
    problem = not_a_tensor(given)
    if problem:
        raise problem
    related = [(slot.span, f"'{wanted}' is {slot.type}")]
    if kind_of(value) != slot.type.kind:
        raise KindMismatch(
            f"'{wanted}' of '{name}' holds other values",
            given.span,
            f"this is {describe(value)}",
            related=related,
        )
    if isinstance(value, Node) and value.type.shape != slot.type.shape:
        raise ShapeMismatch(
            f"'{wanted}' of '{name}' has another shape",
            given.span,
            f"this is {describe(value)}",
            related=related,
            notes=sizes_note(value.type.shape, slot.type.shape),
        )
    return fit(Site(run, given.span, name), value, slot.type.shape)


def _passed_on(
    run: Run, output: Tree, before: tuple[str, Instance, Span], after: Instance, span: Span
) -> Tree:
    """The output of one link as the input of the next."""
    outputs = tuples.flatten(output)
    slots = tuples.flatten(after.input)
    if len(outputs) != len(slots):
        run.problems.add(
            TupleMismatch(
                f"'{after.name}' takes {_count(len(slots), 'input')}",
                span,
                related=[(before[2], f"this gives {_count(len(outputs), 'output')}")],
            )
        )
        return tuples.rebuild(after.input, iter([BAD] * len(slots)))
    filled = [
        _filled(run, slot, Operand(given.value, span), after.name)
        for slot, given in zip(slots, outputs, strict=True)
    ]
    return tuples.rebuild(after.input, iter(filled))


def _count(number: int, word: str) -> str:
    return f"{number or 'no'} {word}{'s' * (number != 1)}"


# -- what comes out ----------------------------------------------------------------------------


def _new_value(slot: Slot, scope: Scope) -> Value:
    if slot.name in scope.new:
        return scope.new[slot.name].value
    scope.run.problems.add(
        StateNotSet(
            f"state '{slot.name}' gets no new value",
            slot.span,
            hints=[f"a state that stays as it is says so: {slot.name}' = {slot.name}"],
        )
    )
    return BAD


def _items(items: Items) -> list[Item]:
    """The items of a header, flat and in order."""
    if isinstance(items, Item):
        return [items]
    return [item for part in items.items for item in _items(part)]


def _initial(item: Item, slot: Slot, scope: Scope) -> Work:
    """A state's value before the first step; BAD if it has a problem, which is recorded."""
    shape = slot.type.shape
    if item.initial is None:
        return const(0.0, shape)
    value = yield expressions.operand(item.initial, scope)
    if isinstance(value.value, Bad):
        return BAD
    try:
        problem = not_a_tensor(value)
        if problem:
            raise problem
        if kind_of(value.value) != "real":
            raise KindMismatch(
                "a state starts as numbers", value.span, f"this is {describe(value.value)}"
            )
        if isinstance(value.value, Node) and value.value.type.axes:
            raise BadInitialiser(
                f"the initial value of '{item.name}' depends on an input or a state",
                value.span,
                notes=["it is read before the first step: parameters, constants, sizes and options"
                       " are known then"],
            )  # fmt: skip
        check_fits(value, shape, f"state '{item.name}'", item.name_span)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD
    return fit(Site(scope.run, value.span, "="), value.value, shape)


def _outputs(outputs: Outputs, scope: Scope) -> Work:
    """The outputs of a header as a tree of `Named`."""
    if not isinstance(outputs, Output):
        parts = []
        for part in outputs.items:
            parts.append((yield _outputs(part, scope)))
        return tuple(parts)
    variable = outputs.variable
    name = variable.id + "'" * isinstance(variable, Primed)
    value = yield expressions.operand(variable, scope)
    shape = None
    if outputs.shape is not None:
        shape = yield expressions.shape(outputs.shape, scope)
    try:
        found = BAD if isinstance(value.value, Bad) else _output(value, outputs, shape, scope)
    except Problem as problem:
        scope.run.problems.add(problem)
        found = BAD
    return Named(name, found)


def _output(value: Operand, output: Output, shape: Sizes | Bad | None, scope: Scope) -> Value:
    """The value of an output, as the header has it."""
    name = value.span.text
    problem = not_a_tensor(value)
    if problem:
        raise problem
    if kind_of(value.value) != "real":
        raise OutputMismatch(
            f"an output holds numbers, and '{name}' does not",
            value.span,
            f"this is {describe(value.value)}",
            hints=["'where(test, 1, 0)' makes numbers of truth values"],
        )
    own = shape_of(value.value)
    wanted = own if shape is None or isinstance(shape, Bad) else tuple(shape)
    if isinstance(value.value, Node) and own != wanted:
        raise OutputMismatch(
            f"output '{name}' has another shape than the header says",
            output.span,
            f"'{name}' is {describe(value.value)}",
            notes=sizes_note(own, wanted),
        )
    return fit(Site(scope.run, value.span, name), value.value, wanted)
