"""A net as data: all that makes it again where it stands, and no code.

In: what a net keeps. Out: plain values and arrays of NumPy, for a file or a pickle. What is
recorded is not among them: a snapshot is a boundary, as `truncate` is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from ...compiler.ir import Cell
from ...compiler.origin import Made
from ..arrays import Array


@dataclass(frozen=True, slots=True)
class Member:
    """One cell of a net that is made of several."""

    made: Made
    label: str


@dataclass(frozen=True, slots=True)
class Both:
    """A bidirectional net, or layer."""

    forward: Member
    backward: Member
    merge: str


@dataclass(frozen=True, slots=True)
class Layers:
    """A stack."""

    layers: tuple[Member | Both, ...]
    paths: tuple[str, ...]  # of the layers
    dropout: float
    per_sequence: bool
    seed: int  # of dropout
    residual: tuple[int, ...]


Structure: TypeAlias = Made | Both | Layers


def made_by_path(structure: Structure) -> dict[str, Made]:
    """What every cell was made of, by the path of its net; "" where there is one."""
    match structure:
        case Both(forward, backward):
            return {"forward": forward.made, "backward": backward.made}
        case Layers(layers, paths):
            found: dict[str, Made] = {}
            for path, layer in zip(paths, layers, strict=True):
                inner = {"": layer.made} if isinstance(layer, Member) else made_by_path(layer)
                found |= {joined(path, way): made for way, made in inner.items()}
            return found
    return {"": structure}


def paths_of_both(structure: Structure) -> list[str]:
    """Where the bidirectional ones are."""
    if isinstance(structure, Layers):
        by_path = zip(structure.paths, structure.layers, strict=True)
        return [path for path, layer in by_path if isinstance(layer, Both)]
    return [""] if isinstance(structure, Both) else []


def joined(path: str, name: str) -> str:
    """`"0"` and `"W"` -> `"0.W"`; either may be empty."""
    return f"{path}.{name}".strip(".")


@dataclass(frozen=True, slots=True)
class Settings:
    """What a net was told, and where it stands in its stream, but for arrays."""

    label: str  # of its cell; "" where there are several, which have their own
    dtype: str
    backend: str  # what was asked for: "auto" where nobody named one
    exact: bool
    fast: bool
    history: int | None
    history_limit: int  # bytes
    batch_first: bool
    training: bool
    step: int  # steps run so far
    batch: int | None  # rows of the state; None where it fits any number
    batched: bool
    seeds: str = ""  # "0,7": what each net draws from, in their order; "" where none draws


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A net at rest. Narrow numbers of a kind that NumPy lacks are float32 here."""

    made: Structure
    settings: Settings
    params: Mapping[str, Array]  # by path
    state: Mapping[str, Array] | None  # [B, ...] by path; None: the initial state
    flags: Mapping[str, Array]  # bool[B], as `flags_of` names them


def flags_of(structure: Structure, cells: Mapping[str, Cell]) -> list[str]:
    """The names of what a snapshot may say of each row.

    `resets`, by the path of a net: it is reset before the next step. `begun`, by that of a
    bidirectional one: an earlier call left what its backward direction begins anew from.
    """
    resets = [joined("resets", path) for path, cell in cells.items() if cell.states]
    return resets + [joined("begun", path) for path in paths_of_both(structure)]


def layout(
    cells: Mapping[str, Cell], settings: Settings, *, state: bool, flags: Iterable[str]
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The name, dtype and shape of every array that a snapshot has: what a file must hold.

    Args:
        cells: by path.
        state, flags: whether it has a state, and which flags.
    """
    for path, cell in cells.items():
        for param in cell.params:
            name = f"params.{joined(path, param.name)}"
            yield name, settings.dtype, tuple(map(int, param.node.type.shape))
    rows = settings.batch or 0
    wide = "float64" if settings.dtype == "float64" else "float32"
    for path, cell in cells.items() if state else ():
        for value in cell.states:
            name = f"state.{joined(path, value.name)}"
            yield name, wide, (rows, *map(int, value.node.type.shape))
    for name in flags:
        yield name, "bool", (rows,)


def named(snapshot: Snapshot) -> dict[str, Array]:
    """The arrays of a snapshot by the names of `layout`."""
    found = {f"params.{name}": array for name, array in snapshot.params.items()}
    found |= {f"state.{name}": array for name, array in (snapshot.state or {}).items()}
    return found | dict(snapshot.flags)
