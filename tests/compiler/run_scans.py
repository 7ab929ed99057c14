"""What the scans of a cell compute, in the oracle's terms: for tests that passes keep it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import numpy as np

from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell, Scan, Scans, Value, apply
from rnnc.compiler.oracle import Kept, Masks
from rnnc.compiler.passes.boundaries import PLACED, boundaries, placed_name
from rnnc.compiler.passes.differentiate import differentiate
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import Array, Numbers
from tests.compiler.interpret_scan import interpret

NO_MASKS = Masks()


@dataclass(frozen=True)
class Outcome:
    """Everything a run and its reversal give, each by name."""

    carry: Mapping[str, Array]
    ys: Mapping[str, Array]
    d_params: Mapping[str, Array]
    d_carry: Mapping[str, Array]
    d_xs: Mapping[str, Array]


def by_oracle(cell: Cell, n: Numbers, masks: Masks = NO_MASKS, kept: Kept | None = None) -> Outcome:
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs, masks)
    g = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, masks, kept=kept)
    return Outcome(carry, ys, g.params, g.carry, g.inputs)


def mask_arrays(masks: Masks, steps: int) -> dict[str, Array]:
    """[T,B] by the names of the inputs that `passes.boundaries` adds, for those used."""
    valid = None if masks.lengths is None else np.arange(steps)[:, None] < masks.lengths
    given = {"starts": masks.starts, "boundaries": masks.boundaries, "valid": valid}
    given["weights"] = masks.weights
    found = {f"mask.{name}": mask for name, mask in given.items() if mask is not None}
    if masks.placed is not None:
        found[f"mask.{PLACED}"] = masks.placed if valid is None else masks.placed & valid
        found |= {placed_name(name): value for name, value in masks.places.items()}
    return found


def states_of(scan: Scan) -> tuple[Value, ...]:
    """What the reversed scan reads of a run of `scan`: every carry before every step, stacked."""
    return tuple(Value(f"state.{c.name}", apply("stack", c.node)) for c in scan.carries)


def scans_of(cell: Cell, masks: tuple[str, ...] = ()) -> Scans:
    """Forward and backward as `differentiate` leaves them: the states are handed over."""
    forward = boundaries(simplify(scan(cell)), masks)
    backward = differentiate(forward)
    states = states_of(forward)
    forward = replace(forward, outs=(*forward.outs, *states))
    return Scans(forward, backward, tuple(s.name for s in states))


def each(step: Callable[[Scan], Scan]) -> Callable[[Scans], Scans]:
    """A change of both scans, from a change of one."""

    def change(scans: Scans) -> Scans:
        assert scans.backward is not None
        return replace(scans, forward=step(scans.forward), backward=step(scans.backward))

    return change


def by_scans(cell: Cell, scans: Scans, n: Numbers, masks: Masks = NO_MASKS) -> Outcome:
    """Interpret the forward scan, and the backward one on what it saved."""
    verify(scans)
    extents = {"steps": n.steps, "rows": n.rows}
    given = {**n.xs, **mask_arrays(masks, n.steps)}
    forward = interpret(scans.forward, n.params, n.carry, given, **extents)
    saved = {name: forward.outs[name] for name in scans.saved}
    ys = {y.name: forward.outs[y.name] for y in cell.outputs}
    assert scans.backward is not None
    backward = interpret(
        scans.backward,
        n.params,
        {f"ct.state.{name}": value for name, value in n.d_carry.items()},
        given | saved | {f"ct.{name}": value for name, value in n.d_ys.items()},
        **extents,
    )
    zeros = {p.name: np.zeros(p.node.type.shape) for p in cell.params}
    zeros |= {x.name: np.zeros(n.xs[x.name].shape) for x in cell.inputs}
    outs = {name.removeprefix("ct."): value for name, value in backward.outs.items()}
    return Outcome(
        forward.carries,
        ys,
        {p.name: outs.get(p.name, zeros[p.name]) for p in cell.params if p.trained},
        {s.name: backward.carries[f"ct.state.{s.name}"] for s in cell.states},
        {
            x.name: outs.get(x.name, zeros[x.name])
            for x in cell.inputs
            if x.node.type.kind == "real"
        },
    )


def assert_alike(got: Outcome, wanted: Outcome, tolerance: float = 1e-12) -> None:
    for part in ("carry", "ys", "d_params", "d_carry", "d_xs"):
        mine, theirs = getattr(got, part), getattr(wanted, part)
        assert mine.keys() == theirs.keys(), part
        for name in theirs:
            np.testing.assert_allclose(
                mine[name], theirs[name], rtol=tolerance, atol=tolerance, err_msg=f"{part}.{name}"
            )
