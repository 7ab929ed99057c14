"""A net as data: all that makes it again where it stands, and no code.

In: what a net keeps. Out: plain values and arrays of NumPy, for a file or a pickle. What is
recorded is not among them: a snapshot is a boundary, as `truncate` is.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from ...compiler.ir import Cell
from ...compiler.origin import Made
from ..arrays import Array


@dataclass(frozen=True, slots=True)
class Settings:
    """What a net was told, and where it stands in its stream, but for arrays."""

    label: str
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


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A net at rest. Narrow numbers of a kind that NumPy lacks are float32 here."""

    made: Made
    settings: Settings
    params: Mapping[str, Array]  # by path
    state: Mapping[str, Array] | None  # [B, ...] by name; None: the initial state
    resets: Array | None  # bool[B]: rows that are reset before the next step


def layout(
    cell: Cell, settings: Settings, *, state: bool, resets: bool
) -> Iterator[tuple[str, str, tuple[int, ...]]]:
    """The name, dtype and shape of every array that a snapshot has: what a file must hold.

    Args:
        state, resets: whether it has these.
    """
    for param in cell.params:
        yield f"params.{param.name}", settings.dtype, tuple(map(int, param.node.type.shape))
    rows = settings.batch or 0
    if state:
        wide = "float64" if settings.dtype == "float64" else "float32"
        for value in cell.states:
            yield f"state.{value.name}", wide, (rows, *map(int, value.node.type.shape))
    if resets:
        yield "resets", "bool", (rows,)


def named(snapshot: Snapshot) -> dict[str, Array]:
    """The arrays of a snapshot by the names of `layout`."""
    found = {f"params.{name}": array for name, array in snapshot.params.items()}
    found |= {f"state.{name}": array for name, array in (snapshot.state or {}).items()}
    return found if snapshot.resets is None else {**found, "resets": snapshot.resets}
