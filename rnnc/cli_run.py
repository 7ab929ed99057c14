"""`rnnc run`: a cell over a file of numbers.

In: a cell, its sizes, and steps. Out: its outputs, a step a line.
"""

from __future__ import annotations

import numpy as np

from .cli_data import as_inputs, columns_of, from_outputs, read_params, read_steps, write_steps
from .cli_errors import FINE, DataError
from .cli_settings import Settings, bind, pick, read_library
from .runtime.recur import Recur


def run(
    path: str, name: str | None, settings: Settings, *, source: str, target: str,
    params: str | None, seed: int, dtype: str, backend: str,
) -> int:  # fmt: skip
    """Run the command.

    Args:
        path: a file, or "std".
        name: a cell; None for the only one.
        settings: its sizes and options.
        source, target: files, or "-".
        params: an `.npz` file; None to draw parameters from `seed`.
        backend: what runs it.
    Returns:
        The exit status.
    """
    cell = bind(pick(read_library(path), name), settings)
    if not cell.inputs:
        raise DataError(f"{cell.name} reads no input: nothing says how many steps to run")
    if not cell.outputs:
        raise DataError(f"{cell.name} gives no output")
    net = Recur(cell, seed=seed, dtype=dtype, backend=backend)
    if params is not None:
        given = read_params(params)
        missing = [p.name for p in cell.params if p.name not in given]
        if missing:
            raise DataError(f"{params} has no {', '.join(missing)}, which {cell.name} has")
        net.load_params(given)
    net.eval()
    steps = read_steps(source, columns_of(cell))
    ys = net.scan(as_inputs(steps, cell, np.dtype(dtype)))
    columns = columns_of(cell, outputs=True)
    write_steps(target, from_outputs(ys, cell, steps.shape[:-1]), columns)
    return FINE
