"""For backend tests: programs whose blocks are a few steps long."""

from __future__ import annotations

import pytest

from rnnc.compiler.backends import numpy_prelude

FEW = 3


@pytest.fixture
def few_steps(monkeypatch: pytest.MonkeyPatch) -> int:
    """Blocks of so many steps, that a short sequence has several of them."""
    name = "steps_of_a_block"
    text = f"def {name}(B, dtype, numbers, rows):\n    return {FEW}\n"
    monkeypatch.setitem(numpy_prelude.HELPERS, name, (text, ()))
    return FEW
