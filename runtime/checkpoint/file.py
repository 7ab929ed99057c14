"""A net and what is kept beside it <-> the bytes of a file.

In: a snapshot of a net, or an open file. Out: bytes; or a snapshot, and what was kept beside it.

A file is data that anybody may have written. Nothing in it is executed or unpickled: its cell is
made from its source, within the limits of the language, and its arrays are compared with those of
that cell before any of them is read.
"""

from __future__ import annotations

from typing import Any, BinaryIO

from ...compiler import library
from ...compiler.ir import Cell
from ...compiler.origin import Made
from ...compiler.shapes import TypeProblem
from ...grammar.problems import Error
from ..checks import describe
from ..errors import CheckpointError
from .description import Description, read_text, text_of
from .extra import filled, leaves, tree_of
from .snapshot import Snapshot, layout, named
from .tensor_file import Header, encoded, read_arrays, read_header


def bytes_of(snapshot: Snapshot, extra: Any) -> bytes:
    """A file as bytes."""
    tree, beside = tree_of(extra)
    arrays = {
        name: (snapshot.settings.dtype if name.startswith("params.") else a.dtype.name, a)
        for name, a in (named(snapshot) | beside).items()
    }
    return encoded(text_of(snapshot, tree), arrays)


def read(file: BinaryIO, size: int) -> tuple[Snapshot, dict[str, Any]]:
    """The net of an open file, and what was saved beside it."""
    header = read_header(file, size)
    description = read_text(header.text)
    names = _checked_names(header, description, _cell(description.made))
    found = read_arrays(file, size, header)
    arrays = {name: found[name] for name in names}
    params, state = (
        {name.removeprefix(part): a for name, a in arrays.items() if name.startswith(part)}
        for part in ("params.", "state.")
    )
    snapshot = Snapshot(
        description.made, description.settings, params, state or None, arrays.get("resets")
    )
    return snapshot, filled(description.extra, arrays)


def _cell(made: Made) -> Cell:
    try:
        return library.remade(made)
    except (Error, TypeProblem, RecursionError) as error:
        raise CheckpointError(f"its cell cannot be made: {error}") from None


def _checked_names(header: Header, description: Description, cell: Cell) -> list[str]:
    """The arrays of a file in the order of its cell, whose dtypes and shapes they must have."""
    table, settings = header.table, description.settings
    has_state = any(name.startswith("state.") for name in table)
    arrays = layout(cell, settings, state=has_state, resets="resets" in table)
    wanted = {name: (dtype, shape) for name, dtype, shape in arrays}
    beside = dict.fromkeys(leaves(description.extra))
    wrong = [f"{name} is missing" for name in (*wanted, *beside) if name not in table]
    for name, found in table.items():
        if name not in wanted:
            wrong += [] if name in beside else [f"{name} belongs to nothing"]
        elif found != wanted[name]:
            wrong.append(f"{name} is {_shown(*found)}, not {_shown(*wanted[name])}")
    if (has_state or "resets" in table) and settings.batch is None:
        wrong.append("a state has rows")
    if wrong:
        raise CheckpointError(f"its arrays are not those of {cell.name}: {'; '.join(wrong)}")
    return [*wanted, *beside]


def _shown(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype}{describe(shape)}"
