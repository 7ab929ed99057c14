"""Layers that run one after the other, each over the whole sequence, as a module.

In: cells, nets and modules, or a chain. Out: one module. As `runtime/stack.py`, in operations of
torch between modules. Without a seed, torch draws what is dropped.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import torch

from ..bidirectional import Bidirectional as BidirectionalNet
from ..checks import check_flag
from ..dropout import Dropout, between, read_dropout
from ..fitting import Fit, check_in_order, read_residual
from ..inputs import Call as Sizes
from ..layers import check_alone, layers_by_path
from ..passing import above
from ..stack import Stack as Net
from ..stack import stack_of
from .bidirectional import Bidirectional
from .draws import Seeded, check_generator, drawn
from .engine import Tensor
from .layer import Layer, Layered
from .masks import plain_masks
from .members import Options, check_axes, recur_at
from .parameters import found_at, place_of
from .runner import State


class Stack(Layered):
    """`Stack([rnnc.LSTMCell(10, 32), rnnc.GRUCell(32, 32)], dropout=0.2)`.

    Parameters and states have the paths `"0.W"`, `"1.forwards.h"`. A layer whose states are left
    out of a state that is passed begins anew.
    """

    def __init__(
        self, layers: Any, *others: Any, dropout: float | None = None,
        per_sequence: bool | None = None, residual: bool | Iterable[int] | None = None,
        backend: str | None = None, dtype: Any = None, seed: int | None = None,
        exact: bool = False, fast: bool = False, batch_first: bool = False, device: Any = None,
    ) -> None:  # fmt: skip
        """Make a module of each layer.

        Args:
            layers: a list of cells, nets or modules, also bidirectional ones; a dict of these,
                whose names stand in the paths; a chain, whose links become the layers; or a
                `rnnc.Stack`, of which the next three arguments are taken over, too. Modules are
                taken as they are, parameters of nets copied, those of cells drawn by their path,
                so that equal cells differ.
            dropout: the rate at which elements of what a layer reads are dropped in training mode,
                the first layer's excepted; the others are scaled by 1 / (1 - dropout). 0 by
                default.
            per_sequence: drop the same elements at all steps of a call.
            residual: add to a layer's output what it read: of all layers, or of those with these
                numbers. What is added is not dropped.
            backend, dtype, seed, exact, fast, batch_first, device: as for `Recur`, where a module
                is made.
        Raises:
            ChainError: a layer does not read what the one before it returns, a residual connection
            joins different sizes, or a cell is no chain. SettingError: naming the argument.
            NamesError: a layer has the name of an attribute of `torch.nn.Module`.
        """
        super().__init__()
        check_alone(others)
        check_flag(batch_first, "batch_first")
        self.batch_first = bool(batch_first)
        by_path, own = _told(layers)
        dropout = own.rate if dropout is None else dropout
        per_sequence = own.per_sequence if per_sequence is None else per_sequence
        read_dropout(dropout, per_sequence, 0)
        self.dropout, self.per_sequence = float(dropout), bool(per_sequence)
        options = Options(backend, dtype, seed, exact, fast, self.batch_first, device)
        options = options.completed(by_path.values())
        self._paths = tuple(by_path)
        for path, layer in by_path.items():
            at, name = place_of(self, path, "a layer")
            at.add_module(name, _layer_at(path, layer, options))
        fits = [layer._fit for layer in self.layers]
        check_in_order(fits)
        self._shapes = [fit.read[1] for fit in fits]  # of what each layer reads in a step of a row
        self._residual = read_residual(own.residual if residual is None else residual, fits)

    @property
    def _parts(self) -> dict[str, Layer]:
        return {path: found_at(self, path) for path in self._paths}

    @property
    def layers(self) -> tuple[Layer, ...]:
        """Its modules, first to last; one that is there twice is there twice."""
        return tuple(self._parts.values())

    def to_net(self, *, backend: str | None = None, dtype: Any = None, seed: int = 0) -> Net:
        parts = self._parts.items()
        nets = {path: part.to_net(backend=backend, dtype=dtype, seed=seed) for path, part in parts}
        dropout = read_dropout(self.dropout, self.per_sequence, int(seed))
        options = self._net_options(backend, dtype)
        net = stack_of(nets, options, dropout, self._residual, None)
        return net if self.training else net.eval()

    def step(
        self, x: Any, state: Any = None, *, seed: Any = None, path: str = ""
    ) -> tuple[Any, State]:
        states, last = self._states_apart(state), {}
        for at, (name, layer) in enumerate(self._parts.items()):
            y, last[name] = layer.step(
                self._dropped(x, at, seed, path, single=True), states[name], seed=seed,
                path=f"{path}{name}.",
            )  # fmt: skip
            x = y + x if at in self._residual else y
        return x, above(last)

    def _over(
        self, xs: Any, state: Any, starts: Any, lengths: Any, boundaries: Any, seed: Any,
        path: str,
    ) -> tuple[Any, State]:  # fmt: skip
        states, last = self._states_apart(state), {}
        for at, (name, layer) in enumerate(self._parts.items()):
            ys, last[name] = layer(
                self._dropped(xs, at, seed, path), states[name], starts=starts, lengths=lengths,
                boundaries=boundaries, seed=seed, path=f"{path}{name}.",
            )  # fmt: skip
            xs = ys + self._cleared(xs, lengths) if at in self._residual else ys
        return xs, above(last)

    def _dropped(self, xs: Any, at: int, seed: Any, path: str, *, single: bool = False) -> Any:
        if not at or not self.dropout or not self.training:
            return xs
        if seed is None:
            check_generator()
            if single or not self.per_sequence:
                return torch.nn.functional.dropout(xs, self.dropout)
        return xs * self._factors(xs, at, seed, path, single=single)

    def _factors(self, xs: Tensor, at: int, seed: Any, path: str, *, single: bool) -> Tensor:
        """What a layer's input is multiplied by, in the user's axes; one step may stand for all."""
        layer = self.layers[at]
        sizes, shape = layer._sizes(xs, single=single), self._shapes[at]
        lead = 1 if self.per_sequence else sizes.steps, sizes.batch
        if seed is None:
            factors = torch.nn.functional.dropout(xs.new_ones((*lead, *shape)), self.dropout)
        else:
            if self.per_sequence and isinstance(seed, Seeded):
                seed = seed._replace(step=seed.begun)
            kept = drawn(between(at, shape), xs, lead, seed, path) > self.dropout
            factors = kept.to(xs.dtype) / (1 - self.dropout)
        found: Tensor = sizes.returned(factors)
        return found[0] if single else found

    def _cleared(self, xs: Tensor, lengths: Any) -> Tensor:
        """0 where a step does not count, whatever stands there."""
        if lengths is None:
            return xs
        sizes = self._sizes(xs, single=False)
        counts = plain_masks(sizes, xs, None, lengths, None, begins=True).lengths
        assert counts is not None, "lengths were given"
        valid = torch.arange(sizes.steps, device=xs.device).unsqueeze(1) < counts
        valid = sizes.returned(valid)
        return torch.where(valid.reshape(*valid.shape, *[1] * (xs.ndim - valid.ndim)), xs, 0)

    @property
    def _drops(self) -> bool:
        return self.dropout > 0

    @property
    def _fit(self) -> Fit:
        fits = [layer._fit for layer in self.layers]
        label = f"Stack([{', '.join(fit.label for fit in fits)}])"
        return Fit(label, fits[0].read, fits[-1].made)

    def _sizes(self, x: Tensor, *, single: bool) -> Sizes:
        return self.layers[0]._sizes(x, single=single)

    def extra_repr(self) -> str:
        said = [f"dropout={self.dropout:g}"] if self.dropout else []
        said += ["per_sequence=True"] if self.per_sequence else []
        said += [f"residual={sorted(self._residual)}"] if self._residual else []
        return ", ".join(said)


@dataclass(frozen=True, slots=True)
class _Told:
    """What a stack does where nothing else is said."""

    rate: float = 0.0
    per_sequence: bool = False
    residual: frozenset[int] = frozenset()


def _told(layers: Any) -> tuple[dict[str, Any], _Told]:
    """Layers by path, and what a net says of them."""
    if not isinstance(layers, Net):
        return layers_by_path(layers), _Told()
    dropped = layers._dropout or Dropout(0.0, False, 0)
    return layers._layers, _Told(dropped.rate, dropped.per_sequence, layers._residual)


def _layer_at(path: str, layer: Any, options: Options) -> Layer:
    match layer:
        case Bidirectional():
            check_axes(layer, options)
            return layer
        case BidirectionalNet():
            found = Bidirectional.__new__(Bidirectional)
            torch.nn.Module.__init__(found)
            found._make(layer._ahead, layer._behind, layer.merge, options, f"{path}.")
            return found
    return recur_at(path, layer, options)
