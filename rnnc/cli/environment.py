"""What the environment of a command says: variables, and whether there is a cache.

In: the environment. Out: errors and notes that name the variable.
"""

from __future__ import annotations

import os
import sys
import tempfile
import warnings
from collections.abc import Iterator
from pathlib import Path

from ..compiler import knobs
from ..grammar.problems import Error


def unknown_variables() -> Iterator[tuple[str, str]]:
    """Every `RNNC_` variable that is no option, with what to do about it."""
    from ..compiler.elaborate.hints import closest

    known = [knob.variable for knob in knobs.KNOBS.values()]
    for name in sorted(os.environ):
        if name.startswith("RNNC_") and name not in known:
            near = closest(name, known)
            advice = f"; did you mean {near}?" if near else ""
            yield name, f"there is no such option{advice}"


def check_variables() -> None:
    """Say which variables mean nothing.

    Raises:
        OptionError: one has a value that it cannot have.
    """
    for name, problem in unknown_variables():
        print(f"rnnc: warning: {name}: {problem}", file=sys.stderr)
    knobs.current()


def wants_traceback() -> bool:
    """`RNNC_TRACEBACK`, whatever is wrong with other variables."""
    try:
        return bool(knobs.value_of("traceback"))
    except Error:
        return False


def cache_problem(folder: Path) -> str:
    """Why generated modules cannot be kept in a folder; "" where they can."""
    from ..runtime.launch import check_private

    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        with warnings.catch_warnings(action="ignore"):
            check_private(folder)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return f"cannot be used: {error.strerror or error}"


def note_cache() -> None:
    """Say once that there is no cache: the command works without, and compiles each time."""
    from ..runtime.launch import cache_folder

    folder = cache_folder()
    if problem := cache_problem(folder):
        print(f"rnnc: note: {folder} {problem}; going on without a cache", file=sys.stderr)
