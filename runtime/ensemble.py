"""Many copies of one cell, each with parameters of its own, as one cell that runs them together.

In: a cell and a number, or nets of one kind. Out: a `BoundCell` whose parameters, states and
outputs have the members in front; and back, the members as cells of their own.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias

from ..compiler.ensemble import ensembled
from ..compiler.ir import Cell
from ..compiler.origin import Ensembled, Origin, Sources, excess
from ..compiler.same import same
from .arrays import AnyArray, namespace
from .cell import BoundCell
from .chain import bound_of, common
from .checks import check_count, check_dtype, check_flag
from .errors import ChainError, SettingError
from .recur import Recur

Member: TypeAlias = Recur | BoundCell | Cell


def ensemble(
    cells: Member | Sequence[Member],
    members: int | None = None,
    *,
    shared_inputs: bool = True,
    dtype: Any = None,
    backend: str | None = None,
) -> BoundCell:
    """`ensemble(GRUCell(8, 32), 16)`: 16 cells of one kind as one, for `Recur`, `Stack` and so on.

    Parameters have the paths of the cell, and the members in front: `[members, ...]`. States are
    `[B, members, ...]`, outputs `[T, B, members, ...]`.

    Args:
        cells: a cell, or a net, whose parameters are drawn anew for each member, from a seed that
            follows from the cell's and from the member's number; or a list of nets and cells of
            one kind and sizes, whose parameters are taken over.
        members: how many; of a list, as many as it has.
        shared_inputs: whether all members read the same input, `[T, B, ...]`; else each has its
            own, `[T, B, members, ...]`.
        dtype, backend: the cells' by default.
    Raises:
        SettingError: naming the argument. ChainError: there is no cell, or those of a list are not
        of one kind, dtype and backend.
    Source: `vmap`; Bradbury et al. 2018, JAX, github.com/jax-ml/jax.
    """
    check_flag(shared_inputs, "shared_inputs")
    if not isinstance(cells, list | tuple):
        count = check_count(members, "members is how many cells an ensemble has")
        bound = [bound_of(cells)]
        options = _options(bound, dtype, backend)
        return _around(bound, count, shared_inputs=bool(shared_inputs), **options)
    bound = [bound_of(cell) for cell in cells]
    if not bound:
        raise ChainError("an ensemble has at least one member")
    if members is not None and members != len(bound):
        raise SettingError(f"members is {members!r}, but there are {len(bound)} cells in the list")
    for at, other in enumerate(bound[1:], 1):
        if not same(bound[0].cell, other.cell):
            raise ChainError(
                f"an ensemble has cells of one kind, but member {at} is {other} and the first "
                f"{bound[0]}"
            )
    options = _options(bound, dtype, backend)
    values = [each.values() for each in bound]
    params = {name: _stacked([each[name] for each in values]) for name in values[0]}
    shared = bool(shared_inputs)
    return _around(bound, len(bound), shared_inputs=shared, params=params, **options)


def _options(cells: list[BoundCell], dtype: Any, backend: str | None) -> dict[str, Any]:
    named = [cell for cell in cells if cell.backend != "auto"]
    return {
        "dtype": check_dtype(dtype or common(cells, "dtype")),
        "backend": backend or common(named, "backend") or "auto",
    }


def _around(
    cells: list[BoundCell], count: int, *, shared_inputs: bool, **options: Any
) -> BoundCell:
    """An ensemble of cells like these; each may have a name of its own."""
    first = cells[0]
    made = first.cell.origin or Origin(Sources(), first.cell.name, {})  # by hand: it is one
    wrong = excess(Ensembled(made, count, shared_inputs))
    if wrong is not None:
        raise SettingError(f"{count} of {first} are {wrong}")
    alike = all(cell.label == first.label for cell in cells)
    name = first.label if alike else BoundCell(first.cell).label
    apart = "" if shared_inputs else ", shared_inputs=False"
    return BoundCell(
        ensembled(first.cell, count, shared_inputs=shared_inputs), seed=first.seed,
        label=f"ensemble({name}, {count}{apart})", templates=first.templates, **options,
    )  # fmt: skip


def _stacked(arrays: Sequence[AnyArray]) -> AnyArray:
    found: AnyArray = namespace(arrays[0]).stack(arrays)
    return found


def members(of: Recur | BoundCell) -> tuple[BoundCell, ...]:
    """The members of an ensemble as cells of their own, each with the parameters it has now.

    Args:
        of: a net or cell that `ensemble` made.
    Raises:
        ChainError: it is no ensemble.
    """
    bound = bound_of(of)
    whole = bound.cell.ensemble
    if whole is None:
        raise ChainError(f"{bound} is no ensemble: rnnc.ensemble(cell, members) makes one")
    values = bound.values()
    return tuple(
        BoundCell(
            whole.member, dtype=bound.dtype, backend=bound.backend,
            params={name: array[at] for name, array in values.items()},
            label=f"{bound.label}[{at}]", templates=bound.templates,
        )
        for at in range(whole.count)
    )  # fmt: skip
