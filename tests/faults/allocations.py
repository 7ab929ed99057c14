"""Allocations of NumPy that fail, each in its turn.

In: a net and what is done to it. Out: what is wrong after the n-th allocation of array data failed,
for every n. NumPy lets a process replace what it allocates with (NEP 49); there is no Python for
that, so this fills the C struct by hand.
"""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache, partial
from importlib import import_module
from itertools import count
from typing import Any, Final

import numpy as np

import rnnc
from tests.faults import nets

SET_HANDLER: Final = 304  # PyDataMem_SetHandler in NumPy's table of functions, since 1.22
GET_HANDLER: Final = 305  # PyDataMem_GetHandler

_MALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)
_CALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_size_t)
_REALLOC = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_size_t)


class _Handler(ctypes.Structure):
    """`PyDataMem_Handler`; freeing is C's own, as arrays may outlive Python."""

    _fields_ = (
        ("name", ctypes.c_char * 127), ("version", ctypes.c_uint8), ("context", ctypes.c_void_p),
        ("malloc", _MALLOC), ("calloc", _CALLOC), ("realloc", _REALLOC), ("free", ctypes.c_void_p),
    )  # fmt: skip


class Allocations:
    """Counts them, and fails those it was told to."""

    def __init__(self) -> None:
        self.made = 0
        self.failing = range(0)

    def fails(self) -> bool:
        self.made += 1
        return self.made - 1 in self.failing


@cache
def _shim() -> tuple[Allocations, Any, Callable[[Any], Any]]:
    """The counter, the handler that asks it, and what puts a handler in place."""
    core = "numpy._core" if np.lib.NumpyVersion(np.__version__) >= "2.0.0" else "numpy.core"
    library = import_module(f"{core}._multiarray_umath")
    pointer = ctypes.pythonapi.PyCapsule_GetPointer
    pointer.restype, pointer.argtypes = ctypes.c_void_p, [ctypes.py_object, ctypes.c_char_p]
    table = ctypes.cast(pointer(library._ARRAY_API, None), ctypes.POINTER(ctypes.c_void_p))
    put = ctypes.PYFUNCTYPE(ctypes.py_object, ctypes.py_object)(table[SET_HANDLER] or 0)
    usual = ctypes.PYFUNCTYPE(ctypes.py_object)(table[GET_HANDLER] or 0)()
    plain = ctypes.cast(pointer(usual, b"mem_handler"), ctypes.POINTER(_Handler)).contents
    counter = Allocations()

    def malloc(context: Any, size: int) -> Any:
        return None if counter.fails() else plain.malloc(plain.context, size)

    def calloc(context: Any, times: int, size: int) -> Any:
        return None if counter.fails() else plain.calloc(plain.context, times, size)

    def realloc(context: Any, old: Any, size: int) -> Any:
        return None if counter.fails() else plain.realloc(plain.context, old, size)

    calls = _MALLOC(malloc), _CALLOC(calloc), _REALLOC(realloc)
    handler = _Handler(b"failing", 1, plain.context, *calls, plain.free)
    for kept in (handler, usual, *calls):  # arrays may be freed after all else
        ctypes.pythonapi.Py_IncRef(ctypes.py_object(kept))
    make = ctypes.pythonapi.PyCapsule_New
    make.restype = ctypes.py_object
    make.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p]
    return counter, make(ctypes.addressof(handler), b"mem_handler", None), put


@contextmanager
def failing(first: int, *, once: bool) -> Iterator[Allocations]:
    """Fail the allocation `first`, counted from 0 here on; and unless `once`, all after it."""
    counter, handler, put = _shim()
    before = put(handler)
    counter.made = 0
    counter.failing = range(first, first + 1 if once else 1 << 60)
    try:
        yield counter
    finally:
        counter.failing = range(0)
        put(before)


def sweep(name: str, action: str, *, once: bool, cold: bool) -> tuple[int, list[str]]:
    """Fail every allocation of an action in turn.

    Args:
        cold: the buffers of its programs are not there yet.
    Returns:
        How many there are, and what was wrong after which.
    """
    base, prepare = nets.started(name), nets.ACTIONS[action]
    old, good, wrong = nets.future(base), copy.copy(base), []
    wanted = nets.digest(prepare(good)()), nets.future(good)
    for at in count():
        net = copy.copy(base)
        call = prepare(net)
        if cold:
            net._program._runner._ready.__dict__.clear()
        made, said = _struck(call, at, once=once)
        what = f"{name} {action}: after allocation {at} failed"
        if said is None:
            if made > at:
                wrong.append(f"{what}, nobody said so")
            return at, wrong
        if not isinstance(said, rnnc.Error):
            wrong.append(f"{what}, the error was a {type(said).__name__} without a code")
        if nets.future(net) != old:
            wrong.append(f"{what}, the net had changed")
        if (nets.digest(prepare(net)()), nets.future(net)) != wanted:
            wrong.append(f"{what}, the next call was wrong")
    raise AssertionError("counting ends with the allocations")


def sweep_new(name: str, *, once: bool) -> tuple[int, list[str]]:
    """Fail every allocation of making a net in turn."""
    wanted, wrong = nets.future(nets.new(name, seed=1)), []
    for at in count():
        made, said = _struck(partial(nets.new, name, seed=1), at, once=once)
        what = f"{name}: after allocation {at} of a new one failed"
        if said is None:
            if made > at:
                wrong.append(f"{what}, nobody said so")
            return at, wrong
        if not isinstance(said, rnnc.Error):
            wrong.append(f"{what}, the error was a {type(said).__name__} without a code")
        if nets.future(nets.new(name, seed=1)) != wanted:
            wrong.append(f"{what}, the next one was another")
    raise AssertionError("counting ends with the allocations")


def _struck(call: Callable[[], Any], at: int, *, once: bool) -> tuple[int, MemoryError | None]:
    """How many allocations a call made, and what it said of the one that failed."""
    with failing(at, once=once) as counter:
        try:
            call()
        except MemoryError as error:
            return counter.made, error
        return counter.made, None


def all_of_them(count: int, seed: int) -> tuple[str, list[str]]:
    """Every allocation of every action of every net, `count` times: nothing is drawn."""
    struck = 0
    wrong: list[str] = []
    for name in nets.CELLS * count:
        for once in (True, False):
            for cold in (True, False):
                for action in nets.ACTIONS:
                    made, found = sweep(name, action, once=once, cold=cold)
                    struck, wrong = struck + made, wrong + found
            made, found = sweep_new(name, once=once)
            struck, wrong = struck + made, wrong + found
    return f"{struck} allocations failed", wrong
