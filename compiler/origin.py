"""Where a cell came from: the texts and settings that make it again, as plain data.

In: what `library` and `compose` knew when they made a cell. Out: values that can be compared,
pickled and written into a file; `library.remade` makes the cell of one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TypeAlias

Plain: TypeAlias = int | float | bool | str  # a function by its name


@dataclass(frozen=True, slots=True)
class Sources:
    """Every text that a cell may depend on. Paths are relative to the first file, with slashes."""

    main: str = ""  # the path of the first file; "" where there are standard cells alone
    files: Mapping[str, str] = field(default_factory=dict)  # texts by path
    links: Mapping[str, str] = field(default_factory=dict)  # imports of one path that read another
    standard: Mapping[str, str] = field(default_factory=dict)  # texts of standard cells by name


@dataclass(frozen=True, slots=True)
class Origin:
    """A cell of a source, with its sizes and options bound."""

    sources: Sources
    cell: str
    settings: Mapping[str, Plain]


@dataclass(frozen=True, slots=True)
class Chained:
    """Cells that feed each other."""

    members: tuple[Made, ...]


Made: TypeAlias = Origin | Chained
