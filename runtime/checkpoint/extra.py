"""What is kept beside a net in its file: arrays by name, and dicts of them.

In: what a user passes, such as `{"adam": optimiser.state, "losses": losses}`. Out: a tree of names
whose leaves are None, and the arrays by their path in it, `"extra.adam.first.W"`; and back.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from ..arrays import Array, is_tensor, on_host
from ..checks import describe
from ..errors import DTypeError, SettingError
from ..numpy_arrays import as_array
from .tensor_file import TAGS

DEEPEST: Final = 16  # dicts within each other
SURROGATE: Final = re.compile("[\ud800-\udfff]")  # which UTF-8 cannot write


def tree_of(
    extra: Any, path: str = "extra", depth: int = 0
) -> tuple[dict[str, Any], dict[str, Array]]:
    """Names, and arrays of NumPy by path.

    Raises:
        SettingError: a name or a level of names cannot be kept. DTypeError, ShapeError: an array.
    """
    if not isinstance(extra, Mapping) or depth > DEEPEST:
        what = type(extra).__name__ if depth <= DEEPEST else f"dicts more than {DEEPEST} deep"
        raise SettingError(f"{path} is a dict of arrays by name, not {what}")
    tree: dict[str, Any] = {}
    arrays: dict[str, Array] = {}
    for name, value in extra.items():
        if not isinstance(name, str) or SURROGATE.search(name):
            raise SettingError(f"{path} has names that are texts in Unicode, got {name!r}")
        inner = f"{path}.{name}"
        if isinstance(value, Mapping):
            tree[name], found = tree_of(value, inner, depth + 1)
        else:
            tree[name], found = None, {inner: _array(value, inner)}
        both = sorted(found.keys() & arrays.keys())
        if both:
            raise SettingError(f"two of the arrays beside the net are called {both[0]}")
        arrays |= found
    return tree, arrays


def _array(value: Any, name: str) -> Array:
    array = on_host(value) if is_tensor(value) else as_array(value, name)
    if array.dtype.name not in TAGS:
        held = array.dtype.name if array.dtype.kind != "O" else "Python objects"
        raise DTypeError(f"{name} holds {held}, which a checkpoint does not: {describe(TAGS)}")
    return array


def leaves(tree: Mapping[str, Any], path: str = "extra") -> Iterator[str]:
    """The paths of the arrays of a tree."""
    for name, value in tree.items():
        inner = f"{path}.{name}"
        if value is None:
            yield inner
        else:
            yield from leaves(value, inner)


def filled(
    tree: Mapping[str, Any], arrays: Mapping[str, Array], path: str = "extra"
) -> dict[str, Any]:
    """The tree with its arrays."""
    return {
        name: arrays[f"{path}.{name}"] if value is None else filled(value, arrays, f"{path}.{name}")
        for name, value in tree.items()
    }
