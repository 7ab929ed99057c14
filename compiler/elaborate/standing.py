"""A cell with its sizes bound, written out as one that stands by itself.

In: an instance, and a run of its own. Out: an `ir.Cell`, and its outputs as the header nests them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from ..ir import Cell, State, Value
from . import tuples
from .cells import Instance
from .header import Named
from .run import Run
from .tuples import Tree
from .values import BAD, Complex, Slot, Tensor, Work, part_names, parts_of, tensor_of


@dataclass(frozen=True, slots=True)
class Standing:
    """A cell, and the tree of its outputs, each a `header.Named`."""

    cell: Cell
    output: Tree


def standing(instance: Instance, run: Run) -> Work:
    """The cell of an instance; BAD if there are problems, which are recorded."""
    carry = [_leaf(run, "carry", slot) for slot in tuples.flatten(instance.carry)]
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
        return BAD
    cell = Cell(
        name=instance.name,
        settings={},
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
        input_is_tuple=isinstance(instance.input, tuple) or isinstance(inputs[0], Complex),
        output_is_tuple=isinstance(step.output, tuple) or len(outputs) > 1,
        beside=tuple(run.beside.values()),
        named=tuple(run.named),
    )
    return Standing(cell, step.output)


def _leaf(run: Run, op: str, slot: Slot) -> Tensor:
    names = part_names(slot.name, slot.is_complex)
    return tensor_of(run.leaf(op, name, slot.type, slot.span) for name in names)


def _values(output: Named) -> Iterator[Value]:
    if isinstance(output.value, Tensor):
        names = part_names(output.name, isinstance(output.value, Complex))
        yield from map(Value, names, parts_of(output.value))
