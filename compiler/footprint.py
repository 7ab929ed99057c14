"""What a product of weights that lie in memory takes of a processor, at the least.

In: how large it is, and a mapping of a step. Out: registers of a thread and bytes of shared memory;
whether a kernel can have so many. The compiler needs more, and says how much; this spares it what
it could never place, on which it may work for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from .device import Device
from .mapping import MATRIX_UNIT, Extent, Mapping

WORD = 4  # bytes of a register
SLACK = 1.6  # of a thread's registers: weights are read bit by bit; kernels of 1.5 were seen to fit


@dataclass(frozen=True, slots=True)
class Product:
    """Of a weight and the rows of a program: how many results for each, of sums how long."""

    results: int  # padded, as a tile has them
    depth: int


@dataclass(frozen=True, slots=True)
class Stretch:
    """What of a sum is read at a time: `deep` elements of each of `parts` parts."""

    parts: int
    deep: int

    @property
    def elements(self) -> int:
        return self.parts * self.deep


def stretch_of(depth: int, mapping: Mapping) -> Stretch:
    """Into how many parts a sum goes, and how much of each is read at a time."""
    parts = mapping.parts
    while parts > 1 and parts * MATRIX_UNIT > depth:
        parts //= 2
    return Stretch(parts, min(mapping.depth, max(MATRIX_UNIT, _padded(-(-depth // parts)))))


def has_room(product: Product, mapping: Mapping, extent: Extent, device: Device) -> bool:
    """Whether a program may hold what it reads of a product at a time, and the sums."""
    stretch, threads = stretch_of(product.depth, mapping), 32 * mapping.warps
    weights = product.results * stretch.elements * extent.itemsize
    values = mapping.rows * stretch.elements * extent.itemsize
    sums = product.results * mapping.rows * stretch.parts * WORD
    # While one stretch is multiplied the next is on its way. The matrix unit has its weights from
    # registers, which are filled as late as it goes.
    turns = min(2, -(-product.depth // stretch.elements))
    shared = turns * values + (1 if extent.fits_matrix_unit else turns) * weights
    if shared > device.shared:
        return False
    registers = (weights + values + sums) / WORD / threads
    return registers <= SLACK * min(device.most_registers, device.registers // threads)


def _padded(size: int) -> int:
    return 1 << max(size - 1, 0).bit_length()
