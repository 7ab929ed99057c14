"""`rnnc run`: a cell over a file of numbers.

In: a cell, its sizes, and steps. Out: its outputs, a step a line.
"""

from __future__ import annotations

from typing import Final

import numpy as np

from ..runtime.recur import Recur
from .data import as_inputs, columns_of, from_outputs, read_params, read_steps, write_steps
from .environment import note_cache
from .errors import DataError
from .printing import out_json
from .progress import followed
from .settings import Settings, bind, pick, read_library
from .statuses import FINE

STEPS_AT_ONCE: Final = 1 << 15


def run(
    path: str, name: str | None, settings: Settings, *, source: str, target: str,
    params: str | None, seed: int, dtype: str, backend: str, as_json: bool,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path: a file, or "std".
        name: a cell; None for the only one.
        settings: its sizes and options.
        source, target: files, or "-".
        params: an `.npz` file; None to draw parameters from `seed`.
        backend: what runs it.
        as_json: print one JSON document: the outputs, or where they are.
    Returns:
        The exit status.
    """
    cell = bind(pick(read_library(path), name), settings)
    if not cell.inputs:
        raise DataError(f"{cell.name} reads no input: nothing says how many steps to run")
    if not cell.outputs:
        raise DataError(f"{cell.name} gives no output")
    note_cache()
    net = Recur(cell, seed=seed, dtype=dtype, backend=backend)
    if params is not None:
        given = read_params(params)
        missing = [p.name for p in cell.params if p.name not in given]
        if missing:
            raise DataError(f"{params} has no {', '.join(missing)}, which {cell.name} has")
        net.load_params(given)
    net.eval()
    steps = read_steps(source, columns_of(cell))
    # In parts, whoever watches: how a sequence is cut decides its last bits.
    parts = [steps[at : at + STEPS_AT_ONCE] for at in range(0, max(1, len(steps)), STEPS_AT_ONCE)]
    outputs = np.concatenate(
        [
            from_outputs(net.scan(as_inputs(part, cell, np.dtype(dtype))), cell, part.shape[:-1])
            for part in followed("blocks of steps")(parts)
        ]
    )
    columns = columns_of(cell, outputs=True)
    if target != "-" or not as_json:
        write_steps(target, outputs, columns)
    if as_json:
        where = {"outputs": outputs.tolist()} if target == "-" else {"file": target}
        out_json({"ok": True, "cell": cell.name, "columns": columns, **where})
    return FINE
