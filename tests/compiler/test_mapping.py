"""Mappings and extents as people and caches read them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

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
    ("changes", "is_no_less"),
    [
        ({}, True),
        ({"blocks": 6}, True),
        ({"rows": 32}, True),
        ({"warps": 4}, True),
        ({"unroll": 4, "stages": 3}, True),
        ({"blocks": 24, "rows": 32, "warps": 4}, False),
        ({"rows": 32, "warps": 16}, False),
        ({"rows": 32, "unroll": 1}, False),
        ({"kind": "step"}, False),
        ({"elementwise": True}, False),
    ],
)
def test_a_thread_holds_no_less_of_larger_blocks_more_rows_and_fewer_warps(
    changes: dict[str, Any], is_no_less: bool
) -> None:
    mapping = Mapping("loop", 12, 16, 8, unroll=2)
    assert replace(mapping, **changes).asks_no_less_than(mapping) == is_no_less


@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 63, 64, 255, 256, 10**6])
def test_a_class_of_calls_is_that_of_the_fewest_rows_in_it(rows: int) -> None:
    found = Extent.near(rows, 4)
    assert found.rows <= max(rows, 1)
    assert Extent.near(found.rows, 4) == found
