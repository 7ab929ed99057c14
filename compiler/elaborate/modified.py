"""Links that a modifier stands around: `zoneout(LSTM(n, n), h=0.1)`.

In: such a link, and the cell within it, its sizes bound. Out: an instance, whose step is that of
the cell that `modifiers` makes; or problems, at the argument at fault.
"""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...grammar.problems_of_values import BadArgument, CannotModify
from ...grammar.source import Span
from ...grammar.syntax import Argument, Call, Chained, Keyword, Link, Shape, String
from ..ir import HIDDEN, LEAVES, Beside, Cell, Node, Param, State, relabel, toposort
from ..ir import Value as Named
from ..modifiers import MODIFIERS, Modifier, ModifierError, modified
from ..modifiers.kinds import Kind
from ..rewrite import substitute
from . import expressions, hints, tuples
from .cells import Instance, Step
from .modules import Module
from .run import Run
from .scope import Scope
from .standing import Standing, standing
from .tuples import Tree
from .values import BAD, Bad, Complex, Tensor, Work, describe, parts_of, tensor_of


def is_modifier(link: Link, module: Module) -> bool:
    """Whether a link is a modifier around another; a cell of that name comes first."""
    return link.cell.id in MODIFIERS and link.cell.id not in module.definitions


def within(link: Link) -> Sequence[Link]:
    """The links that a modifier stands around; none where there is no cell."""
    match link.arguments[:1]:
        case (Call(function=cell, arguments=arguments, span=span),):
            return [Link(None, cell, arguments, span=span)]
        case (Chained(links=links),):
            return links
    return []


def arguments_of(link: Link) -> Iterator[tuple[str | int, Argument | Link, Kind | None]]:
    """What stands behind the cell: by name or place, as it is written, and of which kind."""
    modifier, at = MODIFIERS[link.cell.id], 0
    for argument in link.arguments[1:]:
        if isinstance(argument, Keyword):
            name = argument.name.strip('"')
            yield name, argument.value, modifier.kind_of(name)
        else:
            yield at, argument, modifier.kind_of(at)
            at += 1


def around(link: Link, inner: Instance, scope: Scope) -> Work:
    """The instance of a link that is a modifier; BAD if it has problems, which are recorded."""
    run, modifier = scope.run, MODIFIERS[link.cell.id]
    apart = Run(run.problems, nodes=run.nodes, steps=run.steps, depth=run.depth, worth=run.worth)
    found = yield standing(inner, apart)
    run.nodes, run.steps = apart.nodes, apart.steps
    values: dict[str | int, Any] = {}
    for key, argument, kind in arguments_of(link):
        if key in values:
            run.problems.add(_problem(f"{key} is given twice", link, key, modifier))
            return BAD
        values[key] = yield _value(argument, kind, scope)
    if isinstance(found, Bad) or any(isinstance(value, Bad) for value in values.values()):
        return BAD
    assert isinstance(found, Standing)
    try:
        cell = modified(
            found.cell,
            modifier.name,
            [value for key, value in values.items() if isinstance(key, int)],
            {key: value for key, value in values.items() if isinstance(key, str)},
        )
    except ModifierError as error:
        advice = _meant(error.word, error.known)
        word = values.get(error.argument) if error.argument is not None else None
        if not advice and isinstance(word, str) and scope.find(word) is not None:
            advice = [f"words stand here as they are: option '{word}' cannot be passed on"]
        run.problems.add(_problem(str(error), link, error.argument, modifier, advice))
        return BAD
    return ModifiedCell(inner, cell, found.output, link.span)


def _meant(word: str, known: Sequence[str]) -> list[str]:
    """A hint with the closest name, a path as it has to be written."""
    near = hints.closest(word, known)
    if near is None or "." not in near:
        return hints.did_you_mean(word, known)
    return [f'did you mean "{near}"?']


def _problem(
    message: str,
    link: Link,
    argument: str | int | None,
    modifier: Modifier,
    advice: list[str] | None = None,
) -> CannotModify:
    return CannotModify(
        message,
        _place(link, modifier, argument),
        notes=[f"{modifier.signature}: {modifier.documentation}"],
        hints=advice or [],
    )


def _place(link: Link, modifier: Modifier, argument: str | int | None) -> Span:
    """Where an argument stands last; the modifier's name where nobody gave it."""
    parameters, place = [each.name for each in modifier.parameters], link.cell.span
    for at, given in enumerate(link.arguments[1:]):
        called: tuple[int | str, ...] = (at, *parameters[at : at + 1])
        if isinstance(given, Keyword):
            called = (given.name.strip('"'),)
        if argument in called:
            place = given.span
    return place


def _value(argument: Argument | Link, kind: Kind | None, scope: Scope) -> Work:
    """An argument as Python has it: a number, a name, a list of names."""
    if isinstance(argument, Link):
        scope.run.problems.add(BadArgument("a cell is no argument", argument.span))
        return BAD
    if kind is None or kind.is_named:
        return _names(argument)
    found = yield expressions.operand(argument, scope, kind.is_size)
    value = found.value
    return describe(value) if isinstance(value, Tensor | tuple) else value


def _names(argument: Argument) -> Any:
    """`U`, `lstm.U`, `"0.U"` and `[U, W]`: names that are those of the cell within."""
    match argument:
        case String(value=text):
            return text
        case Shape(dims=dims):
            return [_names(dim) for dim in dims]
    return "".join(argument.span.text.split())


