"""Two cells over one sequence, one forwards and one backwards in time.

In: two cells that read the same input. Out: a net whose outputs at a step know what comes before it
and what comes after it.

Source: Schuster & Paliwal 1997, "Bidirectional recurrent neural networks".
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np

from ..compiler.ir import Cell
from .arrays import AnyArray, Array, namespace
from .carries import read_rows
from .cell import BoundCell
from .chain import bound_of, common
from .errors import ShapeError
from .fitting import check_both, fit_of, merged_width
from .inputs import Call
from .layered import Layered
from .members import Options, net_at
from .passing import OfStates, Ran, Said, beneath, gone_back, parts, passed
from .recur import Recur
from .replay import Gradients
from .reversal import Reversal
from .truncation import read_boundaries, read_lengths, read_mask
from .turns import Turns


class Bidirectional(Layered):
    """`Bidirectional(LSTMCell(10, 5), LSTMCell(10, 5))`: [T,B,10] -> [T,B,10].

    Parameters and states have the paths `"forward.W"` and `"backward.h"`. It reads whole sequences;
    each row is reversed within its own length. The forward direction goes on from call to call as a
    `Recur` does. The backward direction cannot, as what comes next is not known yet: it starts anew
    in every call, from its initial state, or in the first call from a state that was set;
    `net.state` is what it has made of a call at the call's first step.
    """

    def __init__(
        self, forward: Recur | BoundCell | Cell, backward: Recur | BoundCell | Cell | None = None,
        *, merge: str = "concat", backend: str | None = None, dtype: Any = None,
        seed: int | None = None, exact: bool = False, fast: bool = False,
        batch_first: bool = False,
    ) -> None:  # fmt: skip
        """Make a net of each direction.

        Args:
            forward, backward: cells, or nets, whose parameters are taken over; those of cells are
                drawn by their path, so that two equal cells differ.
            merge: what becomes of the two outputs: "concat" along their last axis, "sum", "mean".
            backend, dtype: the cells' by default.
            seed: draws all parameters anew.
            exact, fast, batch_first: as for `Recur`.
        Raises:
            ChainError: the cells do not read the same, or their outputs cannot be merged.
            SettingError: naming the argument.
        """
        check_both(backward)
        options = Options(backend, dtype, seed, exact, fast, batch_first)
        self._make(forward, backward, merge, options, "")

    @property
    def merge(self) -> str:
        """What becomes of the two outputs."""
        return self._merge

    def _make(self, forward: Any, backward: Any, merge: str, options: Options, path: str) -> None:
        bound = [bound_of(member) for member in (forward, backward)]
        options = replace(
            options,
            dtype=options.dtype or common(bound, "dtype"),
            backend=options.backend or common([b for b in bound if b.backend != "auto"], "backend"),
        )
        self._merge = merge
        self._ahead = net_at(f"{path}forward", forward, options)
        self._behind = net_at(f"{path}backward", backward, options)
        ahead, behind = (
            fit_of(f"{each}", net._cell)
            for each, net in zip(bound, (self._ahead, self._behind), strict=True)
        )
        self._width, self._made_ahead = merged_width(merge, ahead, behind), ahead.made
        self._arrays = self._ahead._arrays
        # bool[B]: rows whose backward state is not the user's; their next steps leave it behind.
        self._begun: Array | None = None
        self._window = None
        self._ran: tuple[Ran, ...] = ()
        self._turns = Turns()

    def __call__(self, _x: Any) -> Any:
        """Nothing: there is no such step.

        Raises:
            ShapeError: always.
        """
        raise ShapeError(f"{self} has no single step: it reads a whole sequence, net.scan(xs)")

    @property
    def width(self) -> tuple[int, ...]:
        return self._width

    @property
    def _goes_forward(self) -> bool:
        return False

    def _facts(self) -> dict[str, str]:
        return {"merge": self._merge}

    def _nets(self) -> dict[str, Recur]:
        return {"forward": self._ahead, "backward": self._behind}

    def _through(self, x: AnyArray, call: Call, said: Said) -> tuple[AnyArray, Reversal]:
        net = self._behind
        counts = None
        if said.lengths is not None:
            counts = read_lengths(said.lengths, call, net._arrays)
        turn = Reversal(call.steps, call.batch, counts)
        ahead = passed(self._ahead, x, call, said.beneath("forward"))
        self._begin_anew(call, counts)
        own, arrays = said.beneath("backward"), net._arrays
        if said.starts is not None:
            mask = arrays.host(read_mask(said.starts, call, "starts", arrays), "starts")
            own = replace(own, starts=call.returned(turn.turned_mask(mask)))
        if own.starts_at is not None:
            own = replace(own, starts_at={n: turn.turned(v) for n, v in own.starts_at.items()})
        own = replace(own, boundaries=self._cuts(turn, call, said.boundaries))
        behind = turn.turned(passed(net, turn.turned(x), call, own))
        said.seen[net] = {name: turn.turned(array) for name, array in said.seen[net].items()}
        return self._merged(ahead, behind), turn

    def _begin_anew(self, call: Call, counts: Array | None) -> None:
        """Leave behind what the backward direction made of an earlier call, in rows with steps."""
        net = self._behind
        if not net._cell.states:
            return
        net._at.check_fit(call)
        if not call.steps:
            return
        has_steps = np.ones(call.batch, bool) if counts is None else counts > 0
        if self._begun is None:
            self._begun = has_steps | ~self._rows_of_the_user(call)
            return
        anew = self._begun & has_steps
        if anew.any():
            net._at = net._at.resetting(net._arrays.flags(anew, "rows"))
        self._begun = self._begun | has_steps

    def _rows_of_the_user(self, call: Call) -> Array:
        """bool[B]: those that begin at a state that a user has set, before the first call."""
        at = self._behind._at
        if at.carry is not None or at.placed is None:
            return np.full(call.batch, at.carry is not None)
        return self._behind._arrays.host(at.placed.rows, "rows")

    def _cuts(self, turn: Reversal, call: Call, given: Any) -> Any:
        if given is None:
            return None
        arrays = self._behind._arrays
        mask = read_boundaries(given, call, self._behind._at.step, arrays)
        return call.returned(turn.turned_mask(arrays.host(mask, "boundaries")))

    def _merged(self, ahead: AnyArray, behind: AnyArray) -> AnyArray:
        if self._merge == "concat":
            return namespace(ahead).concatenate((ahead, behind), -1)
        both = ahead + behind
        return both if self._merge == "sum" else both / 2

    def _back(
        self, d_y: AnyArray | None, ran: tuple[Ran, ...], states: OfStates,
        found: dict[str, Gradients],
    ) -> AnyArray | None:  # fmt: skip
        d_ahead = d_behind = d_y if d_y is None or self._merge != "mean" else d_y / 2
        if d_y is not None and self._merge == "concat":
            cut = self._made_ahead[-1]
            d_ahead, d_behind = d_y[..., :cut], d_y[..., cut:]
        found["forward"], first = gone_back(self._ahead, d_ahead, ran, states.beneath("forward"))
        d_behind = None if d_behind is None else _all_turned(d_behind, ran)
        own = states.beneath("backward")
        own = replace(own, each={name: _all_turned(d, ran) for name, d in own.each.items()})
        grads, second = gone_back(self._behind, d_behind, ran, own)
        starts = {name: _all_turned(d, ran) for name, d in grads.starts.items()}
        found["backward"] = replace(grads, starts=starts)
        if first is None or second is None:
            return None
        return first + _all_turned(second, ran)

    def _kept(self) -> Any:
        return self._ahead._at, self._behind._at, self._begun, self._ran

    def _put_back(self, kept: Any) -> None:
        self._ahead._at, self._behind._at, self._begun, self._ran = kept

    def _begin(self, rows: Any, state: Mapping[str, Any] | None) -> None:
        for path, net in self._nets().items():
            net.reset(rows, None if state is None else beneath(state, path))
        if rows is None:
            self._begun = None
        elif self._begun is not None:
            arrays = self._behind._arrays
            mask = arrays.host(read_rows(rows, len(self._begun), arrays), "rows")
            self._begun = self._begun & ~mask

    def _part(self) -> None:
        self._ahead, self._behind = copy.copy(self._ahead), copy.copy(self._behind)

    def __repr__(self) -> str:
        return f"Bidirectional({self._ahead._bound}, {self._behind._bound})"


def member_of(both: Bidirectional, options: Options, path: str) -> Bidirectional:
    """A bidirectional layer of its own for a member of a stack, as `net_at` makes a net."""
    found = object.__new__(Bidirectional)
    found._make(both._ahead, both._behind, both._merge, options, path)
    return found


def _all_turned(array: AnyArray, ran: tuple[Ran, ...]) -> AnyArray:
    """Each call's steps among all that are recorded."""
    pieces = [each.note.turned(part) for part, each in zip(parts(array, ran), ran, strict=True)]
    return pieces[0] if len(pieces) == 1 else namespace(array).concatenate(pieces)
