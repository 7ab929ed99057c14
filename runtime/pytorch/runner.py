"""A cell run on tensors: from what a user passes to what comes back.

In: parameters, sequences, a state, masks. Out: outputs and the last state. Modules hold parameters
and call this.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch

from ...compiler.ir import HIDDEN, Cell
from ...grammar.problems import Error
from ..arrays import dtype_name, kind
from ..checks import a_type, check_names, describe
from ..draws import draws_of
from ..errors import DTypeError, ShapeError
from ..inputs import Call as Sizes
from ..inputs import Inputs, reads_nothing
from ..numpy_arrays import no_index
from ..truncation import read_boundaries, read_lengths, read_mask
from .call import Call, Masks
from .checks import check_alike, check_as, check_tensor
from .draws import draws
from .engine import Engine, Tensor
from .engines import Engines, Options
from .functions import applied
from .initial import beginning
from .masks import LISTS, is_mapped, plain_masks, read_each
from .ops import compiled

State: TypeAlias = dict[str, Tensor]


class Runner:
    """Runs one cell; copies of a module share it."""

    def __init__(self, cell: Cell, options: Options, label: str) -> None:
        self._engines = Engines(cell, options)
        self.label = label
        self.drawn = draws_of(cell)  # plain numbers: Dynamo of torch 2.6 reads no sizes of ours
        self.states = {s.name: tuple(map(int, s.node.type.shape)) for s in cell.states}

    @property
    def cell(self) -> Cell:
        return self._engines.cell

    @property
    def options(self) -> Options:
        return self._engines.options

    def __deepcopy__(self, _memo: Any) -> Runner:
        return self

    def prepare(self, like: Tensor) -> None:
        """Have an engine for parameters like this: none can be made while a graph is."""
        for training in (False, True):
            engines = self._engines.in_mode(training=training)
            try:
                engine = engines.at(like.dtype, like.device, self.label)
            except Error as error:  # said when it is called
                engine = engines.refused(like.dtype, like.device, error)
            if engine.begins is None:
                _ = engine.start

    def run(
        self,
        params: Sequence[Tensor],
        xs: Any,
        state: Any,
        starts: Any,
        lengths: Any,
        boundaries: Any,
        *,
        batch_first: bool,
        training: bool = False,
        seed: Any = None,
        path: str = "",
    ) -> tuple[Any, State]:
        """Sequences [T, B, ...] in the user's axes -> outputs, and the state by name."""
        given = self._inputs(xs)
        like = self.like(params, given[0])
        engine = self._engines.in_mode(training=training).at(like.dtype, like.device, self.label)
        given, out_dtype = _as_wanted(given, like)
        sizes = self._sizes(given, like, batch_first)
        inputs = [sizes.arranged(x) for x in given]
        if training and self.drawn:
            inputs += draws(self.drawn, like, inputs[0].shape[:2], seed, path)
        carry = self._carry(state, engine, params, sizes, like)
        flat = [*params, *carry, *inputs]
        if torch.compiler.is_compiling():
            said = plain_masks(sizes, like, starts, lengths, boundaries, state is None)
            outs = compiled(engine, said.starts, said.lengths, said.boundaries, flat)
        else:
            call, more = self._call(engine, sizes, like, starts, lengths, boundaries, state is None)
            outs = applied(call, [*flat, *more])
        count = len(engine.outputs)
        ys = tuple(
            sizes.returned(y if out_dtype is None else y.to(out_dtype)) for y in outs[:count]
        )
        last = {
            name: value if sizes.batched else value[0]
            for name, value in zip(self.states, outs[count:], strict=True)
        }
        return ys if self.cell.output_is_tuple else ys[0], last

    def measured(
        self, params: Sequence[Tensor], xs: Any, starts: Any, lengths: Any, *, batch_first: bool
    ) -> tuple[Sizes, Masks]:
        """The sizes and masks of sequences that are to be run in parts, if they are good ones."""
        given = self._inputs(xs)
        like = self.like(params, given[0])
        given, _ = _as_wanted(given, like)
        sizes = self._sizes(given, like, batch_first)
        return sizes, self._masks(sizes, like, starts, lengths, None, begins=False)

    def like(self, params: Sequence[Tensor], default: Tensor) -> Tensor:
        """A tensor of the dtype and device that all parameters have; `default` if there are none.

        Raises:
            DTypeError: naming a parameter that is not as most are.
        """
        if not params:
            return default
        return check_alike(params, [p.name for p in self.cell.params], self.label)

    def state_dtype(self, like: Tensor) -> torch.dtype:
        """Of states, for parameters like this."""
        engines = self._engines.in_mode(training=False)
        return engines.at(like.dtype, like.device, self.label).state_dtype

    def initial(self, params: Sequence[Tensor], like: Tensor, batch: int | None) -> State:
        """Every state before the first step, [B, ...] or [...]."""
        engines = self._engines.in_mode(training=False)
        engine = engines.at(like.dtype, like.device, self.label)
        carry = beginning(engine, params, 1 if batch is None else batch, like)
        pairs = zip(self.states, carry, strict=True)
        return {name: value[0] if batch is None else value for name, value in pairs}

    # -- what it is called with --------------------------------------------------------------------

    def sizes(self, x: Tensor, *, batch_first: bool) -> Sizes:
        """What a first input says of them, if it is a good one."""
        batched = x.ndim == self.cell.inputs[0].node.type.rank + 2
        swapped = batch_first and batched
        steps, rows = (x.shape[1], x.shape[0]) if swapped else (x.shape[0], x.shape[1])
        return Sizes((), steps, rows if batched else 1, batched, False, batch_first, False)

    def _inputs(self, xs: Any) -> tuple[Tensor, ...]:
        if not self.cell.inputs:
            raise reads_nothing(self.cell)
        given = tuple(xs) if self.cell.input_is_tuple and isinstance(xs, LISTS) else (xs,)
        if not torch.compiler.is_compiling():
            if len(given) != len(self.cell.inputs):
                names = ", ".join(x.name for x in self.cell.inputs)
                got = f"{a_type(xs)} of {len(xs)}" if isinstance(xs, LISTS) else a_type(xs)
                raise ShapeError(f"{self.label} takes a tuple ({names}), got {got}")
            for value, x in zip(self.cell.inputs, given, strict=True):
                check_tensor(x, value.name)
        return given

    def _sizes(self, given: Sequence[Tensor], like: Tensor, batch_first: bool) -> Sizes:
        if torch.compiler.is_compiling():  # checks of sizes would be guards
            more = given[0].ndim - self.cell.inputs[0].node.type.rank
            if more not in (1, 2):
                raise ShapeError(f"{self.cell.inputs[0].name} has no axis of time")
            return self.sizes(given[0], batch_first=batch_first)
        inputs = self._reader(like, batch_first)
        sizes = inputs.measured(given if self.cell.input_is_tuple else given[0], single=False)
        for value, x in zip(self.cell.inputs, given, strict=True):
            wanted = like.dtype if value.node.type.kind == "real" else None
            if wanted is None and kind(x) != "i":
                way = "" if x.is_complex() else f"{value.name}.long()"
                raise DTypeError(no_index(value.name, dtype_name(x.dtype), way))
            check_as(x, value.name, wanted or x.dtype, like.device, f"{self.label} takes")
        return sizes

    def _reader(self, like: Tensor, batch_first: bool) -> Inputs:
        return self._engines.reader(like.dtype, like.device, self.label, batch_first=batch_first)

    def _carry(
        self, state: Any, engine: Engine, params: Sequence[Tensor], sizes: Sizes, like: Tensor
    ) -> list[Tensor]:
        """Every state before the first step, [B, ...]."""
        if state is None:
            return beginning(engine, params, sizes.batch, like)
        check_state(state, self.states, f"the state of {self.label}", all_needed=True)
        if not torch.compiler.is_compiling():
            for name, value in state.items():
                wanted = (sizes.batch, *self.states[name]) if sizes.batched else self.states[name]
                shown = f"state[{name!r}]"
                check_tensor(value, shown)
                if value.shape != wanted:
                    raise ShapeError(
                        f"{shown} is {describe(value.shape)}, it must be {describe(wanted)}"
                    )
                check_as(value, shown, engine.state_dtype, like.device, f"{self.label} keeps")
        return [
            like.new_zeros((sizes.batch, *shape), dtype=engine.state_dtype)
            if name not in state  # the compiler added it
            else state[name]
            if sizes.batched
            else state[name][None]
            for name, shape in self.states.items()
        ]

    def _call(
        self, engine: Engine, sizes: Sizes, like: Tensor, *said: Any
    ) -> tuple[Call, list[Tensor]]:
        """A call with its masks; where `vmap` maps one, they are beside it."""
        starts, lengths, boundaries, begins = said
        if starts is None and lengths is None and boundaries is None:
            return Call(engine), []
        masks = self._masks(sizes, like, starts, lengths, boundaries, begins)
        named = {name: getattr(masks, name) for name in ("starts", "lengths", "boundaries")}
        if not any(map(is_mapped, named.values())):
            return Call(engine, masks), []
        found = {
            name: torch.as_tensor(mask, device=like.device)
            for name, mask in named.items()
            if mask is not None
        }
        return Call(engine, mapped=tuple(found)), list(found.values())

    def _masks(
        self, sizes: Sizes, like: Tensor, starts: Any, lengths: Any, boundaries: Any, begins: bool
    ) -> Masks:
        arrays = self._reader(like, sizes.batch_first).arrays

        def read_cuts(given: Any) -> Tensor:
            cuts: Tensor = read_boundaries(given, sizes, 0, arrays)
            if begins:  # an initial state has a gradient: no cut, or 1
                cuts[:1] = cuts.is_floating_point()
            return cuts

        found = {
            name: read_each(given, name, read)
            for name, given, read in (
                ("starts", starts, lambda mask: read_mask(mask, sizes, "starts", arrays)),
                ("lengths", lengths, lambda counts: read_lengths(counts, sizes, arrays)),
                ("boundaries", boundaries, read_cuts),
            )
            if given is not None
        }
        return Masks(**found)


def _as_wanted(
    given: tuple[Tensor, ...], like: Tensor
) -> tuple[tuple[Tensor, ...], torch.dtype | None]:
    """Under autocast inputs are taken in the parameters' dtype, and outputs given in autocast's."""
    kind = like.device.type
    if not torch.is_autocast_enabled(kind):
        return given, None
    wide = tuple(x.to(like.dtype) if x.is_floating_point() else x for x in given)
    return wide, torch.get_autocast_dtype(kind)


def check_state(state: Any, names: Mapping[str, Any], what: str, *, all_needed: bool) -> None:
    """As `check_names`, in lines that Dynamo reads: names are no guards, they are constants."""
    is_whole = isinstance(state, Mapping)
    if is_whole:
        for name in state:
            is_whole = is_whole and name in names
        for name in names if all_needed else ():
            is_whole = is_whole and (name in state or HIDDEN in name)
    if not is_whole:
        check_names(state, names, what, all_needed=all_needed)
