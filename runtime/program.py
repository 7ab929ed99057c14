"""The functional layer: a compiled cell that owns no state.

In: parameters, a carry and sequences, all arrays. Out: the new carry, outputs, and a tape from
which `backward` gives the cotangents. Everything else that runs a cell calls this.

On NumPy all of them are arrays of NumPy. On Triton they may be, and then are converted and sent to
the device, or tensors; what is returned are tensors.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from ..compiler.backends import Module
from ..compiler.backends.to_numpy import to_numpy
from ..compiler.initial import initial, initial_pullback
from ..compiler.ir import Cell, Node
from ..compiler.mode import in_mode
from ..compiler.passes.boundaries import PLACED, placed_name
from ..compiler.passes.schedule import schedule
from ..compiler.passes.simplify import simplify
from ..compiler.passes.vary import sequence_name
from ..compiler.pipeline import Programs
from .arguments import Arguments, Named, Sequences
from .arrays import AnyArray, Arrays, copied, namespace
from .backends import Backend, choose
from .checks import check_dtype, check_flag, check_whole
from .draws import drawn, draws_of, key_of, site_of
from .errors import SettingError
from .folding import folds_of, run_folded
from .memory import Room, out_of_memory
from .numpy_arrays import NumPyArrays
from .places import Places
from .runner import Runner
from .tape import Cotangents, Tape
from .tensors import TorchArrays
from .variants import Variant, Variants

TRAINING = "training"  # in the variant of a tape, where the mode of its call matters


class Program:
    """A compiled cell.

    Its modules are generated when first needed, one pair for each set of masks a call uses; none
    depends on T or B. Calls from several threads are independent.
    """

    def __init__(
        self, cell: Cell, dtype: Any = "float32", *, exact: bool = False, fast: bool = False,
        backend: str | Backend = "numpy", only: Variant | None = None,
    ) -> None:  # fmt: skip
        """As `compile`.

        Args:
            only: what it runs, whatever its calls are like; it generates nothing.
        Raises:
            SettingError, BackendError.
        """
        self.cell = cell
        self.dtype = check_dtype(dtype)
        self.exact = exact
        self.fast = fast
        self.backend = backend if isinstance(backend, Backend) else choose(backend, self.dtype)
        self.arrays: Arrays
        if self.backend.name == "numpy":
            self.arrays = NumPyArrays(self.dtype)
        else:
            self.arrays = TorchArrays(self.dtype, self.backend.device)
        self.counts = {"forward": 0, "backward": 0}  # steps executed
        self._arguments = Arguments(cell, self.arrays)
        self._runner = Runner(self.arrays, fast=fast)
        self._room = Room(cell, self.arrays)
        self._only = only
        self._variants = Variants(
            cell, self.backend, self.dtype, self.arrays.element.itemsize, exact=exact, fast=fast,
            trial=self._trial,
        )  # fmt: skip
        self._start: tuple[Module, Module] | None = None
        self._modes: dict[bool, Program] = {}

    def in_mode(self, *, training: bool) -> Program:
        """What runs the cell in training, or out of it; itself where that is the same."""
        if not self.cell.beside:
            return self
        found = self._modes.get(training)
        if found is None:
            made = Program(
                in_mode(self.cell, training=training), self.dtype, exact=self.exact,
                fast=self.fast, backend=self.backend,
            )  # fmt: skip
            found = self._modes.setdefault(training, made)  # another thread's, if that was first
        return found

    @property
    def recurrence(self) -> Any:
        """What kind of recurrence the cell is."""
        return self.variant((), record=False).recurrence

    def variant(
        self, masks: tuple[str, ...] = (), *, record: bool = True, batch: int | None = None
    ) -> Programs:
        """The programs for calls with these masks and rows; generated when first asked for.

        Where the mode matters, those of training record, and those out of it do not.
        """
        return self.in_mode(training=record)._variant(masks, batch, record).programs

    def _variant(
        self, masks: tuple[str, ...], batch: int | None, record: bool, varies: bool = False
    ) -> Variant:
        return self._only or self._variants.find(masks, batch, record=record, varies=varies)

    def _trial(self, variant: Variant) -> Program:
        """A program like this one that runs a variant which is not trusted yet."""
        return Program(
            self.cell, self.dtype, exact=self.exact, fast=self.fast, backend=self.backend,
            only=variant,
        )  # fmt: skip

    # -- the start -------------------------------------------------------------------------------

    def initial(self, params: Named, batch: int) -> dict[str, AnyArray]:
        """The carry before the first step: [B, ...] by state name, freshly allocated."""
        module = self._starting()[0]
        given = self._arguments.params(params, module.params)
        values = self._runner.run_on_host(module, 1, 0, given, (), (), seen=())
        return {
            name: copied(namespace(value).broadcast_to(value, (batch, *value.shape)))
            for name, value in zip(module.outs, values, strict=True)
        }

    def initial_pullback(self, params: Named, d_carry: Named) -> dict[str, AnyArray]:
        """Cotangents of the parameters a learned initial state is made of.

        Args:
            d_carry: [B, ...] by state name; rows that did not start there hold zeros.
        Returns:
            By path; parameters no initial state reads are absent.
        """
        module = self._starting()[1]
        if not module.outs:
            return {}
        read = self._arguments
        given = read.params(params, module.params)
        names = [name.removeprefix("ct.") for name in module.inputs]
        sums = [read.cotangent(d_carry[n], f"d_carry[{n!r}]").sum(0) for n in names]
        values = self._runner.run_on_host(module, 1, 0, given, (), sums, seen=module.outs)
        return {n.removeprefix("ct."): v for n, v in zip(module.outs, values, strict=True)}

    def _starting(self) -> tuple[Module, Module]:
        """NumPy's for every backend: they are run once in a sequence, and have no steps."""
        if self._start is None:
            scans = (initial(self.cell), initial_pullback(self.cell))
            first, second = (to_numpy(schedule(simplify(s))) for s in scans)
            self._start = (first, second)
        return self._start

    # -- running ---------------------------------------------------------------------------------

    def _draws(
        self, seed: int, path: str, step: int, steps: int, batch: int
    ) -> tuple[AnyArray, ...]:
        """What a call in training draws, [T, B, ...] each."""
        sequence, draws = (step, steps, batch), draws_of(self.cell)
        found = (drawn(x, key_of(seed, site_of(path + x.name)), *sequence) for x in draws)
        return tuple(map(self.arrays.own, found))

    def forward(
        self, params: Named, carry: Named, xs: Sequences, *, starts: Any = None,
        lengths: Any = None, boundaries: Any = None, placed: Places | None = None,
        record: bool = True, training: bool | None = None, step: int = 0, seed: int = 0,
        path: str = "",
    ) -> tuple[dict[str, AnyArray], Sequences, Tape | None]:  # fmt: skip
        """Apply the cell along time.

        Args:
            params: by path, constant tensors included; replaced, never written into.
            carry: [B, ...] by state name.
            xs: [T, B, ...]; a tuple in the cell's order where it has several inputs.
            starts: bool[T, B]: the row is reset before the step.
            lengths: int[B]: past it a row's state is held and its outputs are 0.
            boundaries: bool[T, B]: the state goes on, its cotangent is cut before the step;
                or real[T, B], what it is multiplied by there: 0 cuts, 1 passes.
            placed: rows that start a step at values of their own, [T, B, ...] by state name.
            record: whether to keep what `backward` reads.
            training: the mode of a cell that depends on it; as `record` by default.
            step, seed, path: what draws depend on beside their rows and elements: the number of
                the first step in its stream, the stream's seed, and where in a larger net the cell
                stands, `"0."`.
        Returns:
            The last carry, the outputs [T, B, ...] (a tuple where there are several), and the
            tape, or None.
        Raises:
            NamesError, ShapeError, DTypeError, RangeError, SettingError: what was passed does not
            fit.
            OutOfMemoryError.
        """
        check_flag(record, "record")
        if training is not None:
            check_flag(training, "training")
        step, seed = check_whole(step, "step"), check_whole(seed, "seed")
        read = self._arguments
        given = read.inputs(xs)
        steps, batch = given[0].shape[:2]
        if self.cell.beside:
            in_training = bool(record if training is None else training)
            program = self.in_mode(training=in_training)
            drawn = self._draws(seed, path, step, steps, batch) if in_training else ()
            last, ys, tape = program.forward(
                params, carry, (*given, *drawn) if program.cell.input_is_tuple else given[0],
                starts=starts, lengths=lengths, boundaries=boundaries, placed=placed, record=record,
            )  # fmt: skip
            if tape is not None and in_training:
                tape = replace(tape, variant=(*tape.variant, TRAINING))
            return last, ys, tape
        self._room.check(given, steps, batch)
        masks, valid = read.masks(steps, batch, starts, lengths, boundaries)
        given = read.converted(given, valid)
        places = read.placed(placed, steps, batch, valid)
        names = (*masks, PLACED) if places else tuple(masks)
        variant = self._variant(names, batch, record)
        module = variant.programs.forward
        arguments = read.params(params, module.params), read.carry(carry, batch)
        seen = [o.name for o in self.cell.outputs]
        sequences = [*given, *masks.values(), *places.values()]
        values = self._run(variant, module, batch, steps, *arguments, sequences, seen)
        self.counts["forward"] += steps
        count = len(module.carries)
        last = dict(zip(module.carries, values[:count], strict=True))
        outs = dict(zip(module.outs, values[count:], strict=True))
        ys = tuple(outs[o.name] for o in self.cell.outputs)
        tape = None
        backward = variant.programs.backward
        if backward is not None:
            known = {v.name: x for v, x in zip(self.cell.inputs, given, strict=True)}
            known |= {f"mask.{name}": mask for name, mask in masks.items()} | places | outs
            arrays_kept = {n: known[n] for n in backward.inputs if not n.startswith("ct.")}
            tape = Tape(names, steps, batch, arrays_kept)
        return last, ys if self.cell.output_is_tuple else ys[0] if ys else (), tape

    def varying(self, params: Named, variant: tuple[str, ...]) -> dict[str, AnyArray] | None:
        """Parameters as a step's row of a tape along which they vary, [1, ...] by name.

        Args:
            variant: of the tape.
        Returns:
            None if no program runs back over such a tape.
        """
        if self.backend.name != "numpy" or self.exact:
            return None
        if self.cell.beside:
            plain = tuple(m for m in variant if m != TRAINING)
            return self.in_mode(training=TRAINING in variant).varying(params, plain)
        module = self._variant(variant, None, True, varies=True).programs.backward
        if module is None:
            return None
        names = {sequence_name(p.name): p.name for p in self.cell.params}
        return {given: params[names[given]][None] for given in module.inputs if given in names}

    def backward(
        self, params: Named, tape: Tape, d_ys: Sequences, d_carry: Named | None = None
    ) -> tuple[dict[str, AnyArray], dict[str, AnyArray], Sequences]:
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
        found = self.run_back(params, tape, d_ys, d_carry)
        d_xs = found.inputs
        inputs: Sequences = d_xs if self.cell.input_is_tuple else d_xs[0] if d_xs else ()
        return found.params, found.carry, inputs

    def run_back(
        self, params: Named, tape: Tape, d_ys: Sequences, d_carry: Named | None = None
    ) -> Cotangents:
        """As `backward`, with the cotangents of the places that a call was given."""
        if self.cell.beside:
            in_training = TRAINING in tape.variant
            plain = replace(tape, variant=tuple(m for m in tape.variant if m != TRAINING))
            back_in_mode = self.in_mode(training=in_training).run_back(params, plain, d_ys, d_carry)
            return replace(back_in_mode, inputs=back_in_mode.inputs[: len(self.cell.inputs)])
        read = self._arguments
        cotangents = read.cotangents(d_ys, tape.steps, tape.batch)
        last = read.last_cotangents(d_carry, tape.batch)

        def back(part: Tape, d_ys: dict[str, AnyArray], d_last: list[AnyArray]) -> Cotangents:
            return self._back(params, part, d_ys, d_last)

        # How long copies take beside a step on a device has not been measured.
        folds = folds_of(tape) if self.backend.name == "numpy" and not self.exact else []
        whole = run_folded(folds, tape, cotangents, last, back) if folds else None
        found = whole or back(tape, cotangents, last)
        self.counts["backward"] += tape.steps
        return found

    def _back(
        self, params: Named, tape: Tape, d_ys: dict[str, AnyArray], d_last: list[AnyArray]
    ) -> Cotangents:
        """One run of the backward module."""
        steps, batch = tape.steps, tape.batch
        variant = self._variant(tape.variant, batch, True, tape.varies)
        module = variant.programs.backward
        assert module is not None, "a recording variant has a backward module"
        arrays = [
            d_ys[n.removeprefix("ct.")] if n.startswith("ct.") else tape.arrays[n]
            for n in module.inputs
        ]
        given = self._arguments.params(params, module.params)
        values = self._run(variant, module, batch, steps, given, d_last, arrays, module.outs)
        count = len(module.carries)
        names = [c.removeprefix("ct.state.") for c in module.carries]
        found = dict(zip(names, values[:count], strict=True))
        outs = dict(zip(module.outs, values[count:], strict=True))

        def ct(name: str, node: Node, *lead: int) -> AnyArray:
            """The cotangent of a value; 0 where nothing depends on it."""
            value = outs.get(f"ct.{name}")
            if value is None:
                return self.arrays.zeros((*lead, *map(int, node.type.shape)))
            return value

        states = self.cell.states if PLACED in tape.variant else ()
        return Cotangents(
            {p.name: ct(p.name, p.node) for p in self.cell.params if p.trained},
            found,
            tuple(
                ct(x.name, x.node, steps, batch) if x.node.type.kind == "real" else None
                for x in self.cell.inputs
            ),
            {s.name: ct(placed_name(s.name), s.node, steps, batch) for s in states},
        )

    def _run(
        self, variant: Variant, module: Module, batch: int, steps: int, params: list[AnyArray],
        states: list[AnyArray], inputs: list[AnyArray], seen: Collection[str],
    ) -> tuple[AnyArray, ...]:  # fmt: skip
        try:
            if variant.on_host:
                run = self._runner.run_on_host
                return run(module, batch, steps, params, states, inputs, seen=seen)
            return self._runner.run(module, batch, steps, params, states, inputs)
        except (MemoryError, RuntimeError) as error:
            coded = out_of_memory(error, f"{self.cell.name} of {steps} steps and {batch} rows")
            if coded is None:
                raise
            raise coded from error


def compile(
    cell: Any, backend: str | Backend = "auto", dtype: Any = "float32", *, exact: bool = False,
    fast: bool = False,
) -> Program:  # fmt: skip
    """Compile a cell with its sizes bound.

    Args:
        cell: a bound cell.
        backend: "numpy" or "triton"; "auto" is Triton where a CUDA device can run it.
        dtype: "float32" or "float64"; on Triton also "bfloat16" or "float16".
        exact: bit for bit the same numbers however a sequence is cut into calls; slower.
        fast: allow approximate products and activations where a backend has them; NumPy has none.
    Raises:
        SettingError: naming the argument. BackendError: the backend cannot run here.
    """
    found = getattr(cell, "cell", cell)
    if not isinstance(found, Cell):
        raise SettingError(
            f"compile takes a cell with its sizes, such as rnnc.LSTMCell(10, 5), not {cell!r}"
        )
    check_flag(exact, "exact")
    check_flag(fast, "fast")
    return Program(found, dtype, exact=bool(exact), fast=bool(fast), backend=backend)
