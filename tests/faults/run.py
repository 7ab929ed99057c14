"""Work in processes of its own: a forked one, or one that runs `python -m tests.faults`."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
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


def forked(work: Callable[[], str]) -> str:
    """What work says in a forked process: its error where it fails, nothing where it hangs."""
    answer, said = os.pipe()
    child = os.fork()
    if not child:
        try:
            signal.signal(signal.SIGALRM, signal.SIG_DFL)
            signal.alarm(SECONDS)
            os.close(answer)
            os.write(said, work().encode())
        except BaseException as error:
            os.write(said, repr(error).encode())
        finally:
            os._exit(0)
    os.close(said)
    with open(answer, encoding="utf-8") as file:
        found = file.read()
    os.waitpid(child, 0)
    return found
