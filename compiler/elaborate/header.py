"""What a cell's header says: the types of states and inputs, where states start, the outputs.

In: the parts of a header and a scope. Out: slots to fill, and the values that the body has given.
"""

from __future__ import annotations

from dataclasses import dataclass

from ...grammar.problems import Problem
from ...grammar.problems_of_names import DuplicateName, StateNotSet
from ...grammar.problems_of_values import (
    BadInitialiser,
    KindMismatch,
    OutputMismatch,
    ShapeMismatch,
)
from ...grammar.syntax import Item, Items, Output, Outputs, Primed
from ..ir import const
from ..shapes import Kind, Type
from . import expressions
from .pairs import as_complex
from .parameters import check_fits
from .run import Run, check_size
from .scope import Scope
from .tensors import Site, fit, not_a_tensor
from .values import (
    BAD,
    Bad,
    Operand,
    Sizes,
    Slot,
    Tensor,
    Value,
    Work,
    describe,
    kind_of,
    shape_of,
    sizes_note,
)


@dataclass(frozen=True, slots=True)
class Named:
    """An output: its name in the header, and its value, a node or BAD."""

    name: str
    value: Value


def slots(items: Items, scope: Scope) -> Work:
    """The states or inputs of a header, as a tree of slots; BAD in the place of a wrong one."""
    if not isinstance(items, Item):
        parts = []
        for item in items.items:
            parts.append((yield slots(item, scope)))
        return tuple(parts)
    assert items.shape is not None
    dims = yield expressions.shape(items.shape, scope)
    if isinstance(dims, Bad):
        return BAD
    try:
        check_size(f"'{items.name}'", tuple(dims), items.name_span)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD
    kind: Kind = "int" if items.kind == "int" else "real"
    type_ = Type(tuple(dims), kind, frozenset("B"))
    return Slot(items.name, type_, items.name_span, items.kind == "complex")


def is_of_kind(slot: Slot, value: Value) -> bool:
    """Whether `value` has the elements of a slot; a real one is also complex."""
    return kind_of(value) == slot.kind or (kind_of(value), slot.kind) == ("real", "complex")


def fit_slot(slot: Slot, value: Value, site: Site) -> Tensor:
    """`value`, which fits, as a tensor of the shape and kind of a slot."""
    tensor = fit(site, value, slot.type.shape)
    return as_complex(tensor) if slot.is_complex else tensor


def filled(slot: Slot, given: Operand, name: str, run: Run, verb: str = "this is") -> Value:
    """What a slot of sub-cell `name` is given; a number fills the whole shape.

    BAD if it does not fit, which is recorded. `verb` says what the value is to its place.
    """
    if isinstance(given.value, Bad):
        return BAD
    try:
        _check_fits_slot(slot, given, name, verb)
    except Problem as problem:
        run.problems.add(problem)
        return BAD
    return fit_slot(slot, given.value, Site(run, given.span, name))


def _check_fits_slot(slot: Slot, given: Operand, name: str, verb: str) -> None:
    value, wanted = given.value, slot.name.rpartition(".")[2]
    problem = not_a_tensor(given)
    if problem:
        raise problem
    related = [(slot.span, f"'{wanted}' is {slot}")]
    if not is_of_kind(slot, value):
        raise KindMismatch(
            f"'{wanted}' of '{name}' holds other values",
            given.span,
            f"{verb} {describe(value)}",
            related=related,
        )
    if isinstance(value, Tensor) and value.type.shape != slot.type.shape:
        raise ShapeMismatch(
            f"'{wanted}' of '{name}' has another shape",
            given.span,
            f"{verb} {describe(value)}",
            related=related,
            notes=sizes_note(value.type.shape, slot.type.shape),
        )


def new_value(slot: Slot, scope: Scope) -> Value:
    """The new value of a state; BAD if no equation has set it, which is recorded."""
    if slot.name in scope.new:
        return scope.new[slot.name].value
    scope.run.problems.add(
        StateNotSet(
            f"no equation sets state '{slot.name}' at these sizes and options",
            slot.span,
            notes=["it is set in a branch that is not taken, or in a 'for' without iterations"],
            hints=[f"a state that stays as it is says so: {slot.name}' = {slot.name}"],
        )
    )
    return BAD


