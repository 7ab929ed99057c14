"""Views of arrays: what is one is asked of NumPy, and costs no memory."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.lib.stride_tricks import as_strided

from rnnc.compiler.backends import numpy_views
from rnnc.compiler.backends.numpy_views import REFUSES_COPIES, View, sample_of

LONG = 10**6


@pytest.mark.skipif(not REFUSES_COPIES, reason="needs a NumPy that refuses to copy: 2.1")
def test_whether_a_reshape_is_a_copy_is_found_out_without_one() -> None:
    transposed = as_strided(np.empty(1, np.float32), (LONG, LONG), (4, 4 * LONG))  # of 4 TB
    view = View.of("a", "", (0, 1), transposed)
    is_view = view.reshaped((LONG, 10, LONG // 10), (0, 1, 2)) is not None
    is_copy = view.reshaped((LONG * LONG,), (0,)) is None
    assert (is_view, is_copy) == (True, True)


@pytest.mark.parametrize("refuses", sorted({False, REFUSES_COPIES}))
def test_a_reshape_is_a_view_where_axes_lie_behind_each_other(
    refuses: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(numpy_views, "REFUSES_COPIES", refuses)
    view = View.of("a", "", ("B", 0, 1), sample_of(("B", 2, 4)))
    joined = view.reshaped(("B", 8), ("B", 0))
    assert joined is not None
    assert joined.text() == "a.reshape(B, 8)"
    assert view.permuted((0, 2, 1), ("B", 1, 0)).reshaped(("B", 8), ("B", 0)) is None
