"""A kind of fault in a process of its own, as `python -m tests.faults` runs it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parent.parent.parent
SECONDS: Final = 120  # before a process counts as hanging


def run_apart(kind: str, *, count: int, seed: int = 0) -> str:
    """What the command printed; fails where it found something."""
    command = [sys.executable, "-W", "error", "-m", "tests.faults", kind]
    done = subprocess.run(
        [*command, f"--count={count}", f"--seed={seed}"],
        cwd=ROOT, env={**os.environ, "RNNC_BACKEND": "numpy"}, capture_output=True, text=True,
        timeout=SECONDS,
    )  # fmt: skip
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    return done.stdout
