"""What a device would launch is compiled without one, and what it could not run is told."""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("triton", reason="needs Triton")

from rnnc.runtime.aot import Report
from rnnc.runtime.backends import is_interpreted
from tests.runtime import gpu_kernels
from tests.runtime.gpu_kernels import LONG, Kernel

pytestmark = pytest.mark.torch
ROOT = Path(__file__).parents[2]
GOOD = Report("step", "sm_90", "float32", registers=40, seconds=LONG / 2)


def test_a_kernel_is_wrong_if_it_cannot_run_or_takes_long() -> None:
    large = replace(GOOD, problem="it needs 9 bytes")
    assert Kernel("a", GOOD).wrong == ""
    assert Kernel("a", large).wrong == "it needs 9 bytes"
    assert Kernel("a", large, is_launched=False).wrong == ""  # others were taken in its place
    slow = Kernel("a", replace(GOOD, seconds=276.0), is_launched=False)
    assert str(slow) == "passed over: a, step: 276 s to compile"


def test_the_kernels_of_a_cell_compile(tmp_path: Path) -> None:
    log = tmp_path / "log.txt"
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = ["tests.runtime.gpu_kernels", "--only", "Dense", "--log", str(log)]
    done = subprocess.run(
        [sys.executable, "-m", *command], cwd=ROOT, env=environment,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    *_, cell, _, end = log.read_text("utf-8").splitlines()
    assert cell.startswith("Dense (4, 5): ") and end.startswith("0 of ")


@pytest.mark.skipif(not is_interpreted(), reason="kernels are compiled here")
def test_where_nothing_can_be_compiled_it_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert gpu_kernels.main([]) == 1
    assert "TRITON_INTERPRET is set" in capsys.readouterr().err
