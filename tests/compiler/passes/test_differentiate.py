"""Derivatives of whole scans: reverse, forward, and each of the other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pytest

from rnnc.compiler.ir import Scan, toposort
from rnnc.compiler.passes.boundaries import boundaries
from rnnc.compiler.passes.differentiate import differentiate, linearize
from rnnc.compiler.passes.scan import scan
from rnnc.compiler.passes.simplify import simplify
from rnnc.compiler.verify import verify
from tests.compiler.hand_built import CELLS, Array, Numbers, draw_masks, elman, lstm
from tests.compiler.interpret_scan import Results, interpret
from tests.compiler.run_scans import (
    assert_alike,
    by_oracle,
    by_scans,
    mask_arrays,
    scans_of,
    states_of,
)

MASKS = ("starts", "boundaries", "valid")
NUDGE = 1e-5


class Problem:
    """A scan with numbers for its leaves, and directions in which they move."""

    def __init__(self, scan: Scan, given: Mapping[str, Array], n: Numbers) -> None:
        verify(scan)
        self.scan, self.n = scan, n
        self.given = dict(given)
        draws = np.random.default_rng(11)
        real = [i for i in (*scan.params, *scan.inputs) if i.type.kind == "real"]
        real += [c.start for c in scan.carries]
        for name in (str(leaf.attr) for leaf in real):
            assert name in self.given, f"no numbers for {name}"
        self.moving = {str(leaf.attr): draws.normal(size=self.given[str(leaf.attr)].shape)
                       for leaf in real}  # fmt: skip
        shapes = self.run(scan, self.given)
        self.ct_outs = {o: draws.normal(size=v.shape) for o, v in shapes.outs.items()}
        self.ct_carries = {c: draws.normal(size=v.shape) for c, v in shapes.carries.items()}

    def run(self, scan: Scan, given: Mapping[str, Array]) -> Results:
        starts = {c.name: given[c.name] for c in scan.carries}
        return interpret(scan, given, starts, given, steps=self.n.steps, rows=self.n.rows)

    def slopes(self) -> Results:
        """Every result's directional derivative by central differences."""
        above, below = (
            self.run(
                self.scan,
                {k: v + step * self.moving[k] if k in self.moving else v
                 for k, v in self.given.items()},
            )
            for step in (NUDGE, -NUDGE)
        )  # fmt: skip
        return Results(
            {k: (above.carries[k] - below.carries[k]) / (2 * NUDGE) for k in above.carries},
            {k: (above.outs[k] - below.outs[k]) / (2 * NUDGE) for k in above.outs},
        )

    def weighted(self, results: Results) -> float:
        """The inner product of results with their cotangents."""
        total = sum(np.sum(self.ct_outs[k] * v) for k, v in results.outs.items())
        return float(
            total + sum(np.sum(self.ct_carries[k] * v) for k, v in results.carries.items())
        )

    def tangents(self) -> Results:
        """The same directional derivatives by forward mode."""
        forward = linearize(self.scan)
        verify(forward)
        given = self.given | {f"d.{k}": v for k, v in self.moving.items()}
        given |= {f"d.state.{c.name}": self.moving[c.name] for c in self.scan.carries}
        results = self.run(simplify(forward), given)
        zero = {o.name: np.zeros_like(self.ct_outs[o.name]) for o in self.scan.outs}
        return Results(
            {c.name: results.carries[f"d.state.{c.name}"] for c in self.scan.carries},
            {k: results.outs.get(f"d.{k}", zero[k]) for k in zero},
        )

    def reversed(self) -> Problem:
        """The reversed scan as a problem of its own, at these numbers."""
        states = states_of(self.scan)
        before = self.run(replace(self.scan, outs=states), self.given).outs
        given = {**self.given, **before}
        given |= {f"ct.{k}": v for k, v in self.ct_outs.items()}
        given |= {f"ct.state.{k}": v for k, v in self.ct_carries.items()}
        return Problem(simplify(differentiate(self.scan)), given, self.n)

    def pulled(self) -> float:
        """The inner product of all cotangents with the directions, by reverse mode."""
        back = self.reversed()
        results = back.run(back.scan, back.given)
        carries = results.carries.items()
        parts = [v * self.moving[k.removeprefix("ct.")] for k, v in results.outs.items()]
        parts += [v * self.moving[k.removeprefix("ct.state.")] for k, v in carries]
        return float(sum(np.sum(part) for part in parts))


