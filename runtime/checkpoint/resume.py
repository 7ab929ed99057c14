"""A net taken down to data, and made again from it: for files and pickles.

In: a net at rest. Out: its `Snapshot`; and the other way round, a net that goes on bit for bit.
"""

from __future__ import annotations

from ...compiler import library
from ..arrays import AnyArray
from ..cell import BoundCell
from ..errors import CheckpointError
from ..inputs import Call
from ..recur import Recur
from ..standing import Standing
from .snapshot import Settings, Snapshot


def snapshot_of(net: Recur) -> Snapshot:
    """What a net is and where it stands; its owner sees to it that no call is under way.

    Raises:
        CheckpointError: its cell has no source.
    """
    at, program, made = net._at, net._program, net._cell.origin
    if made is None:
        raise CheckpointError(f"the cell of {net} has no source to make it again from")
    # Without a state nothing says how many rows come after a boundary: see `truncate`.
    like, carry = (at.like, at.carry) if net._cell.states else (None, None)
    resets = at.resets
    if at.placed is not None and like is not None:  # a boundary forgets that they were reset
        carry, resets = at.entering(program, net._params, like.batch), None

    def hosted(array: AnyArray) -> AnyArray:
        return net._arrays.handed(array, True)

    settings = Settings(
        label=net._bound.label, dtype=program.dtype, backend=program.backend.wish,
        exact=program.exact, fast=program.fast,
        history=None if net._window is None else int(net._window),
        history_limit=min(net.history_limit, 2**63 - 1),
        batch_first=bool(net._inputs.batch_first),
        training=net._training, step=at.step,
        batch=like.batch if like else None, batched=bool(like and like.batched),
    )  # fmt: skip
    return Snapshot(
        made,
        settings,
        {name: hosted(array) for name, array in net._params.items()},
        None if carry is None else {name: hosted(a) for name, a in carry.items()},
        None if resets is None else hosted(resets),
    )


def resumed(snapshot: Snapshot, backend: str | None = None) -> Recur:
    """A net that goes on where a snapshot was taken.

    Args:
        backend: what runs it; what the net asked for by default.
    Raises:
        Error: this rnnc cannot make its cell, or run it here.
    """
    said = snapshot.settings
    cell = BoundCell(
        library.remade(snapshot.made), dtype=said.dtype, backend=backend or said.backend,
        params=snapshot.params, label=said.label,
    )  # fmt: skip
    net = Recur(
        cell, exact=said.exact, fast=said.fast, history=said.history, batch_first=said.batch_first
    )
    net.history_limit = said.history_limit
    net._training = said.training
    arrays, carry, resets, like = net._arrays, snapshot.state, snapshot.resets, None
    if said.batch is not None:
        like = Call((), 0, said.batch, said.batched, single=False, batch_first=said.batch_first)
    net._at = Standing(
        None if carry is None else {n: arrays.own(a, state=True) for n, a in carry.items()},
        like,
        said.step,
        None if resets is None else arrays.flags(resets, "resets"),
    )
    return net
