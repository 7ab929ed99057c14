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


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 63, 64, 255, 256, 10**6])
def test_a_class_of_calls_is_that_of_the_fewest_rows_in_it(rows: int) -> None:
    found = Extent.near(rows, 4)
    assert found.rows <= max(rows, 1)
    assert Extent.near(found.rows, 4) == found
