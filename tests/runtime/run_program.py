"""What a compiled program computes, in the oracle's terms, as arrays of NumPy."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from rnnc.compiler.oracle import Masks
from rnnc.runtime.places import Places
from rnnc.runtime.program import Program
from tests.compiler.hand_built import Array, Arrays, Numbers
from tests.compiler.run_scans import NO_MASKS, Outcome
from tests.runtime.models import numpy_of


def by_program(program: Program, n: Numbers, masks: Masks = NO_MASKS) -> Outcome:
    """Run a program, and run it back."""
    cell = program.cell
    xs = tuple(n.xs[x.name] for x in cell.inputs)
    d_ys = tuple(n.d_ys[y.name] for y in cell.outputs)
    carry, ys, tape = program.forward(
        n.params,
        n.carry,
        xs if cell.input_is_tuple else xs[0],
        starts=masks.starts,
        lengths=masks.lengths,
        boundaries=_boundaries(masks),
        placed=None if masks.placed is None else Places(masks.placed, masks.places),
    )
    assert tape is not None
    d_params, d_carry, d_xs = program.backward(
        n.params, tape, d_ys if cell.output_is_tuple else d_ys[0], n.d_carry
    )
    outputs = ys if cell.output_is_tuple else (ys,)
    d_inputs = d_xs if cell.input_is_tuple else (d_xs,)
    return Outcome(
        numpy_of(carry),
        numpy_of({y.name: array for y, array in zip(cell.outputs, outputs, strict=True)}),
        numpy_of(d_params),
        numpy_of(d_carry),
        numpy_of({x.name: d for x, d in zip(cell.inputs, d_inputs, strict=True) if d is not None}),
    )


def rounded(n: Numbers) -> Numbers:
    """The same numbers rounded to float32, so that both widths read the same ones."""

    def narrow(arrays: Arrays) -> dict[str, Array]:
        return {
            name: array.astype(np.float32).astype(float) if array.dtype.kind == "f" else array
            for name, array in arrays.items()
        }

    return replace(n, params=narrow(n.params), carry=narrow(n.carry), xs=narrow(n.xs),
                   d_ys=narrow(n.d_ys), d_carry=narrow(n.d_carry))  # fmt: skip


def _boundaries(masks: Masks) -> Array | None:
    """As a call takes them: truth values that cut, or weights of which 0 cuts."""
    if masks.weights is None or masks.boundaries is None:
        return masks.boundaries if masks.weights is None else masks.weights
    return np.where(masks.boundaries, 0.0, masks.weights)
