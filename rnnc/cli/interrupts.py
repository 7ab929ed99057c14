"""Ctrl-C for a process that is a command: at once while nothing has begun, else an exception.

In: nothing. Out: the handler of SIGINT. While a command starts, an exception is not to be trusted:
Python loses it where the lock of an import is given back, and argparse and modules in C make
another of it. There is nothing to put right yet, so the process ends on the spot.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys
from collections.abc import Iterator
from typing import Any, NoReturn

from .statuses import INTERRUPTED, INTERRUPTED_WORDS


def end_at_once() -> None:
    """End this process at a Ctrl-C, unless whoever started it has it ignore them."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end)
        sys.unraisablehook = _not_lost


@contextlib.contextmanager
def raised() -> Iterator[None]:
    """Within, a Ctrl-C raises KeyboardInterrupt: what has begun is put right on the way out."""
    if signal.getsignal(signal.SIGINT) is not _end:
        yield
        return
    struck: list[int] = []

    def strike(number: int, _frame: object) -> NoReturn:
        struck.append(number)
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, strike)
    try:
        yield
    except Exception:
        if struck:  # which code in C made this exception of
            raise KeyboardInterrupt from None
        raise
    finally:
        signal.signal(signal.SIGINT, _end)


def _end(*_: object) -> NoReturn:
    with contextlib.suppress(OSError):
        os.write(2, f"{INTERRUPTED_WORDS}\n".encode())
    os._exit(INTERRUPTED)


def _not_lost(ignored: Any) -> None:
    """End after all where Python had to ignore the exception, as in a `__del__`.

    Files are whole or absent even where a process is killed.
    """
    if issubclass(ignored.exc_type, KeyboardInterrupt):
        _end()
    sys.__unraisablehook__(ignored)
