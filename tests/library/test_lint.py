"""Generated Triton modules of every standard cell, at the sizes people use, pass the lint."""

import pytest

from rnnc.compiler.library import std
from rnnc.compiler.passes.boundaries import MASKS
from rnnc.compiler.summary import sample_sizes
from tests.compiler.backends.test_triton_lint import assert_clean

pytest.importorskip("triton", reason="needs triton")
pytestmark = pytest.mark.torch


@pytest.mark.parametrize("name", sorted(std()))
def test_standard_cells_pass(name: str) -> None:
    """With all masks; of the core's cells, those without are linted, too."""
    template = std()[name]
    assert_clean(template(**sample_sizes(template)), MASKS)