class ModifiedCell(Instance):
    """What a modifier makes of an instance: other nodes in the same slots."""

    def __init__(self, inner: Instance, cell: Cell, output: Tree, span: Span) -> None:
        self.name = cell.name
        self.carry = inner.carry
        self.input = inner.input
        self.cell = cell
        self.output = output
        self.span = span

    def step(self, run: Run, path: str, carry: Tree, inputs: Tree, initial: bool) -> Work:
        yield from ()
        cell, tensors = self.cell, [*tuples.flatten(carry), *tuples.flatten(inputs)]
        if any(isinstance(tensor, Bad) for tensor in tensors):
            return self._step(defaultdict(lambda: BAD), initial)
        given = [node for tensor in tensors for node in parts_of(tensor)]
        count = len(given) - len(cell.inputs)
        leaves = [*(s.node for s in cell.states[:count]), *(x.node for x in cell.inputs)]
        mapping = dict(zip(leaves, given, strict=True))
        for param in cell.params:  # a cell that is called twice shares them
            known = run.params.get(path + param.name)
            mapping[param.node] = known.node if known else self._leaf(run, path, param)
        for beside in cell.beside:
            mapping[beside.node] = self._beside(run, path, beside)
        found = self._hidden(run, path, cell.states[count:], mapping)
        for node in found.values():
            run.adopt(node, self.span)
        for param in cell.params:
            name = path + param.name
            run.params.setdefault(name, param.moved(name, found))
        for value in cell.named:
            node, name = found[value.node], path + value.name
            run.named.append(Named(name, node))
            if node in run.owned and node is not value.node:
                relabel(node, name)
        return self._step(found, initial)

    def _step(self, found: Mapping[Node, Any], initial: bool) -> Step:
        slots, names = tuples.flatten(self.carry), tuples.flatten(self.output)
        wide = [slot.is_complex for slot in slots]
        new = _tensors((found[state.new] for state in self.cell.states), wide)
        starts = _tensors((found[state.initial] for state in self.cell.states), wide)
        outputs = _tensors(
            (found[y.node] for y in self.cell.outputs),
            [isinstance(output.value, Complex) for output in names],
        )
        named = (replace(output, value=y) for output, y in zip(names, outputs, strict=True))
        return Step(
            tuples.rebuild(self.carry, iter(new)),
            tuples.rebuild(self.carry, iter(starts)) if initial else (),
            tuples.rebuild(self.output, named),
        )

    def _beside(self, run: Run, path: str, beside: Beside) -> Node:
        """The leaf of what is read beside the inputs: the one mode, and draws for each call."""
        name = path + beside.name
        if beside.source != "training":
            name = run.free_draw(name)
        if name not in run.beside:
            renamed = replace(beside, name=name)
            run.beside[name] = replace(renamed, node=self._leaf(run, "", renamed))
        return run.beside[name].node

    def _leaf(self, run: Run, path: str, part: Param | State | Beside) -> Node:
        node = part.node
        return run.leaf(node.op.name, path + part.name, node.type, node.span or self.span)

    def _hidden(
        self, run: Run, path: str, states: Sequence[State], mapping: Mapping[Node, Node]
    ) -> dict[Node, Node]:
        """The nodes that the cell's become, once its hidden states are among those of the run.

        A cell that is called twice has them twice, but for those that would be equal, such as the
        number of the step.
        """
        alone = {s for s in states if _reads_nothing_else(s)}
        shared = {s.name: path + s.name for s in alone}
        for count in itertools.count(1):
            names = shared | {
                s.name: _numbered(path + s.name, count) for s in states if s not in alone
            }
            if not any(names[s.name] in run.hidden for s in states if s not in alone):
                break
        nodes = {}
        for state in states:
            known = run.hidden.get(names[state.name])
            renamed = replace(state, name=names[state.name])
            nodes[state.node] = known.node if known else self._leaf(run, "", renamed)
        found = self._found({**mapping, **nodes})
        for state in states:
            name = names[state.name]
            new = State(name, nodes[state.node], found[state.new], found[state.initial])
            run.hidden.setdefault(name, new)
        return found

    def _found(self, mapping: Mapping[Node, Node]) -> dict[Node, Node]:
        cell = self.cell
        roots = [node for s in cell.states for node in (s.new, s.initial)]
        roots += [value.node for value in (*cell.outputs, *cell.named)]
        roots += [p.init.value for p in cell.params if p.init.value is not None]
        return substitute(roots, mapping)


def _tensors(nodes: Iterator[Any], wide: Sequence[bool]) -> list[Any]:
    """One tensor for each place, of two nodes where it is complex; BAD if they are."""
    found = []
    for is_complex in wide:
        parts = [next(nodes) for _ in range(1 + is_complex)]
        found.append(BAD if isinstance(parts[0], Bad) else tensor_of(parts))
    return found


def _reads_nothing_else(state: State) -> bool:
    """Whether a state's new value follows from its old one alone."""
    leaves = (node for node in toposort([state.new, state.initial]) if node.op.name in LEAVES)
    return all(node is state.node for node in leaves)


def _numbered(name: str, count: int) -> str:
    """`x@1`, `x.2@1`: a hidden state of each of several calls."""
    stem, mark, place = name.partition(HIDDEN)
    return name if count == 1 else f"{stem}.{count}{mark}{place}"
