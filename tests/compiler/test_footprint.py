"""What a step cannot hold is not offered: figures are of kernels that were compiled for sm_90."""

from __future__ import annotations

import pytest

import rnnc
from rnnc.compiler.device import H200
from rnnc.compiler.footprint import Product, has_registers, has_room
from rnnc.compiler.mapping import Extent, Mapping, Stretch, padded, stretch_of
from rnnc.compiler.pipeline import Goal, compile_cell

STEP = Mapping("step", 64, rows=16, stages=3, parts=4)
NARROW, WIDE, FAST = Extent(itemsize=2), Extent(itemsize=4), Extent(itemsize=4, fast=True)


@pytest.mark.parametrize(
    ("depth", "parts", "wanted"),
    [(2048, 4, Stretch(4, 64)), (100, 4, Stretch(4, 32)), (40, 4, Stretch(2, 32)),
     (5, 4, Stretch(1, 16)), (300, 8, Stretch(8, 64))],
)  # fmt: skip
def test_a_sum_is_read_in_stretches_of_its_parts(depth: int, parts: int, wanted: Stretch) -> None:
    assert stretch_of(depth, Mapping("step", parts=parts)) == wanted


@pytest.mark.parametrize(
    ("product", "mapping", "extent", "has"),
    [
        # GRU 2048: 81,920 bytes of shared memory; 327,680; 160 registers; 7,008 bytes spilled.
        (Product(32, 2048), Mapping("step", rows=64, warps=4, parts=4), NARROW, True),
        (Product(32, 2048), Mapping("step", rows=64, warps=16, parts=16), NARROW, False),
        (Product(64, 2048), Mapping("step", rows=32, warps=4, parts=4), NARROW, True),
        (Product(256, 2048), Mapping("step", rows=32, warps=4, parts=4), NARROW, False),
        # Float32, threads multiply by themselves. LSTM 300: 65,536 bytes; 557,056, after 33 s.
        (Product(16, 300), Mapping("step", rows=16, warps=4, parts=8), WIDE, True),
        (Product(256, 300), Mapping("step", rows=16, warps=4, parts=8), WIDE, False),
        # 64 elements at a time: LSTMP 512 spilled 992 bytes, after 3.3 s; 32: 254 registers. So
        # LSTMP 512 of 256 outputs in 8 warps: 255 registers.
        (Product(64, 512), Mapping("staged", rows=16, warps=4, parts=8), WIDE, False),
        (Product(64, 512), Mapping("staged", rows=16, warps=4, parts=8, depth=32), WIDE, True),
        (Product(128, 256), Mapping("staged", rows=16, warps=8, parts=16, depth=32), WIDE, True),
        (Product(64, 512), Mapping("staged", rows=16, warps=4, parts=8), FAST, True),
    ],
)
def test_what_is_read_at_a_time_has_room_or_not(
    product: Product, mapping: Mapping, extent: Extent, has: bool
) -> None:
    assert has_room(product, mapping, extent, H200) is has


def test_what_threads_multiply_leaves_half_of_their_registers_free() -> None:
    """DeltaNet 128 x 128, which fits; a convolution of 8 x 8 x 8, which spills; both of a row."""
    assert has_registers(128 * 128, 8, H200)
    assert not any(has_registers(8 * 128 * 64, warps, H200) for warps in (4, 8, 16))


@pytest.mark.parametrize("hidden", [100, 168, 200, 300])
def test_sizes_that_no_power_of_two_divides_have_blocks_that_nearly_fill_a_tile(
    hidden: int,
) -> None:
    for name in ("LSTM", "GRU"):
        cell = rnnc.cells[name](24, hidden).cell
        goal = Goal(record=True, backend="triton", extent=Extent.near(64, 4))
        _, options = compile_cell(cell, goal).choices
        parts = [hidden // o.mapping.blocks for o in options if o.mapping.kind == "staged"]
        assert any(0.75 <= part / padded(part) for part in parts)
