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
from .checks import check_names
from .cotangents import Recorded, parts_of
from .errors import ChainError, NothingRecordedError, ShapeError
from .inputs import Call
from .memory import out_of_memory
from .observing import values_of
from .params import initialise, replaced
from .recur import Recur
from .replay import Gradients
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Masks:
    """What a user says of a call, as it was passed."""

    starts: Any
    lengths: Any
    boundaries: Any


@dataclass(frozen=True, slots=True)
class Options:
    """What all nets of one have in common; as `Recur` takes them."""

    backend: str | None = None
    dtype: Any = None
    seed: int | None = None
    exact: bool = False
    fast: bool = False
    batch_first: bool = False


@dataclass(frozen=True, slots=True)
class Ran:
    """A recorded call: its sizes, and what running back over it has to know."""

    call: Call
    note: Any


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
    def _through(self, x: AnyArray, call: Call, masks: Masks) -> tuple[AnyArray, Any]:
        """x [T,B,...] -> y [T,B,...], and a note for the way back."""

    @abstractmethod
    def _back(
        self, d_y: AnyArray | None, ran: tuple[Ran, ...], d_state: Any, found: dict[str, Gradients]
    ) -> AnyArray | None:
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
        self, xs: Any, *, starts: Any = None, lengths: Any = None, boundaries: Any = None
    ) -> Any:
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys `[T, F]` or `[T, B, F]`.

        Args:
            xs, starts, lengths, boundaries: as for `Recur.scan`.
        Raises:
            As `Recur.scan`; every net is as it was.
        """
        with self._alone():
            call = self._first._inputs.read(xs, single=False)
            return self._run(call, Masks(starts, lengths, boundaries))

    def _run(self, call: Call, masks: Masks) -> Any:
        kept, arrays = self._kept(), self._first._arrays
        (x,), (read,) = call.sequences, self._first._cell.inputs
        try:
            if read.node.type.kind == "real":
                x = arrays.real(x, read.name)
            y, note = self._through(x, call, masks)
            ys = arrays.handed(call.returned(y), call.in_numpy)
        except BaseException:
            self._put_back(kept)
            raise
        if self.training:
            sizes = call.resized(call.steps, single=call.single)
            self._ran = (*self._ran, Ran(sizes, note))
        return ys

    def backward(self, d_ys: Any, d_state: Mapping[str, Any] | None = None) -> Gradients:
        """Gradients of everything recorded since the last boundary; consumes nothing.

        Args:
            d_ys: one array stacked over all recorded steps, or a list with an entry for each call,
                None where an output was not used.
            d_state: cotangents of the present state, by path; those not named are 0.
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
            first = self._first
            given = parts_of(d_ys), values_of(d_state)
            in_numpy = first._arrays.in_numpy(chain(*given), "d_ys")
            if d_state is not None:
                check_names(d_state, self.state, "d_state", all_needed=False)
            calls = [ran.call for ran in self._ran]
            y = Value("y", leaf("input", "y", Type(self.width)))
            cell = replace(first._cell, outputs=(y,), output_is_tuple=False, name=f"{self}")
            recorded = Recorded(
                cell, first._arrays, calls[-1], [(call.steps, call.single) for call in calls]
            )
            (d_y,) = recorded.read(d_ys)
            found: dict[str, Gradients] = {}
            d_x = self._back(d_y, self._ran, d_state, found)

            def handed(by_path: Mapping[str, Mapping[str, AnyArray]]) -> dict[str, AnyArray]:
                named = above(by_path).items()
                return {name: first._arrays.handed(array, in_numpy) for name, array in named}

            d_xs = None if d_x is None else recorded.whole.returned(d_x)
            return Gradients(
                handed({path: grads.params for path, grads in found.items()}),
                None if d_xs is None else first._arrays.handed(d_xs, in_numpy),
                handed({path: grads.state for path, grads in found.items()}),
                recorded.whole.steps,
            )

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


def passed(net: Recur, x: AnyArray, call: Call, masks: Masks) -> AnyArray:
    """x [T,B,...] -> y [T,B,...], through one net."""
    given = call.returned(x)
    if call.single:
        y = net(given)
    else:
        y = net.scan(given, starts=masks.starts, lengths=masks.lengths, boundaries=masks.boundaries)
    # It may have been given integers of NumPy, and then returns its arrays.
    return net._arrays.real(call.arranged(y), net._cell.outputs[0].name)


def gone_back(
    net: Recur, d_y: AnyArray | None, whole: Call, d_state: Any, path: str
) -> tuple[Gradients, AnyArray | None]:
    """d_y [N,B,...] -> a net's gradients, and d_x [N,B,...]."""
    d_net = None if d_state is None else beneath(d_state, path)
    grads = net.backward(None if d_y is None else whole.returned(d_y), d_net or None)
    return grads, None if grads.inputs is None else whole.arranged(grads.inputs)


def whole_of(ran: tuple[Ran, ...]) -> Call:
    """The sizes of all recorded calls as one."""
    return ran[-1].call.resized(sum(each.call.steps for each in ran), single=False)


def above(by_path: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    """Values of several nets, each by its path."""
    return {f"{path}.{n}": value for path, values in by_path.items() for n, value in values.items()}


def beneath(values: Mapping[str, Any], path: str) -> dict[str, Any]:
    """Those of a path, without it."""
    head = f"{path}."
    return {n.removeprefix(head): value for n, value in values.items() if n.startswith(head)}


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
