"""Syntax to IR: the cell that a definition makes with its sizes bound.

In: a `CellDefinition`, checked by `names.py`, and a value for each of its settings. Out: an
`ir.Cell`, or `Problems`. Read it from here: `cells.py` (one step of a cell), then
`statements.py`, `expressions.py`, `calls.py` and `functions.py` (the built-in ones), each beneath
the one before. `tensors.py` is where nodes are made.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from ...grammar.problems import Collector
from ...grammar.source import Span
from ..ir import Cell, State, Value
from . import links, tuples, values
from .header import Named
from .modules import CellDefinition as CellDefinition
from .modules import FunctionDefinition as FunctionDefinition
from .modules import Module as Module
from .run import Run, TooManyOperations
from .values import Bad, Complex, Slot, Tensor, Work, part_names, parts_of, tensor_of
from .work import finish


def elaborate(
    definition: CellDefinition,
    settings: Mapping[str, values.Value],
    problems: Collector,
    worth: dict[Span, values.Value] | None = None,
) -> Cell | None:
    """The cell, one step of it as nodes; None if it has problems, which are added to `problems`.

    Args:
        definition: the cell; every name in it resolves.
        settings: sizes (`Dim`), options and functions, by name; all of them.
        problems: where problems are added.
        worth: where it is told what each name is worth, by the place that binds it.
    """
    run = Run(problems) if worth is None else Run(problems, worth=worth)
    try:
        cell = finish(_cell(definition, settings, run))
    except TooManyOperations as stop:
        problems.add(stop.problem)
        return None
    assert cell is None or isinstance(cell, Cell)
    return None if problems.errors else cell


def _cell(definition: CellDefinition, settings: Mapping[str, values.Value], run: Run) -> Work:
    instance = yield links.instance_of(definition, settings, run)
    if isinstance(instance, Bad):
        return None
    slots = tuples.flatten(instance.carry)
    carry = [_leaf(run, "carry", slot) for slot in slots]
    inputs = [_leaf(run, "input", slot) for slot in tuples.flatten(instance.input)]
    step = yield instance.step(
        run,
        "",
        tuples.rebuild(instance.carry, iter(carry)),
        tuples.rebuild(instance.input, iter(inputs)),
        True,
    )
    new, initial = tuples.flatten(step.carry), tuples.flatten(step.initial)
    outputs = [each for output in tuples.flatten(step.output) for each in _values(output)]
    if run.problems.errors:
        return None
    return Cell(
        name=definition.name,
        settings={name: _plain(value) for name, value in settings.items()},
        params=tuple(run.params.values()),
        states=(
            *(
                State(node.attr, node, after, start)
                for tensors in zip(carry, new, initial, strict=True)
                for node, after, start in zip(*map(parts_of, tensors), strict=True)
            ),
            *run.hidden.values(),
        ),
        inputs=tuple(Value(node.attr, node) for tensor in inputs for node in parts_of(tensor)),
        outputs=tuple(outputs),
        documentation=definition.declaration.documentation,
        span=definition.name_span,
        input_is_tuple=isinstance(instance.input, tuple) or isinstance(inputs[0], Complex),
        output_is_tuple=isinstance(step.output, tuple) or len(outputs) > 1,
        beside=tuple(run.beside.values()),
        named=tuple(run.named),
    )


def _leaf(run: Run, op: str, slot: Slot) -> Tensor:
    names = part_names(slot.name, slot.is_complex)
    return tensor_of(run.leaf(op, name, slot.type, slot.span) for name in names)


def _values(output: Named) -> Iterator[Value]:
    if isinstance(output.value, Tensor):
        names = part_names(output.name, isinstance(output.value, Complex))
        yield from map(Value, names, parts_of(output.value))


def _plain(value: values.Value) -> object:
    """A setting as users see it: functions by name."""
    return getattr(value, "name", value)
