"""The record that says everything the compiler knows about one operation, and the table of them.

In: nothing. Out: `OPS`, name -> `Op`. Passes and backends look fields up here and keep no table
of their own; adding an op is one `op(...)` call in one of the files of this folder.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..shapes import Shape, Type


@dataclass(frozen=True, slots=True, eq=False)
class Op:
    """One operation.

    Exactly one of `partials`, `pullback` or `nograd=True`; reverse and forward mode both follow
    from it. Rules are written in the IR's own operators, so that a derivative is itself IR.

    What a structured op of a Cell is on operands with one more axis in front, of which some lack
    it, say `widened` or `batching`; a pointwise op is itself.
    """

    name: str
    type: Callable[..., Type]  # (attr, *operand types) -> result type, or TypeProblem
    reference: Callable[..., Any]  # (attr, *arrays): its meaning, in NumPy on the trailing axes
    doc: str = ""  # one line: the formula
    arity: int = 1
    spell: Mapping[str, str] = field(default_factory=dict)  # backend -> "np.tanh({0}, out={out})"
    infix: str | None = None  # printed `a + b` rather than `add a b`
    partials: Callable[..., tuple[Any, ...]] | None = None  # pointwise: (y, *xs) -> dy/dx_i
    pullback: Callable[..., tuple[Any, ...]] | None = None  # (ct, y, *xs) -> ct_i, linear in ct
    nograd: bool = False
    pushforward: Callable[..., Any] | None = None  # where the pullback is not linear: (tangents, y,
    # *xs) -> tangent; an operand without one has None
    made_up: bool = False  # its derivative is not the slope of its values
    value_of: int | None = None  # its value is that operand's, which derivatives alone tell apart
    widened: Callable[[Any, int], Any] | None = None  # (attr, size of the axis) -> attr
    batching: Callable[..., Any] | None = None  # (attr, size, which have it, *operands) -> value
    laws: tuple[str, ...] = ()  # "a * 1 -> a": used by simplify, and tested
    domain: tuple[float, float] = (-2.0, 2.0)  # where tests sample operands
    results: tuple[float, float] | None = None  # where they lie, whatever the operands are
    defined_from: float | None = None  # of operands below it, the result is NaN
    cheap: bool = False  # dearer to keep for the backward step than to compute again
    linear: bool = False  # of all its operands together
    linear_in: tuple[tuple[int, ...], ...] = ()  # of these together, the others given
    view: bool = False  # its elements are elements of its operand; linear, too
    by_library: bool = False  # no kernel of a loop has it: a library computes it, matrix by matrix
    reduces: bool = False  # its elements read a whole axis of the operand
    work: Callable[..., tuple[tuple[int, Shape], ...]] | None = None  # structured: (attr, *operand
    # types) -> its FLOPs, a sum of numbers times sizes; without it, as `reduces` says, or none
    samples: tuple[tuple[Any, tuple[Type, ...]], ...] = ()  # structured: (attr, operand types)

    @property
    def pointwise(self) -> bool:
        """Whether result element i depends on element i of each operand alone.

        Just these have a one-line spelling; a structured op has an emitter in each backend.
        """
        return bool(self.spell)


OPS: dict[str, Op] = {}


def op(name: str, **fields: Any) -> Op:
    """Declare an op. A name is declared once."""
    assert name not in OPS, f"op {name} declared twice"
    OPS[name] = Op(name, **fields)
    return OPS[name]


# They fill the table.
from . import borders, gradient, linear, matrices, pointwise, structure  # noqa: E402, F401
