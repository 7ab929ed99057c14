"""What the compiler shows of its work: lines on standard error, and files in a folder.

In: what each pass leaves behind, and the source at the end. Out: nothing, unless `RNNC_DEBUG` or
`RNNC_DUMP` asks for it.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from . import knobs
from .ir import Plan, Scans
from .text import show, show_plan

SHOWN = 4  # mappings of those there are


class Trace:
    """One compilation: a cell, for one goal."""

    def __init__(self, cell: str, goal: str) -> None:
        """Begin.

        Args:
            cell: its name.
            goal: what distinguishes this compilation from others of the cell: "starts".
        """
        self.options = knobs.current()
        self.title = f"{cell} ({goal})" if goal else cell
        self.folder: Path | None = None
        if self.options.dump is not None:
            words = re.findall(r"\w+", f"{cell} {goal}")
            self.folder = self.options.dump / "-".join(words)
        self._number = 0
        self._seconds = 0.0

    def stage(self, name: str, value: Any, seconds: float) -> None:
        """A pass has run."""
        self._number += 1
        self._seconds += seconds
        if self.options.debug >= 3:
            say(f"{self._number:02} {name:<14} {1e3 * seconds:7.2f} ms  {_summary(value)}")
        if self.options.debug >= 5:
            say(stage_text(value))
        self._write(f"{self._number:02}-{name}.ir", lambda: stage_text(value))

    def source(self, name: str, source: str) -> None:
        """The module `name` ("forward", "backward") is written."""
        if self.options.debug >= 4:
            say(f"{name} of {self.title}\n{source}")
        self._write(f"{name}.py", lambda: source)

    def choice(self, name: str, options: Sequence[object]) -> None:
        """The module `name` has the first of these mappings."""
        if self.options.debug >= 3:
            for rank, option in enumerate(options[:SHOWN]):
                say(f"{name}: {'takes' if rank == 0 else 'not'} {option}")

    def done(self) -> None:
        """Everything is compiled."""
        if self.options.debug >= 1:
            say(f"compiled {self.title}: {1e3 * self._seconds:.1f} ms in {self._number} passes")

    def _write(self, name: str, text: Any) -> None:
        if self.folder is None:
            return
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / name).write_text(text(), encoding="utf-8")
        except OSError as error:
            reason = error.strerror or error
            raise knobs.OptionError(f"dump: {self.folder} cannot be written: {reason}") from None


def say(text: str) -> None:
    """One message of `RNNC_DEBUG`."""
    print(f"rnnc: {text}", file=sys.stderr)


def stage_text(value: Any) -> str:
    """What a pass left behind, as text: scans, or the plans that `schedule` makes of them."""
    if isinstance(value, tuple):
        return "\n".join(show_plan(plan) for plan in value if isinstance(plan, Plan))
    return show(value)


def _summary(value: Any) -> str:
    scans = value[0] if isinstance(value, tuple) else value
    if not isinstance(scans, Scans):
        return ""
    parts = [f"forward {len(list(scans.forward))} nodes"]
    if scans.backward is not None:
        parts.append(f"backward {len(list(scans.backward))}")
    if scans.saved:
        parts.append(f"saves {len(scans.saved)}")
    return ", ".join(parts)
