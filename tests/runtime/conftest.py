"""The runtime's tests on more than one kind of array."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Iterator
from typing import Any, TypeAlias

import numpy as np
import pytest

import rnnc
from tests.runtime.stand_in import compile_standing_in

Like: TypeAlias = Callable[[Any], Any]

NEEDS = [name for name in ("torch", "triton") if importlib.util.find_spec(name) is None]


@pytest.fixture
def stand_in(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nets are on the Triton backend, for which NumPy's programs stand in."""
    if NEEDS:
        pytest.skip(f"needs {' and '.join(NEEDS)}")
    monkeypatch.setattr("rnnc.runtime.variants.compile_cell", compile_standing_in)
    # On the CPU, whatever the machine has.
    monkeypatch.setattr("rnnc.runtime.backends.is_interpreted", lambda: True)
    with rnnc.options(backend="triton"):
        yield


@pytest.fixture(params=["numpy", pytest.param("tensors", marks=pytest.mark.torch)])
def each_library(request: pytest.FixtureRequest) -> str:
    """What nets promise holds for both kinds of arrays that they keep."""
    if request.param == "tensors":
        request.getfixturevalue("stand_in")
    library: str = request.param
    return library


@pytest.fixture(params=["numpy", pytest.param("tensors", marks=pytest.mark.torch)])
def like(request: pytest.FixtureRequest) -> Like:
    """Makes an array, or a tensor, of an array."""
    if request.param == "numpy":
        return np.asarray
    import torch

    return lambda array: torch.tensor(np.asarray(array))
