"""One call of the command line.

In: arguments. Out: an exit status; results on standard output, diagnostics on standard error.
What only one command needs is imported when it runs.
"""

from __future__ import annotations

import contextlib
import io
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module

from ..grammar.problems import Error
from .environment import check_variables, wants_traceback
from .errors import InternalError, UsageError
from .interrupts import raised
from .parser import parse
from .printing import out_json, report, report_as_data
from .statuses import BROKEN, FINE, MISUSED, PIPE_CLOSED, WRONG


def call(arguments: Sequence[str]) -> int:
    """Run one command.

    Args:
        arguments: without the program's name.
    Returns:
        The exit status.
    Raises:
        KeyboardInterrupt: Ctrl-C.
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may lack signs of a source
    if sys.stderr is None:  # as Python has a stream that was closed before it started
        sys.stderr = open(os.devnull, "w")
    if sys.stdout is None:
        print("rnnc: standard output is closed", file=sys.stderr)
        return PIPE_CLOSED
    try:
        status = _status(arguments)
        sys.stdout.flush()
        return status
    except OSError as error:
        if not isinstance(error, BrokenPipeError):
            with contextlib.suppress(OSError):
                print(f"rnnc: cannot write: {error.strerror or error}", file=sys.stderr)
        # Python would flush standard output once more when it ends, and complain.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return PIPE_CLOSED


def _status(arguments: Sequence[str]) -> int:
    """Run one command.

    Raises:
        OSError: standard output or standard error cannot be written.
    """
    as_json = "--json" in arguments
    try:
        return _run(arguments)
    except SystemExit:  # argparse: --help or --version
        return FINE
    except UsageError as error:
        _answer(error, error, as_json=as_json)
        return MISUSED
    except Error as error:
        _answer(error, error, as_json=as_json)
        return WRONG
    except MemoryError as error:
        from ..runtime.errors import OutOfMemoryError

        told = OutOfMemoryError(f"there is not enough memory: {error}")
        _answer(told, error, as_json=as_json)
        return WRONG
    except Exception as error:
        if isinstance(error, OSError) and error.filename is None:
            raise  # no file failed, but a stream that was open already
        _answer(InternalError.of(error), error, as_json=as_json)
        return BROKEN


def _answer(error: Error, cause: Exception, *, as_json: bool) -> None:
    """Say what went wrong, where the command's results would have been if those are data."""
    if as_json:
        out_json({"ok": False, "problems": report_as_data(error)})
    else:
        report(error)
    if wants_traceback():
        import traceback

        traceback.print_exception(cause)


def _run(arguments: Sequence[str]) -> int:
    given = parse(arguments)
    module, _, function = given.pop("command").partition(":")
    if module != "doctor":  # which says what is wrong with them
        check_variables()
    if "settings" in given:
        from .settings import read_settings

        given["settings"] = read_settings(given["settings"])
    if given.pop("has_view", False):
        from .stages import read_view

        given["view"] = read_view(given)
    command: Callable[..., int] = getattr(import_module(f".{module}", __package__), function)
    with raised():
        return command(**given)
