"""Modified cells beside the same cells written by hand."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import rnnc
from rnnc.compiler import library
from rnnc.compiler.ir import Cell
from rnnc.compiler.mode import in_mode
from rnnc.compiler.modifiers import modified
from rnnc.compiler.same import same
from rnnc.runtime.cell import BoundCell
from tests.compiler.hand_built import Numbers
from tests.compiler.run_scans import Outcome

# Arguments that any modifier of a cell with weights W and U takes, by its name.
GIVEN: Mapping[str, tuple[Any, ...]] = {
    "clip_state": (0.5,),
    "residual": (),
    "clip_recurrent_gradient": (0.1,),
    "weight_norm": ("U",),
    "orthogonal": ("U",),
    "skew": ("U",),
    "low_rank": ("W", 2),
    "block_diagonal": ("U", 2),
    "layer_norm": (),
    "rms_norm": (),
    "multiplicative_integration": (),
    "zoneout": (0.3,),
    "recurrent_dropout": (0.3,),
    "update_dropout": (0.3,),
    "drop_connect": ("U", 0.3),
}
HERE = Path(__file__).parent
PLAIN = library.load(HERE / "plain.rnn")
BY_HAND = library.load(HERE / "by_hand.rnn")
SIZE = 4


@dataclass(frozen=True)
class Case:
    """A modifier, the cell it changes, and its arguments, as Python and the language have them."""

    modifier: str
    of: str  # a cell of `plain.rnn`, or a standard one
    written: str = ""
    positional: tuple[Any, ...] = ()
    named: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def sizes(self) -> tuple[int, ...]:
        return (SIZE,) * (1 if self.of in PLAIN else 2)

    @cached_property
    def plain(self) -> Cell:
        return (PLAIN if self.of in PLAIN else library.std())[self.of](*self.sizes)

    @cached_property
    def cell(self) -> Cell:
        return modified(self.plain, self.modifier, self.positional, self.named)

    @cached_property
    def bound(self) -> BoundCell:
        """The same from Python."""
        make = getattr(rnnc.modifiers, self.modifier)
        bound: BoundCell = make(self.plain, *self.positional, **self.named)
        return bound

    @cached_property
    def text(self) -> str:
        """A chain of the modified cell alone, in the language."""
        arguments = ", ".join(["n"] * len(self.sizes))
        more = f", {self.written}" if self.written else ""
        return f"{self.modifier}({self.of}({arguments}){more})"


CASES = {
    "clip_state": Case("clip_state", "Pair", "0.5, c=0.3", (0.5,), {"c": 0.3}),
    "clip_state_of_one": Case("clip_state", "Pair", "c=0.3", (), {"c": 0.3}),
    "residual": Case("residual", "Pair"),
    "clip_recurrent_gradient": Case(
        "clip_recurrent_gradient", "Pair", "h=0.1, c=0.2", (), {"h": 0.1, "c": 0.2}
    ),
    "weight_norm": Case("weight_norm", "Pair", "on=[W, U]", (), {"on": ["W", "U"]}),
    "skew": Case("skew", "Pair", "U", ("U",)),
    "orthogonal": Case("orthogonal", "Pair", "on=U", (), {"on": "U"}),
    "orthogonal_by_cayley": Case(
        "orthogonal", "Pair", "on=U, via=cayley", ("U",), {"via": "cayley"}
    ),
    "orthogonal_of_gates": Case("orthogonal", "LSTM", 'on="U"', ("U",)),
    "low_rank": Case("low_rank", "Pair", "on=[W, U], rank=n / 2", (("W", "U"), 2)),
    "low_rank_of_gates": Case("low_rank", "LSTM", "U, 2", ("U", 2)),
    "block_diagonal": Case(
        "block_diagonal", "Pair", "on=U, blocks=2", (), {"on": "U", "blocks": 2}
    ),
    "block_diagonal_of_gates": Case("block_diagonal", "LSTM", "U, 2", ("U", 2)),
    "layer_norm": Case("layer_norm", "LSTM"),
    "rms_norm": Case("rms_norm", "LSTM"),
    "multiplicative_integration": Case("multiplicative_integration", "LSTM"),
    "multiplicative_integration_of_gates": Case("multiplicative_integration", "GRU"),
    "clip_state_of_a_diagonal": Case("clip_state", "Diagonal", "h=0.5", (), {"h": 0.5}),
    "clip_state_of_complex": Case("clip_state", "Rotating", "s=0.5", (), {"s": 0.5}),
    "weight_norm_of_a_counted": Case("weight_norm", "Counted", "U", ("U",)),
    "zoneout": Case("zoneout", "Pair", "0.5, h=0.1", (0.5,), {"h": 0.1}),
    "zoneout_of_a_diagonal": Case("zoneout", "Diagonal", "h=0.3", (), {"h": 0.3}),
    "zoneout_of_complex": Case("zoneout", "Rotating", "s=0.3", (), {"s": 0.3}),
    "recurrent_dropout": Case("recurrent_dropout", "Pair", "0.3", (0.3,)),
    "recurrent_dropout_of_gates": Case(
        "recurrent_dropout", "LSTM", "p=0.3, per=sequence", (0.3,), {"per": "sequence"}
    ),
    "update_dropout": Case("update_dropout", "Pair", "0.3", (0.3,)),
    "update_dropout_of_gates": Case(
        "update_dropout", "LSTM", "p=0.3, per=sequence", (0.3,), {"per": "sequence"}
    ),
    "update_dropout_of_a_reset": Case("update_dropout", "GRU", "0.3", (0.3,)),
    "update_dropout_of_sums": Case("update_dropout", "Stacked", "0.3", (0.3,)),
    "update_dropout_of_a_doubled": Case("update_dropout", "Doubled", "0.3", (0.3,)),
    "update_dropout_of_complex": Case("update_dropout", "Rotating", "0.3", (0.3,)),
    "drop_connect": Case("drop_connect", "Pair", "on=[U, b], p=0.3", (["U", "b"], 0.3)),
}


def is_the_same(a: Cell, b: Cell) -> bool:
    """Up to their names, and where hidden states stand among the others."""

    def plain(cell: Cell) -> Cell:
        states = tuple(sorted(cell.states, key=lambda state: state.name))
        return replace(cell, name="", settings={}, states=states)

    return same(plain(a), plain(b))


def modes_of(cell: Cell) -> list[Cell]:
    """The cell in training and out of it; itself where it draws nothing."""
    return [in_mode(cell, training=trains) for trains in (True, False)] if cell.beside else [cell]


def trained(cell: Cell) -> Cell:
    """The cell in training, with its draws among its inputs."""
    return modes_of(cell)[0]


def numbers_like(n: Numbers, cell: Cell, other: Cell) -> Numbers:
    """What `other` reads where `cell` reads `n`: their draws and hidden states have other names."""

    def called(group: str) -> dict[str, str]:
        pairs = zip(getattr(cell, group), getattr(other, group), strict=True)
        return {mine.name: theirs.name for mine, theirs in pairs}

    states, inputs = called("states"), called("inputs")
    return replace(
        n,
        carry={states[name]: array for name, array in n.carry.items()},
        d_carry={states[name]: array for name, array in n.d_carry.items()},
        xs={inputs[name]: array for name, array in n.xs.items()},
    )


def outcome_like(outcome: Outcome, cell: Cell, other: Cell) -> Outcome:
    """The outcome of `cell` under the names of `other`."""
    states = {a.name: b.name for a, b in zip(cell.states, other.states, strict=True)}
    inputs = {a.name: b.name for a, b in zip(cell.inputs, other.inputs, strict=True)}
    return replace(
        outcome,
        carry={states[name]: array for name, array in outcome.carry.items()},
        d_carry={states[name]: array for name, array in outcome.d_carry.items()},
        d_xs={inputs[name]: array for name, array in outcome.d_xs.items()},
    )
