"""Generated modules at work: built for a batch size, kept ready, run on a net's arrays.

In: a module, and its arguments as arrays of the net. Out: its results as such. A NumPy module runs
for any net: where the net's arrays are tensors, they are taken to the host and back.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np

from ..compiler.backends import Module
from .arrays import AnyArray, Arrays
from .launch import load
from .pool import Pool

KEPT_BATCHES = 4  # batch sizes whose buffers a thread keeps for one module


class Runner:
    """Runs the modules of one program. Calls from several threads are independent."""

    def __init__(self, arrays: Arrays, *, fast: bool) -> None:
        self.arrays = arrays
        self._fast = fast
        self._ready = threading.local()
        self._pool = Pool()

    def run(
        self, module: Module, batch: int, steps: int, params: Sequence[AnyArray],
        states: Sequence[AnyArray], inputs: Sequence[AnyArray],
    ) -> tuple[AnyArray, ...]:  # fmt: skip
        """Run a module of the net's own backend; its last carries, then its outs."""
        run = self._build(module, batch, self.arrays.element)
        with self.arrays.running(fast=self._fast):
            values: tuple[AnyArray, ...] = run(steps, *params, *states, *inputs)
        return values

    def run_on_host(
        self, module: Module, batch: int, steps: int, params: Sequence[AnyArray],
        states: Sequence[AnyArray], inputs: Sequence[AnyArray], *, seen: Collection[str],
    ) -> tuple[AnyArray, ...]:  # fmt: skip
        """Run a NumPy module, which computes in the dtype of states.

        Args:
            seen: outs that users see, in the net's dtype; the others stay as they are.
        """
        arrays = self.arrays
        run = self._build(module, batch, np.dtype(arrays.state_dtype))
        given = [arrays.to_numpy(array) for array in (*params, *states, *inputs)]
        with np.errstate(all="ignore"):
            values = run(steps, *given)
        names = (*module.carries, *module.outs)
        is_state = [at < len(module.carries) or name not in seen for at, name in enumerate(names)]
        return tuple(
            arrays.from_numpy(v, state=state) for v, state in zip(values, is_state, strict=True)
        )

    def _build(self, module: Module, batch: int, element: Any) -> Callable[..., Any]:
        """What runs `module` for a batch size, in this thread."""
        ready: dict[Any, Callable[..., Any]] = self._ready.__dict__
        key = (id(module), batch)
        run = ready.pop(key, None)
        if run is None:
            in_numpy = isinstance(element, np.dtype)  # torch keeps memory by itself
            memory = (self._pool.empty,) if in_numpy else ()
            run = load(module.source)(batch, element, *memory)
            mine = [k for k in ready if k[0] == key[0]]
            if len(mine) >= KEPT_BATCHES:
                del ready[mine[0]]
        ready[key] = run  # last, as it is the latest in use
        return run
