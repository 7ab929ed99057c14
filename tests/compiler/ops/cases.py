"""Every op on operands it can take: what the tests of the records and of the backends go over."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from rnnc.compiler.ir import LEAVES, Node, apply, leaf
from rnnc.compiler.ops import OPS, Op
from rnnc.compiler.shapes import Kind, Type, TypeProblem

Array = npt.NDArray[Any]

ROWS = 2  # of a value that varies over the batch
SPECIAL = (0.0, -0.0, 1.0, -1.0, 50.0, -50.0, np.inf, -np.inf, np.nan)
NUMPY_TYPE = {"real": float, "int": int, "bool": bool}


@dataclass(frozen=True)
class Case:
    """An op on operands of certain types."""

    op: Op
    attr: Any
    types: tuple[Type, ...]

    def __str__(self) -> str:
        return f"{self.op.name}({', '.join(map(str, self.types))})"

    def operands(self) -> list[Node]:
        return [leaf("input", "abc"[at], type_) for at, type_ in enumerate(self.types)]

    def apply(self, operands: Sequence[Node]) -> Node:
        return apply(self.op, *operands, attr=self.attr)

    def draw(self, draws: np.random.Generator) -> list[Array]:
        """Values within the op's domain; an index is a row that its table has."""
        return [_draw(type_, draws, self.op.domain) for type_ in self.types]


def _draw(type_: Type, draws: np.random.Generator, domain: tuple[float, float]) -> Array:
    shape = (*(ROWS,) * len(type_.axes), *type_.shape)
    if type_.kind == "real":
        return draws.uniform(*domain, shape)
    return draws.integers(0, 2 if type_.kind == "bool" else 3, shape).astype(NUMPY_TYPE[type_.kind])


def _cases(op: Op) -> list[Case]:
    if op.samples or not op.pointwise:
        return [Case(op, attr, types) for attr, types in op.samples]
    return [Case(op, None, _pointwise_types(op))]


def _pointwise_types(op: Op) -> tuple[Type, ...]:
    """Operands of one shape, of the first kinds that the op accepts."""
    accepted: tuple[Kind, ...] = ("real", "bool")
    for kinds in itertools.product(accepted, repeat=op.arity):
        types = tuple(Type((3,), kind) for kind in kinds)
        try:
            op.type(None, *types)
        except TypeProblem:
            continue
        return types
    raise AssertionError(f"{op.name} accepts no kinds")


def is_evaluated(case: Case) -> bool:
    return case.op.name not in ("at", "stack", "accumulate")


OPERATIONS = [op for op in OPS.values() if op.name not in LEAVES]
CASES = [case for op in OPERATIONS for case in _cases(op)]
EVALUATED = [case for case in CASES if is_evaluated(case)]
DIFFERENTIABLE = [case for case in EVALUATED if not case.op.nograd]
# Those whose derivative is the slope of their values.
SLOPING = [case for case in DIFFERENTIABLE if not case.op.made_up]


def operands_of(case: Case, dtype: str) -> list[Array]:
    """All combinations of special values and a few drawn ones, a row for each operand."""
    drawn = np.random.default_rng(3).uniform(*case.op.domain, 4 if len(case.types) > 1 else 200)
    choices = [
        [False, True] if t.kind == "bool" else [*SPECIAL, *drawn.astype(dtype).tolist()]
        for t in case.types
    ]
    rows = zip(*itertools.product(*choices), strict=True)
    kinds = (bool if t.kind == "bool" else dtype for t in case.types)
    return [np.array(row, kind) for row, kind in zip(rows, kinds, strict=True)]
