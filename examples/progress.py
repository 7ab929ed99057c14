"""How the examples say what they are doing, while they do it."""

import sys
import time
from collections.abc import Iterator
from statistics import fmean

WIDTH = 79
PAUSE = 0.2, 5.0  # seconds between two lines: in a terminal, and in a log


def say(text: str) -> None:
    """Print at once, into a pipe as well."""
    print(text, flush=True)


def progress(what: str, rounds: range, losses: list[float], unit: str) -> Iterator[int]:
    """The rounds; on standard error, how many are done and what they have put into the losses.

    A terminal has one line of it, which is rewritten and in the end wiped; a log has plain lines,
    each with the mean of the losses since the one before.
    """
    watched = sys.stderr.isatty()
    begun = said = time.perf_counter()
    old = len(losses)
    for done, number in enumerate(rounds, 1):
        yield number
        now = time.perf_counter()
        if now - said < PAUSE[not watched]:
            continue
        left = (now - begun) * (len(rounds) - done) / done
        line = f"{what} {number + 1} of {rounds.stop}: {fmean(losses[old:]):.4f} {unit}"
        line += f", {left:.0f} s left"
        written = f"\r{line[:WIDTH]:{WIDTH}}" if watched else f"{line}\n"
        print(written, end="", flush=True, file=sys.stderr)
        said, old = now, len(losses)
    if watched:
        print(f"\r{'':{WIDTH}}\r", end="", flush=True, file=sys.stderr)
