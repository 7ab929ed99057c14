"""Layers that run one after the other, each over the whole sequence.

In: cells, nets and bidirectional layers, or a chain. Out: one net. A chain by itself, of `>>` or
`Chain`, is one loop over time with all layers in it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from .arrays import AnyArray, copied, namespace
from .bidirectional import Bidirectional, member_of
from .cell import BoundCell
from .chain import bound_of, common
from .dropout import Dropout, read_dropout
from .errors import SettingError
from .fitting import Fit, check_in_order, fit_of, read_residual
from .history import read_window
from .inputs import Call
from .layered import Layered
from .layers import check_alone, layers_by_path
from .members import Options, net_at
from .passing import OfStates, Ran, Said, beneath, gone_back, parts, passed, step_of
from .recur import Recur
from .replay import Gradients
from .truncation import read_lengths
from .turns import Turns


@dataclass(frozen=True, slots=True)
class Note:
    """What running back over a call has to know."""

    valid: AnyArray | None  # bool[T,B]; None where all steps count
    factors: tuple[AnyArray | None, ...]  # of each layer's input, [T,B,...], or [1,B,...] for all
    inner: tuple[Any, ...]  # of each layer; None of a single net

    def last(self, count: int) -> Note:
        """Of the last so many steps."""
        factors = tuple(_tail(each, count) for each in self.factors)
        return Note(_tail(self.valid, count), factors, self.inner)


class Stack(Layered):
    """`Stack([LSTMCell(10, 32), GRUCell(32, 32)], dropout=0.2)`: layers, each over all steps.

    Parameters and states have the paths `"0.W"`, `"1.forward.h"`. The layers' sizes may differ, as
    long as each reads what the one before it returns.

    `Stack(chain)` runs what a chain in one loop computes, and has the chain's paths.
    """

    def __init__(
        self, layers: Any, *others: Any, dropout: float = 0.0, per_sequence: bool = False,
        residual: bool | Iterable[int] = False, seed: int | None = None,
        backend: str | None = None, dtype: Any = None, exact: bool = False, fast: bool = False,
        history: int | None = None, batch_first: bool = False,
    ) -> None:  # fmt: skip
        """Make a net of each layer; afterwards the stack has nothing to do with what it was given.

        Args:
            layers: a list of cells, nets or bidirectional layers; or a dict of these, whose names
                stand in the paths; or a chain, a cell or a net, whose links become the layers.
                Parameters of nets are taken over, those of cells drawn by their path, so that equal
                cells differ.
            dropout: the rate at which elements of what a layer reads are dropped in training mode,
                the first layer's excepted; the others are scaled by 1 / (1 - dropout).
            per_sequence: drop the same elements at all steps of a call.
            residual: add to a layer's output what it read: of all layers, or of those with these
                numbers. What is added is not dropped.
            seed: draws all parameters anew, and is what dropout is drawn from; 0 there by default.
            backend, dtype: the layers' by default.
            exact, fast, batch_first: as for `Recur`.
            history: remember the last so many steps only, where all layers run forwards in time.
        Raises:
            ChainError: a layer does not read what the one before it returns, a residual connection
            joins different sizes, or a cell is no chain. SettingError: naming the argument.
        """
        check_alone(others)
        options = Options(backend, dtype, seed, exact, fast, batch_first)
        seed = 0 if seed is None else seed
        self._make(layers_by_path(layers), options, residual, history)
        self._dropout = read_dropout(dropout, per_sequence, int(seed))

    def _make(
        self, layers: Mapping[str, Any], options: Options, residual: Any, history: Any
    ) -> None:
        bound = [each for layer in layers.values() for each in _cells(layer)]
        options = replace(
            options,
            backend=options.backend or common([b for b in bound if b.backend != "auto"], "backend"),
            dtype=options.dtype or common(bound, "dtype"),
        )
        self._layers = {
            path: member_of(layer, options, f"{path}.")
            if isinstance(layer, Bidirectional)
            else net_at(path, layer, options)
            for path, layer in layers.items()
        }
        self._arrays = self._first._arrays
        fits = [_fit(layer) for layer in self._layers.values()]
        check_in_order(fits)
        self._residual = read_residual(residual, fits)
        self._window = read_window(history)
        if self._window is not None and not self._goes_forward:
            raise SettingError(f"{self} has no history=: a layer of it runs backwards in time")
        self._ran = ()
        self._turns = Turns()

    def __call__(self, x: Any) -> Any:
        """One step: x `[...]` or `[B, ...]` -> y.

        Raises:
            As `Recur`; ShapeError: a layer is bidirectional, which has no single step.
        """
        with self._alone():
            for layer in self._layers.values():
                if isinstance(layer, Bidirectional):
                    layer(x)
            return self._run(self._inputs.read(x, single=True), {}, self._window)

    @property
    def layers(self) -> tuple[Recur | Bidirectional, ...]:
        """Copies of its layers, first to last: what becomes of one does not show in the stack."""
        return tuple(map(copy.copy, self._layers.values()))

    @property
    def width(self) -> tuple[int, ...]:
        return _fit(list(self._layers.values())[-1]).made

    @property
    def _goes_forward(self) -> bool:
        return all(isinstance(layer, Recur) for layer in self._layers.values())

    def _facts(self) -> dict[str, str]:
        facts, both = {}, self._layers.items()
        merges = [f"{path}: {each.merge}" for path, each in both if isinstance(each, Bidirectional)]
        if merges:
            facts["merge"] = "; ".join(merges)
        if self._dropout is not None:
            span = "call" if self._dropout.per_sequence else "step"
            facts["dropout"] = (
                f"{self._dropout.rate:g} of what layers after the first read, in training mode; "
                f"its masks are {self._mask_row_bytes:,} bytes a {span} and row"
            )
        if self._residual:
            plural = "s" * (len(self._residual) > 1)
            facts["residual"] = f"layer{plural} {', '.join(map(str, sorted(self._residual)))}"
        return facts

    def _nets(self) -> dict[str, Recur]:
        found: dict[str, Recur] = {}
        for path, layer in self._layers.items():
            inner = {"": layer} if isinstance(layer, Recur) else layer._nets()
            found |= {f"{path}.{way}".rstrip("."): net for way, net in inner.items()}
        return found

    # -- there and back --------------------------------------------------------------------------

    def _through(self, x: AnyArray, call: Call, said: Said) -> tuple[AnyArray, Note]:
        valid, begun = self._valid(call, said), self._at.step
        all_factors: list[AnyArray | None] = []
        inner: list[Any] = []
        for at, (path, layer) in enumerate(self._layers.items()):
            factors = self._factors(at, layer, call, begun) if at else None
            fed = x if factors is None else x * factors
            own, note = said.beneath(path), None
            if isinstance(layer, Recur):
                y = passed(layer, fed, call, own)
            else:
                y, note = layer._through(fed, call, own)
            if at in self._residual:
                y = y + cleared(x, valid)
            all_factors.append(factors)
            inner.append(note)
            x = y
        return x, Note(valid, tuple(all_factors), tuple(inner))

    def _valid(self, call: Call, said: Said) -> AnyArray | None:
        """bool[T,B]: which steps count, where not all do and a residual connection would add."""
        if said.lengths is None or not self._residual:
            return None
        arrays = self._arrays
        counts = read_lengths(said.lengths, call, arrays)
        return arrays.flags(np.arange(call.steps)[:, None] < counts, "lengths")

    def _factors(
        self, at: int, layer: Recur | Bidirectional, call: Call, step: int
    ) -> AnyArray | None:
        """What a layer's input is multiplied by in a call that begins at a step of the stream."""
        if self._dropout is None or not self.training:
            return None
        drawn = self._dropout.factors(at, step, call.steps, call.batch, _fit(layer).read[1])
        return self._arrays.real(drawn, "dropout")

    def _mask_bytes(self, call: Call, window: int | None) -> int:
        if self._dropout is None:
            return 0
        masks = self._at.history.steps + call.steps
        masks = masks if window is None else min(masks, window)
        if self._dropout.per_sequence:
            masks = len(self._ran) + 1
        return masks * call.batch * self._mask_row_bytes

    @property
    def _mask_row_bytes(self) -> int:
        """What the masks of all layers take for a row."""
        _, *above = self._layers.values()
        numbers = sum(math.prod(_fit(layer).read[1]) for layer in above)
        return numbers * int(self._arrays.element.itemsize)

    def _back(
        self, d_y: AnyArray | None, ran: tuple[Ran, ...], states: OfStates,
        found: dict[str, Gradients],
    ) -> AnyArray | None:  # fmt: skip
        d = d_y
        if d is not None and self._residual:
            counted = zip(parts(d, ran), ran, strict=True)
            d = _joined([cleared(part, each.note.valid) for part, each in counted])
        for at, (path, layer) in reversed(list(enumerate(self._layers.items()))):
            own = states.beneath(path)
            if isinstance(layer, Recur):
                found[path], d_x = gone_back(layer, d, ran, own)
            else:
                inner: dict[str, Gradients] = {}
                calls = tuple(replace(each, note=each.note.inner[at]) for each in ran)
                d_x = layer._back(d, calls, own, inner)
                found |= {f"{path}.{name}": grads for name, grads in inner.items()}
            if d_x is None:
                return None
            factors = [each.note.factors[at] for each in ran]
            if any(each is not None for each in factors):
                dropped = zip(parts(d_x, ran), factors, strict=True)
                d_x = _joined([part if f is None else part * f for part, f in dropped])
            d = d_x if d is None or at not in self._residual else d_x + d
        return d

    # -- as a value ------------------------------------------------------------------------------

    def _kept(self) -> Any:
        return self._ran, [
            layer._at if isinstance(layer, Recur) else layer._kept()
            for layer in self._layers.values()
        ]

    def _put_back(self, kept: Any) -> None:
        self._ran, stood = kept
        for layer, each in zip(self._layers.values(), stood, strict=True):
            if isinstance(layer, Recur):
                layer._at = each
            else:
                layer._put_back(each)

    def _begin(self, rows: Any, state: Mapping[str, Any] | None) -> None:
        for path, layer in self._layers.items():
            own = None if state is None else beneath(state, path)
            if isinstance(layer, Recur):
                layer.reset(rows, own)
            else:
                layer._begin(rows, own)

    def _part(self) -> None:
        self._layers = {path: copy.copy(layer) for path, layer in self._layers.items()}

    def __repr__(self) -> str:
        inner = []
        for at, (path, layer) in enumerate(self._layers.items()):
            named = "" if path == str(at) else f"{path}: "
            inner.append(f"{named}{layer._bound if isinstance(layer, Recur) else layer}")
        return f"Stack([{', '.join(inner)}])"


