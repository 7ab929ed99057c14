"""Mappings and extents as people and caches read them."""

from __future__ import annotations

import pytest

from rnnc.compiler.mapping import ALTERNATING, SCAN, Extent, Mapping


@pytest.mark.parametrize(
    ("mapping", "text"),
    [
        (ALTERNATING, "alternating"),
        (SCAN, "scan"),
        (Mapping("loop"), "loop: 16 rows, 4 warps, 2 stages"),
        (Mapping("step", 12, 16, 8, 1), "step: 12 blocks, 16 rows, 8 warps, 1 stage"),
    ],
)
def test_a_mapping_says_what_matters_of_it(mapping: Mapping, text: str) -> None:
    assert str(mapping) == text


@pytest.mark.parametrize(
    ("other", "is_no_less"),
    [
        (Mapping("step", 12, 16, 8), True),
        (Mapping("step", 6, 16, 8), True),
        (Mapping("step", 12, 32, 8), True),
        (Mapping("step", 12, 16, 4), True),
        (Mapping("step", 24, 32, 4), False),  # smaller blocks, of more rows
        (Mapping("step", 12, 32, 16), False),
        (Mapping("loop", 12, 16, 8), False),
        (Mapping("step", 12, 16, 8, elementwise=True), False),
    ],
)
def test_a_thread_holds_no_less_of_larger_blocks_more_rows_and_fewer_warps(
    other: Mapping, is_no_less: bool
) -> None:
    assert other.asks_no_less_than(Mapping("step", 12, 16, 8, stages=3)) == is_no_less


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 63, 64, 255, 256, 10**6])
def test_a_class_of_calls_is_that_of_the_fewest_rows_in_it(rows: int) -> None:
    found = Extent.near(rows, 4)
    assert found.rows <= max(rows, 1)
    assert Extent.near(found.rows, 4) == found
