"""A few random programs agree with the oracle in every mapping; `python -m tests.fuzz.mappings`
runs any number of them, and the standard cells in all there is.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from rnnc.compiler import choose
from rnnc.compiler.ops import OPS
from tests.fuzz.every_mapping import products_of_any_size, try_cell, try_seed
from tests.fuzz.mappings import main

pytest.importorskip("triton")
pytestmark = pytest.mark.torch

# Beginning where the long run, whose log is kept, ends.
SEEDS = range(300, 305)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_program_of_the_language(seed: int) -> None:
    tried = try_seed(seed)
    if tried.failures:
        pytest.fail(str(tried), pytrace=False)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_cell_built_node_by_node(seed: int) -> None:
    tried = try_cell(seed)
    if tried.failures:
        pytest.fail(str(tried), pytrace=False)


def test_a_backend_that_computes_something_else_is_noticed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(OPS["tanh"].spell, "triton", "tl.sin({0})")
    log = tmp_path / "log.txt"
    assert main(["--count", "2", "--standard", "none", "--no-reduce", "--log", str(log)]) == 1
    assert log.read_text("utf-8") == capsys.readouterr().out
    assert "d_params" in log.read_text("utf-8")


def test_steps_are_divided_however_small_they_are() -> None:
    usual = choose.LEAST_ROWS
    with products_of_any_size():
        assert choose.LEAST_ROWS == 1
    assert choose.LEAST_ROWS == usual
    assert any("step in blocks" in way for way in try_cell(0).ways)


def test_a_selection_of_standard_cells_is_told_with_its_errors(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["--count", "0", "--standard", "pairs", "--only", "Embedding"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.split()[:3] == ["Embedding", "loop", "bfloat16"] for line in lines)
    assert lines[-1].startswith("0 failed; ")
