"""The least time that a GPU needs for a recurrent loop: one model, its constants named.

In: a loop's sizes. Out: seconds for each thing that it waits for; the largest is the floor, which
measured times are given as a fraction of. It is a bound for any program, and knows nothing of ours:
how `compiler/choose.py` ranks mappings is another model, from the same device.

    arithmetic   floating point operations / rate of large products
    memory       bytes read and written / bandwidth
    steps        T * (exchange + product + elementwise), one step after the other

Source: the rates are `compiler/device.py`'s, where they are said to come from; formulas ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import Final

from rnnc.compiler.device import H200, Device

LARGE_PRODUCTS: Final = 790e12  # operations a second, 16 bits; a dense product that fills the card
EXACT_PRODUCTS: Final = 50e12  # the same in IEEE float32
FLAG_HOP: Final = 0.65e-6  # seconds: what one program writes, another one sees
ON_CHIP: Final = 200 * 1024  # bytes of weights that one program can keep
CHAIN: Final = 25.0  # cycles until a product of 16 inner elements is there
OVERHEAD: Final = 100.0  # cycles of a step beside products and special functions
ACCUMULATOR: Final = 4.0  # cycles of a multiply and add that the next one waits for
LEAST_ROWS: Final = 8  # of the batch in one product of the matrix unit


@dataclass(frozen=True)
class Loop:
    """What a cell does, as far as its time depends on it.

    A state has `hidden` units in `heads` blocks that do not read each other; `gates` products with
    a weight read it for each unit, and `input_gates` ones read the inputs.
    """

    steps: int
    rows: int
    inputs: int
    hidden: int
    gates: int = 0
    input_gates: int = 0
    heads: int = 1
    special: int = 0  # results of the special-function unit, for a unit
    streams: int = 1  # arrays of [T, B, hidden] read and written beside those of gates
    matrix: int = 0  # rows of a matrix state: each unit has so many elements
    itemsize: int = 2


@dataclass(frozen=True)
class Floor:
    """Seconds for each term, the largest of which is the floor."""

    terms: dict[str, float]

    @property
    def seconds(self) -> float:
        return max(self.terms.values())

    @property
    def bound(self) -> str:
        return max(self.terms, key=lambda name: self.terms[name])


def forward(loop: Loop, device: Device = H200) -> Floor:
    """The least time of a forward pass, the products with inputs included."""
    per_step = loop.gates * loop.hidden * loop.hidden // loop.heads
    per_step += loop.input_gates * loop.hidden * loop.inputs
    return Floor(
        {
            "arithmetic": 2.0 * loop.steps * loop.rows * per_step / _rate(loop),
            "memory": _bytes(loop) / device.bandwidth,
            "steps": loop.steps * _step(loop, loop.hidden // loop.heads, device),
        }
    )


def forward_and_backward(loop: Loop, device: Device = H200) -> Floor:
    """The least time of both passes: three products for each one of the forward pass.

    The backward step's product sums over all gates of a unit instead of over the units.
    """
    once = forward(loop, device)
    inner = max(loop.gates, 1) * (loop.hidden // loop.heads)
    back = loop.steps * _step(loop, inner, device)
    return Floor(
        {
            "arithmetic": 3 * once.terms["arithmetic"],
            "memory": 3
            * once.terms["memory"],  # gates are written, read, and written as cotangents
            "steps": once.terms["steps"] + back,
        }
    )


def _rate(loop: Loop) -> float:
    return LARGE_PRODUCTS if loop.itemsize == 2 else EXACT_PRODUCTS


def _bytes(loop: Loop) -> float:
    """Inputs; pre-activations, which are written once and read once; outputs; weights."""
    elements = loop.inputs if loop.input_gates else 0
    elements += 2 * loop.input_gates * loop.hidden + loop.streams * loop.hidden
    weights = loop.gates * loop.hidden * loop.hidden // loop.heads
    weights += loop.input_gates * loop.hidden * loop.inputs
    return float(loop.itemsize * (loop.steps * loop.rows * elements + weights))


def _step(loop: Loop, inner: int, device: Device) -> float:
    """Seconds of one step, in which everything waits for the step before it."""
    units = loop.hidden // loop.heads
    if loop.matrix:  # two sums over a row, one after the other, among the lanes of a warp
        return (OVERHEAD + 2 * CHAIN) / device.clock
    if not loop.gates:
        return (ACCUMULATOR + (OVERHEAD if loop.special else 0.0)) / device.clock
    weights = loop.gates * units * units * loop.itemsize
    if weights <= ON_CHIP:
        rows = min(loop.rows, LEAST_ROWS)
        return (device.barrier + _compute(loop, units, inner, rows, device)) / device.clock
    return min(_exchanged(loop, inner, device), _replayed(loop, inner, device))


def _compute(loop: Loop, units: float, inner: int, rows: int, device: Device) -> float:
    """Cycles of a program that has some units of some rows."""
    rate = device.multiplies if loop.itemsize == 2 else device.exact_multiplies
    flops = 2.0 * loop.gates * units * loop.hidden / loop.heads * max(rows, LEAST_ROWS)
    product = max(flops / rate, ceil(inner / 16) * CHAIN / 4)  # four chains side by side
    return product + OVERHEAD + loop.special * units * rows / device.special


def _exchanged(loop: Loop, inner: int, device: Device) -> float:
    """Seconds of a step among programs that keep their weights and exchange states."""
    best = float("inf")
    for parts in (1, 2, 4, 8):  # of the batch
        rows = ceil(loop.rows / parts)
        programs = device.processors // parts
        units = loop.hidden / programs
        kept = loop.gates * units * loop.hidden * loop.itemsize
        if kept > ON_CHIP or rows * parts > max(loop.rows, 1) * 2:
            continue
        state = rows * inner * loop.itemsize
        load = device.cache_latency + max(
            state / (device.port * device.clock),
            programs * parts * state / device.cache_bandwidth,
        )
        compute = _compute(loop, units, inner, rows, device) / device.clock
        best = min(best, FLAG_HOP + load + compute)
    return best


def _replayed(loop: Loop, inner: int, device: Device) -> float:
    """Seconds of a step as a kernel of a graph, which reads its weights from the cache."""
    weights = loop.gates * loop.hidden * loop.hidden / loop.heads * loop.itemsize
    flops = 2.0 * loop.gates * loop.hidden * loop.hidden / loop.heads * loop.rows
    return device.node + max(weights / device.cache_bandwidth, flops / _rate(loop))