def stack_of(
    layers: Mapping[str, Any], options: Options, dropout: Dropout | None, residual: Iterable[int],
    history: int | None,
) -> Stack:  # fmt: skip
    """A stack whose layers have these paths, as one that was saved had them."""
    found = object.__new__(Stack)
    found._make(layers, options, residual, history)
    found._dropout = dropout
    return found


def cleared(array: AnyArray, valid: AnyArray | None) -> AnyArray:
    """[T,B,...] with 0 where a step does not count, whatever stands there."""
    if valid is None:
        return array
    return namespace(array).where(valid.reshape(*valid.shape, *[1] * (array.ndim - 2)), array, 0)


def _tail(array: AnyArray | None, count: int) -> AnyArray | None:
    """The last rows; a copy where that is half of what is held, or less."""
    if array is None or len(array) <= count:
        return array
    return copied(array[-count:]) if 2 * count <= len(array) else array[-count:]


def _cells(layer: Any) -> list[BoundCell]:
    if isinstance(layer, Bidirectional):
        return [bound_of(net) for net in layer._nets().values()]
    return [bound_of(layer)]


def _fit(layer: Recur | Bidirectional) -> Fit:
    if isinstance(layer, Recur):
        return fit_of(repr(layer), layer._cell)
    return Fit(repr(layer), step_of(layer._first._cell.inputs[0]), layer.width)


def _joined(parts: list[AnyArray]) -> AnyArray:
    return parts[0] if len(parts) == 1 else namespace(parts[0]).concatenate(parts)
