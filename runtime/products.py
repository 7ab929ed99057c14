"""How exact torch's products are while modules run.

In: torch's switches, `torch.backends.cuda.matmul`. Out: a context in which float32 is multiplied as
IEEE float32 and sums of narrower products are float32; or, with `fast`, in which TF32 is allowed.
The switches are the whole process's. They are put back as the user had them when the last thread
leaves, and exact ones win while threads of both kinds are inside.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

NARROW_SUMS = (  # allow sums of products in less than float32
    "allow_fp16_reduced_precision_reduction",
    "allow_bf16_reduced_precision_reduction",
    "allow_fp16_accumulation",
)


class Products:
    """The switches of one process."""

    def __init__(self, matmul: Any) -> None:
        """torch 2.9 replaced the switch of TF32, and complains if a program uses both."""
        self._matmul = matmul
        new = hasattr(matmul, "fp32_precision")
        tf32, on, off = ("fp32_precision", "tf32", "ieee") if new else ("allow_tf32", True, False)
        narrow = {name: False for name in NARROW_SUMS if hasattr(matmul, name)}
        self._wanted: Mapping[bool, Mapping[str, Any]] = {
            True: {tf32: on, **narrow},
            False: {tf32: off, **narrow},
        }
        self._inside: dict[object, bool] = {}  # for each module that runs: whether it is fast
        self._before: dict[str, Any] = {}  # what the user had
        self._lock = threading.Lock()

    @contextmanager
    def running(self, *, fast: bool) -> Iterator[None]:
        """While a module runs."""
        token = object()
        try:  # around the entry too, so that an interrupt leaves nothing behind
            with self._lock:
                self._inside[token] = fast
                self._set()
            yield
        finally:
            with self._lock:
                self._inside.pop(token, None)
                self._set()

    def _set(self) -> None:
        """As all that run want it; as the user had it where none does."""
        wanted = self._wanted[all(self._inside.values())] if self._inside else {}
        for name, value in {**self._before, **wanted}.items():
            now = getattr(self._matmul, name)
            if now != value:
                self._before.setdefault(name, now)
                setattr(self._matmul, name, value)
        if not self._inside:
            self._before.clear()
