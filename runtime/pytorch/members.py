"""The modules that a module of layers is made of.

In: cells, nets and modules, and what they are to have in common. Out: modules, one for each.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from ..bidirectional import Bidirectional as BidirectionalNet
from ..cell import BoundCell
from ..chain import bound_of, common
from ..errors import SettingError
from ..fitting import check_single
from ..members import Options as OfNets
from ..members import brings_parameters, drawn_at
from .layer import Layer
from .module import Recur


@dataclass(frozen=True, slots=True)
class Options(OfNets):
    """What all modules of one have in common; as `Recur` takes them."""

    device: Any = None

    def completed(self, members: Iterable[Any]) -> Options:
        """With what the cells among the members say of themselves; or a `ChainError`."""
        bound = [each for member in members for each in _cells(member)]
        return replace(
            self,
            backend=self.backend or common([b for b in bound if b.backend != "auto"], "backend"),
            dtype=self.dtype or common(bound, "dtype"),
        )


def recur_at(path: str, member: Any, options: Options) -> Recur:
    """A module for a member; a module is taken as it is.

    A net brings its parameters along. Those of a cell are drawn by their path, as in a net of
    layers: equal cells differ.
    """
    if isinstance(member, Recur):
        check_single(member._fit.label, member._runner.cell)
        check_axes(member, options)
        return member
    bound = bound_of(member)
    check_single(f"{bound}", bound.cell)
    if options.seed is not None or not brings_parameters(member):
        drawn = drawn_at(path, bound, options.seed)
        bound = BoundCell(bound.cell, params=drawn, label=bound.label, templates=bound.templates)
    return Recur(
        bound, backend=options.backend or "auto", dtype=options.dtype or None, exact=options.exact,
        fast=options.fast, batch_first=options.batch_first, device=options.device,
    )  # fmt: skip


def check_axes(member: Layer, options: Options) -> None:
    """Raise a `SettingError` unless a module has the axes of the whole."""
    if member.batch_first != options.batch_first:
        raise SettingError(
            f"{member._fit.label} has batch_first={member.batch_first}, and is to be part of a "
            f"module with batch_first={options.batch_first}"
        )


def _cells(member: Any) -> list[BoundCell]:
    if isinstance(member, Layer):
        return []
    if isinstance(member, BidirectionalNet):
        return [bound_of(net) for net in member._nets().values()]
    return [bound_of(member)]
