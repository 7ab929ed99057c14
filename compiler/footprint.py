"""Whether a program of a step has room for what it reads of a product at a time.

In: how large the product is, and a mapping. Out: no, where what it takes at the least is more than
the shared memory or the registers that there are. The compiler needs more, and says how much; this
spares it what it could never place, on which it may work for minutes.
"""

from __future__ import annotations

from dataclasses import dataclass

from .device import Device
from .mapping import Extent, Mapping, stretch_of

WORD = 4  # bytes of a register
SLACK = 1.6  # of a thread's registers: weights are read bit by bit; kernels of 1.5 were seen to fit


@dataclass(frozen=True, slots=True)
class Product:
    """Of a weight and the rows of a program: how many results for each, of sums how long."""

    results: int  # padded, as a tile has them
    depth: int


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
