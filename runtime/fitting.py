"""Whether layers fit together.

In: what each layer reads and makes at a step. Out: nothing, the width of what two make together, or
an error that names the layer.
"""

from __future__ import annotations

import itertools
import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .errors import ChainError, SettingError
from .passing import step_of

MERGES = ("concat", "sum", "mean")


@dataclass(frozen=True, slots=True)
class Fit:
    """What one step of one row of a layer is."""

    label: str  # for messages
    read: tuple[str, tuple[int, ...]]  # the kind of its input, and its shape
    made: tuple[int, ...]  # the shape of its output


def fit_of(label: str, cell: Cell) -> Fit:
    return Fit(label, step_of(cell.inputs[0]), step_of(cell.outputs[0])[1])


def check_single(label: str, cell: Cell) -> None:
    """Raise a `ChainError` for a cell that cannot be a layer."""
    if len(cell.inputs) != 1 or len(cell.outputs) != 1:
        raise ChainError(f"{label} has several inputs or outputs: layers have one of each")


def check_in_order(layers: Sequence[Fit]) -> None:
    """Raise a `ChainError` unless each reads what the one before it makes."""
    for at, (below, above) in enumerate(itertools.pairwise(layers)):
        if above.read != ("real", below.made):
            kind, shape = above.read
            raise ChainError(
                f"layer {at + 1}, {above.label}, reads {kind}{list(shape)}, but is given "
                f"real{list(below.made)}"
            )


def read_residual(given: Any, layers: Sequence[Fit]) -> frozenset[int]:
    """The numbers of the layers whose input is added to their output.

    Raises:
        SettingError: there is no such layer. ChainError: it does not make what it reads.
    """
    count = len(layers)
    if isinstance(given, bool):
        chosen = frozenset(range(count) if given else ())
    else:
        try:
            numbers = list(given)
            flags = [isinstance(each, bool | np.bool_) for each in numbers]
            chosen = frozenset({count} if any(flags) else map(operator.index, numbers))
        except TypeError:
            chosen, flags = frozenset({count}), []
        if any(flags):
            meant = [at for at, each in enumerate(numbers) if each]
            raise SettingError(
                f"residual is True, or numbers of layers, and no truth values: say {meant} for "
                f"{given!r}"
            )
        if not chosen <= set(range(count)):
            raise SettingError(
                f"residual is True, or numbers of layers, 0 to {count - 1}, got {given!r}"
            )
    for at in sorted(chosen):
        layer = layers[at]
        if layer.read != ("real", layer.made):
            raise ChainError(
                f"layer {at}, {layer.label}, has no residual connection: it reads "
                f"{list(layer.read[1])} and returns {list(layer.made)}; say which have, "
                "residual=[...]"
            )
    return chosen


def check_both(backward: Any) -> None:
    """Raise a `SettingError` where one direction is missing, `Bidirectional(a)`."""
    if backward is None:
        raise SettingError(
            "Bidirectional takes two cells, one for each direction: Bidirectional(a, b)"
        )


def merged_width(merge: Any, ahead: Fit, behind: Fit) -> tuple[int, ...]:
    """The shape of what the outputs of two directions become.

    Raises:
        SettingError: it is no way to merge. ChainError: the directions do not read the same, or
        what they make cannot be merged.
    """
    if merge not in MERGES:
        raise SettingError(f"merge is {', '.join(MERGES[:-1])} or {MERGES[-1]}, got {merge!r}")
    if ahead.read != behind.read:
        raise ChainError(f"{ahead.label} and {behind.label} do not read the same input")
    fits = ahead.made == behind.made
    if merge == "concat":  # numbers have no axis to be joined along
        fits = bool(ahead.made and behind.made) and ahead.made[:-1] == behind.made[:-1]
    if not fits:
        raise ChainError(
            f"the outputs of {ahead.label} and {behind.label}, {list(ahead.made)} and "
            f"{list(behind.made)}, have no {merge}"
        )
    if merge != "concat":
        return ahead.made
    return (*ahead.made[:-1], ahead.made[-1] + behind.made[-1])
