"""How the examples say what they are doing, while they do it."""

import sys
from collections.abc import Iterator
from functools import partial
from statistics import fmean

try:
    from tqdm import tqdm
except ImportError:
    raise SystemExit("this takes tqdm: pip install 'rnnc[examples]'") from None

LINE = "{desc} {n_fmt} of {total_fmt}{postfix}, {remaining} left\n"  # of a log


def say(text: str) -> None:
    """Print at once, into a pipe as well."""
    print(text, flush=True)


def progress(what: str, rounds: range, losses: list[float], unit: str) -> Iterator[int]:
    """The rounds, and what those of late have put into the losses.

    A terminal has a bar, which is wiped in the end; a log has a plain line every five seconds.
    """
    bar = partial(tqdm, mininterval=5, bar_format=LINE)
    if sys.stderr.isatty():
        bar = partial(tqdm, leave=False)
    with bar(rounds, what, rounds.stop, initial=rounds.start) as watched:
        for number in watched:
            yield number
            watched.set_postfix_str(f"{fmean(losses[-50:]):.4f} {unit}", refresh=False)
