"""Which layers a stack is made of, and what they are called.

In: a list, a dict or a chain. Out: layers by their paths, which stand before the names of their
parameters and states.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..compiler.decompose import Link, layers_of
from ..compiler.ir import Cell
from ..compiler.origin import Origin
from ..grammar.limits import LONGEST_NAME
from ..grammar.words import is_name
from .cell import BoundCell
from .chain import bound_of
from .errors import ChainError, SettingError
from .passing import beneath
from .recur import Recur


def layers_by_path(given: Any) -> dict[str, Any]:
    """Cells, nets and bidirectional layers, in order.

    Raises:
        ChainError: there is none, or a cell is no chain. SettingError: it is nothing of the kind,
        or a name is none.
    """
    match given:
        case Recur() | BoundCell() | Cell():
            return _links(bound_of(given))
        case Mapping():
            found = {_checked(name): layer for name, layer in given.items()}
        case Sequence() if not isinstance(given, str | bytes):
            found = {str(at): layer for at, layer in enumerate(given)}
        case _:
            what = repr(given)
            if hasattr(given, "layers"):
                what = "a stack: Stack(stack.layers) is another one of its layers"
            raise SettingError(
                f"Stack takes a list of layers, a dict of them by name, or a chain, not {what}"
            )
    if not found:
        raise ChainError("a stack has at least one layer")
    return found


def check_alone(others: tuple[Any, ...]) -> None:
    """Raise a `SettingError` for layers that are not in a list, `Stack(a, b)`."""
    if others:
        raise SettingError(
            "Stack takes its layers as one list, Stack([a, b]), and everything else by name"
        )


def _links(whole: BoundCell) -> dict[str, BoundCell]:
    links = layers_of(whole.cell)
    if not links:
        names = [*(p.name for p in whole.cell.params), *(s.name for s in whole.cell.states)]
        what = "one cell, no chain of several"
        if names and all("." in name for name in names):
            what = "no chain: not every part reads what the one before it returns, and that alone"
        raise ChainError(f"{whole} is {what}; a list makes a stack of it alone, Stack([{whole}])")
    return {link.path: _bound(whole, link) for link in links}


def _bound(whole: BoundCell, link: Link) -> BoundCell:
    """A link with what it has of the whole's parameters, if these are drawn already."""
    cell, given = link.cell, whole._given
    own = [template for template in whole.templates if template.name == cell.name]
    return BoundCell(
        cell, seed=whole.seed, dtype=whole.dtype, backend=whole.backend,
        params=None if given is None else beneath(given, link.path),
        label="" if isinstance(cell.origin, Origin) else f"{whole}.{link.path}",
        templates=own or whole.templates,
    )  # fmt: skip


def _checked(name: Any) -> str:
    if not isinstance(name, str) or not is_name(name):
        raise SettingError(
            f"{name!r} is no name of a layer: letters, digits and '_', at most {LONGEST_NAME}, no "
            "digit first, and no word of the language"
        )
    return name


def is_path(text: str) -> bool:
    """Whether a layer may have this path: names, and numbers as a chain counts."""
    parts = text.split(".")
    return all(is_name(part) or _is_number(part) for part in parts)


def _is_number(text: str) -> bool:
    return text.isascii() and text.isdecimal() and (text == "0" or text[0] != "0")
