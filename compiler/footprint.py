"""Whether a program has room for a product: for what it reads of it at a time, or multiplies.

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
EXACT_SLACK = 1.1  # where threads multiply by themselves: of 1.07 kernels fit, of 1.5 they spilled
# Of a thread's registers, what it multiplies before it sums. With all 128 that threads of 16 warps
# have, convolutions (8 x 8 x 8 in float32, 7 x 8 x 9 in bfloat16) spill, after four seconds.
MULTIPLIED = 0.5


@dataclass(frozen=True, slots=True)
class Product:
    """Of a weight and the rows of a program: how many results for each, of sums how long."""

    results: int  # padded, as a tile has them
    depth: int


def has_room(product: Product, mapping: Mapping, extent: Extent, device: Device) -> bool:
    """Whether a program may hold what it reads of a product at a time, and the sums."""
    if taken_at_a_time(product, mapping, extent) > device.shared:
        return False
    stretch, threads = stretch_of(product.depth, mapping), 32 * mapping.warps
    read = (product.results + mapping.rows) * stretch.elements * extent.itemsize
    sums = product.results * mapping.rows * stretch.parts * WORD
    registers = (read + sums) / WORD / threads
    slack = SLACK if extent.fits_matrix_unit else EXACT_SLACK
    return registers <= slack * _each(threads, device)


def has_registers(pairs: int, warps: int, device: Device) -> bool:
    """Whether threads may hold what they multiply, of a product the matrix unit does not take."""
    threads = 32 * warps
    return pairs <= MULTIPLIED * threads * _each(threads, device)


def _each(threads: int, device: Device) -> int:
    """Registers that a thread can have."""
    return min(device.most_registers, device.registers // threads)


def taken_at_a_time(product: Product, mapping: Mapping, extent: Extent) -> int:
    """Bytes of shared memory: while one stretch is multiplied the next is on its way."""
    stretch = stretch_of(product.depth, mapping)
    turns = min(2, -(-product.depth // stretch.elements))
    return turns * (product.results + mapping.rows) * stretch.elements * extent.itemsize
