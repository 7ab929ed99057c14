"""The functional layer: a compiled cell that owns no state.

In: parameters, a carry and sequences, all arrays. Out: the new carry, outputs, and a tape from
which `backward` gives the cotangents. Everything else that runs a cell calls this.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np

from ..compiler import knobs
from ..compiler.backends.to_numpy import Module, to_numpy
from ..compiler.initial import initial, initial_pullback
from ..compiler.ir import Cell
from ..compiler.passes.schedule import schedule
from ..compiler.passes.simplify import simplify
from ..compiler.pipeline import Goal, Programs, compile_cell
from .arrays import (
    Array,
    as_array,
    as_flags,
    as_indices,
    as_real,
    check_dtype,
    check_flag,
    check_names,
    describe,
)
from .errors import SettingError, ShapeError
from .inputs import table_rows
from .launch import load
from .truncation import as_lengths

Arrays: TypeAlias = Mapping[str, Array]
Sequences: TypeAlias = Any  # an array, or a tuple of arrays in the cell's order

KEPT_BATCHES = 4  # batch sizes whose buffers a thread keeps for one module


@dataclass(frozen=True, slots=True)
class Tape:
    """What `backward` reads of a run: [T, B, ...] arrays by the backward module's names.

    Tapes of one variant and batch size that follow each other in time can be joined along it.
    """

    variant: tuple[str, ...]
    steps: int
    batch: int
    arrays: dict[str, Array]


class Program:
    """A compiled cell.

    Its modules are generated when first needed, one pair for each set of masks a call uses; none
    depends on T or B. Calls from several threads are independent.
    """

    def __init__(self, cell: Cell, dtype: Any = "float32", *, exact: bool = False) -> None:
        self.cell = cell
        self.dtype = check_dtype(dtype)
        self.exact = exact
        self.counts = {"forward": 0, "backward": 0}  # steps executed
        self._variants: dict[tuple[tuple[str, ...], bool], Programs] = {}
        self._start: tuple[Module, Module] | None = None
        self._ready = threading.local()
        self._compiling = threading.RLock()
        self._rows = table_rows(cell)

    @property
    def recurrence(self) -> Any:
        """What kind of recurrence the cell is."""
        return self.variant((), record=False).recurrence

    def variant(self, masks: tuple[str, ...] = (), *, record: bool = True) -> Programs:
        """The programs for calls that use these masks; generated when first asked for."""
        key = (masks, record)
        found = self._variants.get(key)
        if found is None:
            with self._compiling:
                found = self._variants.get(key)
                if found is None:
                    found = compile_cell(self.cell, Goal(masks, record, self.exact))
                    self._variants[key] = found
        return found

    # -- the start -------------------------------------------------------------------------------

    def initial(self, params: Arrays, batch: int) -> dict[str, Array]:
        """The carry before the first step: [B, ...] by state name, freshly allocated."""
        module = self._starting()[0]
        values = self._run(module, 1, 0, self._params(params), (), ())
        return {
            name: np.array(np.broadcast_to(value, (batch, *value.shape)))
            for name, value in zip(module.outs, values, strict=True)
        }

    def initial_pullback(self, params: Arrays, d_carry: Arrays) -> dict[str, Array]:
        """Cotangents of the parameters a learned initial state is made of.

        Args:
            d_carry: [B, ...] by state name; rows that did not start there hold zeros.
        Returns:
            By path; parameters no initial state reads are absent.
        """
        module = self._starting()[1]
        if not module.outs:
            return {}
        names = [n.removeprefix("ct.") for n in module.inputs]
        sums = [np.asarray(d_carry[n]).sum(0, self.dtype) for n in names]
        values = self._run(module, 1, 0, self._params(params), (), sums)
        return {n.removeprefix("ct."): v for n, v in zip(module.outs, values, strict=True)}

    def _starting(self) -> tuple[Module, Module]:
        if self._start is None:
            scans = (initial(self.cell), initial_pullback(self.cell))
            first, second = (to_numpy(schedule(simplify(s))) for s in scans)
            self._start = (first, second)
        return self._start

    # -- running ---------------------------------------------------------------------------------

    def forward(
        self, params: Arrays, carry: Arrays, xs: Sequences, *, starts: Any = None,
        lengths: Any = None, boundaries: Any = None, record: bool = True,
    ) -> tuple[dict[str, Array], Sequences, Tape | None]:  # fmt: skip
        """Apply the cell along time.

        Args:
            params: by path, constant tensors included; replaced, never written into.
            carry: [B, ...] by state name.
            xs: [T, B, ...]; a tuple in the cell's order where it has several inputs.
            starts: bool[T, B]: the row is reset before the step.
            lengths: int[B]: past it a row's state is held and its outputs are 0.
            boundaries: bool[T, B]: the state goes on, its cotangent is cut before the step.
            record: whether to keep what `backward` reads.
        Returns:
            The last carry, the outputs [T, B, ...] (a tuple where there are several), and the
            tape, or None.
        Raises:
            NamesError, ShapeError, DTypeError, RangeError: what was passed does not fit.
        """
        given = self._inputs(xs)
        steps, batch = given[0].shape[:2]
        masks = self._masks(steps, batch, starts, lengths, boundaries)
        self._check_indices(given, masks.get("valid"))
        names = tuple(masks)
        programs = self.variant(names, record=record)
        module = programs.forward
        states = self._carry(carry, batch)
        arrays = [*given, *masks.values()]
        values = self._run(module, batch, steps, self._params(params), states, arrays)
        self.counts["forward"] += steps
        count = len(module.carries)
        last = dict(zip(module.carries, values[:count], strict=True))
        outs = dict(zip(module.outs, values[count:], strict=True))
        ys = tuple(outs[o.name] for o in self.cell.outputs)
        tape = None
        if programs.backward is not None:
            known = {v.name: x for v, x in zip(self.cell.inputs, given, strict=True)}
            known |= {f"mask.{name}": mask for name, mask in masks.items()} | outs
            arrays_kept = {n: known[n] for n in programs.backward.inputs if not n.startswith("ct.")}
            tape = Tape(names, steps, batch, arrays_kept)
        return last, ys if self.cell.output_is_tuple else ys[0] if ys else (), tape

    def backward(
        self, params: Arrays, tape: Tape, d_ys: Sequences, d_carry: Arrays | None = None
    ) -> tuple[dict[str, Array], dict[str, Array], Sequences]:
        """Cotangents of what `forward` was given, from those of what it returned.

        Args:
            params: those of the forward call.
            tape: of the forward call, or of several joined.
            d_ys: shaped like the outputs; None for zero, also within a tuple.
            d_carry: by state name; states left out, or None, are zero.
        Returns:
            d_params by path (trained ones), d_carry by state name, d_xs shaped like the inputs
            (None for integer ones).
        """
        programs = self.variant(tape.variant)
        module = programs.backward
        assert module is not None, "a recording variant has a backward module"
        steps, batch = tape.steps, tape.batch
        cotangents = self._cotangents(d_ys, steps, batch)
        arrays = [
            cotangents[n.removeprefix("ct.")] if n.startswith("ct.") else tape.arrays[n]
            for n in module.inputs
        ]
        states = self._last_cotangents(d_carry, batch)
        values = self._run(module, batch, steps, self._params(params), states, arrays)
        self.counts["backward"] += steps
        count = len(module.carries)
        names = [c.removeprefix("ct.state.") for c in module.carries]
        found = dict(zip(names, values[:count], strict=True))
        outs = dict(zip(module.outs, values[count:], strict=True))
        d_params = {
            p.name: self._or_zeros(outs.get(f"ct.{p.name}"), p.node.type.shape)
            for p in self.cell.params
            if p.trained
        }
        d_xs = tuple(
            self._or_zeros(outs.get(f"ct.{x.name}"), (steps, batch, *x.node.type.shape))
            if x.node.type.kind == "real"
            else None
            for x in self.cell.inputs
        )
        return d_params, found, d_xs if self.cell.input_is_tuple else d_xs[0] if d_xs else ()

    def _or_zeros(self, value: Array | None, shape: tuple[int, ...]) -> Array:
        return np.zeros(shape, self.dtype) if value is None else value

    def _run(
        self, module: Module, batch: int, steps: int, params: Sequence[Array],
        states: Sequence[Array], arrays: Sequence[Array],
    ) -> tuple[Array, ...]:  # fmt: skip
        ready: dict[Any, Callable[..., Any]] = self._ready.__dict__
        key = (id(module), batch)
        run = ready.pop(key, None)
        if run is None:
            run = load(module.source)(batch, self.dtype)
            mine = [k for k in ready if k[0] == key[0]]
            if len(mine) >= KEPT_BATCHES:
                del ready[mine[0]]
        ready[key] = run
        with np.errstate(all="ignore"):
            values: tuple[Array, ...] = run(steps, *params, *states, *arrays)
        return values

    # -- checking --------------------------------------------------------------------------------

    def _params(self, params: Arrays) -> list[Array]:
        check_names(params, (p.name for p in self.cell.params), "params", all_needed=True)
        return [
            self._shaped(params[p.name], p.node.type.shape, f"parameter {p.name}")
            for p in self.cell.params
        ]

    def _carry(self, carry: Arrays, batch: int) -> list[Array]:
        check_names(carry, (s.name for s in self.cell.states), "carry", all_needed=True)
        return [
            self._shaped(carry[s.name], (batch, *s.node.type.shape), f"state {s.name}")
            for s in self.cell.states
        ]

    def _last_cotangents(self, d_carry: Arrays | None, batch: int) -> list[Array]:
        given = d_carry or {}
        check_names(given, (s.name for s in self.cell.states), "d_carry", all_needed=False)
        return [
            self._shaped(given[s.name], (batch, *s.node.type.shape), f"the cotangent of {s.name}")
            if given.get(s.name) is not None
            else np.zeros((batch, *s.node.type.shape), self.dtype)
            for s in self.cell.states
        ]

    def _shaped(self, value: Any, shape: tuple[int, ...], name: str) -> Array:
        array = as_real(as_array(value, name), self.dtype, name)
        if array.shape != tuple(shape):
            raise ShapeError(f"{name} is {describe(array.shape)}, it must be {describe(shape)}")
        return array

    def _inputs(self, xs: Sequences) -> list[Array]:
        given = xs if self.cell.input_is_tuple else (xs,)
        if not self.cell.inputs:
            raise SettingError(f"cell {self.cell.name} has no input: nothing says how many steps")
        if not isinstance(given, tuple) or len(given) != len(self.cell.inputs):
            names = ", ".join(x.name for x in self.cell.inputs)
            raise ShapeError(f"xs must be a tuple of {len(self.cell.inputs)} arrays: {names}")
        found: list[Array] = []
        for source, value in zip(self.cell.inputs, given, strict=True):
            array = as_array(value, source.name)
            kind = source.node.type
            if kind.kind == "int":
                array = as_indices(array, None, source.name)
            else:
                array = as_real(array, self.dtype, source.name)
            lead = (found[0].shape[:2] if found else array.shape[:2]) or ("T", "B")
            if array.ndim != 2 + kind.rank or array.shape != (*lead, *kind.shape):
                wanted = describe((*(lead if found else ("time", "batch")), *kind.shape))
                raise ShapeError(f"{source.name} is {describe(array.shape)}, it must be {wanted}")
            found.append(array)
        return found

    def _check_indices(self, given: list[Array], valid: Array | None) -> None:
        """Refuse integers that name no row; past a row's length they may be anything."""
        for at, source in enumerate(self.cell.inputs):
            if source.name in self._rows:
                if valid is not None:
                    given[at] = np.where(valid, given[at], 0)
                as_indices(given[at], self._rows[source.name], source.name)

    def _masks(
        self, steps: int, batch: int, starts: Any, lengths: Any, boundaries: Any
    ) -> dict[str, Array]:
        masks: dict[str, Array] = {}
        for name, value in (("starts", starts), ("boundaries", boundaries)):
            if value is not None:
                mask = as_flags(value, name)
                if mask.shape != (steps, batch):
                    raise ShapeError(
                        f"{name} is {describe(mask.shape)}, it must be [time, batch] = "
                        f"{describe((steps, batch))}"
                    )
                masks[name] = mask
        if lengths is not None:
            counts = as_lengths(lengths, steps)
            if counts.shape != (batch,):
                raise ShapeError(f"lengths is {describe(counts.shape)}, it must be [{batch}]")
            masks["valid"] = np.arange(steps)[:, None] < counts
        return masks

    def _cotangents(self, d_ys: Sequences, steps: int, batch: int) -> dict[str, Array]:
        outputs = self.cell.outputs
        given = d_ys if self.cell.output_is_tuple and d_ys is not None else (d_ys,) * len(outputs)
        if len(given) != len(outputs):
            raise ShapeError(f"d_ys must be a tuple of {len(outputs)}, one for each output")
        found = {}
        for out, value in zip(outputs, given, strict=True):
            shape = (steps, batch, *out.node.type.shape)
            if value is None:
                found[out.name] = np.zeros(shape, self.dtype)
            else:
                found[out.name] = self._shaped(value, shape, f"the cotangent of {out.name}")
        return found


def compile(
    cell: Any, backend: str = "auto", dtype: Any = "float32", *, exact: bool = False,
    fast: bool = False,
) -> Program:  # fmt: skip
    """Compile a cell with its sizes bound.

    Args:
        cell: a bound cell.
        backend: "numpy", or "auto", which is NumPy where no faster one can run.
        dtype: "float32" or "float64".
        exact: bit for bit the same numbers however a sequence is cut into calls; slower.
        fast: allow approximate products and activations where a backend has them; NumPy has none.
    Raises:
        SettingError: naming the argument.
    """
    found = getattr(cell, "cell", cell)
    if not isinstance(found, Cell):
        raise SettingError(
            f"compile takes a cell with its sizes, such as rnnc.LSTMCell(10, 5), not {cell!r}"
        )
    check_flag(exact, "exact")
    check_flag(fast, "fast")
    if backend == "auto":
        backend = knobs.current().backend
    if backend not in ("auto", "numpy"):
        raise SettingError(f"backend is {backend!r}; there are 'auto' and 'numpy'")
    del fast
    return Program(found, dtype, exact=bool(exact))
