"""The language: text in, syntax tree with spans out.

In: `.rnn` sources. Out: `syntax.File`s, or `Problems` that say what is wrong and where.
"""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files

from . import problems_of_names as problems_of_names  # these fill PROBLEMS
from . import problems_of_syntax as problems_of_syntax
from . import problems_of_values as problems_of_values
from .parse import parse as parse
from .syntax import File


@cache
def _std_files() -> dict[str, str]:
    """The standard cells: name -> text of the file in `cells/` that defines it, and it alone."""
    texts = {}
    for entry in files(__name__).joinpath("cells").iterdir():
        if entry.name.endswith(".rnn"):
            text = entry.read_text(encoding="utf-8")
            found = re.search(r"^cell\s+(\w+)", text, re.MULTILINE)
            assert found, f"cells/{entry.name} defines no cell"
            texts[found[1]] = text
    return texts


def std_names() -> tuple[str, ...]:
    """The names of the standard cells, in alphabetical order."""
    return tuple(sorted(_std_files()))


@cache
def std(name: str) -> File:
    """The file of the standard cell `name`; KeyError where `std_names()` has no such name."""
    return parse(_std_files()[name], f"std/{name}.rnn")


@cache
def prelude() -> File:
    """The functions that the language itself defines with `fn`."""
    text = files(__name__).joinpath("prelude.rnn").read_text(encoding="utf-8")
    return parse(text, "prelude.rnn")
