"""Nets that are made of several: what `Bidirectional` and `Stack` have in common.

In: nets by path, each with its state and its history, and a way through them. Out: one net, whose
parameters and states have the paths in front, and whose calls change all of its nets or none.
"""

from __future__ import annotations

import copy
import sys
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain
from types import MappingProxyType
from typing import Any, Self

import numpy as np

from ..compiler.compose import compose
from ..compiler.ir import Value, leaf
from ..compiler.shapes import Type
from .arrays import AnyArray, Shown
from .cell import BoundCell
from .chain import bound_of
from .checks import check_flag, check_names
from .cotangents import Recorded, parts_of
from .errors import ChainError, NothingRecordedError, ShapeError
from .inputs import Call
from .memory import out_of_memory
from .observing import read_d_states, values_of
from .params import initialise, replaced
from .passing import OfStates, Ran, Said, above, beneath
from .recur import Recur
from .replay import Gradients
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Options:
    """What all nets of one have in common; as `Recur` takes them."""

    backend: str | None = None
    dtype: Any = None
    seed: int | None = None
    exact: bool = False
    fast: bool = False
    batch_first: bool = False


class Layered(ABC):
    """A net of nets, run over whole sequences."""

    _turns: Turns
    _ran: tuple[Ran, ...]  # recorded since the last boundary

    # -- what the two kinds differ in ------------------------------------------------------------

    @abstractmethod
    def _nets(self) -> dict[str, Recur]:
        """Its nets by path; the first of them reads the input."""

    @property
    @abstractmethod
    def width(self) -> tuple[int, ...]:
        """The shape of one step of the output."""

    @abstractmethod
    def _through(self, x: AnyArray, call: Call, said: Said) -> tuple[AnyArray, Any]:
        """x [T,B,...] -> y [T,B,...], and a note for the way back."""

    @abstractmethod
    def _back(
        self, d_y: AnyArray | None, ran: tuple[Ran, ...], states: OfStates,
        found: dict[str, Gradients],
    ) -> AnyArray | None:  # fmt: skip
        """d_y [N,B,...] over all recorded calls -> d_x [N,B,...]; each net's gradients by path."""

    @abstractmethod
    def _kept(self) -> Any:
        """All that a call changes."""

    @abstractmethod
    def _put_back(self, kept: Any) -> None:
        """As it was when `_kept` returned this."""

    @abstractmethod
    def _begin(self, rows: Any) -> None:
        """Reset the nets; all rows, or some."""

    # -- running ---------------------------------------------------------------------------------

    def scan(
        self, xs: Any, *, starts: Any = None, lengths: Any = None, boundaries: Any = None,
        states: bool = False,
    ) -> Any:  # fmt: skip
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys `[T, F]` or `[T, B, F]`.

        Args:
            xs, starts, lengths, boundaries: as for `Recur.scan`.
            states: return `(ys, states)`, with every state as each step left it, by path. What runs
                backwards in time leaves the state at step t when it comes from t + 1.
        Raises:
            As `Recur.scan`; every net is as it was.
        """
        with self._alone():
            check_flag(states, "states")
            call = self._first._inputs.read(xs, single=False)
            return self._run(call, Said(starts, lengths, boundaries, bool(states)))

    def _run(self, call: Call, said: Said) -> Any:
        kept, arrays = self._kept(), self._first._arrays
        (x,), (read,) = call.sequences, self._first._cell.inputs
        try:
            if read.node.type.kind == "real":
                x = arrays.real(x, read.name)
            y, note = self._through(x, call, said)
            ys = arrays.handed(call.returned(y), call.in_numpy)
            seen = above({path: said.seen[net] for path, net in self._nets().items()})
            states = {
                name: arrays.handed(call.returned(array), call.in_numpy)
                for name, array in seen.items()
            }
        except BaseException:
            self._put_back(kept)
            raise
        if self.training:
            sizes = call.resized(call.steps, single=call.single)
            self._ran = (*self._ran, Ran(sizes, said.states, note))
        return (ys, states) if said.states else ys

    def backward(
        self, d_ys: Any, d_state: Mapping[str, Any] | None = None, d_states: Any = None
    ) -> Gradients:
        """Gradients of everything recorded since the last boundary; consumes nothing.

        Args:
            d_ys: one array stacked over all recorded steps, or a list with an entry for each call,
                None where an output was not used.
            d_state: cotangents of the present state, by path; those not named are 0.
            d_states: of the states that calls returned, as for `Recur.backward`.
        Returns:
            `params` and `state` by path; `inputs` stacked over all recorded steps.
        Raises:
            NothingRecordedError, ShapeError, DTypeError, NamesError.
        Cost: as many backward steps of each net as are recorded.
        """
        with self._alone():
            if not self._ran:
                mode = "" if self.training else ": it is in eval mode, call train() first"
                raise NothingRecordedError(
                    f"{self} has recorded nothing since the last boundary{mode}"
                )
            arrays = self._first._arrays
            given = parts_of(d_ys), values_of(d_state), values_of(d_states)
            in_numpy = arrays.in_numpy(chain(*given), "d_ys")
            last = {} if d_state is None else d_state
            check_names(last, self.state, "d_state", all_needed=False)
            last = {n: arrays.real(arrays.given(d, n), n, state=True) for n, d in last.items()}
            recorded = self._recorded()
            (d_y,) = recorded.read(d_ys)
            d_each = read_d_states(d_states, recorded, [ran.with_states for ran in self._ran])
            names = (state.name for state in recorded.cell.states)
            each = {n: d for n, d in zip(names, d_each, strict=True) if d is not None}
            found: dict[str, Gradients] = {}
            d_x = self._back(d_y, self._ran, OfStates(last, each), found)

            def handed(by_path: Mapping[str, Mapping[str, AnyArray]]) -> dict[str, AnyArray]:
                named = above(by_path).items()
                return {name: arrays.handed(array, in_numpy) for name, array in named}

            d_xs = None if d_x is None else recorded.whole.returned(d_x)
            return Gradients(
                handed({path: grads.params for path, grads in found.items()}),
                None if d_xs is None else arrays.handed(d_xs, in_numpy),
                handed({path: grads.state for path, grads in found.items()}),
                recorded.whole.steps,
            )

    def _recorded(self) -> Recorded:
        """The recorded calls, as those of one cell with all states and the last layer's output."""
        y = Value("y", leaf("input", "y", Type(self.width)))
        states = tuple(
            replace(state, name=f"{path}.{state.name}")
            for path, net in self._nets().items()
            for state in net._cell.states
        )
        cell = replace(
            self._first._cell, name=f"{self}", states=states, outputs=(y,), output_is_tuple=False
        )
        calls = [ran.call for ran in self._ran]
        sizes = [(call.steps, call.single) for call in calls]
        return Recorded(cell, self._first._arrays, calls[-1], sizes)

    @contextmanager
    def _alone(self) -> Iterator[None]:
        call = sys._getframe(2)  # past this function and its context manager
        try:
            self._turns.take(self, call)
            with self._first._arrays.calling():
                yield
        except (MemoryError, RuntimeError) as error:
            coded = out_of_memory(error, f"{self}")
            if coded is None:
                raise
            raise coded from error
        finally:
            self._turns.give_back(call)

    # -- boundaries ------------------------------------------------------------------------------

    def truncate(self) -> None:
        """Keep the state, forget the history: gradients do not reach back beyond this point."""
        with self._alone():
            for net in self._nets().values():
                net.truncate()
            self._ran = ()

    def reset(self, rows: Any = None) -> None:
        """Back to the initial state, and forget the history.

        Args:
            rows: bool[B], or the indices of rows: reset these alone, before the next step. Then
                nothing is forgotten: the other rows' history goes on.
        """
        with self._alone():
            kept = self._kept()
            try:
                self._begin(rows)
            except BaseException:
                self._put_back(kept)
                raise
            if rows is None:
                self._ran = ()

    def train(self) -> Self:
        """Record calls from now on, and drop where a stack drops."""
        for net in self._nets().values():
            net.train()
        return self

    def eval(self) -> Self:
        """Record nothing from now on, and drop nothing."""
        for net in self._nets().values():
            net.eval()
        return self

    # -- values ----------------------------------------------------------------------------------

    @property
    def _first(self) -> Recur:
        return next(iter(self._nets().values()))

    @property
    def training(self) -> bool:
        """Whether calls are recorded."""
        return self._first.training

    @property
    def recorded(self) -> int:
        """How many steps `backward` would run back over, in each net."""
        return sum(ran.call.steps for ran in self._ran)

    @property
    def params(self) -> Mapping[str, AnyArray]:
        """Parameters and consts by path, read-only; `load_params` replaces them."""
        return Shown(self._first._arrays, self._all_params())

    def _all_params(self) -> dict[str, AnyArray]:
        return above({path: net._params for path, net in self._nets().items()})

    def load_params(self, given: Mapping[str, Any]) -> None:
        """Replace parameters by path, all or none; those not named stay.

        Recorded steps keep the parameters they ran with.

        Raises:
            NamesError, ShapeError, DTypeError: every parameter is as it was.
        """
        with self._alone():
            found = replaced(self._all_params(), given, self._first._arrays, f"{self}")
            for path, net in self._nets().items():
                net._params = {name: found[f"{path}.{name}"] for name in net._params}

    @property
    def state(self) -> Mapping[str, AnyArray]:
        """The state by path: `[...]`, or `[B, ...]` after a call with a batch axis; read-only.

        Setting it takes an array for every path, and forgets the history.
        """
        return MappingProxyType(above({path: net.state for path, net in self._nets().items()}))

    @state.setter
    def state(self, given: Mapping[str, Any]) -> None:
        with self._alone():
            check_names(given, self.state, f"the state of {self}", all_needed=True)
            kept = self._kept()
            try:
                self._begin(None)
                for path, net in self._nets().items():
                    net.state = beneath(given, path)
                likes = [net._at.like for net in self._nets().values() if net._cell.states]
                sizes = {(like.batched, like.batch) for like in likes if like is not None}
                if len(sizes) > 1:
                    raise ShapeError(f"the states of {self} share their batch axis, or have none")
            except BaseException:
                self._put_back(kept)
                raise
            self._ran = ()

    def __copy__(self) -> Self:
        """A net that goes on from here by itself; compiled programs are shared."""
        with self._alone():
            twin = object.__new__(type(self))
            twin.__dict__.update(self.__dict__)
            twin._turns = Turns()
            twin._copy_nets()
            return twin

    def __deepcopy__(self, _memo: Any) -> Self:
        return copy.copy(self)

    @abstractmethod
    def _copy_nets(self) -> None:
        """Put copies in place of what a copied net still shares."""


def net_at(path: str, member: Any, options: Options) -> Recur:
    """A net of its own for a member.

    A net brings its parameters along. Those of a cell are drawn by their path, so that equal cells
    differ, as if they stood in one cell; so are all, where `options` name a seed.
    """
    bound = bound_of(member)
    if len(bound.cell.inputs) != 1 or len(bound.cell.outputs) != 1:
        raise ChainError(f"{bound} has several inputs or outputs: layers have one of each")
    net = Recur(
        bound, backend=options.backend or "auto", dtype=options.dtype,
        exact=options.exact, fast=options.fast, batch_first=options.batch_first,
    )  # fmt: skip
    if options.seed is not None or not brings_parameters(member):
        seed = bound.seed if options.seed is None else options.seed
        drawn = initialise(compose([bound.cell], [path]), seed, np.dtype("float64"))
        net.load_params(beneath(drawn, path))
    return net


def brings_parameters(member: Any) -> bool:
    """Whether a member has parameters already, as a net has."""
    return isinstance(member, Recur) or (
        isinstance(member, BoundCell) and member._given is not None
    )
