"""How frameworks lay out the parameters of a cell: the one table, and what follows from it.

In: a matrix or a bias as a framework keeps it. Out: as the standard cell has it; and back.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from ..arrays import Array

# Along the first axis of W, U, b and d: i input, f forget, g cell, o output; r reset, z update,
# n new. An RNN has no such axis.
GATES: Final = {"RNN": "h", "LSTM": "ifgo", "LSTMP": "ifgo", "GRU": "rzn"}
UNGATED: Final = ("P",)  # what an LSTMP multiplies its output by


@dataclass(frozen=True, slots=True)
class Layout:
    """Of one framework: gates stand one after the other, [gates * hidden, ...]."""

    gates: Mapping[str, str]  # by standard cell
    transposed: bool = False  # matrices are [..., gates * hidden]

    def ours(self, cell: str, name: str, array: Array) -> Array:
        """A parameter of this name: [gates * hidden, ...] -> [gates, hidden, ...]."""
        array = array.T if self.transposed else array
        gates, theirs = GATES[cell], self.gates[cell]
        if len(gates) == 1 or name in UNGATED:
            return array
        parts = array.reshape(len(gates), -1, *array.shape[1:])
        return parts[[theirs.index(gate) for gate in gates]]

    def theirs(self, cell: str, name: str, array: Array) -> Array:
        """The inverse of `ours`."""
        gates, theirs = GATES[cell], self.gates[cell]
        if len(gates) > 1 and name not in UNGATED:
            array = array[[gates.index(gate) for gate in theirs]].reshape(-1, *array.shape[2:])
        return array.T if self.transposed else array


TORCH: Final = Layout(GATES)
EQUINOX: Final = Layout(GATES)
KERAS: Final = Layout({**GATES, "GRU": "zrn"}, transposed=True)


def has_two_biases(cell: str) -> bool:
    """Whether the second bias is one of its own: a GRU's reset gate multiplies part of it."""
    return cell == "GRU"
