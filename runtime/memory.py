"""Whether the memory there is suffices, and the error where it does not.

In: the sizes of a call, before anything is allocated; or what an allocation raised. Out: nothing,
or an `OutOfMemoryError` with the ways out.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable
from functools import cache
from math import prod
from pathlib import Path

from ..compiler.ir import Cell
from ..compiler.shapes import size
from ..grammar.problems import Error
from .arrays import AnyArray, Arrays, is_tensor
from .errors import OutOfMemoryError

SMALL = 1 << 27  # bytes; nobody asks how much memory there is for less
CONTAINER_LIMIT = Path("/sys/fs/cgroup/memory.max")
WAYS = (
    "cut the sequence into shorter calls, record less (truncate(), history=, eval()), or take a "
    "smaller batch"
)


class Room:
    """What calls of one cell take."""

    def __init__(self, cell: Cell, arrays: Arrays) -> None:
        width = arrays.element.itemsize
        self._arrays = arrays
        self._outputs = width * sum(size(value.node.type.shape) for value in cell.outputs)
        self._states = width * sum(size(state.node.type.shape) for state in cell.states)
        inputs = width * sum(size(value.node.type.shape) for value in cell.inputs)
        self._most = inputs + self._outputs + self._states

    def check(self, inputs: Iterable[AnyArray], steps: int, batch: int) -> None:
        """Raise an `OutOfMemoryError` if a call is sure to need more than the device has.

        What counts is what no plan can do without: outputs, states, and inputs that have to be
        copied. A view that repeats one number may stand for terabytes.
        """
        if (steps + 1) * batch * self._most < SMALL:
            return
        least = steps * batch * self._outputs + batch * self._states
        least += sum(map(self._copied, inputs))
        room = self._arrays.memory()
        if least > room:
            raise OutOfMemoryError(
                f"{steps} steps of {batch} rows take at least {least / 2**30:,.1f} GiB, and there "
                f"are {room / 2**30:,.1f} GiB: {WAYS}"
            )

    def _copied(self, array: AnyArray) -> int:
        """Bytes of the copy that a program needs of an input; 0 if it reads the input itself."""
        element = self._arrays.element
        if is_tensor(array) or (array.dtype == element and array.flags.c_contiguous):
            return 0
        return int(prod(array.shape)) * int(element.itemsize)


@cache
def host_memory() -> int:
    """Bytes of memory of the machine, or of the container that this process is in."""
    found = [sys.maxsize]
    try:
        found.append(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE"))
    except (AttributeError, ValueError, OSError):  # Windows does not say
        pass
    try:
        text = CONTAINER_LIMIT.read_text("ascii").strip()
    except (OSError, ValueError):
        text = "max"
    if text.isdigit():
        found.append(int(text))
    return min(found)


def out_of_memory(error: BaseException, what: str) -> OutOfMemoryError | None:
    """The coded error for a failed allocation, of NumPy or of torch; None for another error."""
    if isinstance(error, Error):
        return None
    if not (type(error).__name__.endswith("MemoryError") or "allocate memory" in str(error)):
        return None
    said = str(error).partition("\n")[0] or "an allocation failed"
    return OutOfMemoryError(f"{what} takes more memory than there is: {said}; {WAYS}")
