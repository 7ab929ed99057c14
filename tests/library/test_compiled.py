"""Kernels of every standard cell compile for sm_80 and sm_90, and none that is taken spills."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from rnnc.compiler.library import std
from tests.library.compiled_worker import TARGETS

pytest.importorskip("triton", reason="needs triton")
pytestmark = pytest.mark.torch

ROOT = Path(__file__).parent.parent.parent
AT_ONCE = 9  # cells a process: importing torch takes as long as compiling two
NAMES = sorted(std())
PARTS = [NAMES[at : at + AT_ONCE] for at in range(0, len(NAMES), AT_ONCE)]


@pytest.mark.parametrize("names", PARTS, ids=lambda names: f"{names[0]} to {names[-1]}")
def test_kernels_compile_and_nothing_spills_in_a_step(names: list[str]) -> None:
    environment = {k: v for k, v in os.environ.items() if k != "TRITON_INTERPRET"}
    command = [sys.executable, "-m", "tests.library.compiled_worker", *names]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.keys() == set(names)
    assert all(targets.keys() == set(TARGETS) for targets in found.values())
    assert not (wrong := {n: each for n, each in found.items() if any(each.values())}), wrong
