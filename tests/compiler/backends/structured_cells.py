"""Cells that apply one structured op to operands of awkward sizes, which lie where one asks.

In: an op, and where its operands are: on chip, in memory, or among the parameters. Out: a cell with
an output for every case.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from rnnc.compiler.ir import Cell, Node, Param, State, Value, apply, const, leaf
from rnnc.compiler.ops import OPS, Op
from rnnc.compiler.shapes import Shape, Type
from tests.compiler.hand_built import B, carry, one_input, param, stretch

SIZES = (1, 3, 5, 17)

# Beside the samples of the records: (attr, shapes of the operands that are real).
AWKWARD: dict[str, list[tuple[Any, tuple[Shape, ...]]]] = {
    "amax": [(0, ((n,),)) for n in SIZES] + [(0, ((5, 3),)), (1, ((3, 17),)), (1, ((2, 5, 3),))],
    "broadcast": [((17,), ((1,),)), ((5, 17), ((5, 1),)), ((3, 5), ((1, 5),)), ((1,), ((1,),))],
    "concat": [
        (0, ((1,), (3,))), (0, ((5,), (17,))), (0, ((4,), (4,), (4,))), (0, ((3,), (3,))),
        (0, ((1,),) * 17), (0, ((5,),)), (0, ((3, 5), (1, 5))), (1, ((3, 1), (3, 5), (3, 17))),
        (1, ((2, 8), (2, 8))), (0, ((2, 1, 3), (2, 1, 3), (2, 1, 3), (2, 1, 3))),
    ],
    "cumsum": [((0, way), ((n,),)) for n in SIZES for way in (False, True)]
    + [((0, False), ((5, 3),)), ((1, True), ((3, 17),))],
    "diag": [(None, ((n,),)) for n in SIZES],
    "diagonal": [(None, ((n, n),)) for n in SIZES],
    "einsum": [
        ((spec, ""), shapes)
        for spec, shapes in (
            ("ab,b->a", ((5, 17), (17,))), ("ab,b->a", ((17, 5), (5,))),
            ("ab,b->a", ((33, 20), (20,))), ("ab,a->b", ((20, 17), (20,))),
            ("ab,b->a", ((1, 3), (3,))), ("ab,b->a", ((3, 1), (1,))), ("a,b->ba", ((3,), (5,))),
            ("abc,ac->ab", ((3, 17, 20), (3, 20))), ("abc,c->ba", ((3, 20, 17), (17,))),
            ("abc,bc->a", ((17, 5, 4), (5, 4))), ("ab,bc->ac", ((17, 18), (18, 3))),
            ("abc,ad->bcd", ((3, 5, 4), (3, 2))), ("ab,ab->", ((3, 5), (3, 5))), (",->", ((), ())),
        )
    ],
    "flip": [(0, ((n,),)) for n in SIZES] + [(0, ((5, 3),)), (1, ((3, 17),))],
    "pad": [
        (((1, 0),), ((3,),)), (((0, 1),), ((5,),)), (((2, 3),), ((17,),)), (((0, 0),), ((3,),)),
        (((0, 1), (3, 0)), ((5, 1),)), (((15, 0),), ((1,),)),
    ],
    "reshape": [
        ((3, 5), ((15,),)), ((15,), ((3, 5),)), ((3, 5), ((5, 3),)), ((17, 1), ((17,),)),
        ((17,), ((1, 17),)), ((5, 6), ((3, 5, 2),)), ((6, 5), ((2, 3, 5),)), ((5, 3), ((3, 1, 5),)),
        ((4, 2, 3), ((4, 6),)), ((3, 17), ((17, 3),)), ((), ((1,),)), ((1, 1), ((),)),
        ((8,), ((2, 4),)),
    ],
    # Indices are below 3.
    "scatter": [((n, ""), ((),)) for n in SIZES[1:]] + [((5, ""), ((3,),)), ((3, ""), ((5, 3),))],
    "slice": [
        (((1, 17),), ((17,),)), (((16, 17),), ((17,),)), (((0, 3),), ((5,),)),
        (((4, 8),), ((16,),)), (((0, 1),), ((1,),)), (((1, 3), (0, 5)), ((3, 5),)),
        (((2, 3), (4, 5)), ((3, 5),)),
        (((0, 2), (3, 4), (1, 3)), ((2, 5, 3),)),
    ],
    "stop_gradient": [(None, ((5,),))],
    "sum": [(0, ((n,),)) for n in SIZES] + [(0, ((5, 3),)), (1, ((3, 17),)), (1, ((2, 5, 3),))],
    "take": [(None, ((n, *rest),)) for n in SIZES[1:] for rest in ((), (3,), (5, 3))],
    "transpose": [((1, 0), ((3, 5),)), ((1, 0), ((1, 17),)), ((2, 0, 1), ((3, 5, 2),))],
}  # fmt: skip

OPS_OF_CELLS = sorted(
    op.name for op in OPS.values() if not op.pointwise and (op.samples or op.name in AWKWARD)
)
PLACES = ("chip", "memory", "weights", "mixed")  # mixed: the first one is a weight
LEADING = ("total", "spread", "at", "stack", "accumulate")  # a cell's value has no such axes


@dataclass
class _Parts:
    """What a cell is made of so far."""

    place: str
    params: list[Param] = field(default_factory=list)
    states: list[State] = field(default_factory=list)
    inputs: list[Value] = field(default_factory=list)

    def operand(self, name: str, type_: Type, at: int) -> Node:
        """A new operand where it should be."""
        if type_.kind == "int":
            index = leaf("input", f"n{name}", Type((), "int", B))
            self.inputs.append(Value(f"n{name}", index))
            return index
        place = self.place
        if place == "mixed":
            place = "chip" if at else "weights"
        if place == "weights":
            self.params.append(param(f"w{name}", *type_.shape))
            return self.params[-1].node
        if place == "memory":
            self.inputs.append(one_input(f"x{name}", *type_.shape))
            return self.inputs[-1].node
        state = carry(f"s{name}", *type_.shape)
        self.states.append(State(f"s{name}", state, state * 0.5, const(0.0, type_.shape)))
        return state


def cell_of(name: str, place: str) -> Cell:
    """The cell of an op; every output is multiplied by a state, so that the loop reads it."""
    parts, op, outputs = _Parts(place), OPS[name], list[Value]()
    gate = carry("gate")
    for number, (attr, types) in enumerate(cases_of(op)):
        operands = [parts.operand(f"{number}_{at}", type_, at) for at, type_ in enumerate(types)]
        result = apply(op, *operands, attr=attr)
        if result.type.kind == "bool":
            shape = result.type.shape
            result = apply("where", result, const(1.0, shape), const(0.5, shape))
        factor = apply("reshape", gate, attr=(1,) * result.type.rank)
        outputs.append(Value(f"y{number}", result * stretch(factor, result.type.shape)))
    return Cell(
        name,
        {},
        tuple(parts.params),
        (State("gate", gate, gate * 0.5, const(1.0)), *parts.states),
        (*parts.inputs, one_input("x")),
        tuple(outputs),
        input_is_tuple=True,
        output_is_tuple=True,
    )


def cases_of(op: Op) -> list[tuple[Any, tuple[Type, ...]]]:
    """Attributes and types of the operands: the samples of the record, and awkward ones."""
    index = Type((), "int")
    found: dict[Any, None] = {}
    for attr, types in op.samples:
        plain = tuple(Type(t.shape, t.kind) for t in types)
        if any(t.axes for t in types) and op.name in ("scatter", "einsum"):
            attr = (attr[0], "")  # sums over the batch are the derivatives'
        found[attr, plain] = None
    for attr, shapes in AWKWARD.get(op.name, []):
        reals = tuple(map(Type, shapes))
        before, behind = (index,) * (op.name == "scatter"), (index,) * (op.name == "take")
        found[attr, (*before, *reals, *behind)] = None
    return list(found)
