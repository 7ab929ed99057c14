"""Kernels of every standard cell compile for sm_80 and sm_90, and none that is taken spills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from rnnc.compiler.library import std
from tests.library.compiled_worker import TARGETS

pytest.importorskip("triton", reason="needs triton")
pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent.parent
AT_ONCE = 17  # cells a process: importing torch takes as long as compiling two
NAMES = sorted(std())
PARTS = [tuple(NAMES[at : at + AT_ONCE]) for at in range(0, len(NAMES), AT_ONCE)]


@cache
def done(names: tuple[str, ...]) -> subprocess.CompletedProcess[str]:
    """What is wrong with the kernels of some cells, as JSON by cell and target."""
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.library.compiled_worker", *names]
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)


# A test for each cell, not for each process: a file of few tests is begun last, and waited for.
@pytest.mark.parametrize("name", NAMES)
def test_kernels_compile_and_nothing_spills_in_a_step(name: str) -> None:
    (names,) = (part for part in PARTS if name in part)
    assert done(names).returncode == 0, done(names).stderr
    faults = json.loads(done(names).stdout)[name]
    assert faults.keys() == set(TARGETS)
    assert not any(faults.values()), faults
