"""Ops on the border of the time loop: what a step reads of before, and what it leaves behind.

A Cell has none of them. `passes/scan.py` and `passes/differentiate.py` put them in, `hoist` and
`sink` move them. They have no derivative rule of their own: the differentiator crosses them.
"""

from __future__ import annotations

from typing import Any

from ..shapes import Type, TypeProblem
from . import op


def _at_type(_attr: Any, a: Type) -> Type:
    if "T" not in a.axes:
        raise TypeProblem(f"{a} does not vary over time")
    return a.with_axes(a.axes - {"T"})


def _stack_type(_attr: Any, a: Type) -> Type:
    if "T" in a.axes:
        raise TypeProblem(f"{a} is no value of one step")
    return a.with_axes(a.axes | {"T"})


def _accumulate_type(_attr: Any, a: Type) -> Type:
    if "T" in a.axes:
        raise TypeProblem(f"{a} is no value of one step")
    return a


_SEQUENCE = Type((3,), axes=frozenset("TB"))
_OF_A_STEP = Type((3,), axes=frozenset("B"))

op(
    "at", doc="time t of a value computed before the loop", type=_at_type, reference=None,
    nograd=True, cheap=True, samples=((None, (_SEQUENCE,)),),
)  # fmt: skip
op(
    "stack", doc="a step's value at every t", type=_stack_type, reference=None,
    nograd=True, cheap=True, samples=((None, (_OF_A_STEP,)),),
)  # fmt: skip
op(
    "accumulate", doc="the sum of a step's value over all t", type=_accumulate_type,
    reference=None, nograd=True, work=lambda _attr, a: ((1, a.shape),),
    samples=((None, (_OF_A_STEP,)),),
)  # fmt: skip
