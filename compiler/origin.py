"""Where a cell came from: the texts and settings that make it again, as plain data.

In: what `library`, `compose`, `ensemble`, `modifiers` and `links_of` knew when they made a cell.
Out: values that can be compared, pickled and written into a file; `library.remade` makes the cell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, TypeAlias

MOST_MEMBERS: Final = 4096  # of an ensemble, those of its members among them
DEEPEST: Final = 8  # ensembles within each other

Plain: TypeAlias = int | float | bool | str  # a function by its name
Given: TypeAlias = Plain | tuple[str, ...]  # to a modifier; paths of parameters


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


@dataclass(frozen=True, slots=True)
class Ensembled:
    """Cells of one kind with parameters of their own."""

    member: Made
    count: int
    shared_inputs: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """One link of a chain."""

    whole: Made
    path: str


@dataclass(frozen=True, slots=True)
class Modified:
    """What a modifier makes of a cell."""

    member: Made
    modifier: str
    arguments: Mapping[str, Given]


Made: TypeAlias = Origin | Chained | Ensembled | Linked | Modified


def excess(made: Made) -> str | None:
    """What of an ensemble, with those that its members are, is more than there is room for."""
    members, deep = _extent(made)
    if members > MOST_MEMBERS:
        return f"an ensemble of {members} members, more than {MOST_MEMBERS}"
    if deep > DEEPEST:
        return f"ensembles within ensembles, more than {DEEPEST} deep"
    return None


def _extent(made: Made) -> tuple[int, int]:
    """How many cells stand side by side at most, and how deep ensembles lie in each other."""
    match made:
        case Chained():
            members, deep = zip(*map(_extent, made.members), strict=True)
            return max(members), max(deep)
        case Ensembled():
            within, deeper = _extent(made.member)
            return made.count * within, deeper + 1
        case Linked():
            return _extent(made.whole)
        case Modified():
            return _extent(made.member)
    return 1, 0
