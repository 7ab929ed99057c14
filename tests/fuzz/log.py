"""What a long run prints: kept in a file, too, under the command and the versions."""

from __future__ import annotations

import platform
import time
from importlib.metadata import version
from pathlib import Path

import rnnc


class Log:
    """Lines that are printed, and kept."""

    def __init__(self, path: Path | None) -> None:
        self.path = path
        if path is not None:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("", "utf-8")

    def __call__(self, line: str) -> None:
        print(line, flush=True)
        if self.path is not None:
            with self.path.open("a", encoding="utf-8") as file:
                file.write(f"{line}\n")


def versions(*names: str) -> str:
    """The date, and the versions of rnnc, Python and the distributions `names`."""
    found = [f"{name} {version(name)}" for name in names]
    python = f"Python {platform.python_version()}"
    return ", ".join([time.strftime("%Y-%m-%d"), f"rnnc {rnnc.__version__}", python, *found])
