"""What the command lines of the examples share: every option says its default, and is checked."""

import argparse
import math
import os
from pathlib import Path
from typing import NoReturn


class Parser(argparse.ArgumentParser):
    """A parser that answers what is wrong in one line, before anything is trained or written."""

    def __init__(self, description: str | None) -> None:
        super().__init__(
            description=description, allow_abbrev=False,
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: error: {message}; --help shows what there is\n")

    def add(
        self, flag: str, default: float, help: str, least: int = 1, most: int | None = None
    ) -> None:
        """An integer from `least` on; any number above 0 where the default has a point."""
        help += " (default: %(default)s)"
        if isinstance(default, float):
            self.add_argument(flag, type=_positive, default=default, help=help, metavar="X")
            return

        def count(text: str) -> int:
            if not text.isdecimal() or not least <= int(text) <= (most or 2**31 - 1):
                end = f"to {most}" if most else "on"
                raise argparse.ArgumentTypeError(f"{text!r} is no integer from {least} {end}")
            return int(text)

        self.add_argument(flag, type=count, default=default, help=help, metavar="N")

    def add_plot(self, default: str) -> None:
        """Where a picture is to be written."""
        text = "where the picture goes (default: %(default)s)"
        self.add_argument("--plot", type=_picture, default=Path(default), help=text, metavar="FILE")


def _positive(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 < number < math.inf:
        raise argparse.ArgumentTypeError(f"{text!r} is no number above 0")
    return number


def _picture(text: str) -> Path:
    from matplotlib.backend_bases import FigureCanvasBase

    path, kinds = writable(text), FigureCanvasBase.filetypes
    if path.suffix.removeprefix(".").lower() not in kinds:
        raise argparse.ArgumentTypeError(f"{text!r} ends in none of {', '.join(sorted(kinds))}")
    return path


def writable(text: str) -> Path:
    """A file that can be written, once there is something to write."""
    path = Path(text)
    if path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r} is a folder")
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r} cannot be written")
    return path
