"""A net taken down to data, and made again from it: for files and pickles.

In: a net at rest. Out: its `Snapshot`; and the other way round, a net that goes on bit for bit.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

from ...compiler import library
from ...compiler.origin import Made
from ..arrays import AnyArray, Array
from ..bidirectional import Bidirectional
from ..carries import chosen
from ..cell import BoundCell
from ..dropout import read_dropout
from ..errors import ChainError, CheckpointError
from ..inputs import Call
from ..members import Options
from ..net import Net
from ..passing import beneath
from ..recur import Recur
from ..stack import Stack, stack_of
from ..standing import Standing
from .snapshot import Both, Layers, Member, Settings, Snapshot, Structure, joined, made_by_path

AnyNet: TypeAlias = Recur | Stack | Bidirectional


def snapshot_of(net: Net) -> Snapshot:
    """What a net is and where it stands; its owner sees to it that no call is under way.

    Raises:
        CheckpointError: a cell of it has no source.
    """
    assert isinstance(net, AnyNet), "there are no other nets"
    made, nets, arrays = _structure(net), _nets(net), net._arrays
    first = next(iter(nets.values()))
    # Without a state nothing says how many rows come after a boundary: see `truncate`.
    like = next((inner._at.like for inner in nets.values() if inner._cell.states), None)
    settings = Settings(
        label=net._bound.label if isinstance(net, Recur) else "",
        dtype=first._program.dtype, backend=first._program.backend.wish,
        exact=first._program.exact, fast=first._program.fast,
        history=None if net._window is None else int(net._window),
        history_limit=min(net.history_limit, 2**63 - 1),
        batch_first=bool(net._inputs.batch_first),
        training=net.training, step=net._at.step,
        batch=like.batch if like else None, batched=bool(like and like.batched),
        seeds=_seeds(nets),
    )  # fmt: skip

    def hosted(by_path: Mapping[str, AnyArray]) -> dict[str, Array]:
        return {name: arrays.handed(array, True) for name, array in by_path.items()}

    flags: dict[str, AnyArray] = {}
    params: dict[str, AnyArray] = {}
    state: dict[str, AnyArray] = {}
    for path, inner in nets.items():
        params |= {joined(path, name): array for name, array in inner._params.items()}
        if like is None or not inner._cell.states:
            continue
        carry, resets = inner._at.carry, inner._at.resets
        if inner._at.placed is not None:  # a boundary forgets that they were reset
            rows, values = inner._at.placed.rows, inner._at.placed.values
            if carry is None:  # but what is learned of an initial state stays known
                carry, resets = inner._program.initial(inner._params, like.batch), ~rows
            carry = chosen(rows, values, carry)
        state |= {joined(path, name): array for name, array in (carry or {}).items()}
        flags |= {} if resets is None else {joined("resets", path): resets}
    begun = {joined("begun", path): both._begun for path, both in _bidirectional(net).items()}
    return Snapshot(
        made, settings, hosted(params), hosted(state) if state else None,
        hosted(flags) | {name: rows for name, rows in begun.items() if rows is not None},
    )  # fmt: skip


def resumed(snapshot: Snapshot, backend: str | None = None) -> AnyNet:
    """A net that goes on where a snapshot was taken.

    Args:
        backend: what runs it; what the net asked for by default.
    Raises:
        Error: this rnnc cannot make its cells, or run them here. CheckpointError: they do not fit
        together.
    """
    said = snapshot.settings
    try:
        net = _again(snapshot, backend or said.backend)
    except ChainError as error:
        raise CheckpointError(f"its layers do not fit: {error}") from None
    net.history_limit = said.history_limit
    arrays, like = net._arrays, None
    if said.batch is not None:
        like = Call((), 0, said.batch, said.batched, single=False, batch_first=said.batch_first)
    seeds = map(int, said.seeds.split(",") if said.seeds else ())
    for path, inner in _nets(net).items():
        state, resets = None, snapshot.flags.get(joined("resets", path))
        if snapshot.state is not None and inner._cell.states:
            own = beneath(snapshot.state, path) if path else snapshot.state
            state = {name: arrays.own(array, state=True) for name, array in own.items()}
        inner._training = said.training
        inner._seed = next(seeds, inner._seed)
        inner._at = Standing(
            state,
            like if inner._cell.states else None,
            said.step,
            None if resets is None else arrays.flags(resets, "resets"),
        )
    for path, both in _bidirectional(net).items():
        both._begun = snapshot.flags.get(joined("begun", path))
    return net


def _seeds(nets: Mapping[str, Recur]) -> str:
    """What they draw from, if any does: 64 bits of each seed count."""
    if not any(inner._cell.beside for inner in nets.values()):
        return ""
    return ",".join(str(inner._seed % 2**64) for inner in nets.values())


def _nets(net: AnyNet) -> dict[str, Recur]:
    return {"": net} if isinstance(net, Recur) else net._nets()


def _bidirectional(net: AnyNet) -> dict[str, Bidirectional]:
    """By path."""
    match net:
        case Bidirectional():
            return {"": net}
        case Stack():
            layers = net._layers.items()
            return {path: layer for path, layer in layers if isinstance(layer, Bidirectional)}
    return {}


# -- what it is made of ----------------------------------------------------------------------------


def _structure(net: AnyNet) -> Structure:
    match net:
        case Stack():
            dropped = net._dropout
            return Layers(
                tuple(
                    _both(each) if isinstance(each, Bidirectional) else _member(each)
                    for each in net._layers.values()
                ),
                tuple(net._layers),
                dropped.rate if dropped else 0.0,
                bool(dropped and dropped.per_sequence),
                dropped.seed if dropped else 0,
                tuple(sorted(net._residual)),
            )
        case Bidirectional():
            return _both(net)
    return _member(net).made


def _both(net: Bidirectional) -> Both:
    return Both(_member(net._ahead), _member(net._behind), net.merge)


def _member(net: Recur) -> Member:
    made: Made | None = net._cell.origin
    if made is None:
        raise CheckpointError(f"the cell of {net} has no source to make it again from")
    return Member(made, net._bound.label)


def _again(snapshot: Snapshot, backend: str) -> AnyNet:
    said = snapshot.settings
    options: Any = {"exact": said.exact, "fast": said.fast, "batch_first": said.batch_first}
    made_by = made_by_path(snapshot.made)
    cells = dict(zip(made_by, library.all_remade(list(made_by.values())), strict=True))

    def cell(label: str, path: str) -> BoundCell:
        params = beneath(snapshot.params, path) if path else snapshot.params
        return BoundCell(cells[path], dtype=said.dtype, backend=backend, params=params, label=label)

    def layer(made: Member | Both, path: str) -> BoundCell | Bidirectional:
        if isinstance(made, Member):
            return cell(made.label, path)
        ways = [
            cell(member.label, joined(path, way))
            for way, member in (("forward", made.forward), ("backward", made.backward))
        ]
        return Bidirectional(*ways, merge=made.merge, backend=backend, dtype=said.dtype, **options)

    match snapshot.made:
        case Layers() as made:
            by_path = zip(made.paths, made.layers, strict=True)
            return stack_of(
                {path: layer(each, path) for path, each in by_path},
                Options(backend, said.dtype, None, **options),
                read_dropout(made.dropout, made.per_sequence, made.seed),
                made.residual,
                said.history,
            )
        case Both() as made:
            found = layer(made, "")
            assert isinstance(found, Bidirectional), "both directions"
            return found
    return Recur(cell(said.label, ""), history=said.history, **options)
