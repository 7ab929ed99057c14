"""A compiled cell as an `nn.Module` with explicit state.

In: tensors. Out: tensors, `ys, state = module(xs, state)`. On a CPU the NumPy program runs on the
memory of the tensors, on a CUDA device the Triton one; under `torch.compile` and `torch.export`
both are one op for the whole sequence.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch.nn.utils.rnn import PackedSequence

from ...compiler.ir import Cell
from ...grammar.problems import Error
from ..cell import BoundCell
from ..chain import bound_of
from ..checks import check_dtype, check_flag, check_names, describe
from ..errors import DTypeError, SettingError, ShapeError
from ..inputs import Call as Sizes
from ..inputs import Inputs
from ..recur import Recur as Net
from ..truncation import read_boundaries, read_lengths, read_mask
from .engine import Call, Engine, Masks, Tensor
from .engines import Engines, Options
from .functions import applied
from .initial import beginning, begins_with_numbers
from .ops import compiled
from .packed import packed_as, padded
from .parameters import found_at, plant

State: TypeAlias = dict[str, Tensor]


class Recur(torch.nn.Module):
    """`Recur(rnnc.LSTMCell(10, 5))`: a cell as a module, to be called on whole sequences.

    Parameters have the paths of the source: `module.W`, `module.get_parameter("0.W")`.
    """

    def __init__(
        self, cell: BoundCell | Cell | Net, *, backend: str = "auto", dtype: Any = None,
        seed: int | None = None, exact: bool = False, fast: bool = False,
        batch_first: bool = False, device: Any = None,
    ) -> None:  # fmt: skip
        """Draw the parameters, or take over a net's; compile when first called.

        Args:
            cell: with its sizes, or a net of rnnc, whose parameters are copied.
            backend: "numpy" or "triton"; "auto" is NumPy for tensors of the CPU, Triton for those
                of a CUDA device.
            dtype: of the parameters, as torch or rnnc names it; the cell's by default.
            seed: what parameters are drawn from; the cell's own by default.
            exact, fast: as for `rnnc.Recur`.
            batch_first: sequences are `[batch, time, features]`.
            device: where the parameters are made.
        Raises:
            ChainError, SettingError: naming the argument. NamesError: a parameter has the name of
            an attribute of `torch.nn.Module`.
        """
        super().__init__()
        for name, value in (("batch_first", batch_first), ("exact", exact), ("fast", fast)):
            check_flag(value, name)
        bound = bound_of(cell)
        width = check_dtype(bound.dtype if dtype is None else dtype)
        values = bound.values() if seed is None else BoundCell(bound.cell, seed=seed).values()
        element = getattr(torch, width)
        tensors = {
            name: torch.tensor(array, dtype=element, device=device)
            for name, array in values.items()
        }
        plant(self, bound.cell, tensors)
        self.batch_first = bool(batch_first)
        self._engines = Engines(bound.cell, Options(backend, bool(exact), bool(fast)))
        self._label = f"{bound}"
        self._paths = [param.name for param in bound.cell.params]
        self._states = [state.name for state in bound.cell.states]
        self._prepare()

    # -- running -----------------------------------------------------------------------------------

    def forward(
        self, xs: Any, state: Mapping[str, Tensor] | None = None, *, starts: Any = None,
        lengths: Any = None, boundaries: Any = None,
    ) -> tuple[Any, State]:  # fmt: skip
        """A sequence: xs `[T, ...]` or `[T, B, ...]` -> ys, and the state after it.

        Args:
            xs: a tensor; a tuple of them for several inputs; or a `PackedSequence`, and then the
                outputs are one.
            state: by name, `[B, ...]`, or `[...]` without a batch axis; the initial state by
                default. It may have a gradient.
            starts, lengths, boundaries: as for `rnnc.Recur.scan`; a period of `boundaries` counts
                the steps of this call.
        Returns:
            Outputs (a tuple where there are several), and the state after the last step, by name.
        Raises:
            ShapeError, DTypeError, NamesError, RangeError: naming the argument.
        """
        if isinstance(xs, PackedSequence):
            if lengths is not None:
                raise SettingError("a PackedSequence has lengths of its own: pass no lengths=")
            rows, lengths = padded(xs)
            ys, last = self._run(rows, state, starts, lengths, boundaries, batch_first=False)
            return packed_as(xs, ys, lengths), last
        return self._run(xs, state, starts, lengths, boundaries, batch_first=self.batch_first)

    def step(self, x: Any, state: Mapping[str, Tensor] | None = None) -> tuple[Any, State]:
        """One step: x `[...]` or `[B, ...]` -> y, and the state after it."""
        wide = tuple(each[None] for each in x) if isinstance(x, tuple) else x[None]
        ys, last = self._run(wide, state, None, None, None, batch_first=False)
        return tuple(y[0] for y in ys) if isinstance(ys, tuple) else ys[0], last

    def _run(
        self, xs: Any, state: Any, starts: Any, lengths: Any, boundaries: Any, *, batch_first: bool
    ) -> tuple[Any, State]:
        params = [found_at(self, path) for path in self._paths]
        real = next((p for p in params if p.is_floating_point()), None)
        given = tuple(xs) if self._cell.input_is_tuple else (xs,)
        like = real if real is not None else given[0]
        engine = self._engines.at(like.dtype, like.device, self._label)
        given, out_dtype = _as_wanted(given, like)
        sizes = self._sizes(given, like, batch_first)
        inputs = [sizes.arranged(x) for x in given]
        carry = self._carry(state, engine, params, sizes, like)
        flat = [*params, *carry, *inputs]
        if torch.compiler.is_compiling():
            outs = compiled(engine, *_plain_masks(sizes, like, starts, lengths, boundaries), flat)
        else:
            masks = self._masks(sizes, like, starts, lengths, boundaries)
            outs = applied(Call(engine, masks), flat)
        count = len(engine.outputs)
        ys = tuple(
            sizes.returned(y if out_dtype is None else y.to(out_dtype)) for y in outs[:count]
        )
        last = {
            name: value if sizes.batched else value[0]
            for name, value in zip(self._states, outs[count:], strict=True)
        }
        return ys if self._cell.output_is_tuple else ys[0], last

    def _apply(self, fn: Any, recurse: bool = True) -> Recur:
        """What `.to()` and its like do to all tensors."""
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self._prepare()
        return self

    def _prepare(self) -> None:
        """Have an engine for the parameters: none can be made while a graph is."""
        for like in self.parameters():
            try:
                engine = self._engines.at(like.dtype, like.device, self._label)
            except Error:  # said when it is called
                return
            if not begins_with_numbers(engine):
                _ = engine.start
            return

    @property
    def _cell(self) -> Cell:
        return self._engines.cell

    # -- what it is called with --------------------------------------------------------------------

    def _sizes(self, given: Sequence[Tensor], like: Tensor, batch_first: bool) -> Sizes:
        if torch.compiler.is_compiling():  # checks would be guards
            x, rank = given[0], self._cell.inputs[0].node.type.rank
            batched = x.ndim == rank + 2
            swapped = batch_first and batched
            steps, rows = (x.shape[1], x.shape[0]) if swapped else (x.shape[0], x.shape[1])
            return Sizes((), steps, rows if batched else 1, batched, False, batch_first, False)
        inputs = self._reader(like, batch_first)
        sizes = inputs.measured(given if self._cell.input_is_tuple else given[0], single=False)
        for value, x in zip(self._cell.inputs, given, strict=True):
            wanted = like.dtype if value.node.type.kind == "real" else None
            if x.device != like.device or (wanted is not None and x.dtype != wanted):
                raise DTypeError(
                    f"{value.name} is {x.dtype} on {x.device}, and {self._label} takes "
                    f"{wanted or 'integers'} on {like.device}"
                )
        return sizes

    def _reader(self, like: Tensor, batch_first: bool) -> Inputs:
        return self._engines.reader(like.dtype, like.device, self._label, batch_first=batch_first)

    def _carry(
        self, state: Any, engine: Engine, params: Sequence[Tensor], sizes: Sizes, like: Tensor
    ) -> list[Tensor]:
        """Every state before the first step, [B, ...]."""
        if state is None:
            return beginning(engine, params, sizes.batch, like)
        if not torch.compiler.is_compiling():
            check_names(state, self._states, f"the state of {self._label}", all_needed=True)
            for named in self._cell.states:
                shape = tuple(map(int, named.node.type.shape))
                wanted = (sizes.batch, *shape) if sizes.batched else shape
                if tuple(state[named.name].shape) != wanted:
                    raise ShapeError(
                        f"state {named.name} is {describe(state[named.name].shape)}, it must be "
                        f"{describe(wanted)}"
                    )
                if state[named.name].dtype != like.dtype:
                    raise DTypeError(
                        f"state {named.name} is {state[named.name].dtype}, and {self._label} keeps "
                        f"{like.dtype}"
                    )
        return [state[name] if sizes.batched else state[name][None] for name in self._states]

    def _masks(
        self, sizes: Sizes, like: Tensor, starts: Any, lengths: Any, boundaries: Any
    ) -> Masks:
        if starts is lengths is boundaries is None:
            return Masks()
        arrays = self._reader(like, sizes.batch_first).arrays
        resets = None if starts is None else read_mask(starts, sizes, "starts", arrays)
        counts = None if lengths is None else read_lengths(lengths, sizes, arrays)
        cuts = None if boundaries is None else read_boundaries(boundaries, sizes, 0, arrays)
        return Masks(resets, counts, cuts)

    def extra_repr(self) -> str:
        return self._label


def _as_wanted(
    given: tuple[Tensor, ...], like: Tensor
) -> tuple[tuple[Tensor, ...], torch.dtype | None]:
    """Under autocast inputs are taken in the parameters' dtype, and outputs given in autocast's."""
    kind = like.device.type
    if not torch.is_autocast_enabled(kind):
        return given, None
    wide = tuple(x.to(like.dtype) if x.is_floating_point() else x for x in given)
    return wide, torch.get_autocast_dtype(kind)


def _plain_masks(
    sizes: Sizes, like: Tensor, starts: Any, lengths: Any, boundaries: Any
) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
    """Masks as ops take them, in lines that Dynamo can read."""
    wide = (sizes.steps, sizes.batch)
    if isinstance(boundaries, int):
        steps = torch.arange(sizes.steps, device=like.device)
        boundaries = steps % boundaries == 0
    found: list[Tensor | None] = []
    for mask in (starts, boundaries):
        if mask is None:
            found.append(None)
        elif mask.ndim == 1:
            found.append(mask[:, None].expand(wide).clone())
        else:
            found.append((mask.swapaxes(0, 1) if sizes.swapped else mask).clone())
    counts = None if lengths is None else lengths.reshape(sizes.batch).to(torch.int64)
    return found[0], counts, found[1]
