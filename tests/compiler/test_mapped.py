"""A cell on many values of some of what it is given, and on one of all else: `mapped`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np
import pytest

from rnnc.compiler.ensemble import mapped
from rnnc.compiler.ir import Cell, Node
from rnnc.compiler.library import loads, std
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.same import same
from rnnc.compiler.tangent import tangent
from rnnc.compiler.text import read, show
from rnnc.compiler.verify import verify
from rnnc.runtime.program import compile
from tests.compiler.hand_built import Array, Arrays, Numbers, draw_masks
from tests.compiler.members import BEHIND_ROWS, BEHIND_TIME, TRIED, away_from_zero
from tests.compiler.run_scans import Outcome
from tests.runtime.run_program import by_program
from tests.tolerance import Bound, assert_within

COUNT = 3
SEPARATE_RUNS = Bound(1e-12, 1e-11)


def given(cell: Cell) -> dict[str, Node]:
    """All that a cell is given, by name."""
    found = {param.name: param.node for param in cell.params}
    found |= {state.name: state.node for state in cell.states}
    return found | {x.name: x.node for x in cell.inputs}


def types(cell: Cell) -> dict[str, str]:
    named = {value.name: value.node for value in (*cell.outputs, *cell.named)}
    return {name: str(node.type) for name, node in {**named, **given(cell)}.items()}


class Map:
    """A map of a cell, with what tells which of its values have the axis."""

    def __init__(self, cell: Cell, own: Iterable[str]) -> None:
        nodes = given(cell)
        self.cell = cell
        self.whole = mapped(cell, COUNT, [nodes[name] for name in own])
        rank = {name: len(node.type.shape) for name, node in nodes.items()}
        self.own = {n for n, node in given(self.whole).items() if len(node.type.shape) > rank[n]}
        pairs = zip(cell.outputs, self.whole.outputs, strict=True)
        self.outs = {y.name for y, w in pairs if len(w.node.type.shape) > len(y.node.type.shape)}

    def of(self, n: Numbers, at: int) -> Numbers:
        """What one run reads. The cotangent of a result that all share enters the first alone."""

        def one(arrays: Arrays, names: set[str], axis: int) -> dict[str, Array]:
            return {k: np.take(a, at, axis) if k in names else a for k, a in arrays.items()}

        def first(arrays: Arrays, names: set[str]) -> dict[str, Array]:
            return {k: a if k in names or at == 0 else 0 * a for k, a in arrays.items()}

        return Numbers(
            one(n.params, self.own, 0),
            one(n.carry, self.own, BEHIND_ROWS),
            one(n.xs, self.own, BEHIND_TIME),
            one(first(n.d_ys, self.outs), self.outs, BEHIND_TIME),
            one(first(n.d_carry, self.own), self.own, BEHIND_ROWS),
        )

    def together(self, runs: list[Outcome]) -> Outcome:
        """What the map gives, of what separate runs give."""

        def values(found: list[Mapping[str, Array]], names: set[str], axis: int) -> Arrays:
            return {
                k: np.stack([one[k] for one in found], axis) if k in names else found[0][k]
                for k in found[0]
            }

        def sums(found: list[Mapping[str, Array]], axis: int) -> Arrays:
            stacks = {k: np.stack([one[k] for one in found], axis) for k in found[0]}
            return {k: a if k in self.own else a.sum(axis) for k, a in stacks.items()}

        return Outcome(
            values([run.carry for run in runs], self.own, BEHIND_ROWS),
            values([run.ys for run in runs], self.outs, BEHIND_TIME),
            sums([run.d_params for run in runs], 0),
            sums([run.d_carry for run in runs], BEHIND_ROWS),
            sums([run.d_xs for run in runs], BEHIND_TIME),
        )


def selections(cell: Cell) -> list[list[str]]:
    """Each thing alone, and every second one."""
    names = list(given(cell))
    return [*([name] for name in names), names[::2], names]


@pytest.mark.parametrize("name", TRIED)
@pytest.mark.parametrize("masks", [(), MASKS], ids="+".join)
def test_values_and_gradients_are_those_of_separate_runs(name: str, masks: tuple[str, ...]) -> None:
    cell = TRIED[name]()
    alone = compile(cell, "numpy", "float64")
    for own in selections(cell):
        found = Map(cell, own)
        n = away_from_zero(Numbers.draw(found.whole, steps=4, rows=2))
        drawn = draw_masks(masks, n.steps, n.rows)
        runs = [by_program(alone, found.of(n, at), drawn) for at in range(COUNT)]
        whole = by_program(compile(found.whole, "numpy", "float64"), n, drawn)
        assert_within(whole, found.together(runs), SEPARATE_RUNS)


@pytest.mark.parametrize("name", TRIED)
def test_it_verifies_and_its_text_reads_back(name: str) -> None:
    cell = TRIED[name]()
    for own in selections(cell):
        whole = Map(cell, own).whole
        verify(whole)
        assert same(read(show(whole)), whole)


def test_a_state_has_the_axis_if_its_next_value_has_it() -> None:
    cell = loads("""
        cell C(n): ((a[n], b[n], c[n]), x[n]) -> ((a', b', c'), c') {
            param w[n]
            warm = tanh(x)
            a' = w * a + warm
            b' = b + a
            c' = c * warm
        }""").C(3)
    found = types(mapped(cell, 5, [cell.params[0].node]))
    assert found["w"] == "real[members,n]"
    assert found["a"] == found["b"] == "real[B,members,n]"
    assert found["c"] == found["c'"] == found["warm"] == found["x"] == "real[B,n]"


def test_beneath_many_tangents_there_are_values_once() -> None:
    cell = tangent(std().GRU(3, 4))
    found = types(mapped(cell, 5, [given(cell)["d1:W"]]))
    assert found["d1:W"] == "real[members,3,hidden,inputs]"
    assert found["d1:h"] == "real[B,members,hidden]"
    assert (found["W"], found["h"], found["d1:U"]) == (
        "real[3,hidden,inputs]", "real[B,hidden]", "real[3,hidden,hidden]",
    )  # fmt: skip
