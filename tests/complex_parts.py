"""Complex arrays as the compiler knows them: `L.re` and `L.im` in place of `L`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np


def apart(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """Every complex array as its two parts; all others as they are."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        if np.iscomplexobj(array):
            found |= {f"{name}.re": np.real(array), f"{name}.im": np.imag(array)}
        else:
            found[name] = array
    return found


def whole(arrays: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `apart`; the parts of a new state are `s.re'` and `s.im'`."""
    found: dict[str, Any] = {}
    for name, array in arrays.items():
        plain, primes = name.rstrip("'"), "'" * name.endswith("'")
        stem, _, part = plain.rpartition(".")
        if part == "re":
            found[stem + primes] = array + 1j * arrays[f"{stem}.im{primes}"]
        elif part != "im":
            found[name] = array
    return found
