"""How a loop is spread over a device, and how large the calls are that it is for.

In: nothing. Out: `Mapping`, which a backend reads and the cost model chooses by an `Extent`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeAlias

MATRIX_UNIT = 16  # rows, columns and depth of a product that it takes at least
SPLITTING = 16  # parts that a tile is split into, or joined from, pair by pair, at most

Kind: TypeAlias = Literal["loop", "step", "staged", "scan", "alternating"]


@dataclass(frozen=True, slots=True)
class Mapping:
    """One way to run a loop.

    `loop`         one launch; each program runs all steps of some rows (and of one block), the
                   state on chip: blocks never talk
    `step`         a launch for each step; blocks read each other's states from memory
    `staged`       a launch for each stage of a step: products read what an earlier one computed
    `scan`         chunks of steps at once, for states that are linear and diagonal, or such pairs,
                   or running maxima, given the input and the states before them
    `alternating`  products by the library and elementwise kernels in turns, step by step: runs
                   every cell
    """

    kind: Kind
    blocks: int = 1  # into which an axis of the state is divided
    rows: int = 16  # of the batch, for each program
    warps: int = 4
    # Turns whose loads are under way at a time: of the time loop, or in a launch of one step of the
    # loop of a product that reads its weights from memory.
    stages: int = 2
    unroll: int = 1  # steps in a turn of the time loop
    parts: int = 1  # of the sum of such a product
    depth: int = 64  # elements of each part of that sum that are read at a time
    narrow: bool = False  # elements in memory have 16 bits: what products read is rounded there
    elementwise: bool = False  # products: by all threads, weights in registers, not as matrices

    def asks_no_less_than(self, other: Mapping) -> bool:
        """Whether a thread has no less to hold: as large a block, as many rows, steps, or more."""
        return (
            (self.kind, self.elementwise) == (other.kind, other.elementwise)
            and self.blocks <= other.blocks
            and self.rows >= other.rows
            and self.warps <= other.warps
            and self.unroll >= other.unroll
        )

    def __str__(self) -> str:
        if self.kind in ("scan", "alternating"):
            return self.kind
        parts = [f"{self.blocks} blocks"] if self.blocks > 1 else []
        parts += [_counted(self.rows, "row"), _counted(self.warps, "warp")]
        parts += [_counted(self.stages, "stage")]
        parts += [f"{self.unroll} steps a turn"] if self.unroll > 1 else []
        parts += [f"{self.parts} parts"] if self.parts > 1 else []
        parts += ["elementwise"] if self.elementwise else []
        return f"{self.kind}: {', '.join(parts)}"


@dataclass(frozen=True, slots=True)
class Stretch:
    """What of a long sum a step reads at a time: `deep` elements of each of `parts` parts."""

    parts: int
    deep: int

    @property
    def elements(self) -> int:
        return self.parts * self.deep


def stretch_of(depth: int, mapping: Mapping) -> Stretch:
    """Of a sum so long, whose weights and values lie in memory."""
    parts = mapping.parts
    while parts > 1 and parts * MATRIX_UNIT > depth:
        parts //= 2
    return Stretch(parts, min(mapping.depth, max(MATRIX_UNIT, padded(-(-depth // parts)))))


def padded(extent: int) -> int:
    """The power of two at or above an axis's size: the extent of a tile that holds it."""
    return 1 << max(int(extent) - 1, 0).bit_length()


def join_in_pairs(counts: Sequence[int]) -> bool:
    """Whether parts of these sizes are joined pair by pair: they are alike, round and few."""
    alike = len(set(counts)) == 1 and counts[0] == padded(counts[0])
    return alike and len(counts) <= SPLITTING


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


GRAPHED: Final = ("step", "staged", "alternating")  # kinds whose steps are launched one by one
# Of these, steps that a graph has; even, so that states that change places are where they were.
# Calls of so many steps that the graph is not replayed twice have none.
CAPTURED: Final = 16

ALTERNATING = Mapping("alternating")
SCAN = Mapping("scan")


@dataclass(frozen=True, slots=True)
class Extent:
    """How large a call is: what the choice may depend on."""

    steps: int = 512
    rows: int = 16
    itemsize: int = 4  # bytes of an element in memory
    fast: bool = False  # products of float32 may be rounded to TF32

    @property
    def is_narrow(self) -> bool:
        """Whether elements have 16 bits."""
        return self.itemsize == 2

    @property
    def fits_matrix_unit(self) -> bool:
        """Whether that unit takes its numbers: those of IEEE float32 it does not."""
        return self.is_narrow or (self.fast and self.itemsize == 4)

    @staticmethod
    def near(rows: int, itemsize: int) -> Extent:
        """The class a call belongs to, whatever its steps: calls of one class share kernels."""
        classes = (1, 16, 64, 128, 256)
        return Extent(rows=max(c for c in classes if c <= max(rows, 1)), itemsize=itemsize)
