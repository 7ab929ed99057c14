"""A row of the table, ready to run: the cell, the entry, and numbers under the names of both.

The catalogue's numbers are drawn, and ours are what the row makes of them: in parameters, states
and inputs alike. What the entry computes of its numbers is what the cell has to compute of ours.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

import rnnc
from rnnc.compiler import oracle
from rnnc.compiler.ir import Cell, State
from rnnc.compiler.oracle import Masks
from rnnc.runtime.program import Program
from tests.catalogue.entry import Entry, entries
from tests.catalogue.evaluate import evaluate
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import NO_MASKS, Outcome, by_oracle
from tests.compiler.test_catalogue import PERIODS, POSITIVE, sizes_of
from tests.library.table import LETTERS, TABLE, Row
from tests.runtime.run_program import by_program, rounded
from tests.tolerance import FLOAT32, Bound, adaptive_bound, assert_within, excesses, larger

Array = npt.NDArray[Any]
Arrays = Mapping[str, Array]

STEPS, ROWS = 5, 2
ENTRIES = {entry.id: entry for entry in entries()}


def _parts(array: Array, *order: int, axis: int = 0) -> Array:
    """An axis as a stack of as many parts as are named, in this order."""
    parts = np.split(array, len(order), axis)
    return np.stack([parts[part] for part in order], axis)


FUNCTIONS: Mapping[str, Any] = {
    "T": lambda array: np.swapaxes(array, -1, -2), "log": np.log, "parts": _parts,
    "re": np.real, "im": np.imag, "sqrt": np.sqrt, "concat": lambda *arrays: np.concatenate(arrays),
    "stack": lambda *arrays, axis=0: np.stack(arrays, axis), "swapaxes": np.swapaxes,
}  # fmt: skip


@dataclass(frozen=True)
class Narrow:
    """Numbers of float32, what they give in float64, and by a plain evaluation in float32."""

    numbers: Numbers
    wanted: Outcome
    plain: Outcome

    @property
    def bound(self) -> Bound:
        """Of kernels, whose sums are taken in other orders: the wider one."""
        return larger(FLOAT32, adaptive_bound(self.plain, self.wanted))

    def assert_met_by(self, found: Outcome) -> None:
        """The bounds of float32 hold, where they hold of a plain evaluation, which sets others."""
        __tracebackhide__ = True
        assert_within(found, self.wanted, adaptive_bound(self.plain, self.wanted))
        if not excesses(self.plain, self.wanted, FLOAT32):  # sums of what cancels
            assert_within(found, self.wanted, FLOAT32)


@dataclass(frozen=True)
class Subject:
    """One row, at the sizes of the suite or at wider ones."""

    row: Row
    wider: Mapping[str, int] = field(default_factory=dict)  # by the catalogue's letter
    steps: int = STEPS
    rows: int = ROWS

    def __str__(self) -> str:
        return str(self.row)

    @cached_property
    def entry(self) -> Entry:
        """The row's entry, with the lines that the row has others for."""
        entry = ENTRIES[self.row.id]
        lines = entry.equations.split("\n")
        assert set(self.row.says) <= set(lines), "the entry has no such line"
        return replace(entry, equations="\n".join(self.row.says.get(line, line) for line in lines))

    @cached_property
    def sizes(self) -> Mapping[str, int]:
        """By the catalogue's letter; an input that has to be as wide as the state has no I."""
        sizes = sizes_of(self.entry)
        sizes |= {letter: size for letter, size in self.wider.items() if letter in sizes}
        return {"I": sizes["H"]} | sizes if "H" in sizes else sizes

    @cached_property
    def settings(self) -> Mapping[str, Any]:
        """Of the cell: its sizes and options by name."""
        names = [setting.name for setting in rnnc.cells[self.row.cell].template.settings]
        found = {n: self.sizes[LETTERS[n]] for n in names if LETTERS.get(n) in self.sizes}
        given = self.row.settings
        return found | {n: self.sizes.get(str(value), value) for n, value in given.items()}

    @cached_property
    def cell(self) -> Cell:
        cell: Cell = rnnc.cells[self.row.cell](**self.settings).cell
        return cell

    @cached_property
    def drawn(self) -> Arrays:
        """Moderate numbers for all that the entry reads, positive where it asks for that."""
        entry, draws, values = self.entry, np.random.default_rng(self.row.id), {}
        spread = 0.5 if not self.wider else 0.2  # lest wide products amplify
        leading: dict[Any, tuple[int, ...]] = dict.fromkeys(entry.states, (self.rows,))
        leading |= dict.fromkeys(entry.inputs, (self.steps, self.rows))
        for tensor in (*entry.params, *entry.const_tensors, *entry.states, *entry.inputs):
            shape = (*leading.get(tensor, ()), *tensor.shape(self.sizes))
            positive = tensor.mark == "+" or POSITIVE.get(entry.id) == tensor.name
            values[tensor.name] = (
                draws.uniform(0.5, 1.5, shape) if positive else draws.normal(0.0, spread, shape)
            )
            if PERIODS.get(entry.id) == tensor.name:
                values[tensor.name] = draws.integers(1, 4, shape).astype(float)
            if tensor.mark == "c":
                values[tensor.name] = values[tensor.name] + 1j * draws.normal(0.0, spread, shape)
        return values

    @cached_property
    def program(self) -> Program:
        return rnnc.compile(self.cell, "numpy", "float64")

    @cached_property
    def found(self) -> Outcome:
        """What the program makes of the numbers."""
        return by_program(self.program, self.numbers())

    @cached_property
    def narrow(self) -> Narrow:
        """The numbers as float32 has them, and what comes of them."""
        cell, n = self.cell, rounded(self.numbers())
        return Narrow(n, by_oracle(cell, n), plainly(cell, n))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Of all that the cell reads."""
        names = [param.name for param in self.cell.params] + [state.name for state in self.states]
        return (*names, *(x.name for x in self.cell.inputs))

    @cached_property
    def states(self) -> tuple[State, ...]:
        """Those of the header, and what `delay` keeps where the row has a name for it.

        Of all else that the compiler adds nothing is asked, and it starts at 0.
        """
        takes = self.row.takes
        return tuple(s for s in self.cell.states if not s.hidden or s.name in takes)

    def without(self, outputs: Sequence[str]) -> Outcome:
        """What the program makes of the numbers where these outputs are not used."""
        n = self.numbers()
        unused = {name: np.zeros_like(n.d_ys[name]) for name in outputs}
        return by_program(self.program, replace(n, d_ys=n.d_ys | unused))

    def ours(self, name: str, drawn: Arrays) -> Array:
        """What the catalogue's numbers are under one of the cell's names."""
        whole, _, part = name.rpartition(".")
        if part in ("re", "im") and name not in self.row.takes:
            text = f"{part}({self.row.takes.get(whole, whole)})"
        else:
            text = self.row.takes.get(name, name)
        value = eval(text, {"__builtins__": {}}, {**FUNCTIONS, **self.sizes, **drawn})
        return np.asarray(value)

    def numbers(self, drawn: Arrays | None = None) -> Numbers:
        """The catalogue's numbers under the cell's names, and cotangents."""
        cell, given = self.cell, self.drawn if drawn is None else drawn
        draws = np.random.default_rng(1000 + self.row.id)

        def like(array: Array) -> Array:
            return draws.standard_normal(array.shape)

        params, carry, xs = (
            {part.name: self.ours(part.name, given) for part in parts}
            for parts in (cell.params, self.states, cell.inputs)
        )
        shapes = {y.name: (self.steps, self.rows, *y.node.type.shape) for y in cell.outputs}
        d_ys = {name: draws.standard_normal(shape) for name, shape in shapes.items()}
        d_carry = {name: like(a) for name, a in carry.items()}
        hidden = {
            s.name: np.zeros((self.rows, *s.node.type.shape))
            for s in cell.states
            if s.name not in carry
        }
        return Numbers(params, carry | hidden, xs, d_ys, d_carry | hidden)

    def evaluate(self, drawn: Arrays | None = None) -> tuple[Arrays, Array]:
        """The entry's last states by our names, and its outputs, in float64, row by row."""
        entry, given = self.entry, self.drawn if drawn is None else drawn
        carries, ys = [], []
        for row in range(self.rows):
            tensors = {t.name: given[t.name] for t in (*entry.params, *entry.const_tensors)}
            carry = {state.name: given[state.name][row] for state in entry.states}
            xs = [given[x.name][:, row] for x in entry.inputs]
            last, outputs = evaluate(entry, sizes_of(entry), tensors, carry, xs)
            carries.append(last)
            ys.append(outputs)
        last = {s.name: np.stack([carry[s.name] for carry in carries]) for s in entry.states}
        carry = {state.name: self.ours(state.name, last) for state in self.states}
        return carry, np.stack(ys, axis=1)


def plainly(cell: Cell, n: Numbers, masks: Masks = NO_MASKS) -> Outcome:
    """What an unfused evaluation in float32 gives."""
    carry, ys = oracle.run(cell, n.params, n.carry, n.xs, masks, np.float32)
    g = oracle.gradients(cell, n.params, n.carry, n.xs, n.d_ys, n.d_carry, masks, np.float32)
    return Outcome(carry, ys, g.params, g.carry, g.inputs)


SUBJECTS = tuple(Subject(row) for row in TABLE)
