"""Nets that are made of several: what `Bidirectional` and `Stack` have in common.

In: nets by path, each with its state and its history, and a way through them. Out: one net, whose
parameters and states have the paths in front, and whose calls change all of its nets or none.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from itertools import chain
from typing import TYPE_CHECKING, Any, Self

from ..compiler.ir import Cell, Value, leaf
from ..compiler.shapes import Type
from .arguments import Settled
from .arrays import STATE, AnyArray, Shown
from .carries import read_carry, read_row_states
from .checks import check_flag, check_names, describe
from .cotangents import Recorded, parts_of
from .errors import NothingRecordedError, SettingError, ShapeError
from .inputs import Call, Inputs
from .net import Net
from .observing import read_d_states, values_of
from .params import replaced
from .passing import OfStates, Ran, Said, above, beneath, last_steps, whole_of
from .places import read_places
from .recur import Recur
from .replay import Gradients
from .reporting import USUAL, report_of_layers
from .standing import Standing
from .truncation import read_mask

if TYPE_CHECKING:
    from ..compiler.report import Report


class Layered(Net):
    """A net of nets, run over whole sequences."""

    _ran: tuple[Ran, ...]  # recorded since the last boundary
    _window: int | None  # steps to remember; None for all

    # -- what the two kinds differ in ------------------------------------------------------------

    @abstractmethod
    def _nets(self) -> dict[str, Recur]:
        """Its nets by path; the first of them reads the input."""

    @property
    @abstractmethod
    def width(self) -> tuple[int, ...]:
        """The shape of one step of the output."""

    @property
    @abstractmethod
    def _goes_forward(self) -> bool:
        """Whether all its nets run forwards in time, so that it can go along a stream."""

    @abstractmethod
    def _facts(self) -> dict[str, str]:
        """What there is to say of it beside its nets, by a word for each."""

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
    def _begin(self, rows: Any, state: Mapping[str, Any] | None) -> None:
        """Reset the nets; all rows, or some, these to a state by path if there is one."""

    def _mask_bytes(self, _call: Call, _window: int | None) -> int:
        """What masks take that are kept for the way back, once a call is recorded."""
        return 0

    # -- running ---------------------------------------------------------------------------------

    def scan(
        self, xs: Any, *, starts: Any = None, starts_at: Any = None, lengths: Any = None,
        boundaries: Any = None, states: bool = False,
    ) -> Any:  # fmt: skip
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys `[T, F]` or `[T, B, F]`.

        Args:
            xs, starts, lengths, boundaries: as for `Recur.scan`.
            starts_at: as for `Recur.scan`, by path. A value for a step is what the state is before
                this step is read: what runs backwards in time begins from it at the last step
                before a start.
            states: return `(ys, states)`, with every state as each step left it, by path. What runs
                backwards in time leaves the state at step t when it comes from t + 1.
        Raises:
            As `Recur.scan`; every net is as it was.
        """
        with self._alone():
            check_flag(states, "states")
            words = {"starts": starts, "starts_at": starts_at, "lengths": lengths,
                     "boundaries": boundaries}  # fmt: skip
            call = self._inputs.read(xs, single=False)
            return self._run(call, words, self._window, states=bool(states))

    def _run(
        self, call: Call, words: dict[str, Any], window: int | None, *, states: bool = False
    ) -> Any:
        arrays = self._arrays
        said = Said(**self._placed(call, words), states=states, window=window)
        if self.training:
            said = replace(said, held=self._mask_bytes(call, window))
        with self._all_or_none():
            y, note = self._through(self._read(call), call, said)
            ys = arrays.handed(call.returned(y), call.in_numpy)
            seen = self._seen(call, said) if states else {}
            if self.training:
                sizes = call.resized(call.steps, single=call.single)
                self._ran = last_steps((*self._ran, Ran(sizes, states, note)), window)
        return (ys, seen) if states else ys

    @contextmanager
    def _all_or_none(self) -> Iterator[None]:
        """What fails within leaves every net as it was."""
        kept = self._kept()
        try:
            yield
        except BaseException:
            self._put_back(kept)
            raise

    def trace(
        self, xs: Any, *, starts: Any = None, starts_at: Any = None, lengths: Any = None,
        boundaries: Any = None,
    ) -> dict[str, AnyArray]:  # fmt: skip
        """Every named value of all cells at every step of a sequence; the net stays as it is.

        Args:
            xs, starts, starts_at, lengths, boundaries: as for `scan`, from the present state.
        Returns:
            As `Recur.trace`, by path: `"0.h"`, `"1.backward.h'"`. What runs backwards in time reads
            at step t what it has become at t + 1. In training mode layers read what `scan` would
            have dropped for them.
        Raises:
            As `scan`.
        Cost: a program of its own for each cell, compiled at the first call; it stores everything
        it returns.
        """
        with self._alone():
            call, kept = self._inputs.read(xs, single=False), self._kept()
            words = {"starts": starts, "starts_at": starts_at, "lengths": lengths,
                     "boundaries": boundaries}  # fmt: skip
            said = Said(**self._placed(call, words), traces=True)
            try:
                self._through(self._read(call), call, said)
                return self._seen(call, said)
            finally:
                self._put_back(kept)

    def report(self, *, steps: int = USUAL.steps, rows: int = USUAL.rows) -> Report:
        """What the compiler made of all cells, each by its path; as `Recur.report`."""
        return report_of_layers(self._nets(), f"{self}", self._facts(), steps, rows)

    def _read(self, call: Call) -> AnyArray:
        """The input of a call, [T,B,...]."""
        (x,), (value,) = call.sequences, self._first._cell.inputs
        return self._arrays.real(x, value.name) if value.node.type.kind == "real" else x

    def _placed(self, call: Call, words: dict[str, Any]) -> dict[str, Any]:
        """What a user says of a call, the values that rows start at as [T,B,...] by path."""
        if words.get("starts_at") is None:
            return words
        starts, arrays = words.get("starts"), self._arrays
        rows = None if starts is None else read_mask(starts, call, "starts", arrays)
        found = read_places(self._cell, arrays, rows, words["starts_at"], call)
        return words if found is None else {**words, "starts_at": found.values}

    def _seen(self, call: Call, said: Said) -> dict[str, AnyArray]:
        """What every net returned beside its output, by path, in the user's axes."""
        arrays = self._arrays
        seen = above({path: said.seen[net] for path, net in self._nets().items()})
        return {n: arrays.handed(call.returned(array), call.in_numpy) for n, array in seen.items()}

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
            `params`, `state` and `starts` by path; `inputs` stacked over all recorded steps.
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
            arrays = self._arrays
            given = parts_of(d_ys), values_of(d_state), values_of(d_states)
            in_numpy = arrays.in_numpy(chain(*given), "d_ys")
            last = {} if d_state is None else d_state
            state = self.state
            check_names(last, state, "d_state", all_needed=False)
            last = {n: arrays.real(arrays.given(d, n), n, state=True) for n, d in last.items()}
            for name, d in last.items():
                if d.shape != state[name].shape:
                    shapes = describe(state[name].shape), describe(d.shape)
                    raise ShapeError(f"d_state[{name!r}] is {shapes[0]}, got {shapes[1]}")
            calls = [(ran.call.steps, ran.call.single) for ran in self._ran]
            recorded = Recorded(self._cell, arrays, self._ran[-1].call, calls)
            d_steps = recorded.read(d_ys)
            d_steps += read_d_states(d_states, recorded, [ran.with_states for ran in self._ran])
            return self._run_back(d_steps, last, in_numpy)

    def _run_back(
        self, d_steps: tuple[AnyArray | None, ...], d_state: Any, in_numpy: bool
    ) -> Gradients:
        """From cotangents [N, B, ...] over all recorded steps, of the output and each state."""
        arrays, whole = self._arrays, whole_of(self._ran)
        d_y, *d_each = d_steps
        names = (state.name for state in self._cell.states)
        each = {n: d for n, d in zip(names, d_each, strict=True) if d is not None}
        found: dict[str, Gradients] = {}
        d_x = self._back(d_y, self._ran, OfStates(d_state or {}, each), found)

        def handed(by_path: Mapping[str, Mapping[str, AnyArray]]) -> dict[str, AnyArray]:
            named = above(by_path).items()
            return {name: arrays.handed(array, in_numpy) for name, array in named}

        starts = {
            path: {name: whole.returned(d) for name, d in grads.starts.items()}
            for path, grads in found.items()
        }
        return Gradients(
            handed({path: grads.params for path, grads in found.items()}),
            None if d_x is None else arrays.handed(whole.returned(d_x), in_numpy),
            handed({path: grads.state for path, grads in found.items()}),
            whole.steps,
            handed(starts),
        )

    @cached_property
    def _cell(self) -> Cell:
        """All nets seen as one cell: its input, every state by path, and the last output."""
        y = Value("y", leaf("input", "y", Type(self.width)))
        states = tuple(
            replace(state, name=f"{path}.{state.name}")
            for path, net in self._nets().items()
            for state in net._cell.states
        )
        return replace(
            self._first._cell, name=f"{self}", states=states, outputs=(y,), output_is_tuple=False
        )

    # -- boundaries ------------------------------------------------------------------------------

    def truncate(self) -> None:
        """Keep the state, forget the history: gradients do not reach back beyond this point."""
        with self._alone(), self._all_or_none():
            for net in self._nets().values():
                net.truncate()
            self._ran = ()

    def reset(self, rows: Any = None, state: Mapping[str, Any] | None = None) -> None:
        """Back to the initial state, and forget the history.

        Args:
            rows: bool[B], or the indices of rows: reset these alone, before the next step. Then
                nothing is forgotten: the other rows' history goes on.
            state: what these rows are reset to, if not the initial state: an array [B, ...] for
                every state by path. What runs backwards in time begins the next call from it.
        """
        with self._alone():
            if state is not None:
                if rows is None:
                    raise SettingError("reset(state=) takes rows=; of all rows, set net.state")
                what = f"the state that rows of {self} are reset to"
                like = self._at.like
                known = like.batch if like is not None and like.batched else None
                state, _ = read_row_states(self._cell, self._arrays, state, what, known)
            with self._all_or_none():
                self._begin(rows, state)
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
    def _inputs(self) -> Inputs:
        return self._first._inputs

    @property
    def _at(self) -> Standing:
        """Where its first net stands; the others have run and recorded the same steps."""
        return self._first._at

    @property
    def training(self) -> bool:
        """Whether calls are recorded."""
        return self._first.training

    @property
    def recorded(self) -> int:
        """How many steps `backward` would run back over, in each net."""
        return sum(ran.call.steps for ran in self._ran)

    @property
    def history_limit(self) -> int:
        """The most bytes that recorded steps may take, of all nets and masks together."""
        return self._first.history_limit

    @history_limit.setter
    def history_limit(self, most: int) -> None:
        for net in self._nets().values():
            net.history_limit = most

    @property
    def params(self) -> Mapping[str, AnyArray]:
        """Parameters and consts by path, read-only; `load_params` replaces them."""
        return Shown(self._arrays, self._all_params())

    def _all_params(self) -> dict[str, AnyArray]:
        return above({path: net._params for path, net in self._nets().items()})

    def load_params(self, given: Mapping[str, Any]) -> None:
        """Replace parameters by path, all or none; those not named stay.

        Recorded steps keep the parameters they ran with.

        Raises:
            NamesError, ShapeError, DTypeError: every parameter is as it was.
        """
        with self._alone():
            found = replaced(self._all_params(), given, self._arrays, f"{self}")
            for path, net in self._nets().items():
                net._params = Settled({name: found[f"{path}.{name}"] for name in net._params})

    @property
    def state(self) -> Mapping[str, AnyArray]:
        """The state by path: `[...]`, or `[B, ...]` after a call with a batch axis; read-only.

        Setting it takes an array for every path, and forgets the history.
        """
        shown = above({path: net.state for path, net in self._nets().items()})
        return Shown(self._arrays, shown, STATE)

    @state.setter
    def state(self, given: Mapping[str, Any]) -> None:
        with self._alone():
            what = f"the state of {self}"
            carry, lead = read_carry(self._cell, self._arrays, given, what, None)
            values = {name: array if lead else array[0] for name, array in carry.items()}
            with self._all_or_none():
                self._begin(None, None)
                for path, net in self._nets().items():
                    net.state = beneath(values, path)
                self._ran = ()

    # -- in a notebook ---------------------------------------------------------------------------

    def _repr_html_(self) -> str:
        from .layer_picture import picture_of
        from .pages import page_of_layers

        facts = [self._summary(self._first._program)]
        facts += [f"{name}: {text}" for name, text in self._facts().items()]
        pages = {
            f"{path}: {net._bound}": net._bound.page(f"{net._bound}", ())
            for path, net in self._nets().items()
        }
        return page_of_layers(f"{self}", facts, picture_of(self, {}), pages)

    def _repr_latex_(self) -> str | None:
        from ..compiler.equations import latex

        return latex([each for net in self._nets().values() for each in net._bound._written()])

    def _repr_svg_(self) -> str:
        from .layer_picture import picture_of

        return picture_of(self, self._facts())
