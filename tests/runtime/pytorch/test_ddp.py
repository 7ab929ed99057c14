"""Data parallelism of PyTorch's own, DDP and FSDP: two processes give the gradients of one."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("torch", reason="needs torch")
from torch import distributed

from tests.runtime.pytorch.versions import sharding

pytestmark = [
    pytest.mark.torch,
    pytest.mark.skipif(not distributed.is_gloo_available(), reason="this torch has no gloo"),
]
ROOT = Path(__file__).parents[3]


def torchrun(script: Path, *arguments: str) -> str:
    """What two processes print."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    paths = os.pathsep.join([str(ROOT), *sys.path])
    done = subprocess.run(
        [*command, str(script), *arguments],
        cwd=ROOT, env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": paths}, timeout=600,
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize("parameters", ["copied", pytest.param("sharded", marks=sharding)])
def test_two_processes_have_the_gradients_of_one(parameters: str) -> None:
    printed = torchrun(Path(__file__).with_name("ddp_worker.py"), parameters)
    assert sorted(re.findall(rf"(\d) of 2, {parameters}: ", printed)) == ["0", "1"]


def test_the_example_keeps_all_processes_alike() -> None:
    printed = torchrun(ROOT / "examples" / "04_ddp.py", "--updates", "5", "--hidden", "4")
    sums = re.findall(r"process \d of 2: parameters add up to (-?[\d.]+)", printed)
    assert len(sums) == 2 and sums[0] == sums[1]
