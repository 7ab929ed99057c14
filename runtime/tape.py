"""What a run leaves for its derivative, and what the derivative gives.

In: nothing. Out: the two values that pass between `Program.forward` and `Program.run_back`.
"""

from __future__ import annotations

from dataclasses import dataclass

from .arrays import AnyArray


@dataclass(frozen=True, slots=True)
class Tape:
    """What `backward` reads of a run: [T, B, ...] arrays by the backward module's names.

    Tapes of one variant and batch size that follow each other in time can be joined along it.
    """

    variant: tuple[str, ...]
    steps: int
    batch: int
    arrays: dict[str, AnyArray]
    varies: bool = False  # whether the parameters that each step ran with are among the arrays

    @property
    def step_bytes(self) -> int:
        """What one step takes."""
        total: int = sum([array.nbytes for array in self.arrays.values()])
        return total // max(1, self.steps)


@dataclass(frozen=True, slots=True)
class Cotangents:
    """What `run_back` returns: of everything that `forward` was given."""

    params: dict[str, AnyArray]  # the trained ones, by path
    carry: dict[str, AnyArray]  # [B, ...] by state name
    inputs: tuple[AnyArray | None, ...]  # [T, B, ...] in the cell's order; None for integers
    placed: dict[str, AnyArray]  # [T, B, ...] by state name; empty where nothing was placed