def initial(item: Item, slot: Slot, scope: Scope) -> Work:
    """A state's value before the first step; BAD if it has a problem, which is recorded."""
    shape = slot.type.shape
    if item.initial is None:
        zeros = const(0.0, shape)
        return as_complex(zeros) if slot.is_complex else zeros
    value = yield expressions.operand(item.initial, scope)
    if isinstance(value.value, Bad):
        return BAD
    try:
        _check_initial(value, item, slot)
    except Problem as problem:
        scope.run.problems.add(problem)
        return BAD
    return fit_slot(slot, value.value, Site(scope.run, value.span, "="))


def _check_initial(value: Operand, item: Item, slot: Slot) -> None:
    problem = not_a_tensor(value)
    if problem:
        raise problem
    if not is_of_kind(slot, value.value):
        holds = "real numbers" if kind_of(value.value) == "complex" else "numbers"
        raise KindMismatch(
            f"state '{item.name}' holds {holds}", value.span, f"this is {describe(value.value)}"
        )
    if isinstance(value.value, Tensor) and value.value.type.axes:
        raise BadInitialiser(
            f"the initial value of '{item.name}' depends on an input or a state",
            value.span,
            notes=["before the first step, parameters, constants, sizes and options are known"],
        )
    check_fits(value, slot.type.shape, f"state '{item.name}'", item.name_span)


def outputs(wanted: Outputs, scope: Scope) -> Work:
    """The outputs, or the new carry, of a header as a tree of `Named`."""
    if not isinstance(wanted, Output):
        parts = []
        for part in wanted.items:
            parts.append((yield outputs(part, scope)))
        return tuple(parts)
    variable = wanted.variable
    name = variable.id + "'" * isinstance(variable, Primed)
    value = yield expressions.operand(variable, scope)
    shape = None
    if wanted.shape is not None:
        shape = yield expressions.shape(wanted.shape, scope)
    if isinstance(value.value, Bad) or isinstance(shape, Bad):
        return Named(name, BAD)
    try:
        return Named(name, _output(value, wanted, shape, scope))
    except Problem as problem:
        scope.run.problems.add(problem)
        return Named(name, BAD)


def check_names(wanted: Outputs, scope: Scope) -> None:
    """Report outputs of one name: a net returns each by its own."""
    first: dict[str, Output] = {}
    todo = [wanted]
    while todo:
        part = todo.pop()
        if not isinstance(part, Output):
            todo += part.items[::-1]
            continue
        name = part.variable.id + "'" * isinstance(part.variable, Primed)
        before = first.setdefault(name, part)
        if before is not part:
            scope.run.problems.add(
                DuplicateName(
                    f"two outputs are called {name}",
                    part.span,
                    related=[(before.span, "the first one")],
                    hints=[f"give it a name of its own: 'again = {name}'"],
                )
            )


def _output(value: Operand, output: Output, shape: Sizes | None, scope: Scope) -> Value:
    """The value of an output, as the header has it."""
    name = value.span.text
    problem = not_a_tensor(value)
    if problem:
        raise problem
    kind = kind_of(value.value)
    if kind not in ("real", "complex"):
        raise OutputMismatch(
            f"an output holds numbers, and {name} does not",
            value.span,
            f"this is {describe(value.value)}",
            hints=["'where(test, 1, 0)' makes numbers of truth values"],
        )
    if kind == "real" and output.kind == "complex":
        raise OutputMismatch(
            f"{name} is real, and the header says complex",
            output.span,
            f"the equation gives {describe(value.value)}",
            hints=["leave ': complex' out; the equation tells"],
        )
    own = shape_of(value.value)
    declared = own if shape is None else tuple(shape)
    if isinstance(value.value, Tensor) and own != declared:
        raise OutputMismatch(
            f"{name} has another shape than the header says",
            output.span,
            f"the equation gives {describe(value.value)}",
            notes=sizes_note(own, declared),
        )
    return fit(Site(scope.run, value.span, name), value.value, declared)
