"""`rnnc new`: a commented cell to start from.

In: a name and a kind. Out: a file that checks, runs and trains as it is.
"""

from __future__ import annotations

import os
import unicodedata
from importlib.resources import files
from pathlib import Path

from ..compiler import library
from ..compiler.elaborate.hints import closest
from ..grammar import std_names
from ..grammar.format import format_text
from ..grammar.limits import LONGEST_NAME
from ..grammar.problems import Problems
from ..grammar.words import RESERVED
from .errors import OutputError, UsageError
from .output import write
from .printing import out, out_json
from .statuses import FINE

KINDS = ("cell", "layer", "chain")  # each a file of `starters/`
NAME = "Starter"  # of the cells there


def new(name: str, *, kind: str, as_json: bool) -> int:
    """Run the command.

    Args:
        name: of the cell, such as `Leaky`; the file is `leaky.rnn`, in the working directory.
        kind: "cell", "layer" or "chain".
        as_json: print one JSON document instead of what to do next.
    Returns:
        The exit status.
    Raises:
        UsageError: there is no such kind, or a cell cannot have this name.
        OutputError: the file is there already, or cannot be written.
    """
    if kind not in KINDS:
        near = closest(kind, KINDS)
        advice = f"did you mean {near}?" if near else f"there are {', '.join(KINDS)}"
        raise UsageError(f"there is no kind {kind!r}; {advice}")
    name = unicodedata.normalize("NFKC", name)
    _check_name(name)
    path = Path(f"{name.lower()}.rnn")
    text = starter(name, kind, path.name)
    _check_text(text, name)
    if os.path.lexists(path):  # a link that leads nowhere too
        raise OutputError(f"{path} is there already; nothing was written")
    write(str(path), text.encode())
    commands = [f"rnnc check {path}", f"echo 1 | rnnc run {path}"]
    if as_json:
        out_json({"ok": True, "file": str(path), "cell": name, "next": commands})
    else:
        out(f"{path} has the cell {name}; its comments say how to train it. Next:\n")
        out("\n".join(f"    {command}" for command in commands))
    return FINE


def starter(name: str, kind: str, file: str) -> str:
    """The text of a starter under another name."""
    folder = files(__package__).joinpath("starters")
    parts = [
        folder.joinpath(part).read_text(encoding="utf-8") for part in ("how_to.rnn", f"{kind}.rnn")
    ]
    text = "\n".join(parts).replace("starter.rnn", file).replace(NAME, name)
    return format_text(text, file)


def _check_name(name: str) -> None:
    if not name.isidentifier():
        what = name.removesuffix(".rnn").rpartition("/")[2].title()
        example = what if what.isidentifier() else "Leaky"
        raise UsageError(
            f"{name!r} is no name of a cell: use letters, digits and '_', as in {example}"
        )
    if len(name) > LONGEST_NAME:
        raise UsageError(f"a name has at most {LONGEST_NAME} characters, this one has {len(name)}")
    if name in RESERVED:
        raise UsageError(f"{name!r} is a word of the language; {name.title()} is free")
    if name in std_names():  # a file could not import both, and a reader would take it for that one
        raise UsageError(
            f"{name} is a standard cell, 'import {name} from std'; for one of your own, "
            f"My{name} is free"
        )


def _check_text(text: str, name: str) -> None:
    """Refuse a name that means something in the file already, such as `x` or `tanh`."""
    try:
        problems = library.loads(text).check()
    except Problems as found:
        problems = found.problems
    if problems:
        raise UsageError(f"a cell cannot well be called {name!r}: {problems[0].headline}")
