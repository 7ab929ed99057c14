"""How far long work is: a bar on standard error, for a person who watches.

In: what is gone through, one by one. Out: the same. There is a bar where standard error is a
terminal and `tqdm` is installed, which the extra `examples` brings.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Thing = TypeVar("Thing")


def followed(what: str, wait: float = 0.5) -> Callable[[Sequence[Thing]], Iterator[Thing]]:
    """A function that gives the elements of a sequence, with a bar that counts them.

    Args:
        what: the elements, in a word: the bar's label.
        wait: seconds; work that is done by then shows no bar.
    """

    def follow(things: Sequence[Thing]) -> Iterator[Thing]:
        if len(things) < 2 or not sys.stderr.isatty():
            return iter(things)
        try:
            from tqdm import tqdm
        except ImportError:
            return iter(things)
        return iter(tqdm(things, what, leave=False, file=sys.stderr, delay=wait))

    return follow
