"""Checking settings and names, and how messages show them.

In: anything. Out: what it stands for, or an error that names the argument and what it takes.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Mapping
from os import PathLike
from typing import Any

import numpy as np

from ..compiler.ir import HIDDEN
from .arrays import dtype_name
from .errors import DTypeError, NamesError, SettingError

DTYPES = ("float32", "float64", "bfloat16", "float16")
NARROW = ("bfloat16", "float16")  # their states and sums are float32, and NumPy does not compute


def a_type(value: Any) -> str:
    """The name of its type with an article: "an int", "a list", "an ndarray"."""
    name = type(value).__name__
    is_vowel = name.lower().startswith((*"aeiou", "nd"))
    return f"{'an' if is_vowel else 'a'} {name}"


def in_bytes(count: float) -> str:
    """So many bytes, in the largest unit of which there is one at least: "18 MiB"."""
    units = ["bytes", "KiB", "MiB", "GiB"]
    while count >= 1024 and len(units) > 1:
        count /= 1024
        units.pop(0)
    return f"{count:,.0f} {units[0]}" if count >= 100 else f"{count:.3g} {units[0]}"


def check_dtype(dtype: Any) -> str:
    """The name of a dtype, from whatever NumPy or torch takes for one; or a `SettingError`."""
    found = ""
    if isinstance(dtype, str) and dtype in DTYPES:
        found = dtype
    elif type(dtype).__module__ == "torch":  # torch.float32, without importing torch
        found = dtype_name(dtype)
    else:
        try:
            found = np.dtype(dtype).name
        except TypeError:
            pass
    if found not in DTYPES:
        narrow = " or ".join(NARROW)
        raise SettingError(
            f"dtype is float32 or float64, and {narrow} with backend='triton'; got {dtype!r}"
        )
    return found


def check_path(path: Any, what: str) -> str:
    """A path as a text, as it is: `~` is a name like others; or a `SettingError`."""
    name = os.fspath(path) if isinstance(path, str | PathLike) else path
    if not isinstance(name, str) or "\0" in name:
        raise SettingError(f"{what}, got {path!r}")
    return name


def check_flag(value: Any, name: str) -> None:
    """Raise a `SettingError` unless an option is True or False: "no" would count as true."""
    if not isinstance(value, bool | np.bool_):
        raise SettingError(f"{name} is True or False, got {value!r}")


def check_count(value: Any, what: str) -> int:
    """An integer of at least 1, of Python's or NumPy's; or a `SettingError`."""
    try:
        count = operator.index(value)
    except TypeError:
        count = 0
    if count < 1 or isinstance(value, bool):
        raise SettingError(f"{what}, at least 1, got {value!r}")
    return count


def check_whole(value: Any, what: str) -> int:
    """An integer, of Python's or NumPy's; or a `SettingError`."""
    try:
        if not isinstance(value, bool):
            return operator.index(value)
    except TypeError:
        pass
    raise SettingError(f"{what} is an integer, got {value!r}")


def check_names(given: Any, names: Iterable[str], what: str, *, all_needed: bool) -> None:
    """Raise a `NamesError` that lists every unknown and every missing name at once.

    What the compiler added to a cell's states may be missing.
    """
    if not isinstance(given, Mapping):
        raise DTypeError(f"{what} takes a dict of arrays by name, not {type(given).__name__}")
    wanted = list(names)
    if len(given) == len(wanted) and all(map(given.__contains__, wanted)):
        return
    unknown = [str(name) for name in given if name not in wanted]
    missing = [n for n in wanted if n not in given and HIDDEN not in n] if all_needed else []
    if unknown or missing:
        parts = [f"has no {', '.join(unknown)}"] if unknown else []
        parts += [f"also needs {', '.join(missing)}"] if missing else []
        known = ", ".join(wanted) or "none"
        raise NamesError(f"{what} {' and '.join(parts)}; its names: {known}")


def describe(shape: Iterable[object]) -> str:
    """`[3, 5]`."""
    return f"[{', '.join(str(size) for size in shape)}]"