def problem(name: str, masks: tuple[str, ...] = ()) -> Problem:
    cell = CELLS[name]()
    n = Numbers.draw(cell, steps=3, rows=3)
    drawn = mask_arrays(draw_masks(masks, n.steps, n.rows), n.steps)
    forward = boundaries(simplify(scan(cell)), masks)
    return Problem(forward, {**n.params, **n.carry, **n.xs, **drawn}, n)


def assert_same_slopes(problem: Problem) -> None:
    wanted, got = problem.slopes(), problem.tangents()
    slopes = [(n, got.outs[n], slope) for n, slope in wanted.outs.items()]
    slopes += [(n, got.carries[n], slope) for n, slope in wanted.carries.items()]
    for name, mine, slope in slopes:
        near = 1e-7 * max(1.0, float(np.abs(slope).max(initial=0.0)))
        np.testing.assert_allclose(mine, slope, rtol=1e-6, atol=near, err_msg=name)


@pytest.mark.parametrize("name", CELLS)
def test_gradients_are_the_oracles(name: str) -> None:
    cell = CELLS[name]()
    n = Numbers.draw(cell)
    assert_alike(by_scans(cell, scans_of(cell), n), by_oracle(cell, n))


@pytest.mark.parametrize("name", CELLS)
def test_tangents_agree_with_central_differences(name: str) -> None:
    assert_same_slopes(problem(name))


@pytest.mark.parametrize("name", CELLS)
def test_reverse_is_the_transpose_of_forward(name: str) -> None:
    p = problem(name)
    assert p.pulled() == pytest.approx(p.weighted(p.tangents()), rel=1e-11)


@pytest.mark.parametrize("name", CELLS)
def test_forward_over_reverse_agrees_with_central_differences(name: str) -> None:
    assert_same_slopes(problem(name).reversed())


@pytest.mark.parametrize("name", CELLS)
def test_reverse_over_reverse_is_the_transpose_of_forward_over_reverse(name: str) -> None:
    p = problem(name).reversed()
    assert p.pulled() == pytest.approx(p.weighted(p.tangents()), rel=1e-11)


def test_second_derivatives_pass_through_masks() -> None:
    """No boundaries here: what they cut, central differences do not see."""
    p = problem("elman", ("starts", "valid"))
    back = p.reversed()
    assert_same_slopes(back)
    assert back.pulled() == pytest.approx(back.weighted(back.tangents()), rel=1e-11)


def test_the_reversed_scan_runs_the_other_way_and_twice_reversed_forwards() -> None:
    forward = scan(lstm())
    assert differentiate(forward).reverse
    assert not differentiate(differentiate(forward)).reverse


def test_what_needs_no_gradient_gets_none() -> None:
    names = {o.name for o in differentiate(scan(CELLS["tokens"]())).outs}
    assert names == {"ct.E", "ct.U"}


def test_a_weight_transform_is_crossed_once_after_the_loop() -> None:
    """d(U - U^T) is summed over time first, then taken apart."""
    backward = simplify(differentiate(scan(CELLS["tokens"]())))
    (ct,) = (o.node for o in backward.outs if o.name == "ct.U")
    transposes = [n for n in toposort([ct]) if n.op.name == "transpose" and n.args[0].args]
    assert len([n for n in transposes if not n.type.axes]) == 1


def test_each_derivative_is_a_constant_times_larger() -> None:
    """Griewank's bound, as a count of nodes."""
    forward = simplify(scan(elman()))
    first = simplify(differentiate(forward))
    second = simplify(differentiate(first))
    sizes = [len(list(s)) for s in (forward, first, second)]
    assert sizes[1] < 5 * sizes[0] and sizes[2] < 5 * sizes[1], sizes
