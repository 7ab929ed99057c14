"""The language: text in, syntax tree with spans out.

In: `.rnn` sources. Out: `syntax.File`s, or `Problems` that say what is wrong and where.
"""

from __future__ import annotations

import json
import re
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from . import problems_of_names as problems_of_names  # these fill PROBLEMS
from . import problems_of_syntax as problems_of_syntax
from . import problems_of_values as problems_of_values
from .parse import parse as parse
from .syntax import File

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable


@cache
def _std_files() -> dict[str, tuple[Traversable, str]]:
    """The standard cells: name -> the file in `cells/` that defines it, and it alone; its text."""
    found_files = {}
    for entry in files(__name__).joinpath("cells").iterdir():
        if entry.name.endswith(".rnn"):
            text = entry.read_text(encoding="utf-8")
            found = re.search(r"^cell\s+(\w+)", text, re.MULTILINE)
            assert found, f"cells/{entry.name} defines no cell"
            found_files[found[1]] = entry, text
    return found_files


def std_names() -> tuple[str, ...]:
    """The names of the standard cells, in alphabetical order."""
    return tuple(sorted(_std_files()))


@cache
def std(name: str) -> File:
    """The file of the standard cell `name`; KeyError where `std_names()` has no such name."""
    return parse(_std_files()[name][1], f"std/{name}.rnn")


def std_file(name: str) -> Traversable:
    """Where the standard cell `name` is written; KeyError where there is none."""
    return _std_files()[name][0]


def std_index() -> list[dict[str, Any]]:
    """What each standard cell is, in alphabetical order, without reading its source.

    Each has `name`, `signature`, `documentation`, `papers`, `recurrence` and `parameters`, as
    `docs/commands.md` says of `rnnc cells --json`.
    """
    text = files(__name__).joinpath("cells/index.json").read_text(encoding="utf-8")
    found: list[dict[str, Any]] = json.loads(text)
    return found


@cache
def prelude() -> File:
    """The functions that the language itself defines with `fn`."""
    text = files(__name__).joinpath("prelude.rnn").read_text(encoding="utf-8")
    return parse(text, "prelude.rnn")
