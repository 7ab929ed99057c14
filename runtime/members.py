"""The nets that a net of nets is made of.

In: cells and nets, and what they are to have in common. Out: nets of its own, one for each.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from ..compiler.compose import compose
from .arrays import Array
from .cell import BoundCell
from .chain import bound_of
from .fitting import check_single
from .params import initialise
from .passing import beneath
from .recur import Recur


@dataclass(frozen=True, slots=True)
class Options:
    """What all nets of one have in common; as `Recur` takes them."""

    backend: str | None = None
    dtype: Any = None
    seed: int | None = None
    exact: bool = False
    fast: bool = False
    batch_first: bool = False


def net_at(path: str, member: Any, options: Options) -> Recur:
    """A net of its own for a member.

    A net brings its parameters along. Those of a cell are drawn by their path, so that equal cells
    differ, as if they stood in one cell; so are all, where `options` name a seed.
    """
    bound = bound_of(member)
    check_single(f"{bound}", bound.cell)
    net = Recur(
        bound, backend=options.backend or "auto", dtype=options.dtype,
        exact=options.exact, fast=options.fast, batch_first=options.batch_first,
    )  # fmt: skip
    net._path = f"{path}."
    net._seed = net._seed if options.seed is None else options.seed
    if options.seed is not None or not brings_parameters(member):
        net.load_params(drawn_at(path, bound, options.seed))
    return net


def drawn_at(path: str, bound: BoundCell, seed: int | None) -> dict[str, Array]:
    """The parameters of a cell that stands there, from its own seed or another."""
    seed = bound.seed if seed is None else seed
    return beneath(initialise(compose([bound.cell], [path]), seed, np.dtype("float64")), path)


def brings_parameters(member: Any) -> bool:
    """Whether a member has parameters already, as a net has."""
    return isinstance(member, Recur) or (
        isinstance(member, BoundCell) and member._given is not None
    )
