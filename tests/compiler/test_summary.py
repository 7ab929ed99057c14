"""Sizes that nets have, for cells that nobody gave any."""

from __future__ import annotations

import pytest

from rnnc.compiler.library import loads
from rnnc.compiler.summary import sample_sizes


@pytest.mark.parametrize(
    ("shape", "sizes"),
    [
        ("[parts, hidden / parts]", {"hidden": 64, "parts": 4}),
        ("[hidden, parts]", {"hidden": 64, "parts": 64}),
    ],
)
def test_what_divides_a_size_is_small_whatever_its_name(shape: str, sizes: dict[str, int]) -> None:
    source = (
        "cell C(hidden, parts): (h[hidden], x[hidden]) -> (h', h') {"
        f" param W{shape}\n h' = sum(sum(W)) * h + x }}"
    )
    assert sample_sizes(loads(source).C) == sizes


def test_the_width_of_all_others_is_given() -> None:
    source = "cell C(n, m = 3): (h[n], x[n]) -> (h', h') { h' = m * h + x }"
    assert sample_sizes(loads(source).C, 16) == {"n": 16}
