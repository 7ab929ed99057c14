"""A cell with a state: what is called step by step, remembers, and runs back.

In: a cell, then inputs. Out: outputs, and gradients of everything recorded since the last boundary.

    net = Recur(cell)           net(x)       one step
    net.scan(xs)                a sequence
    net.backward(d_ys)          gradients of all recorded steps
    net.truncate()              keep the state, forget the history
    net.reset()                 back to the initial state, forget the history

All that changes from call to call is one value, `Standing`, replaced by one assignment at the end
of a call: a call that fails, for whatever reason, has changed nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Any

from ..compiler.ir import Cell
from .arguments import Settled
from .arrays import STATE, AnyArray, Shown
from .carries import chosen, read_carry, read_d_carry, zeros_like
from .cell import BoundCell
from .cells import CellMaker
from .checks import check_count, check_dtype, check_flag
from .cotangents import Recorded, parts_of
from .errors import NothingRecordedError, SettingError, StateError
from .function_cell import Function, FunctionRecur
from .history import History, Waiting, read_window
from .inputs import Call, Inputs
from .net import Net
from .observing import read_d_states, values_of
from .params import replaced
from .replay import Gradients, Sums, run_back
from .reporting import USUAL, report_of
from .standing import Standing
from .turns import Turns

if TYPE_CHECKING:
    from ..compiler.report import Report

HISTORY_LIMIT = 1 << 30  # bytes that a net may record, unless its `history_limit` says otherwise


class Recur(Net):
    """A stateful net around a cell."""

    def __new__(cls, cell: Any, *args: Any, **keywords: Any) -> Any:
        """A plain Python function `(h, x) -> (h, y)` makes a `FunctionRecur`."""
        if callable(cell) and not isinstance(cell, BoundCell | CellMaker | Net):
            return FunctionRecur(cell, *args, **keywords)
        return super().__new__(cls)

    def __init__(
        self,
        cell: BoundCell | Cell | Function,
        initial: Any = None,
        *,
        backend: str = "auto",
        dtype: Any = None,
        seed: int | None = None,
        exact: bool = False,
        fast: bool = False,
        history: int | None = None,
        batch_first: bool = False,
    ) -> None:
        """Draw the parameters and compile.

        Args:
            cell: from a library, `rnnc.LSTMCell(10, 5)`, or the IR's; or a Python function
                `(h, x) -> (h, y)`, which runs as it is and takes none of the keywords.
            initial: the state a Python function starts from; a cell says its own.
            backend: "numpy" or "triton"; "auto" is Triton where a CUDA device can run it. On
                Triton the net's arrays are tensors, and it takes tensors and NumPy's arrays.
            dtype: "float32", the default, or "float64"; on Triton also "bfloat16" or "float16".
            seed: what the parameters are drawn from, and what the cell draws in training; the
                cell's own by default, which is 0. A cell with the parameters of a net keeps them
                without one.
            exact: give the same bits however a sequence is cut into calls; slower.
            fast: allow faster, less exact activations and products.
            history: remember the last so many steps only; all since the last boundary by default.
            batch_first: sequences are `[batch, time, features]`.
        Raises:
            SettingError: naming the argument. BackendError: the backend cannot run here.
        """
        if isinstance(cell, Net):
            own = "; net.cell is its cell, with the parameters that it has now"
            raise SettingError(f"{cell!r} is a net already{own * isinstance(cell, Recur)}")
        if not isinstance(cell, BoundCell | Cell):
            raise SettingError(
                f"Recur takes a cell with its sizes, such as rnnc.LSTMCell(10, 5), not {cell!r}"
            )
        if initial is not None:
            raise SettingError("a cell says its own initial state: set net.state instead")
        window = read_window(history)
        bound = cell if isinstance(cell, BoundCell) else BoundCell(cell)
        width = bound.dtype if dtype is None else check_dtype(dtype)
        self._bound = bound
        self._cell = bound.cell
        self._program = bound.program(width, backend=backend, exact=exact, fast=fast)
        self._arrays = self._program.arrays
        self._params = Settled(bound.draw(self._arrays, seed))
        self._seed = bound.seed if seed is None else int(seed)
        self._path = ""  # in a net of several
        self._inputs = Inputs(bound.cell, self._arrays, batch_first=batch_first)
        self._limit = HISTORY_LIMIT
        self._window = window
        self._training = True
        self._turns = Turns()
        self._at = Standing()

    # -- running ---------------------------------------------------------------------------------

    def __call__(self, x: Any) -> Any:
        """One step: x `[...]` or `[B, ...]` -> y; a tuple or dict for several inputs."""
        with self._alone():
            return self._run(self._inputs.read(x, single=True), {}, self._window)

    def scan(
        self, xs: Any, *, starts: Any = None, starts_at: Any = None, lengths: Any = None,
        boundaries: Any = None, states: bool = False,
    ) -> Any:  # fmt: skip
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys.

        Args:
            xs: as for one step, with a time axis in front.
            starts: bool[T] or bool[T,B]: rows that are reset before a step.
            starts_at: what they are reset to, if not the initial state: for every state by name
                an array [B, ...], or [T, B, ...] with a value for each step.
            lengths: int[B]: steps of each row that count; then its state is held, its output 0.
            boundaries: where the state goes on but its gradient is cut: a period in steps of the
                stream, a list of steps of this call, or a mask like `starts`. A mask of real
                numbers holds what a gradient is multiplied by there: 0 cuts it, 1 lets it pass.
            states: return `(ys, states)`, with every state as each step left it, by the names of
                `net.state`, `[T, ...]` or `[T, B, ...]`.
        Raises:
            ShapeError, DTypeError, RangeError: naming the argument; StateError: the state does not
            fit; HistoryFullError, OutOfMemoryError. The net is as it was.
        """
        with self._alone():
            check_flag(states, "states")
            said = {"starts": starts, "starts_at": starts_at, "lengths": lengths,
                    "boundaries": boundaries}  # fmt: skip
            call = self._inputs.read(xs, single=False)
            return self._run(call, said, self._window, states=bool(states))

    def _run(
        self, call: Call, said: dict[str, Any], window: int | None, *, states: bool = False,
        others: int = 0,
    ) -> Any:  # fmt: skip
        at, recording, arrays = self._at, self._training, self._arrays
        program = self._bound.observing(self._program) if states else self._program
        at.check_fit(call)
        if recording:
            least = self._inputs.row_bytes * call.batch
            at.check_room(call, least, window, self._limit, others)
        masks = at.masks(self._cell, call, arrays, **said)
        if recording:
            masks = at.with_waiting(masks, call, arrays)
        xs = call.sequences
        carry, returned, tape = program.forward(
            self._params,
            at.entering(self._program, self._params, call.batch),
            xs if self._cell.input_is_tuple else xs[0],
            **masks.by_name(),
            **self._mode(),
            record=recording,
        )
        ys = returned if program.cell.output_is_tuple else (returned,)
        places = masks.placed.values.values() if masks.placed else ()
        lent = (*xs, *ys, *places)
        resets, placed = at.waiting(call, masks.lengths, arrays, recording=recording)
        if tape is None:
            history = at.history.interrupted() if call.steps else at.history
        else:
            fresh = at.carry is None
            at.check_room(call, tape.step_bytes, window, self._limit, others)
            history = at.history.extended(
                program, tape, call, self._params,
                with_states=states, fresh=fresh, window=window, lent=lent,
                waiting=Waiting.of(resets, placed) if states else None,
            )  # fmt: skip
        after: Mapping[str, AnyArray] | None = at.carry  # no step leaves an initial state initial
        if call.steps:
            after = {name: arrays.owned(array, lent) for name, array in carry.items()}
        standing = Standing(
            after,
            call.resized(0, single=False),
            at.step + call.steps,
            resets,
            history,
            placed,
        )
        if not self._cell.states and not recording:  # the next call may have another batch size
            standing = replace(standing, carry=at.carry, like=at.like)
        outputs = tuple(arrays.handed(call.returned(y), call.in_numpy) for y in ys)
        self._at = standing
        count = len(self._cell.outputs)
        y = outputs[:count] if self._cell.output_is_tuple else outputs[0]
        names = (state.name for state in self._cell.states)
        return (y, dict(zip(names, outputs[count:], strict=True))) if states else y

    def trace(
        self, xs: Any, *, starts: Any = None, starts_at: Any = None, lengths: Any = None,
        boundaries: Any = None,
    ) -> dict[str, AnyArray]:  # fmt: skip
        """Every named value of the cell at every step of a sequence; the net stays as it is.

        Args:
            xs, starts, starts_at, lengths, boundaries: as for `scan`, from the present state.
        Returns:
            `[T, ...]` or `[T, B, ...]` by name: `h`, the state that a step reads, `h'`, what it
            becomes, and every name that an equation binds; of sub-cells and members by path,
            `"0.h"`. Of a name that is bound several times, `s[0]`, `s[1]`, ..., and `s` is the
            last. Past its length a row is 0 in all of them.
        Raises:
            As `scan`.
        Cost: a program of its own, compiled at the first call; it stores everything it returns.
        """
        with self._alone():
            call = self._inputs.read(xs, single=False)
            said = {"starts": starts, "starts_at": starts_at, "lengths": lengths,
                    "boundaries": boundaries}  # fmt: skip
            _, found = self._traced(call, said)
            return {
                name: self._arrays.handed(call.returned(array), call.in_numpy)
                for name, array in found.items()
            }

    def _traced(
        self, call: Call, said: dict[str, Any]
    ) -> tuple[tuple[AnyArray, ...], dict[str, AnyArray]]:
        """Outputs and named values, [T, B, ...]."""
        at = self._at
        at.check_fit(call)
        masks = at.masks(self._cell, call, self._arrays, **said)
        carry = at.entering(self._program, self._params, call.batch)
        xs = call.sequences if self._cell.input_is_tuple else call.sequences[0]
        run = self._bound.tracing(self._program).run
        return run(self._params, carry, xs, **masks.by_name(), **self._mode())

    def _mode(self) -> dict[str, Any]:
        """What a call depends on beside its inputs."""
        return {
            "training": self._training, "step": self._at.step, "seed": self._seed,
            "path": self._path,
        }  # fmt: skip

    # -- running back ----------------------------------------------------------------------------

    def backward(
        self, d_ys: Any, d_state: Mapping[str, Any] | None = None, d_states: Any = None
    ) -> Gradients:
        """Gradients of everything recorded since the last boundary; consumes nothing.

        Args:
            d_ys: the outputs' cotangents: one array stacked over all recorded steps, or a list
                with an entry for each call, None where an output was not used. Tuples for several
                outputs.
            d_state: cotangents of the present state, by name; those not named are 0.
            d_states: of the states that calls returned, by name and stacked over all recorded
                steps, or a list with such a dict, or None, for each call; those not named are 0.
        Returns:
            Sums over all steps for `params`; `inputs` stacked over all steps.
        Raises:
            NothingRecordedError, ShapeError, DTypeError, NamesError.
        Cost: as many backward steps as are recorded.
        """
        with self._alone():
            at = self._at
            if not at.history.segments or at.like is None:
                mode = "" if self._training else ": it is in eval mode, call train() first"
                raise NothingRecordedError(
                    f"{self} has recorded nothing since the last boundary{mode}"
                )
            given = parts_of(d_ys), values_of(d_state), values_of(d_states)
            in_numpy = self._arrays.in_numpy(chain(*given), "d_ys")
            recorded = Recorded(self._cell, self._arrays, at.like, at.history.call_sizes())
            d_steps = recorded.read(d_ys)
            d_steps += read_d_states(d_states, recorded, at.history.with_states())
            return self._run_back(d_steps, d_state, in_numpy)

    def _run_back(
        self, d_steps: tuple[AnyArray | None, ...], d_state: Any, in_numpy: bool
    ) -> Gradients:
        """From cotangents [N, B, ...] of each output, then each state, over all recorded steps."""
        at, arrays, sums = self._at, self._arrays, Sums(self._program)
        assert at.like is not None, "something is recorded"
        whole = at.like.resized(at.history.steps, single=False)
        d_carry = None if d_state is None else self._last_cotangent(at, d_state, sums)
        d_xs, d_start, d_placed, ran = run_back(
            self._program, at.history, d_steps, d_carry, sums, self._params
        )

        def handed(array: AnyArray) -> AnyArray:
            return arrays.handed(array, in_numpy)

        d_inputs = tuple(None if d is None else handed(whole.returned(d)) for d in d_xs)
        return Gradients(
            {name: handed(array) for name, array in sums.params.items()},
            d_inputs if self._cell.input_is_tuple else d_inputs[0],
            {name: handed(d if at.like.batched else d[0]) for name, d in d_start.items()},
            ran,
            {name: handed(whole.returned(d)) for name, d in d_placed.items()},
        )

    def _last_cotangent(self, at: Standing, given: Any, sums: Sums) -> dict[str, AnyArray]:
        """The cotangent of what the last recorded step returned.

        A reset row's goes to `sums`, or to the user, who gave the value that it waits for.
        """
        if not at.history.connected:
            raise StateError(f"the state of {self} is not what its last recorded step returned")
        assert at.like is not None
        carry = at.entering(self._program, self._params, at.like.batch)
        d_carry = read_d_carry(given, carry, self._arrays, "d_state", batched=at.like.batched)
        nothing = zeros_like(d_carry)
        if at.placed is not None:
            d_carry = chosen(at.placed.rows, nothing, d_carry)
        if at.resets is None:
            return d_carry
        sums.add(self._program.initial_pullback(self._params, chosen(at.resets, d_carry, nothing)))
        return chosen(at.resets, nothing, d_carry)

    # -- boundaries ------------------------------------------------------------------------------

    def truncate(self) -> None:
        """Keep the state, forget the history: gradients do not reach back beyond this point."""
        with self._alone():
            kept = replace(self._at, history=History())
            if not self._cell.states:  # the next call may then have another batch size
                kept = replace(kept, carry=None, like=None)
            self._at = kept

    def reset(self, rows: Any = None, state: Mapping[str, Any] | None = None) -> None:
        """Back to the initial state, and forget the history. Steps of the stream are counted on.

        Args:
            rows: bool[B], or the indices of rows, each once: reset these alone, before the next
                step. Then nothing is forgotten: the other rows' history goes on.
            state: what these rows are reset to, if not the initial state: an array [B, ...] for
                every state by name, of which the other rows are not read.
        """
        with self._alone():
            at, first = self._at, self._inputs.batch_first
            if rows is not None:
                self._at = at.reset_rows(self._cell, self._arrays, rows, state, first, f"{self}")
            elif state is None:
                self._at = Standing(step=at.step)
            else:
                raise SettingError("reset(state=) takes rows=; of all rows, set net.state")

    def train(self) -> Recur:
        """Record calls from now on."""
        self._training = True
        return self

    def eval(self) -> Recur:
        """Record nothing from now on; what is recorded stays until the next boundary."""
        self._training = False
        return self

    # -- values ----------------------------------------------------------------------------------

    @property
    def training(self) -> bool:
        """Whether calls are recorded."""
        return self._training

    @property
    def recorded(self) -> int:
        """How many steps `backward` would run back over."""
        return self._at.history.steps

    @property
    def history_limit(self) -> int:
        """The most bytes that recorded steps may take; a call that would take more is an error."""
        return self._limit

    @history_limit.setter
    def history_limit(self, most: int) -> None:
        self._limit = check_count(most, "history_limit is a number of bytes")

    @property
    def state(self) -> Mapping[str, AnyArray]:
        """The state by name: `[...]`, or `[B, ...]` after a call with a batch axis.

        Read-only: NumPy's arrays are views that cannot be written into, tensors are copies.
        Setting it takes an array for every name, and forgets the history.
        """
        at = self._at
        batched = at.like is not None and at.like.batched
        batch = at.like.batch if at.like is not None else 1
        carry = at.entering(self._program, self._params, batch)
        shown = {n: a if batched else a[0] for n, a in carry.items()}
        return Shown(self._arrays, shown, STATE)

    @state.setter
    def state(self, given: Mapping[str, Any]) -> None:
        with self._alone():
            carry, lead = read_carry(self._cell, self._arrays, given, f"the state of {self}", None)
            standing = Standing(step=self._at.step)
            if given:
                batch, batch_first = lead[0] if lead else 1, self._inputs.batch_first
                like = Call((), 0, batch, bool(lead), single=False, batch_first=batch_first)
                standing = replace(standing, carry=carry, like=like)
            self._at = standing

    @property
    def params(self) -> Mapping[str, AnyArray]:
        """Parameters and consts by path, read-only as the state; `load_params` replaces them."""
        return Shown(self._arrays, self._params)

    def load_params(self, given: Mapping[str, Any]) -> None:
        """Replace parameters by name, all or none; those not named stay.

        Recorded steps keep the parameters they ran with.

        Raises:
            NamesError, ShapeError, DTypeError: every parameter is as it was.
        """
        with self._alone():
            self._params = Settled(replaced(self._params, given, self._arrays, f"{self}"))

    def report(self, *, steps: int = USUAL.steps, rows: int = USUAL.rows) -> Report:
        """What the compiler made of the cell: print it, or let a notebook show it.

        Args:
            steps, rows: of the calls that costs are counted for.
        Raises:
            SettingError: one of them is no number of steps or rows.
        """
        return report_of(self._program, f"{self}", steps, rows)

    @property
    def cell(self) -> BoundCell:
        """The cell with the present parameters, a function that keeps no state."""
        return self._bound.starting_with(self._params, self._program, self._seed)

    def _part(self) -> None:
        self._at = replace(self._at, history=self._at.history.copied())

    def __repr__(self) -> str:
        return f"Recur({self._bound})"

    def _repr_html_(self) -> str:
        return self._bound.page(f"{self}", [self._summary(self._program)])

    def _repr_latex_(self) -> str | None:
        return self._bound._repr_latex_()

    def _repr_svg_(self) -> str:
        return self._bound._repr_svg_()
