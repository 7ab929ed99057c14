"""A net and what is kept beside it <-> the bytes of a file.

In: a snapshot of a net, or an open file. Out: bytes; or a snapshot, and what was kept beside it.

A file is data that anybody may have written. Nothing in it is executed or unpickled: its cells are
made from their sources, within the limits of the language, and its arrays are compared with those
of these cells before any of them is read.
"""

from __future__ import annotations

from collections.abc import Mapping
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
from .snapshot import Snapshot, flags_of, layout, made_by_path, named
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
    cells = _cells(made_by_path(description.made))
    names = _checked_names(header, description, cells)
    found = read_arrays(file, size, header)
    arrays = {name: found[name] for name in names}
    params, state = (
        {name.removeprefix(part): a for name, a in arrays.items() if name.startswith(part)}
        for part in ("params.", "state.")
    )
    flags = {name: arrays[name] for name in flags_of(description.made, cells) if name in arrays}
    snapshot = Snapshot(description.made, description.settings, params, state or None, flags)
    return snapshot, filled(description.extra, arrays)


def _cells(made: Mapping[str, Made]) -> dict[str, Cell]:
    try:
        return dict(zip(made, library.all_remade(list(made.values())), strict=True))
    except (Error, TypeProblem, RecursionError) as error:
        raise CheckpointError(f"its cell cannot be made: {error}") from None


def _checked_names(
    header: Header, description: Description, cells: Mapping[str, Cell]
) -> list[str]:
    """The arrays of a file in the order of its cells, whose dtypes and shapes they must have."""
    table, settings = header.table, description.settings
    has_state = any(name.startswith("state.") for name in table)
    flags = [name for name in flags_of(description.made, cells) if name in table]
    arrays = layout(cells, settings, state=has_state, flags=flags)
    wanted = {name: (dtype, shape) for name, dtype, shape in arrays}
    beside = dict.fromkeys(leaves(description.extra))
    wrong = [f"{name} is missing" for name in (*wanted, *beside) if name not in table]
    for name, found in table.items():
        if name not in wanted:
            wrong += [] if name in beside else [f"{name} belongs to nothing"]
        elif found != wanted[name]:
            wrong.append(f"{name} is {_shown(*found)}, not {_shown(*wanted[name])}")
    if (has_state or flags) and settings.batch is None:
        wrong.append("a state has rows")
    if wrong:
        names = ", ".join(dict.fromkeys(cell.name for cell in cells.values()))
        raise CheckpointError(f"its arrays are not those of {names}: {'; '.join(wrong)}")
    return [*wanted, *beside]


def _shown(dtype: str, shape: tuple[int, ...]) -> str:
    return f"{dtype}{describe(shape)}"
