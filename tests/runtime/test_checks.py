"""How messages show things."""

from __future__ import annotations

import numpy as np
import pytest

from rnnc.runtime.checks import a_type, in_bytes


@pytest.mark.parametrize(
    ("value", "shown"), [(1, "an int"), ([], "a list"), (np.ones(1), "an ndarray")]
)
def test_types_have_their_article(value: object, shown: str) -> None:
    assert a_type(value) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 bytes"),
        (1023, "1,023 bytes"),
        (1024, "1 KiB"),
        (18 << 20, "18 MiB"),
        (2_500_000, "2.38 MiB"),
        (1 << 30, "1 GiB"),
    ],
)
def test_bytes_are_shown_in_a_unit_of_which_there_is_one(count: int, shown: str) -> None:
    assert in_bytes(count) == shown
